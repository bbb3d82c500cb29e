/* SPDX-License-Identifier: MIT
 *
 * graph_mutation - a graph of 64 MB whose edges and nodes are replaced all the time.
 *
 * Purpose     Stores into old objects are the work here: every step moves edges and replaces a node, so the
 *             graph that a collection finds is never the one the last collection found, and freed nodes are
 *             spread over all of the heap.
 * Usage       graph_mutation [megabytes=64] [threads=1] [rounds=2]; 0 megabytes is a graph of 128 nodes
 * Equations   Nodes are 64 B, megabytes * 2^20 / 64 of them, half in each share. Per round and share:
 *             one step per two nodes; a step allocates a node, a record of 48 B and a trail of 272 B, of
 *             which the last 1024 are kept. A replaced node lives on until the last edge to it goes.
 *             Defaults: 480 MB allocated, 72 MB in the tables and some more behind edges.
 */
#include "program.h"

enum { EDGES = 5, KEPT_RECORDS = 1024, TRAIL = 32 };

typedef struct node ECHO_REF* node_ref;
struct node {
  ECHO_HEADER;
  node_ref edge0, edge1, edge2, edge3, edge4;
  uint64_t number, stamp;
};
ECHO_LAYOUT(node_layout, struct node, ECHO_STRONG(struct node, edge0), ECHO_STRONG(struct node, edge1),
            ECHO_STRONG(struct node, edge2), ECHO_STRONG(struct node, edge3),
            ECHO_STRONG(struct node, edge4));

/* What a step did: keeps the replaced node for a while. */
typedef struct record ECHO_REF* record_ref;
struct record {
  ECHO_HEADER;
  record_ref older;
  node_ref before, after;
  echo_any trail;
  uint64_t step;
};
ECHO_LAYOUT(record_layout, struct record, ECHO_STRONG(struct record, older),
            ECHO_STRONG(struct record, before), ECHO_STRONG(struct record, after),
            ECHO_STRONG(struct record, trail));
ECHO_ARRAY_REF(table_layout);
ECHO_ARRAY_RAW(words_layout, uint64_t);

typedef struct job ECHO_REF* job_ref;
struct job {
  ECHO_HEADER;
  echo_any table;
  uint64_t seed, sum;
  int64_t nodes, rounds, steps;
};
ECHO_LAYOUT(job_layout, struct job, ECHO_STRONG(struct job, table));

static node_ref new_node(uint64_t seed, uint64_t number) {
  node_ref node = echo_new(node_layout, node_ref);
  node->number = number;
  node->stamp = scramble(seed, number);
  return node;
}

static node_ref edge(node_ref node, uint64_t which) {
  switch (which) {
  case 0:
    return node->edge0;
  case 1:
    return node->edge1;
  case 2:
    return node->edge2;
  case 3:
    return node->edge3;
  default:
    return node->edge4;
  }
}
static void set_edge(node_ref node, uint64_t which, node_ref to) {
  switch (which) {
  case 0:
    node->edge0 = to;
    break;
  case 1:
    node->edge1 = to;
    break;
  case 2:
    node->edge2 = to;
    break;
  case 3:
    node->edge3 = to;
    break;
  default:
    node->edge4 = to;
    break;
  }
}

static void build(job_ref job) {
  const uint64_t seed = job->seed;
  const uint64_t nodes = (uint64_t)job->nodes;
  echo_any table = echo_new_array(table_layout, (int64_t)nodes);
  job->table = table;
  for (uint64_t i = 0; i < nodes; ++i)
    echo_set(table, (int64_t)i, new_node(seed, i));
  for (uint64_t i = 0; i < nodes; ++i) {
    node_ref node = echo_get(table, (int64_t)i, node_ref);
    for (uint64_t k = 0; k < EDGES; ++k)
      set_edge(node, k, echo_get(table, (int64_t)(scramble(seed + 1, i * EDGES + k) % nodes), node_ref));
  }
}

