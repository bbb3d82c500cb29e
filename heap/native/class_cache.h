// SPDX-License-Identifier: MIT
//
// Purpose     One thread's cells of one size: the hot path of native allocation.
//
//             L1  a LIFO stack of free cells        no lock, no atomic read-modify-write
//             L2  a list of own slabs with free cells, refilling L1 in batches      the same
//             L3  new slabs from the space; cells freed by other threads; slabs of threads that are gone
//
// Invariants  [native.cache.1] L1 holds cells of slabs this cache owns whose live bit is 0, each once. Of
// such a
//             slab, exactly the cells with live bit 0 that are not in L1 are free to be taken; L1 is empty
//             when cells are taken, so live bits alone decide. Nothing is ever written into a free cell.
//             [native.free.2] The free of a cell that is live, by the thread that owns its slab, is one
//             bitmap test and one store. Any other pointer leaves the fast path. [native.free.3] Of two frees
//             of one cell, ordered by happens-before, exactly the first succeeds, whichever threads they come
//             from. If they race, and are the owner's and the first one ever from another thread, both may
//             report success; the cell is still free once: the other thread has set the tag to Requested, and
//             the owner, who looks at the tag before it hands out the next cell of the slab, drops the remote
//             bits of cells that are not live. No check can do better without a fence in the owner's path
//             (Attiya and others, Laws of Order, POPL 2011). Races between all others are decided by the
//             slab's lock.
// Equations   pushes = allocations + |L1| + dropped - refilled;  frees = pushes + aside + remote
#pragma once

#include "heap/native/cache_policy.h"
#include "heap/native/free_result.h"
#include "heap/native/native_space.h"
#include "heap/native/slab_record.h"

#include <atomic>
#include <cstdint>

namespace echo::native {

class ThreadCache;

struct ClassCounters {
  std::uint64_t allocations = 0;
  std::uint64_t frees = 0;
  std::uint64_t refills = 0;           // allocations that found L1 empty
  std::uint64_t late_double_frees = 0; // found by [native.free.3]
  std::uint64_t slabs = 0;             // owned
  std::uint64_t rate = 0;              // uses per second in the last window
};

class alignas(kCacheLine) ClassCache {
public:
  void open(ThreadCache* thread, Pool* pool, NativeSpace* space, Cell cell, const CacheHints& hints,
            void** entries);

  // --- called by the owning thread, or by whoever holds the pool's lock while the cache is idle ---

  // Null: out of memory.
  void* allocate() {
    const std::uint32_t count = count_.load(std::memory_order_relaxed);
    if (__builtin_expect(count == 0, 0)) {
      return allocate_slow();
    }
    void* const p = entries_[count - 1];
    count_.store(count - 1, std::memory_order_relaxed);
    const Address offset = reinterpret_cast<Address>(p) - base_;
    SlabEntry& entry = table_[offset / kSlabBytes];
    if (__builtin_expect(entry.owner.load(std::memory_order_relaxed) == word(OwnerTag::Requested), 0)) {
      acknowledge(entry);
    }
    const std::uint32_t cell = cell_at(offset % kSlabBytes, magic_).index;
    std::atomic<std::uint64_t>& live = entry.record.load(std::memory_order_relaxed)->live()[cell / 64];
    live.store(live.load(std::memory_order_relaxed) | bit(cell), std::memory_order_relaxed);
    const std::uint64_t allocations = allocations_.load(std::memory_order_relaxed) + 1;
    allocations_.store(allocations, std::memory_order_relaxed);
    if (__builtin_expect(allocations % kTickEvery == 0, 0)) {
      tick();
    }
    return p;
  }

  // False: not a live cell of a biased slab of this cache; nothing has changed, and the pool finds out why.
  bool free_fast(void* p) {
    const Address offset = reinterpret_cast<Address>(p) - base_;
    if (__builtin_expect(offset / kSlabBytes >= slab_count_, 0)) {
      return false;
    }
    SlabEntry& entry = table_[offset / kSlabBytes];
    if (__builtin_expect(entry.owner.load(std::memory_order_relaxed) != word(OwnerTag::Biased), 0)) {
      return false;
    }
    SlabRecord* const record = entry.record.load(std::memory_order_relaxed);
    const CellIndex cell = cell_at(offset % kSlabBytes, magic_);
    std::atomic<std::uint64_t>& live = record->live()[cell.index / 64];
    const std::uint64_t before = live.load(std::memory_order_relaxed);
    if (__builtin_expect(!cell.is_start || (before & bit(cell.index)) == 0, 0)) {
      return false;
    }
    live.store(before & ~bit(cell.index), std::memory_order_relaxed);
    const std::uint32_t count = count_.load(std::memory_order_relaxed);
    if (__builtin_expect(count < limit_, 1)) {
      entries_[count] = p;
      count_.store(count + 1, std::memory_order_relaxed);
    } else {
      put_aside(*record, cell.index);
    }
    return true;
  }

  // The free of a live cell of an own slab in any state.
  void free_own(SlabRecord& record, std::uint32_t cell, void* p);
  // A free of somebody else's cell by this cache's thread has succeeded.
  void count_remote_free() { bump(remote_frees_); }

