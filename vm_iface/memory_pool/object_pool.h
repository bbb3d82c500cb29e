// SPDX-License-Identifier: MIT
//
// Purpose     An object pool of the C API without its handle, for the pools that bundle several.
#pragma once

#include "echo/industrial_memory_pool.h"
#include "heap/native/pool.h"
#include "last_error.h"
#include "spaces.h"

#include <atomic>

namespace echo::memory_pool {

struct ObjectPool {
  native::Pool* pool = nullptr;
  std::uint32_t slot = native::kNoSlot; // the pool's, if the fast path applies: cells without a max_capacity
  std::size_t max_capacity = 0;
  std::atomic<std::size_t> live{0}; // counted only with a max_capacity

  bool open(const object_pool_config_t& config, SpaceKind kind);

  void* try_allocate() { return native::Pool::try_allocate_object(slot); }
  // Sets the error only where the fast path does not apply.
  bool deallocate(void* p) {
    return native::Pool::try_free_object(slot, p, [&] { return deallocate_slow(p); });
  }
  // Both set the error.
  [[gnu::noinline]] void* allocate_slow();
  [[gnu::noinline]] bool deallocate_slow(void* p);
};

// What all functions on object pools do: the fast path inline, the rest out of line.
template <class Handle> inline void* allocate_from(Handle* handle, ObjectPool Handle::* objects) {
  if (__builtin_expect(handle != nullptr, 1)) {
    succeed(); // first: nothing is left to do after the fast path
    if (void* const p = (handle->*objects).try_allocate(); __builtin_expect(p != nullptr, 1)) {
      return p;
    }
    return (handle->*objects).allocate_slow();
  }
  return fail<void*>(POOL_ERROR_NULL_POINTER);
}
template <class Handle> inline bool deallocate_to(Handle* handle, ObjectPool Handle::* objects, void* p) {
  if (__builtin_expect(handle == nullptr, 0)) {
    return fail<bool>(POOL_ERROR_NULL_POINTER);
  }
  succeed();
  return (handle->*objects).deallocate(p);
}

} // namespace echo::memory_pool
