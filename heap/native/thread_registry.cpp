// SPDX-License-Identifier: MIT
//
// Purpose     Tables of threads, slots of pools, the key that notices the end of a thread, fork.
#include "heap/native/thread_registry.h"

#include "heap/mutex.h"
#include "heap/native/pool.h"
#include "heap/os_memory.h"
#include "heap/words.h"

#include <pthread.h>

namespace echo::native {

constinit const CacheTable kNoCaches[kMaxPools + 1]{};
constinit thread_local ThreadView this_thread __attribute__((tls_model("initial-exec")));

namespace {

struct ThreadTable {
  CacheTable caches[kMaxPools + 1];
  ThreadTable* next;
  ThreadTable* previous;
};
constexpr std::size_t kTableBytes = round_up(sizeof(ThreadTable), kPageBytes);

struct Registry {
  Mutex mutex;
  ThreadTable* threads ECHO_GUARDED_BY(mutex) = nullptr;
  Pool* pools[kMaxPools] ECHO_GUARDED_BY(mutex){};
  std::uint32_t high_water ECHO_GUARDED_BY(mutex) = 0; // slots ever used
  std::uint32_t pool_count ECHO_GUARDED_BY(mutex) = 0;
  bool ready ECHO_GUARDED_BY(mutex) = false;
  pthread_key_t key{};
};
constinit Registry registry_state;

// The key's value is the thread's table.
void thread_ended(void* value) {
  auto* const table = static_cast<ThreadTable*>(value);
  this_thread.caches = kNoCaches;
  this_thread.ended = true;
  Registry& r = registry_state;
  const MutexLock lock(r.mutex);
  for (std::uint32_t slot = 0; slot < r.high_water; ++slot) {
    ThreadCache* const cache = table->caches[slot].load(std::memory_order_relaxed);
    if (cache != nullptr && r.pools[slot] != nullptr) {
      r.pools[slot]->give_back(cache);
    }
  }
  (table->previous == nullptr ? r.threads : table->previous->next) = table->next;
  if (table->next != nullptr) {
    table->next->previous = table->previous;
  }
  os::release(table, kTableBytes);
}

void before_fork() ECHO_NO_THREAD_ANALYSIS {
  Registry& r = registry_state;
  r.mutex.lock();
  // All pools before all spaces: the order of [native.pool.4].
  for (std::uint32_t slot = 0; slot < r.high_water; ++slot) {
    if (r.pools[slot] != nullptr) {
      r.pools[slot]->before_fork();
    }
  }
  for (std::uint32_t slot = 0; slot < r.high_water; ++slot) {
    if (r.pools[slot] != nullptr) {
      r.pools[slot]->space().lock_all();
    }
  }
}

void after_fork(bool child) ECHO_NO_THREAD_ANALYSIS {
  Registry& r = registry_state;
  for (std::uint32_t slot = 0; slot < r.high_water; ++slot) {
    if (r.pools[slot] != nullptr) {
      r.pools[slot]->space().unlock_all();
    }
  }
  for (std::uint32_t slot = 0; slot < r.high_water; ++slot) {
    if (r.pools[slot] != nullptr) {
      r.pools[slot]->after_fork(child);
    }
  }
  r.mutex.unlock();
}

bool make_ready(Registry& r) ECHO_REQUIRES(r.mutex) {
  if (!r.ready) {
    if (::pthread_key_create(&r.key, thread_ended) != 0) {
      return false;
    }
    (void)::pthread_atfork(before_fork, [] { after_fork(false); }, [] { after_fork(true); });
    r.ready = true;
  }
  return true;
}

// Runs when the library is unloaded or the process ends: from now on the end of a thread calls nothing here.
__attribute__((destructor)) void forget_threads() {
  Registry& r = registry_state;
  const MutexLock lock(r.mutex);
  if (!r.ready) {
    return;
  }
  (void)::pthread_key_delete(r.key);
  r.ready = false;
  if (r.pool_count == 0) {
    // All entries are null, as fresh pages are: their memory goes, their addresses stay valid for threads
    // that are still running while the process ends.
    for (ThreadTable* table = r.threads; table != nullptr;) {
      ThreadTable* const next = table->next;
      (void)os::discard(table, kTableBytes);
      table = next;
    }
    r.threads = nullptr;
  }
}

ThreadTable* make_table() {
  auto* const table = static_cast<ThreadTable*>(os::map_zeroed(kTableBytes, kPageBytes));
  if (table == nullptr) {
    return nullptr;
  }
  Registry& r = registry_state;
  const MutexLock lock(r.mutex);
  if (!make_ready(r) || ::pthread_setspecific(r.key, table) != 0) {
    os::release(table, kTableBytes);
    return nullptr;
  }
  table->next = r.threads;
  if (r.threads != nullptr) {
    r.threads->previous = table;
  }
  r.threads = table;
  return table;
}

} // namespace

namespace registry {

bool add_pool(Pool* pool, std::uint32_t* slot) {
  Registry& r = registry_state;
  const MutexLock lock(r.mutex);
  if (!make_ready(r)) {
    return false;
  }
  for (std::uint32_t i = 0; i < kMaxPools; ++i) {
    if (r.pools[i] == nullptr) {
      r.pools[i] = pool;
      r.high_water = i < r.high_water ? r.high_water : i + 1;
      ++r.pool_count;
      *slot = i;
      return true;
    }
  }
  return false;
}

void remove_pool(Pool* pool, std::uint32_t slot) {
  Registry& r = registry_state;
  const MutexLock lock(r.mutex);
  if (r.pools[slot] != pool) {
    return;
  }
  r.pools[slot] = nullptr;
  --r.pool_count;
  for (ThreadTable* table = r.threads; table != nullptr; table = table->next) {
    table->caches[slot].store(nullptr, std::memory_order_relaxed);
  }
}

bool set_cache(std::uint32_t slot, ThreadCache* cache) {
  if (this_thread.ended) {
    return false;
  }
  if (this_thread.caches == kNoCaches) {
    const ThreadTable* const table = make_table();
    if (table == nullptr) {
      return false;
    }
    this_thread.caches = table->caches;
  }
  // The thread's own table, which was mapped writable.
  const_cast<CacheTable*>(this_thread.caches)[slot].store(cache, std::memory_order_relaxed);
  return true;
}

void for_each_pool(void (*function)(Pool& pool, void* context), void* context) {
  Registry& r = registry_state;
  const MutexLock lock(r.mutex);
  for (std::uint32_t slot = 0; slot < r.high_water; ++slot) {
    if (r.pools[slot] != nullptr) {
      function(*r.pools[slot], context);
    }
  }
}

} // namespace registry

} // namespace echo::native