  // Moves L1 to L2, collects what others have freed, and keeps at most `keep` empty slabs. Returns the bytes
  // given to the space.
  std::size_t trim(std::uint32_t keep);
  // Gives a slab with free cells to another cache of the same pool and size; the pool's lock is held.
  bool give_slab_to(ClassCache& other);
  // Gives the system whole free pages of slabs of which at least `percent` are free. Bytes given.
  std::size_t release_free_pages(std::uint32_t percent);
  // The end of a window of measurement. [native.hot.1]
  void end_window(std::uint64_t elapsed_ns);

  // --- called by anyone ---

  // With the slab's lock held: the slab has remote bits to collect.
  void notify(SlabRecord& record);
  ClassCounters counters() const;
  // "" if the cache's lists, bits and table entries agree, else what does not. Owner only; deep.
  const char* check();
  // Detaches all slabs and gives them to the space; nobody uses the pool any more.
  void close();

  Cell cell() const { return cell_; }
  // For tests of the policy and the levels. Owner only.
  const CachePolicy& policy() const { return policy_; }
  std::uint32_t cached() const { return count_.load(std::memory_order_relaxed); }
  std::uint32_t limit() const { return limit_; }

  template <class Function> void for_each_slab(Function function) {
    for (SlabRecord* record = owned_; record != nullptr;) {
      SlabRecord* const next = record->owned_next;
      function(*record);
      record = next;
    }
  }
  static ClassCache* owner_of(std::uintptr_t word) {
    return reinterpret_cast<ClassCache*>(word & ~kOwnerTagMask);
  }
  static OwnerTag tag_of(std::uintptr_t word) { return static_cast<OwnerTag>(word & kOwnerTagMask); }
  std::uintptr_t word(OwnerTag tag) const {
    return reinterpret_cast<std::uintptr_t>(this) | static_cast<std::uintptr_t>(tag);
  }
  static constexpr std::uint64_t bit(std::uint32_t cell) { return std::uint64_t{1} << (cell % 64); }

private:
  static constexpr std::uint64_t kTickEvery = 4096;

  static void bump(std::atomic<std::uint64_t>& counter, std::uint64_t by = 1) {
    counter.store(counter.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
  }

  void* allocate_slow();
  bool refill();
  std::uint32_t take_cells(SlabRecord& record, std::uint32_t want);
  // Collects remote frees; true if a cell became free. The slab's lock is held.
  bool collect_remote(SlabRecord& record);
  void collect_pending();
  void acknowledge(SlabEntry& entry);
  void put_aside(SlabRecord& record, std::uint32_t cell);
  void note_free_cell(SlabRecord& record, std::uint32_t word);
  void note_if_empty(SlabRecord& record, std::uint32_t first_word);
  bool is_empty(SlabRecord& record, std::uint32_t first_word) const;
  void list(SlabRecord& record);
  void unlist(SlabRecord& record);
  void own(SlabRecord& record);
  void disown(SlabRecord& record);
  bool take_slab();
  // False if a remote free is still to be collected.
  bool retire(SlabRecord& record);
  void retire_surplus(std::uint32_t keep, std::size_t* bytes);
  void purge(SlabIndex slab);
  void flush_l1();
  void tick();
  SlabEntry& entry_of(const SlabRecord& record) { return table_[record.slab.number]; }

  // The hot line.
  void** entries_ = nullptr;
  SlabEntry* table_ = nullptr;
  Address base_ = 0;
  std::size_t slab_count_ = 0;
  std::atomic<std::uint64_t> allocations_{0};
  std::atomic<std::uint32_t> count_{0};
  std::uint32_t limit_ = 0;
  std::uint32_t magic_ = 0;
  std::uint16_t capacity_ = 0;
  std::uint16_t words_ = 0;
  Cell cell_{};

  // The warm lines: slow paths of the owner.
  alignas(kCacheLine) SlabRecord* partial_ = nullptr;
  SlabRecord* owned_ = nullptr;
  ThreadCache* thread_ = nullptr;
  Pool* pool_ = nullptr;
  NativeSpace* space_ = nullptr;
  std::uint32_t empty_ = 0; // counted slabs
  CachePolicy policy_;
  std::uint64_t window_allocations_ = 0;
  std::atomic<std::uint64_t> refills_{0};
  std::atomic<std::uint64_t> refilled_{0};
  std::atomic<std::uint64_t> dropped_{0};
  std::atomic<std::uint64_t> aside_{0};
  std::atomic<std::uint64_t> remote_frees_{0};
  std::atomic<std::uint64_t> late_double_frees_{0};
  std::atomic<std::uint64_t> slabs_{0};
  std::atomic<std::uint64_t> rate_{0};

  // Written by other threads.
  alignas(kCacheLine) std::atomic<SlabRecord*> pending_{nullptr};
};
static_assert(alignof(ClassCache) == kCacheLine && sizeof(ClassCache) % kCacheLine == 0);

} // namespace echo::native
