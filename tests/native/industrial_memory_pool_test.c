/* SPDX-License-Identifier: MIT
 *
 * Purpose     The C API as existing code uses it, in C11: pools, slabs, reclaimer, the bundle, threads, misuse. Each
 *             defect that was found in the original has a test here that would catch it; they are marked [defect].
 */
#include "echo/industrial_memory_pool.h"

#include "check.h"

#include <pthread.h>
#include <string.h>
#include <time.h>

enum { LOOP = 100000 };
static void* objects[LOOP];

/* --- constants and configurations ------------------------------------------------------------------------------- */

CACHE_ALIGNED_TYPE(int);
typedef CACHE_LINE_ALIGNED struct {
  char c;
} aligned_char;

static void test_constants(void) {
  CHECK(POOL_SUCCESS == 0 && POOL_ERROR_NULL_POINTER == -1 && POOL_ERROR_INVALID_SIZE == -2);
  CHECK(POOL_ERROR_OUT_OF_MEMORY == -3 && POOL_ERROR_THREAD_SAFETY == -4);
  CHECK(POOL_ERROR_ALIGNMENT == -5 && POOL_ERROR_DOUBLE_FREE == -6);
  CHECK(SIZE_CLASSES_COUNT == 12 && sizeof SIZE_CLASSES / sizeof SIZE_CLASSES[0] == 12);
  CHECK(SIZE_CLASSES[SIZE_CLASS_8] == 8 && SIZE_CLASSES[SIZE_CLASS_16] == 16);
  CHECK(SIZE_CLASSES[SIZE_CLASS_32] == 32 && SIZE_CLASSES[SIZE_CLASS_64] == 64);
  CHECK(SIZE_CLASSES[SIZE_CLASS_96] == 96 && SIZE_CLASSES[SIZE_CLASS_128] == 128);
  CHECK(SIZE_CLASSES[SIZE_CLASS_192] == 192 && SIZE_CLASSES[SIZE_CLASS_256] == 256);
  CHECK(SIZE_CLASSES[SIZE_CLASS_384] == 384 && SIZE_CLASSES[SIZE_CLASS_512] == 512);
  CHECK(SIZE_CLASSES[SIZE_CLASS_768] == 768 && SIZE_CLASSES[SIZE_CLASS_1024] == 1024);
  CHECK(CACHE_LINE_SIZE == 64 && sizeof(cache_aligned_int) == 64 && _Alignof(cache_aligned_int) == 64);
  CHECK(_Alignof(aligned_char) == 64);
  atomic_int word = 3;
  ATOMIC_STORE(&word, 4);
  MEMORY_BARRIER();
  CHECK(ATOMIC_LOAD(&word) == 4);
}

static void test_default_configurations(void) {
  const object_pool_config_t object = OBJECT_POOL_DEFAULT_CONFIG(40);
  CHECK(object.object_size == 40 && object.initial_capacity == 64 && object.max_capacity == 0);
  CHECK(object.thread_safe && object.l1_cache_size == 32 && object.l2_cache_size == 128);
  CHECK(object.batch_alloc_size == 16);
  const slab_allocator_config_t slabs = SLAB_ALLOCATOR_DEFAULT_CONFIG();
  CHECK(slabs.slabs_per_size_class == 8 && slabs.enable_huge_pages && !slabs.numa_aware);
  CHECK(slabs.huge_page_size == 2u << 20);
  const memory_reclamation_config_t reclamation = MEMORY_RECLAMATION_DEFAULT_CONFIG();
  CHECK(reclamation.gc_threshold == 0.8 && reclamation.max_pause_us == 100);
  CHECK(reclamation.enable_incremental_gc && reclamation.enable_compaction);
  CHECK(reclamation.compaction_threshold == 30);
  const industrial_memory_pool_config_t all = INDUSTRIAL_MEMORY_POOL_DEFAULT_CONFIG();
  CHECK(all.task_pool_config.object_size == 128 && all.waker_pool_config.object_size == 64);
  CHECK(all.channel_node_pool_config.object_size == 96 && all.max_threads == 64);
  CHECK(all.slab_config.slabs_per_size_class == 8 && all.reclamation_config.max_pause_us == 100);
}

