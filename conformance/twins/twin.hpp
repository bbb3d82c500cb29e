// SPDX-License-Identifier: MIT
//
// twin.hpp - what the twins have in common with each other; nothing of it is shared with the programs.
//
// Purpose     A twin computes in plain C++, with memory it frees itself, what the program of the same name
//             computes on the heap. It writes the program's standard output to standard output and "checksum
//             N" (decimal) to standard error. It has no second thread: the result does not depend on threads.
// Equations   checksum: sum = rotl(sum, 5) ^ value * 0x9E3779B97F4A7C15 for each value in order, from 0.
#ifndef ECHO_CONFORMANCE_TWIN_HPP
#define ECHO_CONFORMANCE_TWIN_HPP

#include <bit>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace twin {

inline std::uint64_t checksum_so_far = 0;

inline void pass(std::int64_t value) {
  checksum_so_far =
      std::rotl(checksum_so_far, 5) ^ (static_cast<std::uint64_t>(value) * std::uint64_t{0x9E3779B97F4A7C15});
}
inline void pass(std::uint64_t value) {
  pass(static_cast<std::int64_t>(value));
}

inline int finish() {
  std::fprintf(stderr, "checksum %llu\n", static_cast<unsigned long long>(checksum_so_far));
  return 0;
}

// Argument `index`: the size is 1, the rounds are 3 (2 is the number of threads, which a twin does not need).
inline std::int64_t number(int argc, char** argv, int index, std::int64_t otherwise) {
  return index < argc ? std::atoll(argv[index]) : otherwise;
}

inline void require(bool holds, const char* what) {
  if (!holds) {
    std::fprintf(stderr, "twin: %s\n", what);
    std::abort();
  }
}

// SplitMix64's finaliser over a linear combination of seed and index.
inline std::uint64_t hash(std::uint64_t seed, std::uint64_t index) {
  std::uint64_t z =
      seed * std::uint64_t{0xD1342543DE82EF95} + (index + 1) * std::uint64_t{0x9E3779B97F4A7C15};
  z = (z ^ (z >> 30)) * std::uint64_t{0xBF58476D1CE4E5B9};
  z = (z ^ (z >> 27)) * std::uint64_t{0x94D049BB133111EB};
  return z ^ (z >> 31);
}

// One step of the hash of a sequence.
inline void fold(std::uint64_t& sum, std::uint64_t value) {
  sum = (sum ^ value) * std::uint64_t{0x100000001B3} + (sum >> 29);
}

using ull = unsigned long long;
using ll = long long;

} // namespace twin

#endif // ECHO_CONFORMANCE_TWIN_HPP
