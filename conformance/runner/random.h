// SPDX-License-Identifier: MIT
//
// random.h - SplitMix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014).
#ifndef ECHO_CONFORMANCE_RANDOM_H
#define ECHO_CONFORMANCE_RANDOM_H

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string_view>

namespace conformance {

inline std::uint64_t scramble(std::uint64_t z) {
  z = (z ^ (z >> 30)) * std::uint64_t{0xBF58476D1CE4E5B9};
  z = (z ^ (z >> 27)) * std::uint64_t{0x94D049BB133111EB};
  return z ^ (z >> 31);
}

class Random {
public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  // A generator of its own for each test, whatever else runs.
  Random(std::uint64_t seed, std::string_view name) : state_(scramble(seed)) {
    for (const char c : name)
      state_ = scramble(state_ + static_cast<unsigned char>(c) + 1);
  }

  std::uint64_t next() { return scramble(state_ += std::uint64_t{0x9E3779B97F4A7C15}); }
  // In [0, bound); bound is not 0.
  std::uint64_t below(std::uint64_t bound) { return next() % bound; }
  std::uint64_t between(std::uint64_t low, std::uint64_t high) { return low + below(high - low + 1); }
  bool chance(std::uint64_t one_in) { return below(one_in) == 0; }
  template <typename Container> auto& pick(Container& values) {
    return values[static_cast<std::size_t>(below(std::size(values)))];
  }

private:
  std::uint64_t state_;
};

} // namespace conformance

#endif // ECHO_CONFORMANCE_RANDOM_H
