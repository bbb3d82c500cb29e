// SPDX-License-Identifier: MIT
//
// Purpose     From (this thread, pool) to the thread's cache in one load, and the end of a thread.
//
//             Each thread has a table of caches, indexed by the pool's slot; a thread without one reads a
//             shared table of nulls, so the hot path tests one pointer. The thread-local variable is trivial:
//             it has no destructor and lies in the static TLS block. What happens when a thread ends hangs on
//             one pthread key instead, because a key can be taken back: unloading the library deletes it,
//             after which the end of a thread calls nothing here. (A thread_local with a destructor registers
//             with the C library and keeps the plugin mapped.)
//
// Invariants  [native.thread.1] A cache in a thread's table is used by that thread only; when the thread
//             ends it becomes idle in its pool, whole, with cells, slabs and pending frees, and serves the
//             next thread. [native.thread.2] A thread that has run its end handler (other keys' handlers
//             may still allocate and free) borrows an idle cache for each operation. [native.thread.3] A
//             slot is reused only after every table has forgotten it. [native.thread.4] The child of a fork
//             finds all locks free; caches of threads it does not have stay unused, and cells freed into
//             them are collected by nobody.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace echo::native {

class Pool;
class ThreadCache;

inline constexpr std::size_t kMaxPools = 16384;
// The slot of no pool: every thread finds no cache there, so its users take the slow path without a test.
inline constexpr std::uint32_t kNoSlot = kMaxPools;

using CacheTable = std::atomic<ThreadCache*>;
extern const CacheTable kNoCaches[kMaxPools + 1];

struct ThreadView {
  const CacheTable* caches = kNoCaches;
  bool ended = false;
  std::int32_t word = 0; // the C API's: beside the table, so that one address serves both
};
extern constinit thread_local ThreadView this_thread __attribute__((tls_model("initial-exec")));

namespace registry {

// A free slot for a pool; false if there are kMaxPools. The pool's fork handling starts.
bool add_pool(Pool* pool, std::uint32_t* slot);
// After this no thread's table names a cache of the pool.
void remove_pool(Pool* pool, std::uint32_t slot);
// Notes the cache in this thread's table; false if the thread has ended or the system refuses memory.
bool set_cache(std::uint32_t slot, ThreadCache* cache);
// Calls function for every pool. No pool is added or removed and no thread ends meanwhile.
void for_each_pool(void (*function)(Pool& pool, void* context), void* context);

} // namespace registry

} // namespace echo::native
