// SPDX-License-Identifier: MIT
//
// Purpose     The header word of an object.
//
// Drawing     63            40 39      32 31      24 23                     0
//             +---------------+----------+----------+------------------------+
//             |   reserved    |  VM bits |  flags   |       layout id        |
//             +---------------+----------+----------+------------------------+
//             reserved   0 in objects; the size in granules in a filler
//             VM bits    8 bits that belong to the VM
//             flags      forwarded, pinned, hash state (two bits); 0 at birth
//             layout id  1 .. kMaxLayouts, or kFillerLayout
//
// Invariants  [heap.header.1] At birth the word is the layout id alone, so it fits a 32-bit immediate.
//             [heap.header.2] The marker never writes it. [heap.header.3] kPoisonWord is no header and no
//             reference. [heap.header.4] A filler covers [its address, + 8 * granules): every slab can be
//             walked by headers.
#pragma once

#include "echo/layout.h"
#include "heap/words.h"

namespace echo {

inline constexpr std::uint32_t kMaxLayouts = std::uint32_t{1} << 20;
inline constexpr std::uint32_t kFillerLayout = 0xFFFFFE;
inline constexpr std::uint64_t kPoisonWord = 0xDBDBDBDBDBDBDBDBull;

enum HeaderFlags : std::uint64_t {
  kHeaderForwarded = std::uint64_t{1} << 24,
  kHeaderPinned = std::uint64_t{1} << 25,
  kHeaderHashed = std::uint64_t{1} << 26,
  kHeaderHashMoved = std::uint64_t{1} << 27,
};

struct HeaderWord {
  std::uint64_t bits = 0;

  static constexpr HeaderWord born(LayoutId id) { return {id.number}; }
  static constexpr HeaderWord filler(std::size_t granules) {
    return {(static_cast<std::uint64_t>(granules) << 40) | kFillerLayout};
  }
  constexpr std::uint32_t layout_number() const { return static_cast<std::uint32_t>(bits & 0xFFFFFF); }
  constexpr bool is_filler() const { return layout_number() == kFillerLayout; }
  constexpr std::size_t filler_granules() const { return static_cast<std::size_t>(bits >> 40); }
};

static_assert(sizeof(HeaderWord) == 8);
// The public drawing says the same. [heap.header.1]
enum : std::uint64_t {
#define ECHO_HEADER_PART(first, bits, name, meaning)                                                         \
  kHeaderPart##name = ((std::uint64_t{1} << (bits)) - 1) << (first),
  ECHO_HEADER_TABLE(ECHO_HEADER_PART)
#undef ECHO_HEADER_PART
};
static_assert(HeaderWord{~std::uint64_t{0}}.layout_number() == kHeaderPartLAYOUT);
static_assert(((kHeaderForwarded | kHeaderPinned | kHeaderHashed | kHeaderHashMoved) & ~kHeaderPartFLAGS) ==
              0);
static_assert((HeaderWord::filler(~std::size_t{0}).bits ^ kFillerLayout) == kHeaderPartRESERVED);
static_assert((kHeaderPartLAYOUT ^ kHeaderPartFLAGS ^ kHeaderPartVM ^ kHeaderPartRESERVED) ==
              ~std::uint64_t{0});
static_assert(HeaderWord::born({kMaxLayouts}).bits <= 0x7FFFFFFF, "[heap.header.1]");
static_assert(HeaderWord{kPoisonWord}.layout_number() > kMaxLayouts &&
                  HeaderWord{kPoisonWord}.layout_number() != kFillerLayout,
              "[heap.header.3]");
static_assert(HeaderWord::filler(kGranulesPerSlab).filler_granules() == kGranulesPerSlab);

inline HeaderWord load_header(ObjectRef object) {
  return {__atomic_load_n(reinterpret_cast<const std::uint64_t*>(object.address), __ATOMIC_RELAXED)};
}
inline void store_header(Address at, HeaderWord word) {
  __atomic_store_n(reinterpret_cast<std::uint64_t*>(at), word.bits, __ATOMIC_RELAXED);
}
// The length word of an array.
inline std::uint64_t load_length(ObjectRef array) {
  return __atomic_load_n(reinterpret_cast<const std::uint64_t*>(array.address + 8), __ATOMIC_RELAXED);
}

} // namespace echo
