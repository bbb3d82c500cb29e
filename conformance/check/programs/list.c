/* SPDX-License-Identifier: MIT
 *
 * list.c - a list that grows at its front, to be mutated by check_test.py.
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

__attribute__((noinline)) static void link_to(cell_ref cell, cell_ref next) {
  cell->next = next; /* the store */
}

__attribute__((noinline)) static cell_ref grow(cell_ref head) {
  cell_ref fresh = echo_new(cell_layout, cell_ref); /* the allocation */
  echo_safepoint();
  link_to(fresh, head->next);
  link_to(head, fresh);
  return fresh;
}

int main(void) {
  cell_ref head = echo_new(cell_layout, cell_ref);
  for (int i = 0; i < 200; ++i) {
    grow(head);
  }
  return 0;
}