/* --- object pools ----------------------------------------------------------------------------------------------- */

static thread_local_object_pool_t* open_objects(size_t size) {
  const object_pool_config_t config = OBJECT_POOL_DEFAULT_CONFIG(size);
  thread_local_object_pool_t* const pool = thread_local_object_pool_create(&config);
  CHECK_CALL(pool != NULL, POOL_SUCCESS);
  return pool;
}

static void test_object_pool(void) {
  thread_local_object_pool_t* const pool = open_objects(64);
  void* const a = thread_local_object_pool_allocate(pool);
  void* const b = thread_local_object_pool_allocate(pool);
  CHECK(a != NULL && b != NULL && a != b);
  CHECK((size_t)a % 64 == 0 && (size_t)b % 64 == 0);
  memset(a, 1, 64);
  memset(b, 2, 64);
  CHECK(((char*)a)[63] == 1 && ((char*)b)[0] == 2);
  CHECK_CALL(thread_local_object_pool_deallocate(pool, a), POOL_SUCCESS);
  /* [defect] double frees are accepted */
  CHECK_CALL(!thread_local_object_pool_deallocate(pool, a), POOL_ERROR_DOUBLE_FREE);
  CHECK_CALL(!thread_local_object_pool_deallocate(pool, (char*)b + 8), POOL_ERROR_ALIGNMENT);
  CHECK_CALL(!thread_local_object_pool_deallocate(pool, &failures), POOL_ERROR_NULL_POINTER);
  CHECK_CALL(!thread_local_object_pool_deallocate(pool, NULL), POOL_ERROR_NULL_POINTER);
  CHECK_CALL(thread_local_object_pool_deallocate(pool, b), POOL_SUCCESS);
  size_t allocated = 0;
  size_t freed = 0;
  double hits = 0;
  thread_local_object_pool_get_stats(pool, &allocated, &freed, &hits);
  CHECK(allocated == 2 && freed == 2);
  CHECK(hits >= 0 && hits <= 1);
  thread_local_object_pool_get_stats(pool, NULL, NULL, NULL);
  thread_local_object_pool_destroy(pool);
}

static void test_object_pool_creation_fails(void) {
  object_pool_config_t config = OBJECT_POOL_DEFAULT_CONFIG(0);
  CHECK_CALL(thread_local_object_pool_create(&config) == NULL, POOL_ERROR_INVALID_SIZE);
  CHECK_CALL(thread_local_object_pool_create(NULL) == NULL, POOL_ERROR_NULL_POINTER);
  config.object_size = (size_t)-1;
  thread_local_object_pool_t* const pool = thread_local_object_pool_create(&config);
  CHECK_CALL(thread_local_object_pool_allocate(pool) == NULL, POOL_ERROR_OUT_OF_MEMORY);
  thread_local_object_pool_destroy(pool);
}

