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
  std::size_t max_capacity = 0;
  std::atomic<std::size_t> live{0}; // counted only with a max_capacity

  bool open(const object_pool_config_t& config, SpaceKind kind);

  void* allocate() {
    void* const p = __builtin_expect(max_capacity == 0, 1) ? pool->allocate_object() : allocate_limited();
    last_error = __builtin_expect(p != nullptr, 1) ? POOL_SUCCESS : POOL_ERROR_OUT_OF_MEMORY;
    return p;
  }
  bool deallocate(void* p) {
    const bool done = finish(pool->free_object(p));
    if (__builtin_expect(max_capacity != 0, 0) && done) {
      live.fetch_sub(1, std::memory_order_relaxed);
    }
    return done;
  }

private:
  void* allocate_limited();
};

} // namespace echo::memory_pool
