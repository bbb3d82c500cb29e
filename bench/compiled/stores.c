/* SPDX-License-Identifier: MIT
 *
 * stores - reference stores as the compiler emits them, in order into a set that stays in L1, or at random over many objects.
 * Usage: stores [objects=256] [rounds=100000]; prints the seconds of the stores.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "cell.h"

ECHO_ARRAY_REF(table_layout);
ECHO_ARRAY_RAW(order_layout, int32_t);

static double seconds(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* The objects by a list in the order in which they are to be visited; the links are what is stored. */
ECHO_LEAF __attribute__((noinline)) static void stores(echo_any table, echo_any order, int64_t objects,
                                                       cell_ref value) {
  for (int64_t i = 0; i < objects; ++i) {
    echo_get(table, echo_at(order, int32_t, i), cell_ref)->next = value;
  }
}

int main(int argc, char** argv) {
  const int64_t objects = argc > 1 ? atoll(argv[1]) : 256, rounds = argc > 2 ? atoll(argv[2]) : 100000;
  echo_any table = echo_new_array(table_layout, objects), order = echo_new_array(order_layout, objects);
  uint64_t state = 88172645463325252u;
  for (int64_t i = 0; i < objects; ++i) {
    cell_ref made = echo_new(cell_layout, cell_ref);
    made->number = i;
    echo_set(table, i, made);
    echo_at(order, int32_t, i) = (int32_t)i;
  }
  for (int64_t i = objects - 1; i > 0 && objects > 4096; --i) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    const int64_t other = (int64_t)(state % (uint64_t)(i + 1));
    const int32_t mine = echo_at(order, int32_t, i);
    echo_at(order, int32_t, i) = echo_at(order, int32_t, other);
    echo_at(order, int32_t, other) = mine;
  }
  echo_collect_now();
  const cell_ref value = echo_get(table, 0, cell_ref);
  stores(table, order, objects, value);
  const double before = seconds();
  for (int64_t round = 0; round < rounds; ++round) {
    stores(table, order, objects, value);
  }
  printf("%.9f\n", seconds() - before);
  echo_checksum(echo_get(table, 1, cell_ref)->number);
  return 0;
}