/* [defect] the original's test aborts with an invalid free: nulls everywhere are errors, not crashes */
static void test_null_handles(void) {
  size_t size = 7;
  CHECK_CALL(thread_local_object_pool_allocate(NULL) == NULL, POOL_ERROR_NULL_POINTER);
  CHECK_CALL(!thread_local_object_pool_deallocate(NULL, objects), POOL_ERROR_NULL_POINTER);
  thread_local_object_pool_destroy(NULL);
  thread_local_object_pool_get_stats(NULL, &size, NULL, NULL);
  CHECK_CALL(global_slab_allocator_create(NULL) == NULL, POOL_ERROR_NULL_POINTER);
  CHECK_CALL(global_slab_allocator_allocate(NULL, 8) == NULL, POOL_ERROR_NULL_POINTER);
  CHECK_CALL(!global_slab_allocator_deallocate(NULL, objects, 8), POOL_ERROR_NULL_POINTER);
  global_slab_allocator_destroy(NULL);
  global_slab_allocator_get_stats(NULL, &size, NULL, NULL);
  CHECK_CALL(memory_reclaimer_create(NULL) == NULL, POOL_ERROR_NULL_POINTER);
  CHECK_CALL(memory_reclaimer_gc(NULL, true) == 0, POOL_ERROR_NULL_POINTER);
  CHECK_CALL(memory_reclaimer_compact(NULL) == 0, POOL_ERROR_NULL_POINTER);
  memory_reclaimer_destroy(NULL);
  memory_reclaimer_get_stats(NULL, NULL, &size, NULL);
  CHECK_CALL(industrial_memory_pool_create(NULL) == NULL, POOL_ERROR_NULL_POINTER);
  CHECK_CALL(industrial_memory_pool_allocate_task(NULL) == NULL, POOL_ERROR_NULL_POINTER);
  CHECK_CALL(!industrial_memory_pool_deallocate_task(NULL, objects), POOL_ERROR_NULL_POINTER);
  CHECK_CALL(industrial_memory_pool_allocate_waker(NULL) == NULL, POOL_ERROR_NULL_POINTER);
  CHECK_CALL(!industrial_memory_pool_deallocate_waker(NULL, objects), POOL_ERROR_NULL_POINTER);
  CHECK_CALL(industrial_memory_pool_allocate_channel_node(NULL) == NULL, POOL_ERROR_NULL_POINTER);
  CHECK_CALL(!industrial_memory_pool_deallocate_channel_node(NULL, objects), POOL_ERROR_NULL_POINTER);
  CHECK_CALL(industrial_memory_pool_allocate(NULL, 8) == NULL, POOL_ERROR_NULL_POINTER);
  CHECK_CALL(!industrial_memory_pool_deallocate(NULL, objects, 8), POOL_ERROR_NULL_POINTER);
  CHECK_CALL(industrial_memory_pool_gc(NULL) == 0, POOL_ERROR_NULL_POINTER);
  industrial_memory_pool_destroy(NULL);
  industrial_memory_pool_get_stats(NULL, &size, NULL, NULL, NULL);
  CHECK(size == 7);
}

static int by_address(const void* a, const void* b) {
  const char* const x = *(char* const*)a;
  const char* const y = *(char* const*)b;
  return (x > y) - (x < y);
}

/* [defect] pools hand the same pointer out twice; [defect] classes run out after 32 to 4096 objects */
static void test_100k_objects(void) {
  thread_local_object_pool_t* const pool = open_objects(128);
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < LOOP; ++i) {
      objects[i] = thread_local_object_pool_allocate(pool);
      CHECK(objects[i] != NULL);
      memset(objects[i], i & 127, 128);
    }
    for (int i = 0; i < LOOP; ++i) {
      CHECK(((char*)objects[i])[0] == (i & 127) && ((char*)objects[i])[127] == (i & 127));
    }
    qsort(objects, LOOP, sizeof objects[0], by_address);
    for (int i = 1; i < LOOP; ++i) {
      CHECK((char*)objects[i] - (char*)objects[i - 1] >= 128);
    }
    for (int i = 0; i < LOOP; ++i) {
      CHECK(thread_local_object_pool_deallocate(pool, objects[(i * 7919L) % LOOP]));
    }
    for (int i = 0; i < LOOP; i += 97) {
      CHECK(!thread_local_object_pool_deallocate(pool, objects[i]));
    }
  }
  size_t allocated = 0;
  size_t freed = 0;
  double hits = 0;
  thread_local_object_pool_get_stats(pool, &allocated, &freed, &hits);
  CHECK(allocated == 3u * LOOP && freed == 3u * LOOP);
  CHECK(hits > 0.9);
  thread_local_object_pool_destroy(pool);
}

static void test_max_capacity(void) {
  object_pool_config_t config = OBJECT_POOL_DEFAULT_CONFIG(32);
  config.max_capacity = 10;
  thread_local_object_pool_t* const pool = thread_local_object_pool_create(&config);
  void* held[10];
  for (int round = 0; round < 3; ++round) {
    for (int i = 0; i < 10; ++i) {
      held[i] = thread_local_object_pool_allocate(pool);
      CHECK(held[i] != NULL);
    }
    CHECK_CALL(thread_local_object_pool_allocate(pool) == NULL, POOL_ERROR_OUT_OF_MEMORY);
    CHECK(!thread_local_object_pool_deallocate(pool, &config));
    CHECK_CALL(thread_local_object_pool_allocate(pool) == NULL, POOL_ERROR_OUT_OF_MEMORY);
    for (int i = 0; i < 10; ++i) {
      CHECK(thread_local_object_pool_deallocate(pool, held[i]));
    }
  }
  thread_local_object_pool_destroy(pool);
}

