/* SPDX-License-Identifier: MIT
 * Identity hashes that outlive collections, weak fields, and a thread that blocks in a native while others collect.
 * argv[1]: rounds. */
#include <stdio.h>
#include <stdlib.h>

#include "echo/cc.h"

ECHO_BLOCKING long read(int file, void* to, unsigned long bytes);
long write(int file, const void* from, unsigned long bytes);
int pipe(int files[2]);

typedef struct cell ECHO_REF* cell_ref;
struct cell {
  ECHO_HEADER;
  cell_ref next;
  uint64_t hash;
};
ECHO_LAYOUT(cell_layout, struct cell, ECHO_STRONG(struct cell, next));

typedef struct watcher ECHO_REF* watcher_ref;
struct watcher {
  ECHO_HEADER;
  cell_ref seen;
};
ECHO_LAYOUT(watcher_layout, struct watcher, ECHO_WEAK(struct watcher, seen));

static __attribute__((noinline)) watcher_ref watch(cell_ref cell) {
  watcher_ref watcher = echo_new(watcher_layout, watcher_ref);
  watcher->seen = cell ? cell : echo_new(cell_layout, cell_ref);
  return watcher;
}

static int files[2];
static _Atomic int waiting, awake, kept;

/* Blocks with a list alive, which the collections meanwhile must find. */
static void wait_for_a_byte(echo_any argument) {
  cell_ref list = 0;
  for (int i = 0; i < 100; ++i) {
    cell_ref made = echo_new(cell_layout, cell_ref);
    made->next = list;
    made->hash = (uint64_t)i;
    list = made;
  }
  waiting = 1;
  char byte = 0;
  const long count = read(files[0], &byte, 1);
  awake = count == 1 && byte == 'x';
  int found = 0;
  for (cell_ref at = list; at; at = at->next)
    found += at->hash == (uint64_t)(99 - found);
  kept = found + (argument != 0);
}

int main(int argc, char** argv) {
  const int64_t rounds = argc > 1 ? atoll(argv[1]) : 20;
  if (pipe(files))
    return 1;
  cell_ref list = 0;
  for (int i = 0; i < 500; ++i) {
    cell_ref made = echo_new(cell_layout, cell_ref);
    made->hash = echo_hash(made);
    made->next = list;
    list = made;
  }
  const int64_t thread = echo_spawn(wait_for_a_byte, (echo_any)list);
  while (!waiting)
    echo_yield();
  for (int64_t i = 0; i < rounds; ++i)
    echo_collect_now();
  const int slept = !awake;
  if (write(files[1], "x", 1) != 1)
    return 1;
  echo_join(thread);
  watcher_ref of_kept = watch(list), of_lost = watch(0);
  echo_collect_now();
  const int shows = echo_weak_get(of_kept, seen, cell_ref) == list,
            lost = !echo_weak_get(of_lost, seen, cell_ref);
  int same = 0, different = 0;
  for (cell_ref at = list; at; at = at->next) {
    same += at->hash == echo_hash(at);
    different += at->next && at->hash != at->next->hash;
  }
  printf("hashes %d %d, slept %d, awake %d, kept %d, weak %d %d\n", same, different, slept, (int)awake,
         (int)kept, shows, lost);
  return 0;
}
