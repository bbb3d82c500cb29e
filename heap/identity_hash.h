// SPDX-License-Identifier: MIT
//
// Purpose     The identity hash of an object: the same number for its whole life.
//
// Drawing     hash state in the header:   unhashed  ->  hashed  ->  hashed and moved
//             hash                        any           of address  kept with the object
//
// Equation    hash = (address * kHashMultiplier mod 2^64) >> kHashShift: Fibonacci hashing (Knuth, The Art of Computer
//             Programming 3, 6.4). The multiplier is odd, so different addresses have different products; 48 bits
//             of them remain.
// Invariants  [heap.hash.1] Who asks for the hash of an unhashed object sets its flag first, so that a collector that
//             moves the object knows that it must keep the hash. No object moves in this version: none is ever hashed
//             and moved.
#pragma once

#include "heap/object_header.h"

namespace echo {

inline constexpr std::uint64_t kHashMultiplier = 0x9E3779B97F4A7C15ull;
inline constexpr std::uint32_t kHashShift = 16;

inline std::uint64_t hash_of_address(Address a) {
  return (static_cast<std::uint64_t>(a) * kHashMultiplier) >> kHashShift;
}

inline std::uint64_t identity_hash(ObjectRef object) {
  auto* const header = reinterpret_cast<std::uint64_t*>(object.address);
  if ((__atomic_load_n(header, __ATOMIC_RELAXED) & kHeaderHashed) == 0) {
    __atomic_fetch_or(header, std::uint64_t{kHeaderHashed},
                      __ATOMIC_RELAXED); // other bits are other threads'
  }
  return hash_of_address(object.address);
}

} // namespace echo