/* --- slab allocator --------------------------------------------------------------------------------------------- */

static global_slab_allocator_t* open_slabs(void) {
  const slab_allocator_config_t config = SLAB_ALLOCATOR_DEFAULT_CONFIG();
  global_slab_allocator_t* const slabs = global_slab_allocator_create(&config);
  CHECK_CALL(slabs != NULL, POOL_SUCCESS);
  return slabs;
}

/* [defect] sizes over 1024 silently get 1024 bytes */
static void test_sizes_of_any_magnitude(void) {
  global_slab_allocator_t* const slabs = open_slabs();
  const size_t sizes[] = {1,    7,    8,    100,   1023,     1024,           1025,
                          1500, 4096, 5000, 65536, 1u << 20, (1u << 20) + 1, 40u << 20};
  enum { COUNT = sizeof sizes / sizeof sizes[0] };
  char* held[COUNT][2];
  for (int i = 0; i < COUNT; ++i) {
    for (int k = 0; k < 2; ++k) {
      held[i][k] = global_slab_allocator_allocate(slabs, sizes[i]);
      CHECK_CALL(held[i][k] != NULL, POOL_SUCCESS);
      memset(held[i][k], 2 * i + k + 1, sizes[i]);
    }
  }
  for (int i = 0; i < COUNT; ++i) {
    for (int k = 0; k < 2; ++k) {
      size_t same = 0;
      while (same < sizes[i] && held[i][k][same] == 2 * i + k + 1) {
        ++same;
      }
      CHECK(same == sizes[i]);
      CHECK_CALL(!global_slab_allocator_deallocate(slabs, held[i][k], sizes[i] + 5000),
                 POOL_ERROR_INVALID_SIZE);
      CHECK_CALL(!global_slab_allocator_deallocate(slabs, held[i][k] + 1, sizes[i]), POOL_ERROR_ALIGNMENT);
      CHECK_CALL(global_slab_allocator_deallocate(slabs, held[i][k], sizes[i]), POOL_SUCCESS);
      CHECK_CALL(!global_slab_allocator_deallocate(slabs, held[i][k], sizes[i]), POOL_ERROR_DOUBLE_FREE);
    }
  }
  CHECK_CALL(global_slab_allocator_allocate(slabs, 0) == NULL, POOL_ERROR_INVALID_SIZE);
  CHECK_CALL(global_slab_allocator_allocate(slabs, (size_t)-1) == NULL, POOL_ERROR_OUT_OF_MEMORY);
  CHECK_CALL(global_slab_allocator_allocate(slabs, (size_t)1 << 60) == NULL, POOL_ERROR_OUT_OF_MEMORY);
  CHECK_CALL(!global_slab_allocator_deallocate(slabs, NULL, 8), POOL_ERROR_NULL_POINTER);
  CHECK_CALL(!global_slab_allocator_deallocate(slabs, objects, 8), POOL_ERROR_NULL_POINTER);
  global_slab_allocator_destroy(slabs);
}

static void test_slab_configurations(void) {
  slab_allocator_config_t config = SLAB_ALLOCATOR_DEFAULT_CONFIG();
  config.huge_page_size = 12345;
  CHECK_CALL(global_slab_allocator_create(&config) == NULL, POOL_ERROR_INVALID_SIZE);
  const size_t pages[] = {(size_t)2 << 20, (size_t)1 << 30, 0};
  for (int i = 0; i < 6; ++i) {
    config.enable_huge_pages = pages[i / 2] != 0;
    config.huge_page_size = pages[i / 2];
    config.numa_aware = i % 2 == 1;
    config.slabs_per_size_class = (size_t)i * 100;
    global_slab_allocator_t* const slabs = global_slab_allocator_create(&config);
    CHECK_CALL(slabs != NULL, POOL_SUCCESS);
    void* const p = global_slab_allocator_allocate(slabs, 100);
    CHECK(p != NULL);
    memset(p, 1, 100);
    CHECK(global_slab_allocator_deallocate(slabs, p, 100));
    global_slab_allocator_destroy(slabs);
  }
}

