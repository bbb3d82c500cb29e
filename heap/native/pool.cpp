// SPDX-License-Identifier: MIT
//
// Purpose     The slow paths of a pool: caches of threads, frees that leave the fast path, accounts.
#include "heap/native/pool.h"

#include "heap/os_memory.h"

#include <algorithm>
#include <mutex>
#include <new>

namespace echo::native {

// --- thread caches
// -------------------------------------------------------------------------------------------

void ThreadCache::service(bool look) {
  const bool trim_asked = trims_seen_ != pool_->trims();
  if (!trim_asked && !look && ++events_ % 64 != 0) {
    return;
  }
  const std::uint64_t now = os::monotonic_ns();
  const std::uint64_t elapsed = now - window_start_;
  if (elapsed >= kWindowNs) {
    node_ = pool_->space().topology().current_node();
    for (std::uint32_t i = 0; i < pool_->cell_count(); ++i) {
      cache(i).end_window(elapsed);
    }
    window_start_ = now;
  }
  if (trim_asked) {
    trims_seen_ = pool_->trims();
    for (std::uint32_t i = 0; i < pool_->cell_count(); ++i) {
      cache(i).trim(0);
    }
  }
  pool_->space().settle();
}

namespace {

// L1 of one cache: an entry that is null, and the cells; whole cache lines.
constexpr std::size_t kCellsBytes = round_up((kMaxCached + 1) * sizeof(void*), kCacheLine);

ClassCache& no_size() {
  static void* none = nullptr;
  alignas(ClassCache) static std::byte place[sizeof(ClassCache)];
  static ClassCache* const cache = [] {
    auto* const dead = new (place) ClassCache;
    dead->open_dead(&none);
    return dead;
  }();
  return *cache;
}

} // namespace

Pool::Pool(NativeSpace& space, const PoolConfig& config)
    : only_size_(config.only_size), space_(space), hints_(config.hints) {
  if (only_size_ == 0) {
    cell_count_ = kCellCount;
  } else if (only_size_ <= kMaxCellBytes) {
    first_cell_ = cell_for(only_size_).number;
    cell_count_ = 1;
  }
  for (PageRuns& runs : runs_) {
    runs.open(&space);
  }
}

Pool* Pool::create(NativeSpace& space, const PoolConfig& config) {
  void* const memory = space.arena().take(sizeof(Pool));
  if (memory == nullptr) {
    return nullptr;
  }
  auto* const pool = new (memory) Pool(space, config);
  if (!registry::add_pool(pool, &pool->slot_)) {
    pool->~Pool();
    space.arena().give(memory, sizeof(Pool));
    return nullptr;
  }
  return pool;
}

void Pool::destroy(Pool* pool) {
  registry::remove_pool(pool, pool->slot_);
  ThreadCache* cache = nullptr;
  {
    const MutexLock lock(pool->mutex_);
    cache = pool->caches_;
    pool->caches_ = pool->idle_ = nullptr;
  }
  NativeSpace& space = pool->space_;
  const std::size_t bytes = pool->cache_bytes();
  while (cache != nullptr) {
    ThreadCache* const next = cache->next_;
    for (std::uint32_t i = 0; i < pool->cell_count_; ++i) {
      cache->cache(i).close();
    }
    space.arena().give(cache, bytes);
    cache = next;
  }
  for (PageRuns& runs : pool->runs_) {
    runs.close();
  }
  pool->~Pool();
  space.arena().give(pool, sizeof(Pool));
}

std::size_t Pool::cache_bytes() const {
  return sizeof(ThreadCache) + cell_count_ * (sizeof(ClassCache) + kCellsBytes);
}

ThreadCache* Pool::make_cache() {
  void* const memory = space_.arena().take(cache_bytes());
  if (memory == nullptr) {
    return nullptr;
  }
  auto* const cache = new (memory) ThreadCache;
  cache->pool_ = this;
  cache->number_ = cache_count_++;
  auto* const cells = reinterpret_cast<std::byte*>(&cache->cache(cell_count_));
  for (std::uint32_t i = 0; i < cell_count_; ++i) {
    const Cell cell{static_cast<std::uint8_t>(first_cell_ + i)};
    (new (&cache->cache(i)) ClassCache)
        ->open(cache, this, &space_, cell, hints_, reinterpret_cast<void**>(cells + i * kCellsBytes));
  }
  if (only_size_ == 0) {
    for (std::size_t words = 1; words < cache->by_words_.size(); ++words) {
      cache->by_words_[words] = &cache->cache(kCellOfWords[words]);
    }
  }
  cache->by_words_[0] = &no_size();
  cache->next_ = caches_;
  caches_ = cache;
  return cache;
}

// A cache of a thread that is gone, of this node if possible, or a new one.
ThreadCache* Pool::take_cache() {
  const unsigned node = space_.topology().current_node();
  const MutexLock lock(mutex_);
  ThreadCache** found = nullptr;
  for (ThreadCache** link = &idle_; *link != nullptr; link = &(*link)->next_idle_) {
    if (found == nullptr || (*link)->node_ == node) {
      found = link;
      if ((*link)->node_ == node) {
        break;
      }
    }
  }
  ThreadCache* cache = nullptr;
  if (found != nullptr) {
    cache = *found;
    *found = cache->next_idle_;
    idle_count_.fetch_sub(1, std::memory_order_relaxed);
  } else {
    cache = make_cache();
  }
  if (cache != nullptr) {
    cache->node_ = node;
    cache->window_start_ = os::monotonic_ns();
  }
  return cache;
}

void Pool::give_back(ThreadCache* cache) {
  for (std::uint32_t i = 0; i < cell_count_; ++i) {
    cache->cache(i).trim(0);
  }
  const MutexLock lock(mutex_);
  cache->next_idle_ = idle_;
  idle_ = cache;
  idle_count_.fetch_add(1, std::memory_order_relaxed);
}

// This thread's cache, made if need be; null if there can be none.
ThreadCache* Pool::current() {
  ThreadCache* cache = this_thread.caches[slot_].load(std::memory_order_relaxed);
  if (cache == nullptr && !this_thread.ended) {
    cache = take_cache();
    if (cache != nullptr && !registry::set_cache(slot_, cache)) {
      give_back(cache);
      cache = nullptr;
    }
  }
  return cache;
}

ClassCache* Pool::this_threads_cache(Cell cell) {
  ThreadCache* const cache = serves(cell) ? current() : nullptr;
  return cache == nullptr ? nullptr : &cache->cache(index_of(cell));
}

void* Pool::allocate_slow(Cell cell) {
  if (ThreadCache* const cache = current(); cache != nullptr) {
    return cache->cache(index_of(cell)).allocate();
  }
  ThreadCache* const borrowed = take_cache(); // [native.thread.2]
  if (borrowed == nullptr) {
    return nullptr;
  }
  void* const p = borrowed->cache(index_of(cell)).allocate();
  give_back(borrowed);
  return p;
}

bool Pool::adopt_slab(ClassCache& to) {
  if (idle_count_.load(std::memory_order_relaxed) == 0) {
    return false;
  }
  const MutexLock lock(mutex_);
  for (const bool local : {true, false}) {
    for (ThreadCache* cache = idle_; cache != nullptr; cache = cache->next_idle_) {
      if (cache->cache(index_of(to.cell())).give_slab_to(to, local)) {
        return true;
      }
    }
  }
  return false;
}

// --- frees
// ---------------------------------------------------------------------------------------------------

FreeResult Pool::free_slow(void* p, Cell cell) {
  const auto address = reinterpret_cast<Address>(p);
  if (p == nullptr) {
    return FreeResult::Null;
  }
  if (!space_.contains(address)) {
    return FreeResult::Foreign;
  }
  SlabEntry& entry = space_.table()[(address - space_.base()) / kSlabBytes];
  if (entry.record.load(std::memory_order_acquire) != nullptr) {
    return free_in_slab(p, entry, cell);
  }
  void* const note = space_.chunk_owner(address);
  PageRuns* const runs = note == nullptr ? nullptr : runs_of(note);
  if (runs != nullptr) {
    return runs->bytes_at(p, note) != 0 ? FreeResult::WrongSize : runs->free(p, 0, note);
  }
  // Memory of the space where nothing lives was an object's; other pools' chunks never were this pool's.
  return note == nullptr ? FreeResult::AlreadyFree : FreeResult::Foreign;
}

FreeResult Pool::free_in_slab(void* p, SlabEntry& entry, Cell cell) {
  const Address offset = reinterpret_cast<Address>(p) - space_.base();
  ThreadCache* const mine = current();
  SlabRecord* const record = entry.record.load(std::memory_order_acquire);
  if (record == nullptr) {
    return FreeResult::AlreadyFree;
  }
  std::unique_lock lock(record->lock);
  if (entry.record.load(std::memory_order_relaxed) != record || record->pool != this) {
    return record->pool == this ? FreeResult::AlreadyFree : FreeResult::Foreign;
  }
  const CellShape& shape = shape_of(record->cell);
  const CellIndex at = cell_at(offset % kSlabBytes, shape.magic);
  if (!at.is_start || at.index >= shape.capacity) {
    return FreeResult::NotAStart;
  }
  const std::uint32_t w = at.index / 64;
  const std::uint64_t bit = ClassCache::bit(at.index);
  const std::uintptr_t word = entry.owner.load(std::memory_order_relaxed);
  ClassCache* const owner = ClassCache::owner_of(word);
  const bool own = mine != nullptr && owner == &mine->cache(index_of(record->cell));
  if (!own && ClassCache::tag_of(word) == OwnerTag::Biased) {
    // From here on the owner looks before it hands out a cell of this slab, or frees one. [native.free.3]
    owner->request(*record);
  }
  BitWord& remote = space_.remote_of(record->slab)[w];
  const std::uint64_t freed = remote.load(std::memory_order_relaxed);
  if ((freed & bit) != 0 || !ClassCache::is_live(word, p, space_.live_of(record->slab)[w], bit)) {
    return FreeResult::AlreadyFree;
  }
  if (record->cell != cell) {
    return FreeResult::WrongSize;
  }
  if (own) {
    owner->free_own(*record, p);
    return FreeResult::Done;
  }
  if (ClassCache::tag_of(word) != OwnerTag::Shared) {
    owner->forget_taken(p);
  }
  remote.store(freed | bit, std::memory_order_relaxed);
  record->remote_words[w / 64] |= std::uint64_t{1} << (w % 64);
  ++record->foreign_frees;
  if (!record->notified) {
    owner->notify(*record);
  }
  lock.unlock();
  if (mine != nullptr) {
    mine->cache(index_of(cell)).count_remote_free();
  } else {
    cacheless_frees_[cell.number].fetch_add(1, std::memory_order_relaxed);
  }
  return FreeResult::Done;
}

// --- page runs
// -----------------------------------------------------------------------------------------------

PageRuns* Pool::runs_of(void* note) {
  PageRuns* const owner = PageRuns::owner_of(note);
  return owner >= runs_.data() && owner < runs_.data() + runs_.size() ? owner : nullptr;
}

void* Pool::allocate_run(std::size_t bytes) {
  // Threads spread over the shards by the addresses of their thread-local variables.
  const std::size_t shard = (reinterpret_cast<Address>(&this_thread) / kPageBytes) % kRunShards;
  return runs_[shard].allocate(bytes, space_.topology().current_node());
}

FreeResult Pool::free_run(void* p, std::size_t bytes) {
  const auto address = reinterpret_cast<Address>(p);
  if (p == nullptr) {
    return FreeResult::Null;
  }
  if (!space_.contains(address)) {
    return FreeResult::Foreign;
  }
  void* const note = space_.chunk_owner(address);
  if (PageRuns* const runs = note == nullptr ? nullptr : runs_of(note); runs != nullptr) {
    const FreeResult result = runs->free(p, bytes, note);
    space_.settle();
    return result;
  }
  if (note != nullptr) {
    return FreeResult::Foreign;
  }
  // A cell, or nothing: usable_bytes() tells with the same checks as a free.
  SlabEntry& entry = space_.table()[(address - space_.base()) / kSlabBytes];
  SlabRecord* const record = entry.record.load(std::memory_order_acquire);
  if (record == nullptr) {
    return FreeResult::AlreadyFree;
  }
  Pool* owner = nullptr;
  {
    const std::scoped_lock lock(record->lock);
    owner = entry.record.load(std::memory_order_relaxed) == record ? record->pool : this;
  }
  return owner != this          ? FreeResult::Foreign
         : usable_bytes(p) != 0 ? FreeResult::WrongSize
                                : FreeResult::AlreadyFree;
}

std::size_t Pool::usable_bytes(void* p) {
  const auto address = reinterpret_cast<Address>(p);
  if (p == nullptr || !space_.contains(address)) {
    return 0;
  }
  const Address offset = address - space_.base();
  SlabEntry& entry = space_.table()[offset / kSlabBytes];
  SlabRecord* const record = entry.record.load(std::memory_order_acquire);
  if (record != nullptr) {
    const std::scoped_lock lock(record->lock);
    if (entry.record.load(std::memory_order_relaxed) != record || record->pool != this) {
      return 0;
    }
    const CellShape& shape = shape_of(record->cell);
    const CellIndex at = cell_at(offset % kSlabBytes, shape.magic);
    const std::uint32_t w = at.index / 64;
    const std::uintptr_t word = entry.owner.load(std::memory_order_relaxed);
    const std::uint64_t bit = ClassCache::bit(at.index);
    const bool lives = at.is_start && at.index < shape.capacity &&
                       (space_.remote_of(record->slab)[w].load(std::memory_order_relaxed) & bit) == 0 &&
                       ClassCache::is_live(word, p, space_.live_of(record->slab)[w], bit);
    return lives ? shape.bytes : 0;
  }
  void* const note = space_.chunk_owner(address);
  PageRuns* const runs = note == nullptr ? nullptr : runs_of(note);
  return runs == nullptr ? 0 : runs->bytes_at(p, note);
}

bool Pool::resize(void* p, std::size_t bytes) {
  const auto address = reinterpret_cast<Address>(p);
  void* const note = space_.contains(address) ? space_.chunk_owner(address) : nullptr;
  PageRuns* const runs = note == nullptr ? nullptr : runs_of(note);
  return runs != nullptr && runs->resize(p, bytes, note);
}

bool Pool::set_note(void* p, std::uint32_t number) {
  const auto address = reinterpret_cast<Address>(p);
  void* const note = space_.contains(address) ? space_.chunk_owner(address) : nullptr;
  PageRuns* const runs = note == nullptr ? nullptr : runs_of(note);
  return runs != nullptr && runs->set_note(p, number, note);
}

bool Pool::get_note(void* p, std::uint32_t* number) {
  const auto address = reinterpret_cast<Address>(p);
  void* const note = space_.contains(address) ? space_.chunk_owner(address) : nullptr;
  PageRuns* const runs = note == nullptr ? nullptr : runs_of(note);
  return runs != nullptr && runs->get_note(p, number, note);
}

// --- trimming and accounts
// -----------------------------------------------------------------------------------

// This thread's cache and the idle ones.
template <class Function> std::size_t Pool::for_reachable_caches(Function function) {
  std::size_t bytes = 0;
  if (ThreadCache* const own = this_thread.caches[slot_].load(std::memory_order_relaxed); own != nullptr) {
    for (std::uint32_t i = 0; i < cell_count_; ++i) {
      bytes += function(own->cache(i));
    }
  }
  const MutexLock lock(mutex_);
  for (ThreadCache* cache = idle_; cache != nullptr; cache = cache->next_idle_) {
    for (std::uint32_t i = 0; i < cell_count_; ++i) {
      bytes += function(cache->cache(i));
    }
  }
  return bytes;
}

std::size_t Pool::trim(std::uint64_t deadline_ns) {
  trims_.fetch_add(1, std::memory_order_relaxed);
  std::size_t trimmed = 0; // a call that is late from the start trims one cache that has something
  std::size_t bytes = for_reachable_caches([deadline_ns, &trimmed](ClassCache& cache) {
    const std::size_t more = trimmed == 0 || os::monotonic_ns() < deadline_ns ? cache.trim(0) : 0;
    trimmed += more;
    return more;
  });
  for (PageRuns& runs : runs_) {
    bytes += runs.trim();
  }
  return bytes;
}

std::size_t Pool::release_free_pages(std::uint32_t percent) {
  std::size_t bytes =
      for_reachable_caches([percent](ClassCache& cache) { return cache.release_free_pages(percent); });
  for (PageRuns& runs : runs_) {
    bytes += runs.release_free_pages();
  }
  return bytes;
}

PoolCounters Pool::counters() {
  PoolCounters out;
  const auto add = [&out](Cell cell, std::uint64_t allocations, std::uint64_t frees) {
    const CellShape& shape = shape_of(cell);
    out.allocations += allocations;
    out.frees += frees;
    out.allocated_bytes += allocations * shape.bytes;
    out.freed_bytes += frees * shape.bytes;
    out.class_allocations[shape.size_class] += allocations;
  };
  {
    const MutexLock lock(mutex_);
    for (ThreadCache* cache = caches_; cache != nullptr; cache = cache->next_) {
      for (std::uint32_t i = 0; i < cell_count_; ++i) {
        const ClassCache& c = cache->cache(i);
        const ClassCounters n = c.counters();
        add(c.cell(), n.allocations, n.frees - n.late_double_frees);
        out.refills += n.refills;
        out.late_double_frees += n.late_double_frees;
        out.committed_bytes += n.slabs * kSlabBytes;
        out.class_rate[shape_of(c.cell()).size_class] += n.rate;
      }
    }
  }
  for (std::uint32_t i = 0; i < kCellCount; ++i) {
    add(Cell{static_cast<std::uint8_t>(i)}, 0, cacheless_frees_[i].load(std::memory_order_relaxed));
  }
  for (PageRuns& runs : runs_) {
    const RunCounters n = runs.counters();
    out.allocations += n.allocations;
    out.frees += n.frees;
    out.allocated_bytes += n.allocated_pages * kPageBytes;
    out.freed_bytes += n.freed_pages * kPageBytes;
    out.committed_bytes += n.committed_bytes;
  }
  // Read while others work, frees may be ahead of the allocations they belong to.
  out.frees = std::min(out.frees, out.allocations);
  out.freed_bytes = std::min(out.freed_bytes, out.allocated_bytes);
  out.live_bytes = out.allocated_bytes - out.freed_bytes;
  return out;
}

const char* Pool::check() {
  if (ThreadCache* const own = this_thread.caches[slot_].load(std::memory_order_relaxed); own != nullptr) {
    for (std::uint32_t i = 0; i < cell_count_; ++i) {
      if (const char* const why = own->cache(i).check(); *why != '\0') {
        return why;
      }
    }
  }
  {
    const MutexLock lock(mutex_);
    for (ThreadCache* cache = idle_; cache != nullptr; cache = cache->next_idle_) {
      for (std::uint32_t i = 0; i < cell_count_; ++i) {
        if (const char* const why = cache->cache(i).check(); *why != '\0') {
          return why;
        }
      }
    }
  }
  for (PageRuns& runs : runs_) {
    if (const char* const why = runs.check(); *why != '\0') {
      return why;
    }
  }
  return space_.check();
}

// --- fork
// ----------------------------------------------------------------------------------------------------

void Pool::before_fork() {
  mutex_.lock();
  for (PageRuns& runs : runs_) {
    runs.mutex().lock();
  }
}

void Pool::after_fork(bool child) {
  for (PageRuns& runs : runs_) {
    runs.mutex().unlock();
  }
  if (child) {
    // The locks of slabs whose holders are not in the child.
    for (ThreadCache* cache = caches_; cache != nullptr; cache = cache->next_) {
      for (std::uint32_t i = 0; i < cell_count_; ++i) {
        cache->cache(i).for_each_slab([](SlabRecord& record) { record.lock.reset(); });
      }
    }
  }
  mutex_.unlock();
}

} // namespace echo::native
