// SPDX-License-Identifier: MIT
//
// Purpose     The mark bitmaps of the heap, beside it and never in it, so that marking dirties no line of a
//             mutator.
//             M: an object that starts in this cell of 16 bytes was marked.  O: it starts at the cell's upper
//             granule.
// Why so      The marker asks M once per edge and misses the cache for it: its footprint decides the marking
//             rate (random edges over 1 GiB, objects per second: 21 M with a bit per 16 bytes, 14 M with a
//             bit per 8 bytes, 6 M with a bitmap of live granules beside it). Objects have at least 16 bytes
//             [heap.cell.1], so a cell holds one start at most, and which granule it is matters only for
//             exactness: O is written once per object, not asked per edge. Live granules follow from M, O and
//             the headers (heap/run_list.h).
//             Both exist twice: the bits of the current cycle, and those of the one before, which are cleared beside the
//             program after the next mark has started. So a mark starts with clear bits and without a walk, and until
//             then the starts of the last one are known.
// Drawing     word i of a bitmap: 64 cells = 1 KiB of heap; bit j: the cell at 1024 i + 16 j
//
// Invariants  [heap.meta.1] Bits are 0 when a mark starts. [heap.meta.2] After a mark: M and O name exactly
//             the starts of the objects found. [heap.cell.1] Starts of two objects differ by at least 16.
//             [heap.meta.3] Only the marker writes M and O of small objects; M of a large object, whose word no other
//             object shares, is set by its birth too. Words are read by other threads: relaxed atomics.
//             [heap.meta.4] Whoever marks for his memory never waits for a large page of a bitmap to be zeroed (100 us and
//             more): large pages are asked for piece by piece by the background thread just before it brings the piece in,
//             ahead of the first mark; what it has not come to is faulted in by small pages.
// Equations   word(p) = base + 8 * ((p - heap base) >> 10);  2 * 0.78 % of the heap, while both cycles' are in use twice
//             that
#pragma once

#include "heap/words.h"

#include <array>
#include <atomic>
#include <cstring>

namespace echo {

// The bitmaps of one cycle as such: three words, copied into a marking loop's registers.
class MarkBits {
public:
  static constexpr std::size_t kCellBytes = 16;
  static constexpr std::size_t kBytesPerWord = kCellBytes * 64;
  static constexpr std::size_t kWordsPerSlab = kSlabBytes / kBytesPerWord;

  bool is_marked(Address a) const {
    const bool odd = (load(odd_[index_of(a)]) & bit_of(a)) != 0;
    return is_cell_marked(a) && odd == is_odd(a);
  }
  // M alone: right for the start of an object, while its O may not be written yet.
  bool is_cell_marked(Address a) const { return (load(marks_[index_of(a)]) & bit_of(a)) != 0; }
  // Sets M; true if it was clear. The marker is the only writer, and calls note_start for each object it
  // accepts.
  bool mark(Address a) const {
    std::uint64_t& word = marks_[index_of(a)];
    const std::uint64_t bit = bit_of(a);
    const std::uint64_t before = load(word);
    if ((before & bit) != 0) {
      return false;
    }
    store(word, before | bit);
    return true;
  }
  // Sets O if the object needs it.
  void note_start(Address a) const {
    if (is_odd(a)) {
      store(odd_[index_of(a)], load(odd_[index_of(a)]) | bit_of(a));
    }
  }
  // Birth of a large object: black. Its address is a page's, and its word nobody else's. [heap.meta.3]
  void mark_born(Address large) const {
    __atomic_fetch_or(&marks_[index_of(large)], bit_of(large), __ATOMIC_RELEASE);
  }
  void clear_mark(Address a) const {
    store(marks_[index_of(a)], load(marks_[index_of(a)]) & ~bit_of(a));
    store(odd_[index_of(a)], load(odd_[index_of(a)]) & ~bit_of(a));
  }

