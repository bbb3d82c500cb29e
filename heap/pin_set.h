// SPDX-License-Identifier: MIT
//
// Purpose     Which objects the ambiguous words of the last mark hit: what may not move. Counted by the kind of word that
//             hit them first.
// Drawing     a bit per cell of 16 bytes in which a pinned object starts; a byte per slab that has such a bit
//
// Invariants  [pins.once.1] An object is counted once per mark. [pins.slab.1] A slab's byte is set exactly if an object
//             that starts in it is pinned. [pins.free.1] Not mapped before it is asked for.
// Equations   sum of the counts by kind = bits set;  bytes = 0.8 % of the slabs with pins + 1 per slab
#pragma once

#include "echo/statistics.h"
#include "heap/words.h"

#include <array>
#include <atomic>

namespace echo {

class PinSet {
public:
  static constexpr std::size_t kCellBytes = 16; // [heap.cell.1]

  PinSet() = default;
  ~PinSet();
  PinSet(const PinSet&) = delete;
  PinSet& operator=(const PinSet&) = delete;

  // False if the operating system refused the address space; may be tried again.
  bool open(Address heap_base, std::size_t heap_bytes);
  bool is_open() const { return open_.load(std::memory_order_acquire); } // any thread

  // The following in a stop, or by the only marker.
  // A new mark: nothing is pinned. Objects lie in the first `slabs` slabs.
  void begin(std::size_t slabs);
  void saw(std::uint64_t words) { seen_ += words; }
  // Of every word that hit an object.
  void pin(ObjectRef object, echo_pin where);
  bool is_pinned(ObjectRef object) const { return (word_of(object.address) & bit_of(object.address)) != 0; }
  bool has_pins(SlabIndex slab) const { return slabs_[slab.number] != 0; }
  // Ends a mark: what was counted becomes visible.
  void publish();

  // Any thread.
  void report(echo_statistics* out) const;
  static std::size_t bytes_for(std::size_t heap_bytes) { // at most
    return heap_bytes / (kCellBytes * 8) + heap_bytes / kSlabBytes;
  }

private:
  static constexpr std::size_t kBytesPerWord = kCellBytes * 64;
  std::uint64_t& word_of(Address a) const { return bits_[(a - base_) / kBytesPerWord]; }
  static std::uint64_t bit_of(Address a) { return std::uint64_t{1} << (a / kCellBytes % 64); }

  Address base_ = 0;
  std::uint64_t* bits_ = nullptr;
  std::uint8_t* slabs_ = nullptr;
  std::atomic<bool> open_{false};
  std::size_t bit_bytes_ = 0, slab_bytes_ = 0;
  std::uint64_t seen_ = 0, hits_ = 0, pinned_slabs_ = 0;
  std::array<std::uint64_t, ECHO_PIN_COUNT> pinned_{};
  // As of the last publish.
  std::atomic<std::uint64_t> all_seen_{0}, all_hits_{0}, last_slabs_{0};
  std::array<std::atomic<std::uint64_t>, ECHO_PIN_COUNT> last_pinned_{};
};

} // namespace echo
