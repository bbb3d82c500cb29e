/* SPDX-License-Identifier: MIT
 *
 * Purpose     The memory pool in one page: tasks, wakers, channel nodes, any size, what misuse answers, giving memory
 *             back. Ends with status 0 if everything was as it should be.
 */
#include "echo/industrial_memory_pool.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

struct task {
  int id;
  int priority;
  char name[32];
};

static int fail(const char* what) {
  fprintf(stderr, "%s: error %d\n", what, (int)industrial_memory_pool_get_last_error());
  return 1;
}

int main(void) {
  const industrial_memory_pool_config_t config = INDUSTRIAL_MEMORY_POOL_DEFAULT_CONFIG();
  industrial_memory_pool_t* const pool = industrial_memory_pool_create(&config);
  if (pool == NULL) {
    return fail("no pool");
  }

  /* Objects of a kind: tasks (128 B), wakers (64 B), channel nodes (96 B). */
  struct task* tasks[1000];
  for (int i = 0; i < 1000; ++i) {
    tasks[i] = industrial_memory_pool_allocate_task(pool);
    if (tasks[i] == NULL) {
      return fail("no task");
    }
    tasks[i]->id = i;
    tasks[i]->priority = i % 10;
    snprintf(tasks[i]->name, sizeof tasks[i]->name, "task %d", i);
  }
  void* const waker = industrial_memory_pool_allocate_waker(pool);
  void* const node = industrial_memory_pool_allocate_channel_node(pool);
  printf("%s and %s; a waker and a channel node: %s\n", tasks[0]->name, tasks[999]->name,
         waker != NULL && node != NULL ? "yes" : "no");

  /* Any size. The size is given again when the object is freed. */
  static const size_t sizes[] = {24, 1000, 4096, 3000000};
  for (int i = 0; i < 4; ++i) {
    char* const p = industrial_memory_pool_allocate(pool, sizes[i]);
    if (p == NULL) {
      return fail("no memory");
    }
    memset(p, 0xAA, sizes[i]);
    if (industrial_memory_pool_deallocate(pool, p, sizes[i] * 2)) {
      return fail("freed with twice its size");
    }
    if (!industrial_memory_pool_deallocate(pool, p, sizes[i])) {
      return fail("not freed");
    }
  }

  /* A pointer is freed once, and only by the pool it came from. */
  for (int i = 0; i < 1000; ++i) {
    if (!industrial_memory_pool_deallocate_task(pool, tasks[i])) {
      return fail("task not freed");
    }
  }
  const bool again = industrial_memory_pool_deallocate_task(pool, tasks[0]);
  printf("freed a second time: %s, error %d\n", again ? "yes" : "no",
         (int)industrial_memory_pool_get_last_error());
  const bool foreign = industrial_memory_pool_deallocate_waker(pool, (void*)&waker);
  printf("freed from the stack: %s, error %d\n", foreign ? "yes" : "no",
         (int)industrial_memory_pool_get_last_error());
  industrial_memory_pool_deallocate_waker(pool, waker);
  industrial_memory_pool_deallocate_channel_node(pool, node);

  /* What nobody uses goes back to the system. */
  const size_t returned = industrial_memory_pool_gc(pool);
  size_t allocated = 0;
  size_t freed = 0;
  double fragmentation = 0;
  uint64_t collections = 0;
  industrial_memory_pool_get_stats(pool, &allocated, &freed, &fragmentation, &collections);
  printf("%zu bytes allocated, %zu freed, memory given back: %s, collections: %" PRIu64 "\n", allocated,
         freed, returned > 0 ? "yes" : "no", collections);
  industrial_memory_pool_destroy(pool);
  return again || foreign || allocated != freed ? 1 : 0;
}
