// SPDX-License-Identifier: MIT
//
// Purpose     The headers of the C API in C++20: every macro expands, every kind of function links.
#include "echo/gc.h"
#include "echo/industrial_memory_pool.h"

#include <cstdio>
#include <type_traits>

CACHE_ALIGNED_TYPE(int);
static_assert(sizeof(cache_aligned_int) == CACHE_LINE_SIZE && alignof(cache_aligned_int) == CACHE_LINE_SIZE);
static_assert(sizeof(SIZE_CLASSES) / sizeof(SIZE_CLASSES[0]) == SIZE_CLASSES_COUNT && SIZE_CLASS_1024 == 11);
static_assert(sizeof(task_header_t) == 64);
static_assert(std::is_standard_layout_v<industrial_memory_pool_config_t>);
static_assert(std::is_standard_layout_v<echo_gc_metrics_t> && std::is_standard_layout_v<echo_gc_stats_t>);

int main() {
  const object_pool_config_t objects = OBJECT_POOL_DEFAULT_CONFIG(24);
  slab_allocator_config_t slabs = SLAB_ALLOCATOR_DEFAULT_CONFIG();
  slabs = SLAB_ALLOCATOR_DEFAULT_CONFIG(); // an expression as well as an initialiser
  memory_reclamation_config_t reclamation = MEMORY_RECLAMATION_DEFAULT_CONFIG();
  reclamation = MEMORY_RECLAMATION_DEFAULT_CONFIG();
  const industrial_memory_pool_config_t all = INDUSTRIAL_MEMORY_POOL_DEFAULT_CONFIG();
  int word = 1;
  ATOMIC_STORE(&word, 2);
  MEMORY_BARRIER();
  bool good = ATOMIC_LOAD(&word) == 2 && objects.object_size == 24 && slabs.slabs_per_size_class == 8 &&
              reclamation.max_pause_us == 100 && all.max_threads == 64;

  industrial_memory_pool_t* const pool = industrial_memory_pool_create(&all);
  void* const task = industrial_memory_pool_allocate_task(pool);
  good = good && task != nullptr && industrial_memory_pool_deallocate_task(pool, task) &&
         !industrial_memory_pool_deallocate_task(pool, task) &&
         industrial_memory_pool_get_last_error() == POOL_ERROR_DOUBLE_FREE;
  industrial_memory_pool_destroy(pool);

  async_runtime_memory_pool_t* const runtime = async_runtime_memory_pool_create();
  good = good && async_runtime_memory_pool_allocate_stack(runtime, 4096) != nullptr;
  async_runtime_memory_pool_destroy(runtime);

  void* object = nullptr;
  good = good && echo_gc_init(nullptr) == ECHO_GC_SUCCESS &&
         echo_gc_allocate(100, ECHO_OBJ_TYPE_MAP, &object) == ECHO_GC_SUCCESS && object != nullptr;
  echo_gc_shutdown();
  std::printf("%s\n", good ? "all checks passed" : "a check failed");
  return good ? 0 : 1;
}
