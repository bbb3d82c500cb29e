// SPDX-License-Identifier: MIT
//
// Purpose     Which objects are marked only because they are due for finalization, or because something due reaches them: until
//             all of that is marked nobody may obtain one of them.
// Drawing     per slab  epoch[s]: 32 bits, and a bit per cell of 16 bytes in which such an object starts
//             a slab whose epoch is not the current one has none, whatever its bits: forgetting is one addition
//
// Invariants  [resurrect.order.1] An object is in the set before its mark bit is set: who sees the bit and then looks here
//             sees it here. [resurrect.free.1] Not mapped before the first finalizable layout is registered.
// Equations   bytes = 0.8 % of the slabs with such objects + 4 per slab
// Threads     One thread adds, the marker's; any thread asks, without a lock.
#pragma once

#include "heap/words.h"

#include <atomic>
#include <cstdint>

namespace echo {

class ResurrectedSet {
public:
  ResurrectedSet() = default;
  ~ResurrectedSet();
  ResurrectedSet(const ResurrectedSet&) = delete;
  ResurrectedSet& operator=(const ResurrectedSet&) = delete;

  // False if the operating system refused the address space; may be tried again.
  bool open(Address heap_base, std::size_t heap_bytes);
  bool is_open() const { return open_.load(std::memory_order_acquire); }

  // By whoever marks: what becomes marked from begin() to end() is added. It begins empty.
  void begin();
  void end() { is_on_ = false; }
  bool is_on() const { return is_on_; }
  void add(Address object); // and then its mark bit is set
  // Of an object whose mark bit was seen set, since the last begin().
  bool contains(Address object) const;

  static std::size_t bytes_for(std::size_t heap_bytes) { // at most
    return heap_bytes / (kCellBytes * 8) + heap_bytes / kSlabBytes * sizeof(std::uint32_t);
  }

private:
  static constexpr std::size_t kCellBytes = 16; // [heap.cell.1]
  static constexpr std::size_t kBytesPerWord = kCellBytes * 64;
  std::atomic<std::uint64_t>& word_of(Address a) const { return bits_[(a - base_) / kBytesPerWord]; }
  std::atomic<std::uint32_t>& epoch_of(Address a) const { return epochs_[(a - base_) / kSlabBytes]; }
  static std::uint64_t bit_of(Address a) { return std::uint64_t{1} << (a / kCellBytes % 64); }

  Address base_ = 0;
  std::atomic<std::uint64_t>* bits_ = nullptr;
  std::atomic<std::uint32_t>* epochs_ = nullptr;
  std::size_t bit_bytes_ = 0, epoch_bytes_ = 0;
  std::atomic<bool> open_{false};
  std::atomic<std::uint32_t> epoch_{0}; // 2^32 collections outlast any process
  bool is_on_ = false;                  // the marker's own
};

} // namespace echo
