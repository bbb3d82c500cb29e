/* SPDX-License-Identifier: MIT
 *
 * echo/industrial_memory_pool.h - the C API of existing Echo code: object pools, a slab allocator, a
 * reclaimer, and a pool that bundles them.
 *
 * Purpose     Source compatible with existing callers, on native memory: never moved, freed explicitly, of
 *             any size. In libecho_memory_pool.so.
 * Errors      A failing call returns null, false or 0 and sets industrial_memory_pool_get_last_error(), per
 *             thread; a succeeding one sets POOL_SUCCESS. Nothing aborts. A free that fails changes nothing:
 *               POOL_ERROR_NULL_POINTER  a null argument, or a pointer to no memory of this pool
 *               POOL_ERROR_ALIGNMENT     a pointer into an object or between objects
 *               POOL_ERROR_INVALID_SIZE  an object of another size; a size of 0; a value out of range
 *               POOL_ERROR_DOUBLE_FREE   memory of the pool in which no object lives (any more)
 *               POOL_ERROR_OUT_OF_MEMORY the system refuses memory, or max_capacity is reached
 *             Frees of one object by two threads at the same moment, one of them the thread that allocated it,
 *             may both report success; the object is free once.
 * Threads     Every function may be called from any thread at any time, except that destroying must not
 *             overlap with use. An object may be freed by another thread than the one that allocated it.
 * Alignment   An object is aligned to the largest power of two that divides its size rounded up to 8 bytes
 *             (64 and 128 B objects start on a cache line); one over 1 KiB to a page.
 */
#ifndef ECHO_INDUSTRIAL_MEMORY_POOL_H
#define ECHO_INDUSTRIAL_MEMORY_POOL_H

#include "echo/async_memory_pool.h"
#include "echo/base.h"

#include <stdbool.h>
#include <stdlib.h>
#ifndef __cplusplus
#include <stdatomic.h>
#endif

ECHO_BEGIN_DECLS

typedef enum {
  POOL_SUCCESS = 0,
  POOL_ERROR_NULL_POINTER = -1,
  POOL_ERROR_INVALID_SIZE = -2,
  POOL_ERROR_OUT_OF_MEMORY = -3,
  POOL_ERROR_THREAD_SAFETY = -4,
  POOL_ERROR_ALIGNMENT = -5,
  POOL_ERROR_DOUBLE_FREE = -6
} pool_error_t;

#define CACHE_LINE_SIZE 64
#define CACHE_LINE_ALIGNED __attribute__((aligned(CACHE_LINE_SIZE)))
/* Keeps the compiler from moving memory accesses across it. */
#define MEMORY_BARRIER() __asm__ __volatile__("" ::: "memory")
#ifdef __cplusplus
#define ATOMIC_LOAD(ptr) __atomic_load_n(ptr, __ATOMIC_ACQUIRE)
#define ATOMIC_STORE(ptr, val) __atomic_store_n(ptr, val, __ATOMIC_RELEASE)
#else
#define ATOMIC_LOAD(ptr) atomic_load_explicit(ptr, memory_order_acquire)
#define ATOMIC_STORE(ptr, val) atomic_store_explicit(ptr, val, memory_order_release)
#endif
/* Defines cache_aligned_<type>: a value alone on its cache line. */
#define CACHE_ALIGNED_TYPE(type)                                                                             \
  typedef struct {                                                                                           \
    type data;                                                                                               \
    char padding[CACHE_LINE_SIZE - sizeof(type)];                                                            \
  } CACHE_LINE_ALIGNED cache_aligned_##type

#define SIZE_CLASSES_COUNT 12
__attribute__((unused)) static const size_t SIZE_CLASSES[SIZE_CLASSES_COUNT] = {
    8, 16, 32, 64, 96, 128, 192, 256, 384, 512, 768, 1024};

typedef enum {
  SIZE_CLASS_8 = 0,
  SIZE_CLASS_16,
  SIZE_CLASS_32,
  SIZE_CLASS_64,
  SIZE_CLASS_96,
  SIZE_CLASS_128,
  SIZE_CLASS_192,
  SIZE_CLASS_256,
  SIZE_CLASS_384,
  SIZE_CLASS_512,
  SIZE_CLASS_768,
  SIZE_CLASS_1024
} size_class_t;

