/* SPDX-License-Identifier: MIT
 *
 * frames - a stack of argv[1] frames with two references each, argv[2] collections at its end, and the way back.
 */
#include <stdlib.h>

#include "cell.h"

static int64_t collections;

__attribute__((noinline)) static int64_t descend(int64_t left, cell_ref a, cell_ref b) {
  if (left == 0) {
    for (int64_t i = 0; i < collections; ++i)
      echo_collect_now();
    return b->number;
  }
  const int64_t below = descend(left - 1, b, a);
  return below + a->number + b->number;
}

int main(int argc, char** argv) {
  const int64_t depth = argc > 1 ? atoll(argv[1]) : 0;
  collections = argc > 2 ? atoll(argv[2]) : 20;
  cell_ref a = echo_new(cell_layout, cell_ref), b = echo_new(cell_layout, cell_ref);
  a->number = 1;
  b->number = 2;
  echo_checksum(descend(depth, a, b));
  return 0;
}
