/* SPDX-License-Identifier: MIT
 *
 * Purpose     The memory pool beside malloc and free on this machine: pairs of every class, and 100,000 tasks allocated,
 *             written and freed. Both sides do the same; the best of several rounds counts. For careful figures against
 *             other allocators use echo-bench-native.
 */
#include "echo/industrial_memory_pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { PAIRS = 1000000, TASKS = 100000, ROUNDS = 5 };

static void* tasks[TASKS];

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* ns per pair of an allocation and a free; pool null: malloc and free. */
static double pairs(industrial_memory_pool_t* pool, size_t size) {
  double best = 1e30;
  for (int round = 0; round < ROUNDS; ++round) {
    const double start = now();
    for (int i = 0; i < PAIRS; ++i) {
      volatile char* const p = pool != NULL ? industrial_memory_pool_allocate(pool, size) : malloc(size);
      *p = 1;
      if (pool == NULL) {
        free((void*)p);
      } else if (!industrial_memory_pool_deallocate(pool, (void*)p, size)) {
        return -1;
      }
    }
    const double time = (now() - start) / (double)PAIRS;
    best = time < best ? time : best;
  }
  return best;
}

/* ns per task for allocating and for freeing. */
static void many_tasks(industrial_memory_pool_t* pool, double* allocating, double* freeing) {
  *allocating = *freeing = 1e30;
  for (int round = 0; round < ROUNDS; ++round) {
    const double start = now();
    for (int i = 0; i < TASKS; ++i) {
      tasks[i] = pool != NULL ? industrial_memory_pool_allocate_task(pool) : malloc(128);
      *(int*)tasks[i] = i;
    }
    const double middle = now();
    for (int i = 0; i < TASKS; ++i) {
      if (pool == NULL) {
        free(tasks[i]);
      } else {
        industrial_memory_pool_deallocate_task(pool, tasks[i]);
      }
    }
    const double end = now();
    *allocating =
        (middle - start) / (double)TASKS < *allocating ? (middle - start) / (double)TASKS : *allocating;
    *freeing = (end - middle) / (double)TASKS < *freeing ? (end - middle) / (double)TASKS : *freeing;
  }
}

int main(void) {
  const industrial_memory_pool_config_t config = INDUSTRIAL_MEMORY_POOL_DEFAULT_CONFIG();
  industrial_memory_pool_t* const pool = industrial_memory_pool_create(&config);
  if (pool == NULL) {
    fprintf(stderr, "no pool: error %d\n", (int)industrial_memory_pool_get_last_error());
    return 1;
  }
  printf("allocate and free, ns per pair\n  %5s %8s %8s\n", "bytes", "pool", "malloc");
  for (int i = 0; i < SIZE_CLASSES_COUNT; ++i) {
    printf("  %5zu %8.2f %8.2f\n", SIZE_CLASSES[i], pairs(pool, SIZE_CLASSES[i]),
           pairs(NULL, SIZE_CLASSES[i]));
  }
  double pool_allocating;
  double pool_freeing;
  double libc_allocating;
  double libc_freeing;
  many_tasks(pool, &pool_allocating, &pool_freeing);
  many_tasks(NULL, &libc_allocating, &libc_freeing);
  printf("%d tasks of 128 bytes, ns per task\n  allocate %.1f, malloc %.1f\n  free     %.1f, libc   %.1f\n",
         TASKS, pool_allocating, libc_allocating, pool_freeing, libc_freeing);

  size_t allocated = 0;
  size_t freed = 0;
  industrial_memory_pool_get_stats(pool, &allocated, &freed, NULL, NULL);
  industrial_memory_pool_destroy(pool);
  return allocated == freed ? 0 : 1;
}
