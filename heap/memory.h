// SPDX-License-Identifier: MIT
//
// Purpose     The memory of one heap as a whole: reservation, tables, bitmaps, small and large spaces,
//             layouts.
// Invariants  those of its parts; check() asks each of them. [heap.meta.5] Bits behind marked_before() are clear: so a heap in
//             which little is alive clears little.
#pragma once

#include "heap/config.h"
#include "heap/large_space.h"
#include "heap/layout_table.h"
#include "heap/pin_set.h"
#include "heap/resurrected_set.h"
#include "heap/run_allocator.h"
#include "heap/side_metadata.h"
#include "heap/slab_pool.h"
#include "heap/slab_supply.h"
#include "heap/word_resolver.h"

#include <algorithm>
#include <atomic>

namespace echo {

class Memory {
public:
  explicit Memory(const Config& config)
      : supply(pool, bits, layouts, config.poison), large(pool), words(pool, bits, layouts, large),
        config_(config) {}

  // False if the operating system refused address space.
  bool open() {
    return layouts.open() && pool.open(config_) &&
           bits.open(pool.slabs().base(), pool.slabs().bytes(), bitmap_pages());
  }
  // How the bitmaps of this heap are brought in: the smaller ones are not worth large pages, and without the background
  // thread nobody brings them in.
  SideMetadata::LargePages bitmap_pages() const {
    return !config_.huge_pages || config_.max_heap <= kMostSmallPagedBitmaps ? SideMetadata::LargePages::Never
           : config_.populate == 0 ? SideMetadata::LargePages::AtOnce
                                   : SideMetadata::LargePages::AsBroughtIn;
  }
  // By the background thread, ahead of the mark that will need them; false: nothing is missing. [heap.meta.4]
  bool bring_in_bitmaps() {
    if (config_.populate == 0) {
      return false;
    }
    const std::size_t bytes = bytes_with_bitmaps();
    return bits.bring_in_step(bytes, true) ||
           (words.starts().is_open() && words.starts().bring_in_step(bytes));
  }
  bool lacks_bitmaps() {
    const std::size_t bytes = bytes_with_bitmaps();
    return config_.populate != 0 &&
           (!bits.is_brought_in(bytes) || (words.starts().is_open() && !words.starts().is_brought_in(bytes)));
  }
  // Committed metadata: bitmaps and tables of the chunks that were ever used, and layout records. Of pins and of
  // the resurrected at most.
  std::size_t metadata_bytes() {
    const std::size_t slabs = pool.slab_high_water();
    const std::size_t bytes = slabs * kSlabBytes;
    return 2 * SideMetadata::bytes_for(bytes) + slabs * SlabTable::kBytesPerSlab +
           layouts.count() * sizeof(LayoutRecord) + layouts.side_bytes() +
           (words.starts().is_open() ? ObjectStarts::bytes_for(bytes) : 0) +
           (pins.is_open() ? PinSet::bytes_for(bytes) : 0) +
           (resurrected.is_open() ? ResurrectedSet::bytes_for(bytes) : 0);
  }

  // Before that stop.
  void prepare_cycle() {
    pool.slabs().clear_all_live(pool.slab_high_water());
    supply.prepare_cycle();
  }
  // In the stop in which a mark starts, threads having retired their memory: everything that exists becomes old, and
  // what is born from now on is fresh. O(1). [heap.fresh.1]
  void begin_cycle() {
    pool.slabs().swap_fresh_kinds();
    bits.swap_cycles();
    const bool marks_large = had_large_ || large_born_.exchange(false, std::memory_order_relaxed);
    previous_end_ = marks_large ? SIZE_MAX : marked_end_;
    marked_end_ = SIZE_MAX;
    had_large_ = large.object_count() != 0;
    supply.begin_cycle();
    large.begin_cycle();
  }
  // After the mark has ended, and before the next one starts: the bits of the cycle before are needed no more.
  // [heap.meta.1]
  void end_cycle() { bits.clear_previous(std::size_t{pool.slab_high_water()} * kSlabBytes); }
  // The last mark was whole and is swept: it marked no small object behind the first `bytes` bytes. [heap.meta.5]
  void note_marked(std::size_t bytes) { marked_end_ = bytes; }
  // A large object is born: it is marked as long as it is not published.
  void mark_born(Address at) {
    bits.mark_born(at);
    large_born_.store(true, std::memory_order_relaxed);
  }
  // Bytes of the heap behind which no bit of the cycle before is set.
  std::size_t marked_before() {
    return std::min(previous_end_, std::size_t{pool.slab_high_water()} * kSlabBytes);
  }
  // The same in steps of about `bytes` bytes of bitmaps: true when it is over.
  struct Clearing {
    std::size_t next = 0, heap_bytes = 0;
  };
  void begin_clear_previous(Clearing* clearing) { *clearing = {0, marked_before()}; }
  bool clear_previous_some(Clearing* clearing, std::size_t bytes) const {
    clearing->next = bits.clear_previous_some(clearing->next, bytes, clearing->heap_bytes);
    return clearing->next == SideMetadata::bytes_for(clearing->heap_bytes) / 2;
  }

  LayoutTable layouts;
  SlabPool pool;
  SideMetadata bits;
  SlabSupply supply;
  LargeSpace large;
  WordResolver words;
  PinSet pins;
  ResurrectedSet resurrected;

private:
  static constexpr std::size_t kMostSmallPagedBitmaps = std::size_t{128} << 20; // 1 MiB of each
  // What is used now, and what is used soon.
  std::size_t bytes_with_bitmaps() {
    return std::size_t{pool.slab_high_water()} * kSlabBytes + config_.populate;
  }

  const Config config_;
  // What may be marked in the current cycle, and was in the one before; SIZE_MAX: anything. Large objects are not looked at:
  // while there are any, or were, it may be anything. [heap.meta.5]
  std::size_t marked_end_ = SIZE_MAX, previous_end_ = SIZE_MAX;
  bool had_large_ = false; // when the current cycle began
  std::atomic<bool> large_born_{false};
};

} // namespace echo
