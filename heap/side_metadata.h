// SPDX-License-Identifier: MIT
//
// Purpose     The two bitmaps of the heap, beside it and never in it, so that marking dirties no line of a
// mutator.
//             M: an object's start was marked. L: a granule belongs to a marked object.
// Drawing     one 128-byte record per 4 KiB page (512 granules = 8 words); both bitmaps of a page lie in
// neighbouring
//             lines, which the hardware fetches as a pair:
//
//             | M word 0 .. 7 (64 B) | L word 0 .. 7 (64 B) |
//
// Invariants  [heap.meta.1] Bits are 0 when a mark starts. [heap.meta.2] After a mark: M is set for exactly
// the starts
//             of the objects found, L for exactly their granules (small objects; large ones have M only).
// Equations   record(p) = base + ((p - heap base) >> 12);  3.125 % of the heap
#pragma once

#include "heap/words.h"

#include <cstring>

namespace echo {

struct PageBits {
  std::uint64_t mark[8];
  std::uint64_t live[8];
};
static_assert(sizeof(PageBits) == 128 && kGranulesPerPage == 8 * 64);

class SideMetadata {
public:
  static constexpr std::size_t kPagesPerSlab = kSlabBytes / kPageBytes;

  ~SideMetadata();
  bool open(Address heap_base, std::size_t heap_bytes);

  PageBits& page_of(Address a) const { return pages_[(a - heap_base_) / kPageBytes]; }

  // M of the object at a. The marker is the only writer.
  static std::size_t word_in_page(Address a) { return (a / (kGranule * 64)) & 7; }
  static std::uint64_t bit_in_word(Address a) { return std::uint64_t{1} << ((a / kGranule) & 63); }
  bool is_marked(Address a) const { return (page_of(a).mark[word_in_page(a)] & bit_in_word(a)) != 0; }
  // Sets M; true if it was clear.
  bool mark(Address a) const {
    std::uint64_t& word = page_of(a).mark[word_in_page(a)];
    const std::uint64_t bit = bit_in_word(a);
    if ((word & bit) != 0) {
      return false;
    }
    word |= bit;
    return true;
  }
  void clear_mark(Address a) const { page_of(a).mark[word_in_page(a)] &= ~bit_in_word(a); }

  // L of the granules [a, a + bytes).
  void set_live(Address a, std::size_t bytes) const {
    const std::size_t first = (a / kGranule) & 63;
    const std::size_t granules = bytes / kGranule;
    if (first + granules <= 64) { // nearly always
      const std::uint64_t mask =
          granules == 64 ? ~std::uint64_t{0} : ((std::uint64_t{1} << granules) - 1) << first;
      page_of(a).live[word_in_page(a)] |= mask;
      return;
    }
    set_live_long(a, granules);
  }
  bool is_live_granule(Address a) const { return (page_of(a).live[word_in_page(a)] & bit_in_word(a)) != 0; }

  PageBits* slab_bits(Address slab) const { return &page_of(slab); }
  void clear_slab(Address slab) const { std::memset(slab_bits(slab), 0, kPagesPerSlab * sizeof(PageBits)); }
  std::size_t bytes_for(std::size_t heap_bytes) const { return heap_bytes / kPageBytes * sizeof(PageBits); }
  void prefetch(Address a) const { __builtin_prefetch(&page_of(a).mark[word_in_page(a)], 1); }

private:
  void set_live_long(Address a, std::size_t granules) const;

  PageBits* pages_ = nullptr;
  Address heap_base_ = 0;
  std::size_t mapped_bytes_ = 0;
};

} // namespace echo
