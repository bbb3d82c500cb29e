/* SPDX-License-Identifier: MIT
 * An exception of native code passes through argv[1] compiled frames, each with a clean-up and a reference that is alive
 * over the call. Compiled with -fexceptions. */
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

void throw_now(void);

static int64_t cleaned;

static void clean(int64_t* depth) {
  cleaned += *depth;
  node_ref garbage = echo_new(node_layout, node_ref); /* a clean-up may collect */
  garbage->value = cleaned;
  if (*depth == 1)
    printf("cleaned %lld\n", (long long)cleaned);
}

static int64_t pass(int64_t depth, node_ref above) {
  int64_t guard __attribute__((cleanup(clean))) = depth;
  node_ref mine = echo_new(node_layout, node_ref);
  mine->next = above;
  mine->value = guard;
  if (depth == 10)
    throw_now();
  const int64_t below = pass(depth + 1, mine);
  return below + mine->value;
}

int main(void) {
  printf("%lld\n", (long long)pass(1, 0));
  return 0;
}
