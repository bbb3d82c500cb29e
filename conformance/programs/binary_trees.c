/* SPDX-License-Identifier: MIT
 *
 * binary_trees - many short-lived trees beside one that lives to the end.
 *
 * Purpose     The classic of Boehm and the Benchmarks Game: almost every object dies young and small, and a
 *             long-lived tree must be traced again and again.
 * Usage       binary_trees [depth=16] [threads=1] [rounds=4]
 * Equations   Nodes per round: the sum over d = 4, 6 .. depth of 2^(depth-d+4) * (2^(d+1) - 1), 24 B each;
 *             once: 2^(depth+2) + 2^(depth+1). Live: at most 2^(depth+2) nodes with one thread.
 *             Defaults: 1.4 GB allocated, 6 MB live.
 */
#include "program.h"

typedef struct node ECHO_REF* node_ref;
struct node {
  ECHO_HEADER;
  node_ref left, right;
};
ECHO_LAYOUT(node_layout, struct node, ECHO_STRONG(struct node, left), ECHO_STRONG(struct node, right));

typedef struct job ECHO_REF* job_ref;
struct job {
  ECHO_HEADER;
  int64_t share, depth, rounds, trees, sum;
};
ECHO_LAYOUT_RAW(job_layout, struct job);

static node_ref make(int64_t depth) {
  node_ref left = 0;
  node_ref right = 0;
  if (depth > 0) {
    left = make(depth - 1);
    right = make(depth - 1);
  }
  node_ref node = echo_new(node_layout, node_ref);
  node->left = left;
  node->right = right;
  return node;
}

static int64_t count(node_ref node) {
  return node->left ? 1 + count(node->left) + count(node->right) : 1;
}

/* Share 0 makes the trees of depths 4, 8, 12 ..., share 1 those of depths 6, 10, 14 ... */
static void run_share(echo_any job_object) {
  job_ref job = (job_ref)job_object;
  int64_t trees = 0;
  int64_t sum = 0;
  for (int64_t round = 0; round < job->rounds; ++round)
    for (int64_t depth = 4 + 2 * job->share; depth <= job->depth; depth += 2 * SHARES) {
      const int64_t nodes = ((int64_t)2 << depth) - 1;
      const int64_t iterations = (int64_t)1 << (job->depth - depth + 4);
      for (int64_t i = 0; i < iterations; ++i) {
        const int64_t found = count(make(depth));
        check(found == nodes, "a short-lived tree lost nodes");
        sum += found;
      }
      trees += iterations;
    }
  job->trees = trees;
  job->sum = sum;
}

static job_ref new_job(int64_t share, int64_t depth, int64_t rounds) {
  job_ref job = echo_new(job_layout, job_ref);
  job->share = share;
  job->depth = depth;
  job->rounds = rounds;
  return job;
}

int main(int argc, char** argv) {
  const struct task task = read_task(argc, argv, 16, 4, 26, 4);

  const int64_t stretch = count(make(task.size + 1));
  node_ref long_lived = make(task.size);
  job_ref even = new_job(0, task.size, task.rounds);
  job_ref odd = new_job(1, task.size, task.rounds);
  run_shares(run_share, (echo_any)even, (echo_any)odd, task.threads);
  const int64_t kept = count(long_lived);
  check(kept == ((int64_t)2 << task.size) - 1, "the long-lived tree lost nodes");

  printf("stretch tree: %lld nodes\n", (long long)stretch);
  printf("share 0: %lld trees, %lld nodes\n", (long long)even->trees, (long long)even->sum);
  printf("share 1: %lld trees, %lld nodes\n", (long long)odd->trees, (long long)odd->sum);
  printf("long-lived tree: %lld nodes\n", (long long)kept);
  echo_checksum(stretch);
  echo_checksum(even->trees);
  echo_checksum(even->sum);
  echo_checksum(odd->trees);
  echo_checksum(odd->sum);
  echo_checksum(kept);
  return 0;
}