  // The kWordsPerSlab words of a slab.
  const std::uint64_t* slab_marks(Address slab) const { return &marks_[index_of(slab)]; }
  const std::uint64_t* slab_odd(Address slab) const { return &odd_[index_of(slab)]; }
  void clear_slab(Address slab) const {
    std::memset(&marks_[index_of(slab)], 0, kWordsPerSlab * sizeof(std::uint64_t));
    std::memset(&odd_[index_of(slab)], 0, kWordsPerSlab * sizeof(std::uint64_t));
  }
  // Sets what `other`, of the same heap, has set in a slab.
  void add_slab(const MarkBits& other, Address slab) const {
    for (std::size_t i = index_of(slab); i < index_of(slab) + kWordsPerSlab; ++i) {
      marks_[i] |= load(other.marks_[i]);
      odd_[i] |= load(other.odd_[i]);
    }
  }
  // Of the bitmaps of one cycle.
  static constexpr std::size_t bytes_for(std::size_t heap_bytes) {
    return 2 * (heap_bytes / (kCellBytes * 8));
  }
  void prefetch(Address a) const { __builtin_prefetch(&marks_[index_of(a)], 1); }

protected:
  static std::uint64_t load(const std::uint64_t& word) { return __atomic_load_n(&word, __ATOMIC_RELAXED); }
  static void store(std::uint64_t& word, std::uint64_t value) {
    __atomic_store_n(&word, value, __ATOMIC_RELAXED);
  }
  static std::uint64_t bit_of(Address a) { return std::uint64_t{1} << ((a / kCellBytes) & 63); }
  static bool is_odd(Address a) { return (a & kGranule) != 0; }
  std::size_t index_of(Address a) const { return (a - heap_base_) / kBytesPerWord; }

  friend class SideMetadata;
  std::uint64_t* marks_ = nullptr;
  std::uint64_t* odd_ = nullptr;
  Address heap_base_ = 0;
};

// The bitmaps of a heap, mapped and owned.
class SideMetadata : public MarkBits {
public:
  // Whether large pages are asked for: where the bitmaps in use are small they would only cost memory.
  enum class LargePages : std::uint8_t { Never, AsBroughtIn, AtOnce };

  ~SideMetadata();
  // False if the operating system refused; may be tried again.
  bool open(Address heap_base, std::size_t heap_bytes, LargePages large_pages = LargePages::Never);
  bool is_open() const {
    return marks_ != nullptr && odd_ != nullptr && previous_.marks_ != nullptr && previous_.odd_ != nullptr;
  }
  MarkBits view() const { return *this; }

  // Brings in the next piece, at most 2 MiB, of each bitmap for the first `heap_bytes` of the heap: of the current cycle
  // alone, or of both. False: nothing is missing. One thread at a time. [heap.meta.4]
  bool bring_in_step(std::size_t heap_bytes, bool both_cycles);
  // Any thread.
  bool is_brought_in(std::size_t heap_bytes) const {
    return brought_in_.load(std::memory_order_relaxed) >= bytes_of_each(heap_bytes);
  }

  // In a stop: the other bitmaps, which are clear below, become those of the current cycle.
  void swap_cycles();
  // The bits of the cycle before, until they are cleared.
  const MarkBits& previous() const { return previous_; }
  // Clears them below `heap_bytes`. Beside the program.
  void clear_previous(std::size_t heap_bytes) const;
  // A part of it: words of each bitmap from `from` on, at most `bytes` bytes of both; where the next part begins.
  std::size_t clear_previous_some(std::size_t from, std::size_t bytes, std::size_t heap_bytes) const;

private:
  bool map(MarkBits* bits, Address heap_base) const;
  void unmap(const MarkBits& bits) const;
  std::size_t bytes_of_each(std::size_t heap_bytes) const {
    const std::size_t pages = (bytes_for(heap_bytes) / 2 + kPageBytes - 1) / kPageBytes * kPageBytes;
    return pages < mapped_bytes_ ? pages : mapped_bytes_;
  }

  MarkBits previous_;
  std::size_t mapped_bytes_ = 0;           // of each bitmap
  std::array<std::uint64_t*, 4> mapped_{}; // all, whichever cycle's they are just now
  LargePages large_pages_ = LargePages::Never;
  std::atomic<std::size_t> brought_in_{0}; // bytes of each
};

} // namespace echo
