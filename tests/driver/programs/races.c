/* SPDX-License-Identifier: MIT
 * Two threads count in one object, argv[1] times each, and pass a fresh object around in it. A lock orders them, unless
 * RACY leaves it out. */
#include <stdio.h>
#include <stdlib.h>

#include "echo/cc.h"

typedef struct cell ECHO_REF* cell_ref;
struct cell {
  ECHO_HEADER;
  cell_ref latest;
  int64_t count;
};
ECHO_LAYOUT(cell_layout, struct cell, ECHO_STRONG(struct cell, latest));

static _Atomic int lock, ready;
static int64_t count;

static void enter(void) {
#ifndef RACY
  while (__atomic_exchange_n((int*)&lock, 1, __ATOMIC_ACQUIRE))
    echo_yield();
#endif
}
static void leave(void) {
#ifndef RACY
  __atomic_store_n((int*)&lock, 0, __ATOMIC_RELEASE);
#endif
}

static void work(echo_any argument) {
  cell_ref shared = (cell_ref)argument;
  for (++ready; ready < 2;) /* both run at once */
    echo_yield();
  for (int64_t index = 1; index <= count; ++index) {
    cell_ref made = echo_new(cell_layout, cell_ref);
    made->count = index;
    enter();
    if (shared->latest)
      shared->count += shared->latest->count ? 1 : 1000000;
    else
      shared->count += 1;
    shared->latest = made;
    leave();
    if (index % 64 == 0)
      echo_yield();
  }
}

int main(int argc, char** argv) {
  count = argc > 1 ? atoll(argv[1]) : 20000;
  cell_ref shared = echo_new(cell_layout, cell_ref);
  const int64_t one = echo_spawn(work, (echo_any)shared), two = echo_spawn(work, (echo_any)shared);
  echo_join(one);
  echo_join(two);
  printf("%lld\n", (long long)shared->count);
  return 0;
}
