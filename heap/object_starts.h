// SPDX-License-Identifier: MIT
//
// Purpose     Where objects start, for words that may point into them: found from any address in a slab by a search
//             downwards. Needed while the mark bits, which say the same between marks, are being rewritten.
// Drawing     per slab  epoch[s]: 32 bits, and two bitmaps drawn as in side_metadata.h
//             a slab whose epoch is not the current one has no starts, whatever its bits: forgetting is one addition
//
// Invariants  [starts.epoch.1] Bits count only in slabs of the current epoch; they are cleared before a slab enters it, in which a
//             marker may be looking already: holes of a slab that it knows as old are handed out beside the mark.
//             [starts.write.1] Written in a stop, or outside one under the lock of gc/start_index.h. [starts.free.1] Not
//             mapped before it is asked for: a heap without ambiguous words has none of it.
// Equations   bytes = 1.6 % of the slabs in use + 4 per slab
#pragma once

#include "heap/side_metadata.h"

#include <atomic>

namespace echo {

// The highest start at or below `word` in its slab; 0 if there is none.
Address last_start(const MarkBits& bits, Address slab, Address word);

class ObjectStarts {
public:
  ObjectStarts() = default;
  ~ObjectStarts();
  ObjectStarts(const ObjectStarts&) = delete;
  ObjectStarts& operator=(const ObjectStarts&) = delete;

  // False if the operating system refused the address space; may be tried again.
  bool open(Address heap_base, std::size_t heap_bytes,
            SideMetadata::LargePages large_pages = SideMetadata::LargePages::Never);
  bool is_open() const { return open_.load(std::memory_order_acquire); } // any thread

  void forget_all() { ++epoch_; }
  // Adds the starts that `marks` has in a slab.
  void copy_slab(const MarkBits& marks, Address slab);
  void add(Address object);
  // As last_start.
  Address find(Address slab, Address word) const {
    return __atomic_load_n(&epochs_[index_of(slab)], __ATOMIC_ACQUIRE) == epoch_
               ? last_start(bits_, slab, word)
               : 0;
  }
  // Of the first `heap_bytes` of the heap.
  static std::size_t bytes_for(std::size_t heap_bytes) {
    return SideMetadata::bytes_for(heap_bytes) + heap_bytes / kSlabBytes * sizeof(std::uint32_t);
  }

  // As those of the mark bits. [heap.meta.4]
  bool bring_in_step(std::size_t heap_bytes) { return bits_.bring_in_step(heap_bytes, false); }
  bool is_brought_in(std::size_t heap_bytes) const { return bits_.is_brought_in(heap_bytes); }

private:
  std::size_t index_of(Address slab) const { return (slab - base_) / kSlabBytes; }
  void enter(Address slab); // [starts.epoch.1]

  SideMetadata bits_;
  Address base_ = 0;
  std::uint32_t* epochs_ = nullptr;
  std::size_t epoch_bytes_ = 0;
  std::atomic<bool> open_{false};
  std::uint32_t epoch_ = 1; // 2^32 marks outlast any process
};

} // namespace echo
