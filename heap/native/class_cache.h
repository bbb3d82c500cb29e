// SPDX-License-Identifier: MIT
//
// Purpose     One thread's cells of one size: the hot path of native allocation.
//
//             L1  a LIFO stack of free cells        no lock, no atomic read-modify-write
//             L2  a list of own slabs with free cells, refilling L1 in batches      the same
//             L3  new slabs from the space; cells freed by other threads; slabs of threads that are gone
//
// Invariants  [native.cache.1] L1 holds cells of slabs this cache owns whose live bit is 0, each once. Of
//             such a slab, exactly the cells with live bit 0 that are not in L1 are free to be taken; L1 is
//             empty when cells are taken, so live bits alone decide. Nothing is ever written into a free
//             cell.
//             [native.free.2] The free of a cell that is live, by the thread that owns its slab, is one
//             bitmap test and one store. Any other pointer leaves the fast path. [native.free.3] Of two frees
//             of one cell, ordered by happens-before, exactly the first succeeds, whichever threads they come
//             from. If they race, and are the owner's and the first one ever from another thread, both may
//             report success; the cell is still free once: the other thread has set the tag to Requested and
//             the cache's `requested`, and the owner, who looks at that before it hands out the next cell,
//             drops the remote bits of cells that are not live. No check can do better without a fence in the owner's path
//             (Attiya and others, Laws of Order, POPL 2011). Races between all others are decided by the
//             slab's lock.
// Equations   allocations = granted - turns left
//             pushes = allocations + |L1| + dropped - refilled;  frees = pushes + aside + remote
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

// A free cell in L1: its address, and where its live bit is.
//             63                       16 15     6 5     0
//             +--------------------------+--------+-------+
//   where     | address of the live word |   0    |  bit  |
//             +--------------------------+--------+-------+
struct CachedCell {
  void* address = nullptr;
  std::uint64_t where = 0;

  static std::uint64_t pack(std::atomic<std::uint64_t>* word, std::uint32_t cell) {
    return reinterpret_cast<std::uint64_t>(word) << 16 | cell % 64;
  }
  std::atomic<std::uint64_t>* word() const {
    return reinterpret_cast<std::atomic<std::uint64_t>*>(where >> 16);
  }
};
static_assert(sizeof(CachedCell) == 16);

class alignas(kCacheLine) ClassCache {
public:
  void open(ThreadCache* thread, Pool* pool, NativeSpace* space, Cell cell, const CacheHints& hints,
            CachedCell* cells);

  // --- called by the owning thread, or by whoever holds the pool's lock while the cache is idle ---

  // Null: this is not the fast path's business; allocate_slow() knows.
  void* try_allocate() {
    const std::uint64_t state = state_.load(std::memory_order_relaxed);
    const std::uint64_t next = state - kOneCell - kOneTurn;
    if (__builtin_expect((next & kUnderflow) != 0 || requested_.load(std::memory_order_relaxed), 0)) {
      return nullptr;
    }
    const CachedCell& cell = cells_[static_cast<std::uint32_t>(next)];
    std::atomic<std::uint64_t>& live = *cell.word();
    live.store(live.load(std::memory_order_relaxed) | std::uint64_t{1} << (cell.where % 64),
               std::memory_order_relaxed);
    state_.store(next, std::memory_order_relaxed);
    return cell.address;
  }
  // Null: out of memory.
  void* allocate_slow();
  void* allocate() {
    void* const p = try_allocate();
    return __builtin_expect(p != nullptr, 1) ? p : allocate_slow();
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
    // cell_at() in its parts: with the condition as a value the compiler keeps it in a saved register.
    const std::uint64_t product = (offset % kSlabBytes) * magic_;
    if (__builtin_expect(static_cast<std::uint32_t>(product) >= magic_, 0)) {
      return false;
    }
    const auto index = static_cast<std::uint32_t>(product >> 32);
    SlabRecord* const record = entry.record.load(std::memory_order_relaxed);
    std::atomic<std::uint64_t>* const live = record->live() + index / 64;
    const std::uint64_t before = live->load(std::memory_order_relaxed);
    if (__builtin_expect((before >> (index % 64) & 1) == 0, 0)) {
      return false;
    }
    live->store(before ^ bit(index), std::memory_order_relaxed);
    const std::uint64_t state = state_.load(std::memory_order_relaxed);
    const auto count = static_cast<std::uint32_t>(state);
    if (__builtin_expect(count >= limit_, 0)) {
      put_aside(*record, index);
      return true;
    }
    cells_[count] = {p, CachedCell::pack(live, index)};
    state_.store(state + kOneCell, std::memory_order_relaxed);
    return true;
  }

