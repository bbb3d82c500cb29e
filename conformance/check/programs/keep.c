/* SPDX-License-Identifier: MIT
 *
 * keep.c - what compiled_vm.c runs: an object that a native function keeps.
 */
#include "echo/cc.h"
#include <stdint.h>

typedef struct cell ECHO_REF* cell_ref;
struct cell {
  ECHO_HEADER;
  cell_ref next;
  uint64_t value;
};
ECHO_LAYOUT(cell_layout, struct cell, ECHO_STRONG(struct cell, next));

int64_t vm_keep(echo_any object);

int64_t run(void) {
  cell_ref cell = echo_new(cell_layout, cell_ref);
  cell->value = 1;
  const int64_t kept = vm_keep((echo_any)cell); /* the call */
  return kept + (int64_t)cell->value;
}