/* Fragmentation of a mixed-size random workload: 1 - live / committed, and bytes lost inside cells. */
static void test_fragmentation(void) {
  global_slab_allocator_t* const slabs = open_slabs();
  static unsigned short sizes[LOOP];
  unsigned random = 12345;
  size_t asked = 0;
  size_t allocated = 0;
  size_t freed = 0;
  double rate = -1;
  global_slab_allocator_get_stats(slabs, &allocated, &freed, &rate);
  CHECK(allocated == 0 && freed == 0 && rate == 0);
  for (int i = 0; i < LOOP; ++i) {
    random = random * 1664525u + 1013904223u;
    const unsigned kind = (random >> 16) % 10;
    const unsigned spread = kind < 6 ? 5 : kind < 9 ? 11 : 113;
    sizes[i] = (unsigned short)(8 * ((kind < 6 ? 2 : kind < 9 ? 6 : 16) + (random >> 8) % spread));
    objects[i] = global_slab_allocator_allocate(slabs, sizes[i]);
    asked += sizes[i];
  }
  global_slab_allocator_get_stats(slabs, &allocated, &freed, &rate);
  CHECK(freed == 0);
  const double internal = 1 - (double)asked / (double)allocated;
  const double utilisation = (1 - rate) * (1 - internal);
  printf(
      "mixed sizes: %.1f %% lost inside cells, %.1f %% of the committed memory not live, %.1f %% utilised\n",
      100 * internal, 100 * rate, 100 * utilisation);
  CHECK(internal > 0 && internal < 0.05);
  CHECK(rate > 0 && rate < 0.2);
  CHECK(utilisation > 0.8);
  /* Churn: half of the objects are freed and as many allocated again, ten times. */
  for (int round = 0; round < 10; ++round) {
    for (int i = round % 2; i < LOOP; i += 2) {
      CHECK(global_slab_allocator_deallocate(slabs, objects[i], sizes[i]));
      objects[i] = NULL;
    }
    for (int i = round % 2; i < LOOP; i += 2) {
      objects[i] = global_slab_allocator_allocate(slabs, sizes[i]);
    }
  }
  double after = 1;
  global_slab_allocator_get_stats(slabs, NULL, NULL, &after);
  printf("after churn: %.1f %% not live\n", 100 * after);
  CHECK(after < rate + 0.05);
  for (int i = 0; i < LOOP; ++i) {
    CHECK(global_slab_allocator_deallocate(slabs, objects[i], sizes[i]));
  }
  global_slab_allocator_get_stats(slabs, &allocated, &freed, &rate);
  CHECK(allocated == freed && rate == 1);
  global_slab_allocator_destroy(slabs);
}

/* --- reclaimer -------------------------------------------------------------------------------------------------- */

