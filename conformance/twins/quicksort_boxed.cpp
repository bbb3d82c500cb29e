// SPDX-License-Identifier: MIT
//
// Twin of quicksort_boxed: the same partition on plain integers, with a stack of ranges from the standard
//             library; the sorted order is compared with std::sort's.
#include "twin.hpp"

#include <algorithm>
#include <functional>
#include <stack>
#include <utility>
#include <vector>

namespace {

using Keys = std::vector<std::int64_t>;

template <typename Before> std::int64_t quicksort(Keys& keys, Before before) {
  std::int64_t comparisons = 0;
  std::stack<std::pair<std::int64_t, std::int64_t>> work;
  work.emplace(0, static_cast<std::int64_t>(keys.size()));
  while (!work.empty()) {
    const auto [low, high] = work.top();
    work.pop();
    if (high - low < 2)
      continue;
    const std::int64_t pivot = keys[static_cast<std::size_t>(low + (high - low) / 2)];
    std::int64_t i = low;
    std::int64_t j = high - 1;
    while (i <= j) {
      for (; before(keys[static_cast<std::size_t>(i)], pivot); ++i)
        ++comparisons;
      for (; before(pivot, keys[static_cast<std::size_t>(j)]); --j)
        ++comparisons;
      comparisons += 2;
      if (i <= j)
        std::swap(keys[static_cast<std::size_t>(i++)], keys[static_cast<std::size_t>(j--)]);
    }
    work.emplace(low, j + 1);
    work.emplace(i, high);
  }
  return comparisons;
}

template <typename Before> std::int64_t sort_checked(Keys& keys, Before before) {
  Keys expected = keys;
  std::sort(expected.begin(), expected.end(), before);
  const std::int64_t comparisons = quicksort(keys, before);
  twin::require(keys == expected, "quicksort and std::sort differ");
  return comparisons;
}

} // namespace

int main(int argc, char** argv) {
  const std::int64_t length = twin::number(argc, argv, 1, 60000);
  const std::int64_t rounds = twin::number(argc, argv, 3, 6);
  for (std::uint64_t share = 0; share < 2; ++share) {
    std::int64_t comparisons = 0;
    std::uint64_t sum = 0;
    for (std::int64_t round = 0; round < rounds; ++round) {
      const std::uint64_t seed = twin::hash(51 + share, static_cast<std::uint64_t>(round));
      Keys keys;
      for (std::int64_t i = 0; i < length; ++i)
        keys.push_back(static_cast<std::int64_t>(twin::hash(seed, static_cast<std::uint64_t>(i)) >>
                                                 (round % 3 ? 1 : 50)) -
                       5000);
      comparisons +=
          round % 2 == 0 ? sort_checked(keys, std::less<>{}) : sort_checked(keys, std::greater<>{});
      for (const std::int64_t key : keys)
        twin::fold(sum, static_cast<std::uint64_t>(key));
    }
    std::printf("share %d: %lld comparisons, sum %llx\n", static_cast<int>(share),
                static_cast<twin::ll>(comparisons), static_cast<twin::ull>(sum));
    twin::pass(comparisons);
    twin::pass(sum);
  }
  return twin::finish();
}
