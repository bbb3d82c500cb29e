// SPDX-License-Identifier: MIT
//
// Twin of array_moves: a vector of numbers, with insert, erase and resize of the standard library.
#include "twin.hpp"

#include <vector>

namespace {

constexpr std::size_t kLongest = 1000;

std::uint64_t weight(std::uint64_t seed, std::uint64_t number) {
  return twin::hash(seed, number) >> 40;
}

} // namespace

int main(int argc, char** argv) {
  const std::int64_t operations = twin::number(argc, argv, 1, 60000);
  const std::int64_t rounds = twin::number(argc, argv, 3, 4);
  for (std::uint64_t share = 0; share < 2; ++share) {
    std::uint64_t sum = 0;
    std::int64_t moved = 0;
    for (std::int64_t round = 0; round < rounds; ++round) {
      const std::uint64_t seed = twin::hash(71 + share, static_cast<std::uint64_t>(round));
      std::vector<std::uint64_t> numbers;
      for (std::int64_t i = 0; i < operations; ++i) {
        const auto number = static_cast<std::uint64_t>(i);
        const std::uint64_t choice = twin::hash(seed ^ 0x5eed, number);
        const std::size_t length = numbers.size();
        const std::size_t place = (choice >> 16) % (length + 1);
        const auto at = numbers.begin() + static_cast<std::ptrdiff_t>(place);
        if (length == kLongest) {
          numbers.resize(kLongest / 2);
          twin::fold(sum, 1);
        } else if (place < length && choice % 3 == 0) {
          twin::fold(sum, weight(seed, *at));
          numbers.erase(at);
          moved += static_cast<std::int64_t>(length - place - 1);
        } else {
          numbers.insert(at, number);
          moved += static_cast<std::int64_t>(length - place);
        }
      }
      for (const std::uint64_t number : numbers)
        twin::fold(sum, number);
    }
    std::printf("share %d: %lld elements moved, sum %llx\n", static_cast<int>(share),
                static_cast<twin::ll>(moved), static_cast<twin::ull>(sum));
    twin::pass(moved);
    twin::pass(sum);
  }
  return twin::finish();
}
