// SPDX-License-Identifier: MIT
//
// Twin of deep_recursion: the first recursion is a loop from the bottom up; the second stays one, with boxes
//             that the frames own, on a stack large enough for it.
#include "twin.hpp"

#include <memory>
#include <pthread.h>

namespace {

std::uint64_t down(std::uint64_t seed, std::uint64_t depth) {
  std::uint64_t value = twin::hash(seed, 0);
  for (std::uint64_t height = 1; height <= depth; ++height)
    twin::fold(value, twin::hash(seed, height));
  return value;
}

std::uint64_t zigzag(std::uint64_t seed, std::uint64_t height) {
  const auto here = std::make_unique<std::uint64_t>(twin::hash(seed, height));
  std::uint64_t sum = *here;
  if (height > 0) {
    twin::fold(sum, zigzag(seed, height - 1));
    if (height % 64 == 0)
      twin::fold(sum, zigzag(seed + 1, 16));
  }
  return sum;
}

struct Arguments {
  std::uint64_t depth, rounds;
};

void* run(void* arguments) {
  const std::uint64_t depth = static_cast<const Arguments*>(arguments)->depth;
  const std::uint64_t rounds = static_cast<const Arguments*>(arguments)->rounds;
  for (std::uint64_t share = 0; share < 2; ++share) {
    std::uint64_t down_sum = 0;
    std::uint64_t zigzag_sum = 0;
    for (std::uint64_t round = 0; round < rounds; ++round) {
      const std::uint64_t seed = twin::hash(41 + share, round);
      twin::fold(down_sum, down(seed, depth));
      twin::fold(zigzag_sum, zigzag(seed, depth / 3));
    }
    std::printf("share %d: down %llx, zigzag %llx\n", static_cast<int>(share),
                static_cast<twin::ull>(down_sum), static_cast<twin::ull>(zigzag_sum));
    twin::pass(down_sum);
    twin::pass(zigzag_sum);
  }
  return nullptr;
}

} // namespace

int main(int argc, char** argv) {
  Arguments arguments{static_cast<std::uint64_t>(twin::number(argc, argv, 1, 100000)),
                      static_cast<std::uint64_t>(twin::number(argc, argv, 3, 40))};
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  twin::require(pthread_attr_setstacksize(&attributes, std::size_t{512} << 20) == 0, "no stack of 512 MiB");
  pthread_t thread;
  twin::require(pthread_create(&thread, &attributes, run, &arguments) == 0,
                "no thread with a stack of 512 MiB");
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
  return twin::finish();
}
