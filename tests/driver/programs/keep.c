/* SPDX-License-Identifier: MIT
 * Keeps every object it makes, until the heap is full. */
#include <stdio.h>

#include "echo/cc.h"

typedef struct node ECHO_REF* node_ref;
struct node {
  ECHO_HEADER;
  node_ref next;
};
ECHO_LAYOUT(node_layout, struct node, ECHO_STRONG(struct node, next));

int main(void) {
  printf("before the limit\n");
  node_ref list = 0;
  for (;;) {
    node_ref made = echo_new(node_layout, node_ref);
    made->next = list;
    list = made;
  }
}
