/* SPDX-License-Identifier: MIT
 * argv[1] threads fill a list each, hanging it on the box they are given, while every one of them allocates;
 * argv[2] nodes each. The checksum is taken by main after all have been joined. */
#include <stdio.h>
#include <stdlib.h>

#include "echo/cc.h"

typedef struct node ECHO_REF* node_ref;
struct node {
  ECHO_HEADER;
  node_ref next;
  int64_t value;
};
ECHO_LAYOUT(node_layout, struct node, ECHO_STRONG(struct node, next));
ECHO_ARRAY_REF(boxes_layout);

static int64_t nodes;

static void fill(echo_any argument) {
  node_ref box = (node_ref)argument;
  for (int64_t index = 1; index <= nodes; ++index) {
    node_ref made = echo_new(node_layout, node_ref);
    made->value = box->value * 1000003 + index;
    made->next = box->next;
    box->next = made;
    if (index % 64 == 0)
      echo_yield();
  }
}

int main(int argc, char** argv) {
  const int64_t count = argc > 1 ? atoll(argv[1]) : 2;
  nodes = argc > 2 ? atoll(argv[2]) : 1000;
  echo_any boxes = echo_new_array(boxes_layout, count);
  int64_t* numbers = malloc((size_t)count * sizeof *numbers);
  for (int64_t index = 0; index < count; ++index) {
    node_ref box = echo_new(node_layout, node_ref);
    box->value = index;
    echo_set(boxes, index, box);
    numbers[index] = echo_spawn(fill, (echo_any)box);
  }
  for (int64_t index = 0; index < count; ++index)
    echo_join(numbers[index]);
  free(numbers);
  int64_t found = 0;
  for (int64_t index = 0; index < count; ++index) {
    int64_t sum = 0;
    for (node_ref node = echo_get(boxes, index, node_ref)->next; node; node = node->next) {
      sum += node->value;
      ++found;
    }
    echo_checksum(sum);
  }
  printf("%lld\n", (long long)found);
  return 0;
}
