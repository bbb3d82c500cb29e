/* SPDX-License-Identifier: MIT
 *
 * trees - binary trees for the benchmark: build one, walk it, drop it, again.
 *
 * Purpose     One figure per node: an allocation, its initialisation, one visit. The native limit beside it
 *             (trees_native.cpp) does the same with a bump pointer and no collector.
 *             With no rounds, the program of the Computer Language Benchmarks Game, which bench/peers.py runs in other
 *             languages, too.
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

/* A tree that is dropped, one that is kept, and many of each size beside it. */
static int64_t game(int64_t depth) {
  int64_t sum = check(make(depth + 1));
  node_ref kept = make(depth);
  for (int64_t d = 4; d <= depth; d += 4) {
    for (int64_t i = (int64_t)1 << (depth - d + 4); i > 0; --i) {
      sum += check(make(d));
    }
  }
  return sum + check(kept);
}

int main(int argc, char** argv) {
  int64_t depth = argc > 1 ? atol(argv[1]) : 16;
  int64_t rounds = argc > 2 ? atol(argv[2]) : 100;
  int64_t sum = rounds ? 0 : game(depth);
  for (int64_t i = 0; i < rounds; ++i) {
    sum += check(make(depth));
  }
  echo_checksum(sum);
  return 0;
}