/* [defect] gc() returns the constant 1024 and compact() 512 */
static void test_reclaimer(void) {
  const memory_reclamation_config_t config = MEMORY_RECLAMATION_DEFAULT_CONFIG();
  memory_reclaimer_t* const reclaimer = memory_reclaimer_create(&config);
  CHECK_CALL(reclaimer != NULL, POOL_SUCCESS);
  memory_reclaimer_gc(reclaimer, true); /* what other tests left */
  CHECK(memory_reclaimer_gc(reclaimer, true) == 0);
  global_slab_allocator_t* const slabs = open_slabs();
  for (int i = 0; i < 20000; ++i) {
    objects[i] = global_slab_allocator_allocate(slabs, 1024);
    memset(objects[i], 1, 1024);
  }
  CHECK(memory_reclaimer_compact(reclaimer) < (size_t)1 << 20); /* nearly nothing is free */
  CHECK(memory_reclaimer_gc(reclaimer, false) == 0);            /* memory is well used */
  for (int i = 0; i < 20000; ++i) {
    if (i % 128 != 0) {
      CHECK(global_slab_allocator_deallocate(slabs, objects[i], 1024));
    }
  }
  /* Every second slab is empty, the others have one live object. */
  const size_t collected = memory_reclaimer_gc(reclaimer, true);
  CHECK(collected > (size_t)8 << 20 && collected < (size_t)21 << 20);
  const size_t compacted = memory_reclaimer_compact(reclaimer);
  CHECK(compacted > 100u * 4096 && compacted < (size_t)12 << 20 && compacted % 4096 == 0);
  CHECK(memory_reclaimer_gc(reclaimer, true) == 0);
  CHECK(memory_reclaimer_compact(reclaimer) == 0);
  for (int i = 0; i < 20000; i += 128) {
    CHECK(((char*)objects[i])[1023] == 1);
    CHECK(global_slab_allocator_deallocate(slabs, objects[i], 1024));
  }
  /* Nothing is live: below the threshold. One call works for max_pause_us only, which may be too short on a busy
   * machine. */
  uint64_t calls = 0;
  size_t later = 0;
  while (later == 0 && calls < 1000) {
    later = memory_reclaimer_gc(reclaimer, false);
    ++calls;
  }
  CHECK(later > 0);
  uint64_t count = 0;
  size_t total = 0;
  double pause = 0;
  memory_reclaimer_get_stats(reclaimer, &count, &total, &pause);
  CHECK(count == 4 + calls && total >= collected + compacted && pause > 0);
  global_slab_allocator_destroy(slabs);
  memory_reclaimer_destroy(reclaimer);
}

static void test_reclaimer_configurations(void) {
  memory_reclamation_config_t config = MEMORY_RECLAMATION_DEFAULT_CONFIG();
  config.gc_threshold = 1.5;
  CHECK_CALL(memory_reclaimer_create(&config) == NULL, POOL_ERROR_INVALID_SIZE);
  config.gc_threshold = 0.5;
  config.compaction_threshold = 101;
  CHECK_CALL(memory_reclaimer_create(&config) == NULL, POOL_ERROR_INVALID_SIZE);
  config.compaction_threshold = 0;
  config.enable_compaction = false;
  memory_reclaimer_t* const reclaimer = memory_reclaimer_create(&config);
  CHECK_CALL(memory_reclaimer_compact(reclaimer) == 0, POOL_SUCCESS);
  memory_reclaimer_destroy(reclaimer);
}

/* --- the whole -------------------------------------------------------------------------------------------------- */

static industrial_memory_pool_t* open_pool(void) {
  const industrial_memory_pool_config_t config = INDUSTRIAL_MEMORY_POOL_DEFAULT_CONFIG();
  industrial_memory_pool_t* const pool = industrial_memory_pool_create(&config);
  CHECK_CALL(pool != NULL, POOL_SUCCESS);
  return pool;
}

