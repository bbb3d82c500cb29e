/* SPDX-License-Identifier: MIT
 *
 * Purpose     The programs of bench/peers.py on the Boehm-Demers-Weiser collector: churn SECONDS ENTRIES, trees DEPTH.
 *             Leaves are allocated as free of references.
 */
#include <gc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROW = 512 };
typedef struct node {
  char* leaf;
} node;
typedef struct tree {
  struct tree *left, *right;
} tree;

static const size_t leaf_bytes[8] = {16, 24, 32, 48, 96, 128, 256, 512};
static uint64_t state = 88172645463325252u;

static uint64_t below(uint64_t n) {
  state ^= state << 13;
  state ^= state >> 7;
  state ^= state << 17;
  return ((state >> 32) * n) >> 32;
}

static void* required(void* made) {
  if (!made) {
    fprintf(stderr, "peer_gc: out of memory\n");
    exit(1);
  }
  return made;
}

static char* new_leaf(void) {
  const size_t bytes = leaf_bytes[below(8)] - 8;
  char* made = required(GC_MALLOC_ATOMIC(bytes));
  memset(made, 0, bytes); /* as the others do */
  made[0] = 1;
  return made;
}

static node* new_node(void) {
  node* made = required(GC_MALLOC(sizeof(node)));
  made->leaf = new_leaf();
  return made;
}

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static void churn(double seconds, uint64_t entries) {
  const uint64_t rows = entries / ROW ? entries / ROW : 1;
  node*** table = required(GC_MALLOC(rows * sizeof *table));
  for (uint64_t r = 0; r < rows; ++r) {
    table[r] = required(GC_MALLOC(ROW * sizeof **table));
    for (uint64_t c = 0; c < ROW; ++c) {
      table[r][c] = new_node();
    }
  }
  uint64_t operations = 0, longest = 0, over = 0;
  const uint64_t begin = now(), end = begin + (uint64_t)(seconds * 1e9);
  uint64_t last = begin;
  while (last < end) {
    const uint64_t r = below(rows), c = below(ROW), kind = below(4);
    if (kind < 2) {
      table[r][c] = new_node();
    } else if (kind == 2) {
      table[r][c]->leaf = new_leaf();
    } else {
      const uint64_t r2 = below(rows), c2 = below(ROW);
      node* one = table[r][c];
      table[r][c] = table[r2][c2];
      table[r2][c2] = one;
    }
    ++operations;
    const uint64_t t = now();
    if (t - last > longest) {
      longest = t - last;
    }
    over += t - last >= 100000;
    last = t;
  }
  printf("{\"ns_per_operation\": %.3f, \"longest_us\": %.1f, \"over_100us\": %llu}\n",
         (double)(last - begin) / (double)operations, (double)longest / 1e3, (unsigned long long)over);
}

static tree* build(int depth) {
  tree* made = required(GC_MALLOC(sizeof(tree)));
  if (depth > 0) {
    made->left = build(depth - 1);
    made->right = build(depth - 1);
  }
  return made;
}

static long check(const tree* t) {
  return t->left ? 1 + check(t->left) + check(t->right) : 1;
}

static void trees(int depth) {
  long sum = check(build(depth + 1));
  tree* kept = build(depth);
  for (int d = 4; d <= depth; d += 4) {
    for (long i = 1L << (depth - d + 4); i > 0; --i) {
      sum += check(build(d));
    }
  }
  printf("%ld\n", sum + check(kept));
}

int main(int argc, char** argv) {
  GC_INIT();
  if (argc == 4 && !strcmp(argv[1], "churn")) {
    churn(atof(argv[2]), strtoull(argv[3], NULL, 10));
  } else if (argc == 3 && !strcmp(argv[1], "trees")) {
    trees(atoi(argv[2]));
  } else {
    fprintf(stderr, "usage: peer_gc churn SECONDS ENTRIES | trees DEPTH\n");
    return 2;
  }
  return 0;
}
