// SPDX-License-Identifier: MIT
//
// Twin of lists_queues: the standard library's containers.
#include "twin.hpp"

#include <algorithm>
#include <deque>
#include <forward_list>
#include <iterator>
#include <memory>

namespace {

using Values = std::forward_list<std::uint64_t>;

std::uint64_t lists(std::uint64_t seed, std::uint64_t length) {
  Values list;
  for (std::uint64_t i = 0; i < length; ++i)
    list.push_front(twin::hash(seed, i));
  Values mapped; // front insertion turns the order round
  for (const std::uint64_t value : list)
    mapped.push_front(value * 3 + 1);
  Values odd;
  std::copy_if(mapped.begin(), mapped.end(), std::front_inserter(odd),
               [](std::uint64_t v) { return v % 2 == 1; });
  odd.reverse();
  std::uint64_t sum = 0;
  for (const std::uint64_t value : odd)
    twin::fold(sum, value);
  twin::fold(sum, static_cast<std::uint64_t>(std::distance(odd.begin(), odd.end())));
  return sum;
}

std::uint64_t queue(std::uint64_t seed, std::uint64_t pushes, std::uint64_t window) {
  std::deque<std::unique_ptr<std::uint64_t>> waiting;
  std::uint64_t sum = 0;
  for (std::uint64_t i = 0; i < pushes; ++i) {
    waiting.push_back(std::make_unique<std::uint64_t>(twin::hash(seed, i)));
    if (waiting.size() > window) {
      twin::fold(sum, *waiting.front());
      waiting.pop_front();
    }
  }
  twin::fold(sum, waiting.size());
  return sum;
}

std::uint64_t deque(std::uint64_t seed, std::uint64_t pushes) {
  std::deque<std::uint64_t> items;
  std::uint64_t sum = 0;
  for (std::uint64_t i = 0; i < pushes; ++i) {
    items.push_back(twin::hash(seed, i));
    if (i % 3 == 2) {
      twin::fold(sum, items.front());
      items.pop_front();
    }
  }
  for (const std::uint64_t value : items)
    twin::fold(sum, value);
  return sum;
}

} // namespace

int main(int argc, char** argv) {
  const auto length = static_cast<std::uint64_t>(twin::number(argc, argv, 1, 50000));
  const auto rounds = static_cast<std::uint64_t>(twin::number(argc, argv, 3, 20));
  for (std::uint64_t share = 0; share < 2; ++share) {
    std::uint64_t list_sum = 0;
    std::uint64_t queue_sum = 0;
    std::uint64_t deque_sum = 0;
    for (std::uint64_t round = 0; round < rounds; ++round) {
      const std::uint64_t seed = twin::hash(21 + share, round);
      twin::fold(list_sum, lists(seed, length));
      twin::fold(queue_sum, queue(seed + 1, 4 * length, length / 8 + 1));
      twin::fold(deque_sum, deque(seed + 2, 2 * length));
    }
    std::printf("share %d: lists %llx, queue %llx, deque %llx\n", static_cast<int>(share),
                static_cast<twin::ull>(list_sum), static_cast<twin::ull>(queue_sum),
                static_cast<twin::ull>(deque_sum));
    twin::pass(list_sum);
    twin::pass(queue_sum);
    twin::pass(deque_sum);
  }
  return twin::finish();
}
