// SPDX-License-Identifier: MIT
//
// Twin of producer_consumer: a queue of vectors, filled and drained in batches by one thread.
#include "twin.hpp"

#include <algorithm>
#include <queue>
#include <vector>

namespace {

using Message = std::vector<std::uint64_t>; // the parcels in the order in which they are read

Message make(std::uint64_t seed, std::uint64_t number) {
  Message parcels;
  for (std::uint64_t i = 0; i <= (twin::hash(seed, number) & 3); ++i)
    parcels.push_back(twin::hash(seed + 1, number * 4 + i));
  std::reverse(parcels.begin(), parcels.end());
  return parcels;
}

} // namespace

int main(int argc, char** argv) {
  const auto messages = static_cast<std::uint64_t>(twin::number(argc, argv, 1, 1000000));
  const auto rounds = static_cast<std::uint64_t>(twin::number(argc, argv, 3, 2));
  for (std::uint64_t round = 0; round < rounds; ++round) {
    std::queue<Message> ring;
    std::uint64_t produced = 0;
    std::uint64_t sum = 0;
    for (std::uint64_t number = 0; number < messages; ++number) {
      if (ring.empty())
        while (produced < messages && ring.size() < 100)
          ring.push(make(61 + round, produced++));
      for (const std::uint64_t value : ring.front())
        twin::fold(sum, value);
      ring.pop();
    }
    std::printf("round %lld: %lld messages, sum %llx\n", static_cast<twin::ll>(round),
                static_cast<twin::ll>(messages), static_cast<twin::ull>(sum));
    twin::pass(sum);
  }
  return twin::finish();
}
