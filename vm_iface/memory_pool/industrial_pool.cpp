// SPDX-License-Identifier: MIT
//
// Purpose     industrial_memory_pool_*: three object pools, a slab allocator and reclamation in one handle.
#include "echo/industrial_memory_pool.h"
#include "object_pool.h"
#include "reclaimer.h"
#include "slab_allocator.h"

#include <array>
#include <atomic>

using namespace echo::memory_pool;
using echo::native::Pool;
using echo::native::PoolCounters;

struct industrial_memory_pool {
  ObjectPool tasks, wakers, nodes;
  SlabAllocator slabs;
  memory_reclamation_config_t reclamation{};
  std::atomic<std::uint64_t> collections{0};

  std::array<Pool*, 4> pools() const { return {tasks.pool, wakers.pool, nodes.pool, slabs.pool}; }
};

industrial_memory_pool_t* industrial_memory_pool_create(const industrial_memory_pool_config_t* config) {
  using Handle = industrial_memory_pool_t*;
  if (config == nullptr) {
    return fail<Handle>(POOL_ERROR_NULL_POINTER);
  }
  const memory_reclamation_config_t& reclamation = config->reclamation_config;
  SpaceKind kind;
  if (config->task_pool_config.object_size == 0 || config->waker_pool_config.object_size == 0 ||
      config->channel_node_pool_config.object_size == 0 ||
      !SlabAllocator::kind_of(config->slab_config, &kind) ||
      !(reclamation.gc_threshold >= 0 && reclamation.gc_threshold <= 1) ||
      reclamation.compaction_threshold > 100) {
    return fail<Handle>(POOL_ERROR_INVALID_SIZE);
  }
  auto* const handle = make_handle<industrial_memory_pool>();
  if (handle == nullptr) {
    return fail<Handle>(POOL_ERROR_OUT_OF_MEMORY);
  }
  handle->reclamation = reclamation;
  if (!handle->tasks.open(config->task_pool_config, kind) ||
      !handle->wakers.open(config->waker_pool_config, kind) ||
      !handle->nodes.open(config->channel_node_pool_config, kind) ||
      !handle->slabs.open(config->slab_config, kind)) {
    industrial_memory_pool_destroy(handle);
    return fail<Handle>(POOL_ERROR_OUT_OF_MEMORY);
  }
  succeed();
  return handle;
}

void industrial_memory_pool_destroy(industrial_memory_pool_t* pool) {
  if (pool == nullptr) {
    fail<bool>(POOL_ERROR_NULL_POINTER);
    return;
  }
  for (Pool* const p : pool->pools()) {
    close_pool(p);
  }
  drop_handle(pool);
  succeed();
}

void* industrial_memory_pool_allocate_task(industrial_memory_pool_t* pool) {
  return allocate_from(pool, &industrial_memory_pool::tasks);
}
bool industrial_memory_pool_deallocate_task(industrial_memory_pool_t* pool, void* task) {
  return deallocate_to(pool, &industrial_memory_pool::tasks, task);
}
void* industrial_memory_pool_allocate_waker(industrial_memory_pool_t* pool) {
  return allocate_from(pool, &industrial_memory_pool::wakers);
}
bool industrial_memory_pool_deallocate_waker(industrial_memory_pool_t* pool, void* waker) {
  return deallocate_to(pool, &industrial_memory_pool::wakers, waker);
}
void* industrial_memory_pool_allocate_channel_node(industrial_memory_pool_t* pool) {
  return allocate_from(pool, &industrial_memory_pool::nodes);
}
bool industrial_memory_pool_deallocate_channel_node(industrial_memory_pool_t* pool, void* node) {
  return deallocate_to(pool, &industrial_memory_pool::nodes, node);
}
void* industrial_memory_pool_allocate(industrial_memory_pool_t* pool, size_t size) {
  return allocate_from(pool, &industrial_memory_pool::slabs, size);
}
bool industrial_memory_pool_deallocate(industrial_memory_pool_t* pool, void* ptr, size_t size) {
  return deallocate_to(pool, &industrial_memory_pool::slabs, ptr, size);
}

size_t industrial_memory_pool_gc(industrial_memory_pool_t* pool) {
  if (pool == nullptr) {
    return fail<size_t>(POOL_ERROR_NULL_POINTER);
  }
  for (Pool* const p : pool->pools()) {
    p->trim(kNoDeadline);
  }
  size_t bytes = return_free_memory(kNoDeadline);
  if (pool->reclamation.enable_compaction) {
    for (Pool* const p : pool->pools()) {
      bytes += p->release_free_pages(static_cast<std::uint32_t>(pool->reclamation.compaction_threshold));
    }
  }
  pool->collections.fetch_add(1, std::memory_order_relaxed);
  succeed();
  return bytes;
}

void industrial_memory_pool_get_stats(const industrial_memory_pool_t* pool, size_t* total_allocated,
                                      size_t* total_free, double* fragmentation_rate, uint64_t* gc_count) {
  if (pool == nullptr) {
    fail<bool>(POOL_ERROR_NULL_POINTER);
    return;
  }
  PoolCounters sum;
  for (Pool* const p : pool->pools()) {
    const PoolCounters counters = p->counters();
    sum.allocated_bytes += counters.allocated_bytes;
    sum.freed_bytes += counters.freed_bytes;
    sum.live_bytes += counters.live_bytes;
    sum.committed_bytes += counters.committed_bytes;
  }
  if (total_allocated != nullptr) {
    *total_allocated = sum.allocated_bytes;
  }
  if (total_free != nullptr) {
    *total_free = sum.freed_bytes;
  }
  if (fragmentation_rate != nullptr) {
    *fragmentation_rate = fragmentation(sum.live_bytes, sum.committed_bytes);
  }
  if (gc_count != nullptr) {
    *gc_count = pool->collections.load(std::memory_order_relaxed);
  }
  succeed();
}
