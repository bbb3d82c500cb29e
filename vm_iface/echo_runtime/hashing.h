// SPDX-License-Identifier: MIT
//
// Purpose     Hashes of map keys under a secret, so that nobody who chooses keys can choose collisions.
// Algorithm   [runtime.hash.1] Words: the folded product of (word + s0) and s1, both secret. Bytes: SipHash-1-3 (Aumasson and
//             Bernstein 2012) under both; with 2 and 4 rounds it is the reference that its authors' vectors test.
#pragma once

#include "state.h"

#include <bit>
#include <cstring>
#include <string_view>

namespace echo::runtime {

inline std::uint64_t hash_word(HashSeed seed, std::uint64_t word) {
  __extension__ using Wide = unsigned __int128;
  const Wide product = Wide{word ^ seed.first} * (seed.second | 1);
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

template <int kRounds, int kLastRounds> std::uint64_t sip_hash(HashSeed key, std::string_view bytes) {
  std::uint64_t v0 = 0x736f6d6570736575 ^ key.first, v1 = 0x646f72616e646f6d ^ key.second,
                v2 = 0x6c7967656e657261 ^ key.first, v3 = 0x7465646279746573 ^ key.second;
  const auto round = [&] {
    v0 += v1;
    v2 += v3;
    v1 = std::rotl(v1, 13) ^ v0;
    v3 = std::rotl(v3, 16) ^ v2;
    v0 = std::rotl(v0, 32);
    v2 += v1;
    v0 += v3;
    v1 = std::rotl(v1, 17) ^ v2;
    v3 = std::rotl(v3, 21) ^ v0;
    v2 = std::rotl(v2, 32);
  };
  const auto absorb = [&](std::uint64_t word) {
    v3 ^= word;
    for (int i = 0; i < kRounds; ++i) {
      round();
    }
    v0 ^= word;
  };
  const std::uint64_t total = bytes.size();
  for (; bytes.size() >= 8; bytes.remove_prefix(8)) {
    std::uint64_t word = 0;
    std::memcpy(&word, bytes.data(), 8);
    absorb(word);
  }
  std::uint64_t last = total << 56;
  if (!bytes.empty()) {
    std::memcpy(&last, bytes.data(), bytes.size()); // at most 7: the length stays
  }
  absorb(last);
  v2 ^= 0xFF;
  for (int i = 0; i < kLastRounds; ++i) {
    round();
  }
  return v0 ^ v1 ^ v2 ^ v3;
}

inline std::uint64_t hash_bytes(HashSeed seed, std::string_view bytes) {
  return sip_hash<1, 3>(seed, bytes);
}

static_assert(std::endian::native == std::endian::little, "SipHash reads little-endian words");

} // namespace echo::runtime
