/* SPDX-License-Identifier: MIT
 * Keeps references in a local array, where the collector cannot see them: to be refused by name. */
#include "echo/cc.h"

typedef struct node ECHO_REF* node_ref;
struct node {
  ECHO_HEADER;
  node_ref next;
};
ECHO_LAYOUT(node_layout, struct node, ECHO_STRONG(struct node, next));

static int pick(int argc) {
  node_ref hidden[4];
  for (int index = 0; index < 4; ++index)
    hidden[index] = echo_new(node_layout, node_ref);
  return hidden[argc & 3]->next == 0;
}

int main(int argc, char** argv) {
  (void)argv;
  return pick(argc);
}
