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

  // What a configuration asks for; false if it is out of range.
  static bool kind_of(const slab_allocator_config_t& config, SpaceKind* out);
  bool open(const slab_allocator_config_t& config, SpaceKind kind);

  void* allocate(std::size_t size) {
    if (__builtin_expect(size == 0, 0)) {
      return fail<void*>(POOL_ERROR_INVALID_SIZE);
    }
    void* const p = pool->allocate(size);
    last_error = __builtin_expect(p != nullptr, 1) ? POOL_SUCCESS : POOL_ERROR_OUT_OF_MEMORY;
    return p;
  }
  bool deallocate(void* p, std::size_t size) { return finish(pool->free(p, size)); }
};

// 1 - live / committed, 0 if nothing is committed.
inline double fragmentation(std::size_t live, std::size_t committed) {
  return committed == 0 ? 0 : 1 - static_cast<double>(live) / static_cast<double>(committed);
}

} // namespace echo::memory_pool