static void test_industrial_pool(void) {
  industrial_memory_pool_t* const pool = open_pool();
  void* const task = industrial_memory_pool_allocate_task(pool);
  void* const waker = industrial_memory_pool_allocate_waker(pool);
  void* const node = industrial_memory_pool_allocate_channel_node(pool);
  void* const any = industrial_memory_pool_allocate(pool, 256);
  void* const large = industrial_memory_pool_allocate(pool, 8192);
  REQUIRE(task != NULL && waker != NULL && node != NULL && any != NULL && large != NULL);
  memset(task, 1, 128);
  memset(waker, 2, 64);
  memset(node, 3, 96);
  memset(large, 4, 8192);
  /* Each kind is freed by its own function only. */
  CHECK_CALL(!industrial_memory_pool_deallocate_waker(pool, task), POOL_ERROR_NULL_POINTER);
  CHECK_CALL(!industrial_memory_pool_deallocate(pool, node, 96), POOL_ERROR_NULL_POINTER);
  CHECK_CALL(!industrial_memory_pool_deallocate_task(pool, any), POOL_ERROR_NULL_POINTER);
  CHECK_CALL(!industrial_memory_pool_deallocate(pool, any, 0), POOL_ERROR_INVALID_SIZE);
  CHECK_CALL(!industrial_memory_pool_deallocate(pool, any, 128), POOL_ERROR_INVALID_SIZE);
  CHECK_CALL(industrial_memory_pool_allocate(pool, 0) == NULL, POOL_ERROR_INVALID_SIZE);
  CHECK_CALL(industrial_memory_pool_allocate(pool, (size_t)-4096) == NULL, POOL_ERROR_OUT_OF_MEMORY);
  CHECK_CALL(industrial_memory_pool_deallocate_task(pool, task), POOL_SUCCESS);
  CHECK_CALL(industrial_memory_pool_deallocate_waker(pool, waker), POOL_SUCCESS);
  CHECK_CALL(industrial_memory_pool_deallocate_channel_node(pool, node), POOL_SUCCESS);
  CHECK_CALL(industrial_memory_pool_deallocate(pool, any, 256), POOL_SUCCESS);
  CHECK_CALL(industrial_memory_pool_deallocate(pool, large, 8192), POOL_SUCCESS);
  CHECK_CALL(!industrial_memory_pool_deallocate_task(pool, task), POOL_ERROR_DOUBLE_FREE);
  CHECK_CALL(!industrial_memory_pool_deallocate_waker(pool, waker), POOL_ERROR_DOUBLE_FREE);
  CHECK_CALL(!industrial_memory_pool_deallocate_channel_node(pool, node), POOL_ERROR_DOUBLE_FREE);
  CHECK_CALL(!industrial_memory_pool_deallocate(pool, any, 256), POOL_ERROR_DOUBLE_FREE);
  CHECK_CALL(!industrial_memory_pool_deallocate(pool, large, 8192), POOL_ERROR_DOUBLE_FREE);
  CHECK(industrial_memory_pool_gc(pool) > 0);
  size_t allocated = 0;
  size_t freed = 0;
  double rate = -1;
  uint64_t collections = 0;
  industrial_memory_pool_get_stats(pool, &allocated, &freed, &rate, &collections);
  CHECK(allocated == 128 + 64 + 96 + 256 + 8192 && freed == allocated);
  CHECK(rate == 0 && collections == 1);
  industrial_memory_pool_destroy(pool);
}

static void test_industrial_configurations(void) {
  industrial_memory_pool_config_t config = INDUSTRIAL_MEMORY_POOL_DEFAULT_CONFIG();
  config.task_pool_config.object_size = 0;
  CHECK_CALL(industrial_memory_pool_create(&config) == NULL, POOL_ERROR_INVALID_SIZE);
  config.task_pool_config.object_size = 300000;
  config.waker_pool_config.object_size = 1;
  config.channel_node_pool_config.max_capacity = 1;
  industrial_memory_pool_t* const pool = industrial_memory_pool_create(&config);
  CHECK_CALL(pool != NULL, POOL_SUCCESS);
  char* const task = industrial_memory_pool_allocate_task(pool);
  memset(task, 1, 300000);
  CHECK(industrial_memory_pool_allocate_channel_node(pool) != NULL);
  CHECK_CALL(industrial_memory_pool_allocate_channel_node(pool) == NULL, POOL_ERROR_OUT_OF_MEMORY);
  CHECK_CALL(!industrial_memory_pool_deallocate_task(pool, task + 4096), POOL_ERROR_ALIGNMENT);
  CHECK(industrial_memory_pool_deallocate_task(pool, task));
  industrial_memory_pool_destroy(pool);
}

