// SPDX-License-Identifier: MIT
//
// Purpose     The words of memory as types: what an address, a size or a raw word means is in its type.
// Invariants  [heap.words.1] Only ObjectRef is known to be null or the address of an object's header.
//             A TaggedWord or AmbiguousWord has to be tested before it becomes one.
// Equations   kGranule | kSlabBytes | kChunkBytes;  kSlabsPerChunk * kSlabBytes = kChunkBytes
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

namespace echo {

inline constexpr std::size_t kGranule = 8;
inline constexpr std::size_t kPageBytes = 4096;
inline constexpr std::size_t kSlabBytes = std::size_t{64} << 10;
inline constexpr std::size_t kChunkBytes = std::size_t{2} << 20;
inline constexpr std::size_t kSlabsPerChunk = kChunkBytes / kSlabBytes;
inline constexpr std::size_t kPagesPerChunk = kChunkBytes / kPageBytes;
inline constexpr std::size_t kGranulesPerSlab = kSlabBytes / kGranule;
inline constexpr std::size_t kCacheLine = 64;
// Objects over this size live in the large-object space and never move. [heap.large.1]
inline constexpr std::size_t kLargeBytes = std::size_t{32} << 10;
static_assert(kSlabsPerChunk == 32 && kPagesPerChunk == 512 && kGranulesPerSlab == 8192);

using Address = std::uintptr_t;

// The address of a header word, or null.
struct ObjectRef {
  Address address = 0;
  explicit operator bool() const { return address != 0; }
  friend bool operator==(ObjectRef, ObjectRef) = default;
};

// A slot of kind TAGGED: a reference iff its low three bits are zero.
struct TaggedWord {
  std::uint64_t bits = 0;
  bool is_reference() const { return (bits & 7) == 0; }
  ObjectRef reference() const { return {static_cast<Address>(bits)}; }
};

// A word that may or may not be an address inside an object.
struct AmbiguousWord {
  std::uint64_t bits = 0;
};

// The number of a registered layout; 0 is none.
struct LayoutId {
  std::uint32_t number = 0;
  explicit operator bool() const { return number != 0; }
  friend bool operator==(LayoutId, LayoutId) = default;
};

// The position of a slab in the reservation.
struct SlabIndex {
  std::uint32_t number = 0;
  friend bool operator==(SlabIndex, SlabIndex) = default;
};

inline constexpr std::size_t round_up(std::size_t n, std::size_t to) {
  return (n + to - 1) & ~(to - 1);
}
inline constexpr bool is_aligned(Address a, std::size_t to) {
  return (a & (to - 1)) == 0;
}

// Sum and product that say when they overflow. [abi.layout.2]
inline bool checked_add(std::uint64_t a, std::uint64_t b, std::uint64_t* out) {
  return !__builtin_add_overflow(a, b, out);
}
inline bool checked_multiply(std::uint64_t a, std::uint64_t b, std::uint64_t* out) {
  return !__builtin_mul_overflow(a, b, out);
}

} // namespace echo
