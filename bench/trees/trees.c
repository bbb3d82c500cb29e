/* SPDX-License-Identifier: MIT
 *
 * trees - binary trees for the benchmark: build one, walk it, drop it, again.
 *
 * Purpose     One figure per node: an allocation, its initialisation, one visit. The native limit beside it
 *             (trees_native.cpp) does the same with a bump pointer and no collector.
 * Usage       trees [depth=16] [rounds=100]
 */
#include "echo/cc.h"
#include <stdlib.h>

typedef struct node ECHO_REF* node_ref;
struct node {
  ECHO_HEADER;
  node_ref left, right;
};
ECHO_LAYOUT(node_layout, struct node, ECHO_STRONG(struct node, left), ECHO_STRONG(struct node, right));

__attribute__((noinline)) static node_ref make(int64_t depth) {
  if (depth == 0) {
    return echo_new(node_layout, node_ref);
  }
  node_ref left = make(depth - 1);
  node_ref right = make(depth - 1);
  node_ref node = echo_new(node_layout, node_ref);
  node->left = left;
  node->right = right;
  return node;
}

__attribute__((noinline)) static int64_t check(node_ref node) {
  if (!node->left) {
    return 1;
  }
  return check(node->left) + check(node->right) + 1;
}

int main(int argc, char** argv) {
  int64_t depth = argc > 1 ? atol(argv[1]) : 16;
  int64_t rounds = argc > 2 ? atol(argv[2]) : 100;
  int64_t sum = 0;
  for (int64_t i = 0; i < rounds; ++i) {
    sum += check(make(depth));
  }
  echo_checksum(sum);
  return 0;
}