/* --- object pools
 * ------------------------------------------------------------------------------------------------ */

typedef struct {
  size_t object_size;      /* bytes, any magnitude above 0 */
  size_t initial_capacity; /* a hint */
  size_t max_capacity;     /* live objects at most; 0: no limit */
  bool thread_safe;        /* a hint: pools are thread-safe always */
  size_t l1_cache_size;    /* objects a thread keeps on its stack to begin with; adapts */
  size_t l2_cache_size;    /* objects a thread keeps in slabs of its own */
  size_t batch_alloc_size; /* objects fetched at once to begin with; adapts */
} object_pool_config_t;

#define OBJECT_POOL_DEFAULT_CONFIG(object_size) {(object_size), 64, 0, true, 32, 128, 16}

typedef struct thread_local_object_pool thread_local_object_pool_t;

ECHO_EXPORT thread_local_object_pool_t* thread_local_object_pool_create(const object_pool_config_t* config);
/* Frees the live objects, too. */
ECHO_EXPORT void thread_local_object_pool_destroy(thread_local_object_pool_t* pool);
ECHO_EXPORT void* thread_local_object_pool_allocate(thread_local_object_pool_t* pool);
ECHO_EXPORT bool thread_local_object_pool_deallocate(thread_local_object_pool_t* pool, void* ptr);
/* Objects ever allocated and freed; the share of allocations a thread's stack served at once. Each may be
 * null. */
ECHO_EXPORT void thread_local_object_pool_get_stats(const thread_local_object_pool_t* pool,
                                                    size_t* allocated_count, size_t* free_count,
                                                    double* hit_rate);

/* --- slab allocator
 * ---------------------------------------------------------------------------------------------- */

typedef struct {
  size_t slabs_per_size_class; /* a hint: empty slabs a thread keeps per size */
  bool enable_huge_pages;
  size_t huge_page_size; /* 2 MiB or 1 GiB; where the system has none, the base pages are used */
  bool numa_aware;       /* take memory from the node of the calling thread first */
} slab_allocator_config_t;

#ifdef __cplusplus
#define SLAB_ALLOCATOR_DEFAULT_CONFIG()                                                                      \
  slab_allocator_config_t {                                                                                  \
    8, true, 2 * 1024 * 1024, false                                                                          \
  }
#else
#define SLAB_ALLOCATOR_DEFAULT_CONFIG()                                                                      \
  (slab_allocator_config_t) {                                                                                \
    8, true, 2 * 1024 * 1024, false                                                                          \
  }
#endif

typedef struct global_slab_allocator global_slab_allocator_t;

ECHO_EXPORT global_slab_allocator_t* global_slab_allocator_create(const slab_allocator_config_t* config);
/* Frees the live objects, too. */
ECHO_EXPORT void global_slab_allocator_destroy(global_slab_allocator_t* allocator);
ECHO_EXPORT void* global_slab_allocator_allocate(global_slab_allocator_t* allocator, size_t size);
ECHO_EXPORT bool global_slab_allocator_deallocate(global_slab_allocator_t* allocator, void* ptr, size_t size);
/* Bytes ever allocated and freed, in cells and pages; 1 - live / committed. Each may be null. */
ECHO_EXPORT void global_slab_allocator_get_stats(const global_slab_allocator_t* allocator,
                                                 size_t* total_allocated, size_t* total_free,
                                                 double* fragmentation_rate);

/* --- reclaimer
 * --------------------------------------------------------------------------------------------------- */

typedef struct {
  double gc_threshold; /* 0..1: gc without force works only if less than this share of the memory is live */
  size_t max_pause_us; /* the longest such a gc works */
  bool enable_incremental_gc;  /* false: gc does all there is to do */
  bool enable_compaction;      /* false: compact does nothing */
  size_t compaction_threshold; /* percent of a slab that must be free before it is compacted, at most 100 */
} memory_reclamation_config_t;

#ifdef __cplusplus
#define MEMORY_RECLAMATION_DEFAULT_CONFIG() memory_reclamation_config_t{0.8, 100, true, true, 30}
#else
#define MEMORY_RECLAMATION_DEFAULT_CONFIG() (memory_reclamation_config_t){0.8, 100, true, true, 30}
#endif

