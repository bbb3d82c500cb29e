// SPDX-License-Identifier: MIT
//
// Purpose     A slab allocator of the C API without its handle.
#pragma once

#include "echo/industrial_memory_pool.h"
#include "heap/native/pool.h"
#include "last_error.h"
#include "spaces.h"

namespace echo::memory_pool {

struct SlabAllocator {
  native::Pool* pool = nullptr;
  std::uint32_t slot = 0;

  // What a configuration asks for; false if it is out of range.
  static bool kind_of(const slab_allocator_config_t& config, SpaceKind* out);
  bool open(const slab_allocator_config_t& config, SpaceKind kind);

  // Both set the error.
  [[gnu::noinline]] void* allocate_slow(std::size_t size);
  [[gnu::noinline]] bool deallocate_slow(void* p, std::size_t size);
};

// What all functions on slab allocators do: the fast path inline, the rest out of line.
template <class Handle>
inline void* allocate_from(Handle* handle, SlabAllocator Handle::* slabs, std::size_t size) {
  if (__builtin_expect(handle != nullptr, 1)) {
    succeed(); // first: nothing is left to do after the fast path
    if (void* const p = native::Pool::try_allocate((handle->*slabs).slot, size);
        __builtin_expect(p != nullptr, 1)) {
      return p;
    }
    return (handle->*slabs).allocate_slow(size);
  }
  return fail<void*>(POOL_ERROR_NULL_POINTER);
}
template <class Handle>
inline bool deallocate_to(Handle* handle, SlabAllocator Handle::* slabs, void* p, std::size_t size) {
  if (__builtin_expect(handle == nullptr, 0)) {
    return fail<bool>(POOL_ERROR_NULL_POINTER);
  }
  succeed(); // first: nothing is left to do after the fast path
  return native::Pool::try_free((handle->*slabs).slot, p, size,
                                [&] { return (handle->*slabs).deallocate_slow(p, size); });
}

// 1 - live / committed, 0 if nothing is committed.
inline double fragmentation(std::size_t live, std::size_t committed) {
  return committed == 0 ? 0 : 1 - static_cast<double>(live) / static_cast<double>(committed);
}

} // namespace echo::memory_pool
