// SPDX-License-Identifier: MIT
//
// Purpose     The native memory of the process behind the C API: one space per kind of pages, opened when
//             first asked for; pools and handles in it.
// Invariants  [pool.space.1] A space outlives its pools. It is closed when the library is unloaded, if no
//             pool is left by then.
#pragma once

#include "heap/native/pool.h"

#include <new>
#include <utility>

namespace echo::memory_pool {

// What space to take: the kind of pages, and whether nodes matter.
struct SpaceKind {
  native::PageKind pages = native::PageKind::Transparent;
  bool numa_aware = false;
};

// Null: the system refuses address space.
native::NativeSpace* space_of(SpaceKind kind);

// A pool of that space; null if the system refuses memory.
native::Pool* open_pool(SpaceKind kind, const native::PoolConfig& config);
void close_pool(native::Pool* pool); // null is ignored

// Gives the free memory of all spaces to the system, but for `keep` bytes of each, until the deadline; the bytes that
// left memory.
std::size_t return_free_memory(std::uint64_t deadline_ns, std::size_t keep = 0);

// A pool for objects that belong to no handle. Null: out of memory.
native::Pool* common_pool();

// A handle in the memory of the common space, zeroed and aligned to a cache line.
void* take_handle(std::size_t bytes);
void give_handle(void* handle, std::size_t bytes);

template <class Handle, class... Arguments> Handle* make_handle(Arguments&&... arguments) {
  void* const memory = take_handle(sizeof(Handle));
  return memory == nullptr ? nullptr : new (memory) Handle{std::forward<Arguments>(arguments)...};
}
template <class Handle> void drop_handle(Handle* handle) {
  handle->~Handle();
  give_handle(handle, sizeof(Handle));
}

} // namespace echo::memory_pool
