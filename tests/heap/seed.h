// SPDX-License-Identifier: MIT
//
// Purpose     Random numbers for property tests: one seed per run, from ECHO_TEST_SEED or fixed, so that
//             every failure can be had again. Sebastiano Vigna's splitmix64.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

namespace echo::test {

inline std::uint64_t test_seed() {
  const char* text = std::getenv("ECHO_TEST_SEED");
  return text == nullptr ? 20240229 : std::strtoull(text, nullptr, 0);
}
// For SCOPED_TRACE: how to have the failure again.
inline std::string seed_message() {
  return "rerun with ECHO_TEST_SEED=" + std::to_string(test_seed());
}

class Random {
public:
  explicit Random(std::uint64_t seed) : state_(seed) {}
  std::uint64_t next() {
    std::uint64_t z = (state_ += 0x9E3779B97F4A7C15u);
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }
  // In [0, n), n > 0.
  std::size_t below(std::size_t n) { return static_cast<std::size_t>(next() % n); }
  // In [low, high].
  std::size_t between(std::size_t low, std::size_t high) { return low + below(high - low + 1); }
  bool chance(unsigned percent) { return below(100) < percent; }

private:
  std::uint64_t state_;
};

} // namespace echo::test
