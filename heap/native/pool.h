// SPDX-License-Identifier: MIT
//
// Purpose     A pool of native memory: cells up to 1 KiB through thread caches, page runs above. Memory
//             from a pool never moves, is freed explicitly, and every free is checked.
//
// Invariants  [native.pool.1] A pointer is freed by the pool that handed it out, once, with its size, or
//             nothing happens. [native.pool.2] Destroying a pool frees everything in it. [native.pool.3]
//             Counts include every path and are exact whenever no operation is under way. [native.pool.4]
//             Locks are taken in this order: registry, pool, page runs, shard, free chunks, arena; a slab's
//             lock is taken last and nothing is called with it held.
#pragma once

#include "heap/mutex.h"
#include "heap/native/class_cache.h"
#include "heap/native/page_runs.h"
#include "heap/native/thread_registry.h"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace echo::native {

struct PoolConfig {
  std::size_t only_size = 0; // serves this size alone; 0: any
  CacheHints hints{};
};

struct PoolCounters {
  std::uint64_t allocations = 0; // ever, objects
  std::uint64_t frees = 0;
  std::uint64_t allocated_bytes = 0; // ever, in cells and pages
  std::uint64_t freed_bytes = 0;
  std::uint64_t refills = 0;
  std::uint64_t late_double_frees = 0;
  std::size_t live_bytes = 0;
  std::size_t committed_bytes = 0; // slabs and run chunks of the pool
  std::array<std::uint64_t, kClassCount> class_allocations{};
  std::array<std::uint64_t, kClassCount> class_rate{}; // uses per second, all threads
};

// One thread's caches in one pool. Its class caches and their cells follow it in memory.
class alignas(kCacheLine) ThreadCache {
public:
  // The first of its caches: the one of a pool of one size.
  ClassCache& first() { return *reinterpret_cast<ClassCache*>(this + 1); }
  ClassCache& cache(std::uint32_t index) { return (&first())[index]; }
  // In a pool of any size: the cache for `words` words of 8 bytes, at most those of the largest cell; the dead cache
  // for 0. A pool of one size has none there.
  ClassCache& for_words(std::size_t words) { return *by_words_[words]; }
  unsigned node() const { return node_; }
  unsigned number() const { return number_; }
  // From slow paths of the owner: ends measurement windows, notices trims. `look`: look at the clock.
  void service(bool look);

private:
  friend class Pool;
  Pool* pool_ = nullptr;
  ThreadCache* next_ = nullptr;      // of the pool
  ThreadCache* next_idle_ = nullptr; // while idle
  std::uint32_t number_ = 0;
  std::uint32_t node_ = 0;
  std::uint32_t events_ = 0;
  std::uint32_t trims_seen_ = 0;
  std::uint64_t window_start_ = 0;
  std::array<ClassCache*, kMaxCellBytes / 8 + 1> by_words_{};
};

class Pool {
public:
  // Null: the system refuses memory, or there are kMaxPools pools. The space outlives the pool.
  static Pool* create(NativeSpace& space, const PoolConfig& config);
  // [native.pool.2] No other call may be under way.
  static void destroy(Pool* pool);

  // For pools of any size. bytes > 0. Null: out of memory.
  void* allocate(std::size_t bytes) {
    void* const p = try_allocate(slot_, bytes);
    return __builtin_expect(p != nullptr, 1) ? p
           : bytes <= kMaxCellBytes          ? allocate_slow(cell_for(bytes))
                                             : allocate_run(bytes);
  }
  FreeResult free(void* p, std::size_t bytes) {
    FreeResult result = FreeResult::Done;
    try_free(slot_, p, bytes, [&] {
      result = bytes - 1 < kMaxCellBytes ? free_slow(p, cell_for(bytes)) : free_run(p, bytes);
      return true;
    });
    return result;
  }
  // For pools of one size.
  void* allocate_object() {
    if (cell_count_ == 0) {
      return allocate_run(only_size_);
    }
    void* const p = try_allocate_object(slot_);
    return __builtin_expect(p != nullptr, 1) ? p : allocate_slow(first_cell());
  }
  FreeResult free_object(void* p) {
    if (cell_count_ == 0) {
      return free_run(p, only_size_);
    }
    FreeResult result = FreeResult::Done;
    try_free_object(slot_, p, [&] {
      result = free_slow(p, first_cell());
      return true;
    });
    return result;
  }

