// SPDX-License-Identifier: MIT
//
// Purpose     global_slab_allocator_*: objects of any size.
#include "slab_allocator.h"

#include <algorithm>

using namespace echo::memory_pool;
using echo::native::PageKind;
using echo::native::PoolConfig;
using echo::native::PoolCounters;

namespace echo::memory_pool {

bool SlabAllocator::kind_of(const slab_allocator_config_t& config, SpaceKind* out) {
  out->numa_aware = config.numa_aware;
  out->pages = PageKind::Base;
  if (config.enable_huge_pages) {
    const bool gigantic = config.huge_page_size == std::size_t{1} << 30;
    if (!gigantic && config.huge_page_size != std::size_t{2} << 20) {
      return false;
    }
    out->pages = gigantic ? PageKind::Gigantic : PageKind::Transparent;
  }
  return true;
}

bool SlabAllocator::open(const slab_allocator_config_t& config, SpaceKind kind) {
  PoolConfig pool_config;
  pool_config.hints.least_slabs =
      static_cast<std::uint32_t>(std::min<std::size_t>(config.slabs_per_size_class, 16));
  pool = open_pool(kind, pool_config);
  slot = pool == nullptr ? 0 : pool->slot();
  return pool != nullptr;
}

void* SlabAllocator::allocate_slow(std::size_t size) {
  if (size == 0) {
    return fail<void*>(POOL_ERROR_INVALID_SIZE);
  }
  void* const p = pool->allocate(size);
  set_error(p != nullptr ? POOL_SUCCESS : POOL_ERROR_OUT_OF_MEMORY);
  return p;
}

bool SlabAllocator::deallocate_slow(void* p, std::size_t size) {
  return finish(pool->free(p, size));
}

} // namespace echo::memory_pool

struct global_slab_allocator {
  SlabAllocator slabs;
};

global_slab_allocator_t* global_slab_allocator_create(const slab_allocator_config_t* config) {
  if (config == nullptr) {
    return fail<global_slab_allocator_t*>(POOL_ERROR_NULL_POINTER);
  }
  SpaceKind kind;
  if (!SlabAllocator::kind_of(*config, &kind)) {
    return fail<global_slab_allocator_t*>(POOL_ERROR_INVALID_SIZE);
  }
  auto* const handle = make_handle<global_slab_allocator>();
  if (handle == nullptr || !handle->slabs.open(*config, kind)) {
    if (handle != nullptr) {
      drop_handle(handle);
    }
    return fail<global_slab_allocator_t*>(POOL_ERROR_OUT_OF_MEMORY);
  }
  succeed();
  return handle;
}

void global_slab_allocator_destroy(global_slab_allocator_t* allocator) {
  if (allocator == nullptr) {
    fail<bool>(POOL_ERROR_NULL_POINTER);
    return;
  }
  close_pool(allocator->slabs.pool);
  drop_handle(allocator);
  succeed();
}

void* global_slab_allocator_allocate(global_slab_allocator_t* allocator, size_t size) {
  return allocate_from(allocator, &global_slab_allocator::slabs, size);
}

bool global_slab_allocator_deallocate(global_slab_allocator_t* allocator, void* ptr, size_t size) {
  return deallocate_to(allocator, &global_slab_allocator::slabs, ptr, size);
}

void global_slab_allocator_get_stats(const global_slab_allocator_t* allocator, size_t* total_allocated,
                                     size_t* total_free, double* fragmentation_rate) {
  if (allocator == nullptr) {
    fail<bool>(POOL_ERROR_NULL_POINTER);
    return;
  }
  const PoolCounters counters = allocator->slabs.pool->counters();
  if (total_allocated != nullptr) {
    *total_allocated = counters.allocated_bytes;
  }
  if (total_free != nullptr) {
    *total_free = counters.freed_bytes;
  }
  if (fragmentation_rate != nullptr) {
    *fragmentation_rate = fragmentation(counters.live_bytes, counters.committed_bytes);
  }
  succeed();
}
