// SPDX-License-Identifier: MIT
//
// Purpose     Objects over 32 KiB: page runs in chunks of their own. They never move.
// Drawing     a chunk of kind LARGE: 512 pages, a bitmap of pages in use and one of pages known to be zero;
//             objects over 2 MiB begin at a chunk and take neighbouring chunks, the last one shared with
//             nobody
//
// Invariants  [heap.large.2] A page belongs to at most one object. [heap.large.3] An object enters the table
//             when its header is written, so that a sweep can not see it half made. [heap.large.4] Pages
//             given back or zeroed ahead are whole and nobody's.
// Equations   pages(object) = ceil(bytes / 4096): at most 11 % of tail waste at 32 KiB, falling with size
#pragma once

#include "heap/layout_table.h"
#include "heap/mutex.h"
#include "heap/side_metadata.h"
#include "heap/slab_pool.h"

#include <array>
#include <atomic>
#include <map>
#include <vector>

namespace echo {

class LargeSpace {
public:
  explicit LargeSpace(SlabPool& pool) : pool_(pool) {}

  // Pages for `bytes` bytes. *zeroed: they are zero already. The caller writes the header and zeroes, then
  // publishes.
  Grant reserve(std::size_t bytes, Urgency urgency, Address* out, bool* zeroed) ECHO_EXCLUDES(mutex_);
  // In the stop in which a mark starts: what was published before is old.
  void begin_cycle() { cycle_.fetch_add(1, std::memory_order_relaxed); }
  // The object at `start` is complete, and not to be freed by the sweep after a mark that started before. [heap.large.3]
  void publish(Address start) ECHO_EXCLUDES(mutex_);

  // The start of the large object that contains a, or 0.
  Address find(Address a) ECHO_EXCLUDES(mutex_);
  // Bytes of the pages of the object that starts at `start`; 0 if none does.
  std::size_t extent_bytes(Address start) ECHO_EXCLUDES(mutex_);
  struct Swept {
    std::size_t objects = 0, bytes = 0;           // freed
    std::size_t live_objects = 0, live_bytes = 0; // kept, marked: object bytes
  };
  // After marking: frees the unmarked that were published before begin_cycle. Beside the program: the lock is held
  // for kSweepStep objects at a time.
  Swept sweep(const SideMetadata& bits, const LayoutTable& layouts, bool poison) ECHO_EXCLUDES(mutex_);
  // The same in steps of at most `most` objects: true when it is over. *next, 0 at first: how far it has come; *result is added to.
  bool sweep_some(const SideMetadata& bits, const LayoutTable& layouts, bool poison, std::size_t most,
                  Address* next, Swept* result) ECHO_EXCLUDES(mutex_);
  // Gives back the dirty free pages of one chunk; true if there may be more. Outside stops.
  bool return_free_pages() ECHO_EXCLUDES(mutex_);

  // For a program that is idle: also those that zero_free_pages has zeroed. True if there may be more. Outside stops.
  bool return_idle_pages() ECHO_EXCLUDES(mutex_);

  // Zeroes dirty free pages of one chunk, at most 64 KiB, so that their next owner need not; true if it did. Outside
  // stops.
  bool zero_free_pages() ECHO_EXCLUDES(mutex_);

  std::size_t object_count() ECHO_EXCLUDES(mutex_);
  std::size_t page_bytes() ECHO_EXCLUDES(mutex_);
  // Free pages of shared chunks that were written to: what return_free_pages could give back.
  std::size_t free_page_bytes() ECHO_EXCLUDES(mutex_);
  std::vector<Address> snapshot() ECHO_EXCLUDES(mutex_);

private:
  static constexpr std::size_t kSweepStep = 64;
  struct Extent {
    std::size_t pages = 0;
    bool published = false;
    std::uint32_t birth = 0; // cycle of its publication
  };
  struct PageMap {
    std::array<std::uint64_t, kPagesPerChunk / 64> used{};
    std::array<std::uint64_t, kPagesPerChunk / 64> dirty{};  // was written since the system zeroed it
    std::array<std::uint64_t, kPagesPerChunk / 64> zeroed{}; // free, zeroed here: not dirty, but there
    std::size_t free_pages = kPagesPerChunk;
  };

  Grant reserve_small(std::size_t pages, Address* out, bool* zeroed) ECHO_REQUIRES(mutex_);
  void free_extent(Address start, const Extent& extent, bool poison) ECHO_REQUIRES(mutex_);
  // Free pages of one chunk that are dirty, or also those that were zeroed here, marked used meanwhile so that nobody takes
  // them; 0 if there are none.
  enum class Borrow : std::uint8_t { Dirty, There };
  std::size_t borrow_pages(Borrow which, Address* at) ECHO_EXCLUDES(mutex_);
  enum class Became : std::uint8_t { Nothing, Zeroed, Gone };
  bool return_pages(Borrow which) ECHO_EXCLUDES(mutex_);
  void give_borrowed_back(Address at, std::size_t pages, Became became) ECHO_EXCLUDES(mutex_);
  static bool find_run(const PageMap& map, std::size_t pages, std::size_t* first);

  SlabPool& pool_;
  std::atomic<std::uint32_t> cycle_{0};
  Mutex mutex_;
  std::map<Address, Extent> extents_ ECHO_GUARDED_BY(mutex_);
  std::map<Address, PageMap> shared_chunks_ ECHO_GUARDED_BY(mutex_);
  std::size_t page_bytes_ ECHO_GUARDED_BY(mutex_) = 0;
};

} // namespace echo
