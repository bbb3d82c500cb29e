/* SPDX-License-Identifier: MIT
 * Gives each of argv[1] threads a chain that nothing else refers to, and collects at once; the thread adds
 * the chain up. An argument that is no root on its way is freed, and the sum is wrong. */
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

static volatile int64_t total;

static void add_up(echo_any argument) {
  int64_t sum = 0;
  for (node_ref node = (node_ref)argument; node; node = node->next)
    sum += node->value;
  total += sum; /* one thread at a time: main joins before it starts the next */
}

static int64_t hand_over(int64_t first) {
  node_ref chain = 0;
  for (int64_t index = 0; index < 4; ++index) {
    node_ref made = echo_new(node_layout, node_ref);
    made->value = first + index;
    made->next = chain;
    chain = made;
  }
  return echo_spawn(add_up, (echo_any)chain);
}

int main(int argc, char** argv) {
  const int64_t count = argc > 1 ? atoll(argv[1]) : 10;
  for (int64_t index = 0; index < count; ++index) {
    const int64_t thread = hand_over(index);
    echo_collect_now();
    echo_join(thread);
  }
  echo_checksum(total);
  printf("%lld\n", (long long)total);
  return 0;
}