  // The free of a live cell of an own slab in any state.
  void free_own(SlabRecord& record, std::uint32_t cell, void* p);
  // A free of somebody else's cell by this cache's thread has succeeded.
  void count_remote_free() { bump(remote_frees_); }

  // Moves L1 to L2, collects what others have freed, and keeps at most `keep` empty slabs. Returns the bytes
  // given to the space.
  std::size_t trim(std::uint32_t keep);
  // Gives a slab with free cells to another cache of the same pool and size, of the other's node if `local`; the
  // pool's lock is held.
  bool give_slab_to(ClassCache& other, bool local);
  // Gives the system whole free pages of slabs of which at least `percent` are free. Bytes given.
  std::size_t release_free_pages(std::uint32_t percent);
  // The end of a window of measurement. [native.hot.1]
  void end_window(std::uint64_t elapsed_ns);

  // --- called by anyone ---

  // With the slab's lock held: the slab has remote bits to collect.
  void notify(SlabRecord& record);
  // With the slab's lock held: takes a biased slab's bias away.
  void request(SlabRecord& record);
  ClassCounters counters() const;
  // "" if the cache's lists, bits and table entries agree, else what does not. Owner only; deep.
  const char* check();
  // Detaches all slabs and gives them to the space; nobody uses the pool any more.
  void close();

  Cell cell() const { return cell_; }
  // For tests of the policy and the levels. Owner only.
  const CachePolicy& policy() const { return policy_; }
  std::uint32_t cached() const { return static_cast<std::uint32_t>(state_.load(std::memory_order_relaxed)); }
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
  // The state word: cells in L1 (low half) and allocations until the next look at the clock (high half).
  // Taking a cell subtracts one of each; if either was 0, the sign bit of its half is set afterwards.
  static constexpr std::uint64_t kOneCell = 1;
  static constexpr std::uint64_t kOneTurn = std::uint64_t{1} << 32;
  static constexpr std::uint64_t kUnderflow = std::uint64_t{1} << 63 | std::uint64_t{1} << 31;
  static constexpr std::uint64_t kTurns = 4096;

  static void bump(std::atomic<std::uint64_t>& counter, std::uint64_t by = 1) {
    counter.store(counter.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
  }

  bool refill();
  std::uint32_t take_cells(SlabRecord& record, std::uint32_t want);
  // Collects remote frees; true if a cell became free. The slab's lock is held.
  bool collect_remote(SlabRecord& record);
  void collect_pending();
  void acknowledge_requests();
  void set_cached(std::uint32_t count) {
    const std::uint64_t state = state_.load(std::memory_order_relaxed);
    state_.store((state >> 32 << 32) | count, std::memory_order_relaxed);
  }
  [[gnu::cold]] void put_aside(SlabRecord& record, std::uint32_t cell);
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
  void grant_turns();
  SlabEntry& entry_of(const SlabRecord& record) { return table_[record.slab.number]; }

  // The hot line. Others write `requested` only, when they first free a cell of a slab.
  std::atomic<std::uint64_t> state_{0};
  CachedCell* cells_ = nullptr;
  SlabEntry* table_ = nullptr;
  Address base_ = 0;
  std::size_t slab_count_ = 0;
  std::uint32_t limit_ = 0;
  std::uint32_t magic_ = 0;
  std::atomic<bool> requested_{false};
  Cell cell_{};
  std::uint16_t capacity_ = 0;
  std::uint16_t words_ = 0;

  // The warm lines: slow paths of the owner.
  alignas(kCacheLine) SlabRecord* partial_ = nullptr;
  SlabRecord* owned_ = nullptr;
  ThreadCache* thread_ = nullptr;
  Pool* pool_ = nullptr;
  NativeSpace* space_ = nullptr;
  std::uint32_t empty_ = 0; // counted slabs
  CachePolicy policy_;
  std::uint64_t window_allocations_ = 0;
  std::atomic<std::uint64_t> granted_{0};  // turns, ever
  std::atomic<std::uint32_t> granting_{0}; // odd while granted and state are out of step
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