  // The fast paths alone, for callers that keep the slot at hand. Null, or `otherwise`: use the functions above.
  static ThreadCache* cache_of_slot(std::uint32_t slot) {
    return this_thread.caches[slot].load(std::memory_order_relaxed);
  }
  // Of pools of any size; any number of bytes.
  static void* try_allocate(std::uint32_t slot, std::size_t bytes) {
    const std::size_t words = (bytes + 7) / 8; // 0 also where the sum overflows
    ThreadCache* const cache = cache_of_slot(slot);
    return __builtin_expect(words <= kMaxCellBytes / 8 && cache != nullptr, 1)
               ? cache->for_words(words).try_allocate()
               : nullptr;
  }
  template <class Otherwise>
  static bool try_free(std::uint32_t slot, void* p, std::size_t bytes, Otherwise otherwise) {
    const std::size_t words = (bytes + 7) / 8;
    if (__builtin_expect(words > kMaxCellBytes / 8, 0)) {
      return otherwise();
    }
    ThreadCache* const cache = cache_of_slot(slot);
    if (__builtin_expect(cache == nullptr, 0)) {
      return otherwise();
    }
    return cache->for_words(words).free_fast(p, otherwise);
  }
  // Of pools of one size.
  static void* try_allocate_object(std::uint32_t slot) {
    ThreadCache* const cache = cache_of_slot(slot);
    return __builtin_expect(cache != nullptr, 1) ? cache->first().try_allocate() : nullptr;
  }
  template <class Otherwise> static bool try_free_object(std::uint32_t slot, void* p, Otherwise otherwise) {
    ThreadCache* const cache = cache_of_slot(slot);
    if (__builtin_expect(cache == nullptr, 0)) {
      return otherwise();
    }
    return cache->first().free_fast(p, otherwise);
  }
  std::uint32_t slot() const { return slot_; }
  // False: the only size is one of page runs.
  bool has_cells() const { return cell_count_ != 0; }

  // The bytes an object of this size takes.
  static constexpr std::size_t rounded_bytes(std::size_t bytes) {
    return bytes <= kMaxCellBytes ? shape_of(cell_for(bytes)).bytes : round_up(bytes, kPageBytes);
  }
  // The bytes usable at p if a live object of the pool starts there, else 0.
  std::size_t usable_bytes(void* p);
  // Makes a page run longer or shorter at the same address; false if that cannot be.
  bool resize(void* p, std::size_t bytes);

  // A number of the caller's beside a page run (sizes over 1 KiB); 0 in a new run. False: no run starts at p.
  bool set_note(void* p, std::uint32_t number);
  bool get_note(void* p, std::uint32_t* number);

  // Collects what is free in this thread's caches and those of threads that are gone, asks the other threads
  // to do the same, and gives the slabs to the space. Returns their bytes. Ends early when the clock passes
  // `deadline_ns`; what is done already is quick the next time.
  std::size_t trim(std::uint64_t deadline_ns = ~std::uint64_t{0});
  // Gives the system the free pages inside slabs of which at least `percent` are free, of the same caches.
  std::size_t release_free_pages(std::uint32_t percent);
  PoolCounters counters();
  const char* check();
  NativeSpace& space() { return space_; }
  std::size_t only_size() const { return only_size_; }
  // This thread's cache for a size of cell; makes it if need be. Null: out of memory.
  ClassCache* this_threads_cache(Cell cell);

  // --- from the caches and the registry ---

  // Moves a slab with free cells from the cache of a thread that is gone. False: there is none.
  bool adopt_slab(ClassCache& to);
  // The cache's thread has ended.
  void give_back(ThreadCache* cache) ECHO_EXCLUDES(mutex_);
  void before_fork() ECHO_NO_THREAD_ANALYSIS;
  void after_fork(bool child) ECHO_NO_THREAD_ANALYSIS;
  std::uint32_t trims() const { return trims_.load(std::memory_order_relaxed); }
  std::uint32_t cell_count() const { return cell_count_; }

private:
  static constexpr std::size_t kRunShards = 4;

  Pool(NativeSpace& space, const PoolConfig& config);
  Cell first_cell() const { return Cell{static_cast<std::uint8_t>(first_cell_)}; }
  std::uint32_t index_of(Cell cell) const { return cell.number - first_cell_; }
  bool serves(Cell cell) const { return std::uint32_t{cell.number} - first_cell_ < cell_count_; }
  std::size_t cache_bytes() const;
  ThreadCache* make_cache() ECHO_REQUIRES(mutex_);
  ThreadCache* take_cache() ECHO_EXCLUDES(mutex_);
  ThreadCache* current();
  void* allocate_slow(Cell cell);
  void* allocate_run(std::size_t bytes);
  FreeResult free_slow(void* p, Cell cell);
  FreeResult free_in_slab(void* p, SlabEntry& entry, Cell cell);
  FreeResult free_run(void* p, std::size_t bytes);
  PageRuns* runs_of(void* note);
  template <class Function> std::size_t for_reachable_caches(Function function);

  // The hot line, constant.
  alignas(kCacheLine) std::uint32_t slot_ = 0;
  std::uint32_t first_cell_ = 0;
  std::uint32_t cell_count_ = 0;
  std::size_t only_size_ = 0;
  NativeSpace& space_;
  CacheHints hints_{};

  alignas(kCacheLine) Mutex mutex_;
  ThreadCache* caches_ ECHO_GUARDED_BY(mutex_) = nullptr;
  ThreadCache* idle_ ECHO_GUARDED_BY(mutex_) = nullptr;
  std::uint32_t cache_count_ ECHO_GUARDED_BY(mutex_) = 0;
  std::atomic<std::uint32_t> idle_count_{0};
  std::atomic<std::uint32_t> trims_{0};
  std::atomic<std::uint64_t> cacheless_frees_[kCellCount]{}; // by threads without a cache
  std::array<PageRuns, kRunShards> runs_;
};

} // namespace echo::native