typedef struct memory_reclaimer memory_reclaimer_t;

/* A reclaimer serves all pools of the process. */
ECHO_EXPORT memory_reclaimer_t* memory_reclaimer_create(const memory_reclamation_config_t* config);
ECHO_EXPORT void memory_reclaimer_destroy(memory_reclaimer_t* reclaimer);
/* Collects free memory out of this thread's caches and those of threads that are gone, asks the other threads
 * to do the same, and gives it to the system. The bytes that left memory. */
ECHO_EXPORT size_t memory_reclaimer_gc(memory_reclaimer_t* reclaimer, bool force);
/* Gives the free pages inside sparsely used slabs to the system; objects do not move. The bytes that left
 * memory. */
ECHO_EXPORT size_t memory_reclaimer_compact(memory_reclaimer_t* reclaimer);
/* gc_count counts collections that worked; total_reclaimed includes compaction. Each may be null. */
ECHO_EXPORT void memory_reclaimer_get_stats(const memory_reclaimer_t* reclaimer, uint64_t* gc_count,
                                            size_t* total_reclaimed, double* avg_pause_us);

/* --- the whole
 * --------------------------------------------------------------------------------------------------- */

typedef struct industrial_memory_pool industrial_memory_pool_t;

typedef struct {
  object_pool_config_t task_pool_config;
  object_pool_config_t waker_pool_config;
  object_pool_config_t channel_node_pool_config;
  slab_allocator_config_t slab_config;
  memory_reclamation_config_t reclamation_config;
  size_t max_threads; /* a hint */
} industrial_memory_pool_config_t;

#define INDUSTRIAL_MEMORY_POOL_DEFAULT_CONFIG()                                                              \
  {OBJECT_POOL_DEFAULT_CONFIG(128), OBJECT_POOL_DEFAULT_CONFIG(64),      OBJECT_POOL_DEFAULT_CONFIG(96),     \
   SLAB_ALLOCATOR_DEFAULT_CONFIG(), MEMORY_RECLAMATION_DEFAULT_CONFIG(), 64}

ECHO_EXPORT industrial_memory_pool_t*
industrial_memory_pool_create(const industrial_memory_pool_config_t* config);
/* Frees the live objects, too. */
ECHO_EXPORT void industrial_memory_pool_destroy(industrial_memory_pool_t* pool);
ECHO_EXPORT void* industrial_memory_pool_allocate_task(industrial_memory_pool_t* pool);
ECHO_EXPORT bool industrial_memory_pool_deallocate_task(industrial_memory_pool_t* pool, void* task);
ECHO_EXPORT void* industrial_memory_pool_allocate_waker(industrial_memory_pool_t* pool);
ECHO_EXPORT bool industrial_memory_pool_deallocate_waker(industrial_memory_pool_t* pool, void* waker);
ECHO_EXPORT void* industrial_memory_pool_allocate_channel_node(industrial_memory_pool_t* pool);
ECHO_EXPORT bool industrial_memory_pool_deallocate_channel_node(industrial_memory_pool_t* pool, void* node);
ECHO_EXPORT void* industrial_memory_pool_allocate(industrial_memory_pool_t* pool, size_t size);
ECHO_EXPORT bool industrial_memory_pool_deallocate(industrial_memory_pool_t* pool, void* ptr, size_t size);
/* As memory_reclaimer_gc with force and, if enabled, memory_reclaimer_compact, for this pool's memory. */
ECHO_EXPORT size_t industrial_memory_pool_gc(industrial_memory_pool_t* pool);
/* Bytes ever allocated and freed on all paths; 1 - live / committed. Each may be null. */
ECHO_EXPORT void industrial_memory_pool_get_stats(const industrial_memory_pool_t* pool,
                                                  size_t* total_allocated, size_t* total_free,
                                                  double* fragmentation_rate, uint64_t* gc_count);
/* The outcome of this thread's last call. */
ECHO_EXPORT pool_error_t industrial_memory_pool_get_last_error(void);

ECHO_END_DECLS

#endif /* ECHO_INDUSTRIAL_MEMORY_POOL_H */