static void test_destroying_frees_what_lives(void) {
  const memory_reclamation_config_t config = MEMORY_RECLAMATION_DEFAULT_CONFIG();
  memory_reclaimer_t* const reclaimer = memory_reclaimer_create(&config);
  memory_reclaimer_gc(reclaimer, true);
  for (int round = 0; round < 50; ++round) {
    industrial_memory_pool_t* const pool = open_pool();
    for (int i = 0; i < 1000; ++i) {
      memset(industrial_memory_pool_allocate_task(pool), 1, 128);
      memset(industrial_memory_pool_allocate(pool, 5000), 1, 5000);
    }
    industrial_memory_pool_destroy(pool);
  }
  /* Were 50 rounds of 5 MB kept, this would find hundreds of megabytes. */
  CHECK(memory_reclaimer_gc(reclaimer, true) < (size_t)48 << 20);
  CHECK(memory_reclaimer_gc(reclaimer, true) == 0);
  memory_reclaimer_destroy(reclaimer);
}

/* --- threads ---------------------------------------------------------------------------------------------------- */

struct work {
  industrial_memory_pool_t* pool;
  void* first;
  int number;
};

/* [defect] nothing is thread-local: a thread's last free is its next allocation, whatever others do */
static void* work(void* argument) {
  struct work* const w = argument;
  CHECK(industrial_memory_pool_get_last_error() == POOL_SUCCESS); /* per thread */
  void* held[64];
  for (int i = 0; i < 25000; ++i) {
    const int slot = i % 64;
    if (i >= 64) {
      CHECK(((int*)held[slot])[0] == w->number && ((int*)held[slot])[31] == i - 64);
      CHECK(industrial_memory_pool_deallocate_task(w->pool, held[slot]));
    }
    held[slot] = industrial_memory_pool_allocate_task(w->pool);
    ((int*)held[slot])[0] = w->number;
    ((int*)held[slot])[31] = i;
    if (i % 100 == 0) {
      void* const p = industrial_memory_pool_allocate_waker(w->pool);
      CHECK(industrial_memory_pool_deallocate_waker(w->pool, p));
      CHECK(industrial_memory_pool_allocate_waker(w->pool) == p);
      CHECK(industrial_memory_pool_deallocate_waker(w->pool, p));
    }
  }
  w->first = held[0];
  for (int i = 1; i < 64; ++i) {
    CHECK(industrial_memory_pool_deallocate_task(w->pool, held[i]));
  }
  CHECK_CALL(!industrial_memory_pool_deallocate_task(w->pool, held[1]), POOL_ERROR_DOUBLE_FREE);
  return NULL;
}

static void test_four_threads(void) {
  industrial_memory_pool_t* const pool = open_pool();
  pthread_t threads[4];
  struct work works[4];
  CHECK_CALL(!industrial_memory_pool_deallocate_task(pool, works), POOL_ERROR_NULL_POINTER);
  for (int i = 0; i < 4; ++i) {
    works[i] = (struct work){pool, NULL, i};
    CHECK(pthread_create(&threads[i], NULL, work, &works[i]) == 0);
  }
  for (int i = 0; i < 4; ++i) {
    pthread_join(threads[i], NULL);
  }
  CHECK(industrial_memory_pool_get_last_error() == POOL_ERROR_NULL_POINTER); /* theirs are not ours */
  for (int i = 0; i < 4; ++i) { /* allocated by a thread that is gone */
    CHECK_CALL(industrial_memory_pool_deallocate_task(pool, works[i].first), POOL_SUCCESS);
    CHECK_CALL(!industrial_memory_pool_deallocate_task(pool, works[i].first), POOL_ERROR_DOUBLE_FREE);
  }
  size_t allocated = 0;
  size_t freed = 0;
  industrial_memory_pool_get_stats(pool, &allocated, &freed, NULL, NULL);
  CHECK(allocated == 4u * (25000u * 128 + 500u * 64) && freed == allocated);
  industrial_memory_pool_destroy(pool);
}

int main(void) {
  test_constants();
  test_default_configurations();
  test_object_pool();
  test_object_pool_creation_fails();
  test_null_handles();
  test_100k_objects();
  test_max_capacity();
  test_sizes_of_any_magnitude();
  test_slab_configurations();
  test_fragmentation();
  test_reclaimer();
  test_reclaimer_configurations();
  test_industrial_pool();
  test_industrial_configurations();
  test_destroying_frees_what_lives();
  test_four_threads();
  return finish("industrial_memory_pool_test");
}
