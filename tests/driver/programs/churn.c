/* SPDX-License-Identifier: MIT
 * Allocates argv[1] list nodes of 32 bytes and keeps the last 1000; then argv[2] collections. The checksum
 * proves that what was kept survived. */
#include <stdio.h>
#include <stdlib.h>

#include "echo/cc.h"

typedef struct node ECHO_REF* node_ref;
struct node {
  ECHO_HEADER;
  node_ref next;
  int64_t value, unused;
};
ECHO_LAYOUT(node_layout, struct node, ECHO_STRONG(struct node, next));
ECHO_ARRAY_REF(array_layout);

int main(int argc, char** argv) {
  const int64_t count = argc > 1 ? atoll(argv[1]) : 1000;
  const int64_t collections = argc > 2 ? atoll(argv[2]) : 0;
  echo_any kept = echo_new_array(array_layout, 1000);
  for (int64_t index = 0; index < count; ++index) {
    node_ref made = echo_new(node_layout, node_ref);
    made->value = index;
    echo_set(kept, index % 1000, made);
  }
  for (int64_t index = 0; index < collections; ++index)
    echo_collect_now();
  int64_t sum = 0;
  for (int64_t index = 0; index < 1000; ++index) {
    node_ref one = echo_get(kept, index, node_ref);
    if (one)
      sum += one->value;
  }
  echo_checksum(sum);
  printf("%lld\n", (long long)sum);
  return 0;
}
