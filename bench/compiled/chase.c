/* SPDX-License-Identifier: MIT
 *
 * chase - a walk over a circle of objects, with the polls that its loop has, or without: a leaf function has none.
 * Usage: chase polls|none [objects=4096] [rounds=20000]; prints the seconds of the walk.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cell.h"

/* A leaf function calls no function that is not one: hence one body by text, not by a call. */
#define WALK(at, steps)                                                                                      \
  int64_t sum = 0;                                                                                           \
  for (; (steps) > 0; --(steps)) {                                                                           \
    sum += (at)->number;                                                                                     \
    (at) = (at)->next;                                                                                       \
  }                                                                                                          \
  return sum;
__attribute__((noinline)) static int64_t with_polls(cell_ref at, int64_t steps){WALK(at, steps)} ECHO_LEAF
    __attribute__((noinline)) static int64_t without_polls(cell_ref at, int64_t steps) {
  WALK(at, steps)
}

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

int main(int argc, char** argv) {
  const int polls = argc > 1 && !strcmp(argv[1], "polls");
  const int64_t objects = argc > 2 ? atoll(argv[2]) : 4096, rounds = argc > 3 ? atoll(argv[3]) : 20000;
  cell_ref first = echo_new(cell_layout, cell_ref), last = first;
  for (int64_t i = 1; i < objects; ++i) {
    cell_ref made = echo_new(cell_layout, cell_ref);
    made->number = i;
    last->next = made;
    last = made;
  }
  last->next = first;
  const double before = seconds();
  const int64_t sum = polls ? with_polls(first, objects * rounds) : without_polls(first, objects * rounds);
  printf("%.9f\n", seconds() - before);
  echo_checksum(sum);
  return 0;
}