static void check_node(node_ref node, uint64_t seed) {
  check(node->stamp == scramble(seed, node->number), "a node of the graph was overwritten");
}

static void mutate(echo_any job_object) {
  job_ref job = (job_ref)job_object;
  const uint64_t seed = job->seed;
  const uint64_t nodes = (uint64_t)job->nodes;
  const uint64_t steps = (uint64_t)job->rounds * ((nodes + 1) / 2);
  echo_any table = job->table;
  record_ref newest = 0;
  uint64_t number = nodes;
  uint64_t sum = 0;
  for (uint64_t step = 0; step < steps; ++step) {
    const uint64_t random = scramble(seed + 2, step);
    const int64_t place = (int64_t)(random % nodes);
    node_ref before = echo_get(table, place, node_ref);
    check_node(before, seed);
    node_ref after = new_node(seed, number++);
    for (uint64_t k = 0; k < EDGES; ++k)
      set_edge(after, k, edge(before, k));
    echo_set(table, place, after);
    /* One edge of a node three steps away comes to point at the new node. */
    node_ref walker = edge(after, random >> 40 & 3);
    walker = edge(walker, random >> 44 & 3);
    walker = edge(walker, random >> 48 & 3);
    check_node(walker, seed);
    set_edge(walker, (random >> 52) % EDGES, after);
    sum = mix(sum, walker->number);
    record_ref record = echo_new(record_layout, record_ref);
    record->older = newest;
    record->before = before;
    record->after = after;
    record->step = step;
    record->trail = echo_new_array(words_layout, TRAIL);
    for (int64_t k = 0; k < TRAIL; ++k)
      echo_at(record->trail, uint64_t, k) = random + (uint64_t)k;
    newest = record;
    if (step % KEPT_RECORDS == KEPT_RECORDS - 1) {
      uint64_t expected = step;
      for (record_ref r = newest; r; r = r->older, --expected) {
        check(r->step == expected, "a record was overwritten");
        check_node(r->before, seed);
        check_node(r->after, seed);
        for (int64_t k = 0; k < TRAIL; ++k)
          check(echo_at(r->trail, uint64_t, k) == scramble(seed + 2, r->step) + (uint64_t)k,
                "a trail was overwritten");
        sum = mix(sum, r->before->number);
      }
      newest = 0;
    }
  }
  for (uint64_t i = 0; i < nodes; ++i) {
    node_ref node = echo_get(table, (int64_t)i, node_ref);
    check_node(node, seed);
    sum = mix(sum, node->number);
    for (uint64_t k = 0; k < EDGES; ++k) {
      check_node(edge(node, k), seed);
      sum += edge(node, k)->number;
    }
  }
  job->steps = (int64_t)steps;
  job->sum = sum;
}

static job_ref new_job(uint64_t seed, int64_t nodes, int64_t rounds) {
  job_ref job = echo_new(job_layout, job_ref);
  job->seed = seed;
  job->nodes = nodes;
  job->rounds = rounds;
  return job;
}

static void report(job_ref job, int64_t share) {
  printf("share %lld: %lld nodes, %lld steps, sum %llx\n", (long long)share, (long long)job->nodes,
         (long long)job->steps, (unsigned long long)job->sum);
  echo_checksum(job->nodes);
  echo_checksum(job->steps);
  echo_checksum((int64_t)job->sum);
}

int main(int argc, char** argv) {
  const struct task task = read_task(argc, argv, 64, 0, 65536, 2);
  /* 0 megabytes: a graph of 128 nodes, for runs in which every allocation collects. */
  const int64_t nodes = task.size == 0 ? 64 : task.size * 1048576 / 64 / SHARES;
  job_ref first = new_job(31, nodes, task.rounds);
  job_ref second = new_job(32, nodes, task.rounds);
  build(first);
  build(second);
  run_shares(mutate, (echo_any)first, (echo_any)second, task.threads);
  report(first, 0);
  report(second, 1);
  return 0;
}
