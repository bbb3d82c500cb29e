// SPDX-License-Identifier: MIT
//
// Purpose     thread_local_object_pool_*: objects of one size.
// Invariants  [pool.capacity.1] With a max_capacity, live objects never exceed it: a place is taken before
//             an object is, and given back after it.
#include "object_pool.h"

#include "heap/native/cache_policy.h"
#include "last_error.h"
#include "spaces.h"

#include <algorithm>

using namespace echo::memory_pool;
using echo::native::FreeResult;
using echo::native::PoolConfig;
using echo::native::PoolCounters;

namespace echo::memory_pool {

bool ObjectPool::open(const object_pool_config_t& config, SpaceKind kind) {
  const auto cells = [](std::size_t n) {
    return static_cast<std::uint32_t>(std::min<std::size_t>(n, native::kMaxCached));
  };
  PoolConfig pool_config;
  pool_config.only_size = config.object_size;
  pool_config.hints = {.l1 = cells(config.l1_cache_size),
                       .l2 =
                           static_cast<std::uint32_t>(std::min<std::size_t>(config.l2_cache_size, 1u << 20)),
                       .batch = cells(config.batch_alloc_size)};
  pool = open_pool(kind, pool_config);
  if (pool == nullptr) {
    return false;
  }
  max_capacity = config.max_capacity;
  slot = pool->has_cells() && max_capacity == 0 ? pool->slot() : native::kNoSlot;
  return true;
}

void* ObjectPool::allocate_slow() {
  void* p = nullptr;
  if (max_capacity == 0) {
    p = pool->allocate_object();
  } else if (live.fetch_add(1, std::memory_order_relaxed) >= max_capacity ||
             (p = pool->allocate_object()) == nullptr) {
    live.fetch_sub(1, std::memory_order_relaxed);
  }
  set_error(p != nullptr ? POOL_SUCCESS : POOL_ERROR_OUT_OF_MEMORY);
  return p;
}

bool ObjectPool::deallocate_slow(void* p) {
  const bool done = finish(pool->free_object(p));
  if (max_capacity != 0 && done) {
    live.fetch_sub(1, std::memory_order_relaxed);
  }
  return done;
}

} // namespace echo::memory_pool

struct thread_local_object_pool {
  ObjectPool objects;
};

thread_local_object_pool_t* thread_local_object_pool_create(const object_pool_config_t* config) {
  if (config == nullptr) {
    return fail<thread_local_object_pool_t*>(POOL_ERROR_NULL_POINTER);
  }
  if (config->object_size == 0) {
    return fail<thread_local_object_pool_t*>(POOL_ERROR_INVALID_SIZE);
  }
  auto* const handle = make_handle<thread_local_object_pool>();
  if (handle == nullptr || !handle->objects.open(*config, {})) {
    if (handle != nullptr) {
      drop_handle(handle);
    }
    return fail<thread_local_object_pool_t*>(POOL_ERROR_OUT_OF_MEMORY);
  }
  succeed();
  return handle;
}

void thread_local_object_pool_destroy(thread_local_object_pool_t* pool) {
  if (pool == nullptr) {
    fail<bool>(POOL_ERROR_NULL_POINTER);
    return;
  }
  close_pool(pool->objects.pool);
  drop_handle(pool);
  succeed();
}

void* thread_local_object_pool_allocate(thread_local_object_pool_t* pool) {
  return allocate_from(pool, &thread_local_object_pool::objects);
}

bool thread_local_object_pool_deallocate(thread_local_object_pool_t* pool, void* ptr) {
  return deallocate_to(pool, &thread_local_object_pool::objects, ptr);
}

void thread_local_object_pool_get_stats(const thread_local_object_pool_t* pool, size_t* allocated_count,
                                        size_t* free_count, double* hit_rate) {
  if (pool == nullptr) {
    fail<bool>(POOL_ERROR_NULL_POINTER);
    return;
  }
  const PoolCounters counters = pool->objects.pool->counters();
  if (allocated_count != nullptr) {
    *allocated_count = counters.allocations;
  }
  if (free_count != nullptr) {
    *free_count = counters.frees;
  }
  if (hit_rate != nullptr) {
    const auto allocations = static_cast<double>(counters.allocations);
    *hit_rate =
        allocations == 0 ? 0 : 1 - std::min(static_cast<double>(counters.refills), allocations) / allocations;
  }
  succeed();
}
