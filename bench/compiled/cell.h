/* SPDX-License-Identifier: MIT
 *
 * cell - one reference and one number.
 */
#ifndef ECHO_BENCH_CELL_H
#define ECHO_BENCH_CELL_H

#include "echo/cc.h"

typedef struct cell ECHO_REF* cell_ref;
struct cell {
  ECHO_HEADER;
  cell_ref next;
  int64_t number;
};
ECHO_LAYOUT(cell_layout, struct cell, ECHO_STRONG(struct cell, next));

#endif // ECHO_BENCH_CELL_H
