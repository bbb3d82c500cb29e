/* SPDX-License-Identifier: MIT
 *
 * gcbench - a live set under churn: mixed sizes from 16 to 1024 bytes, trees, and large arrays.
 *
 * Purpose     After Ellis, Kovac and Boehm's GCBench, with what it lacks: objects of many sizes that die in
 *             random order, so that free memory comes back in holes, and arrays that need memory of their
 *             own.
 * Usage       gcbench [slots=16384] [threads=1] [rounds=24]
 * Equations   Per share: live = slots * 520 B on average + a tree of 2^13 nodes of 40 B + 4 large arrays of
 *             64 KiB .. 1 MiB; allocated = rounds * slots * (520 B + 550 KiB / 2048 + trees).
 *             Defaults: 670 MB allocated, 22 MB live.
 */
#include "program.h"

/* Sizes: a box is 16 bytes; blobs are 16 + 8 n bytes up to 1024. */
typedef struct box ECHO_REF* box_ref;
struct box {
  ECHO_HEADER;
  uint64_t value;
};
ECHO_LAYOUT_RAW(box_layout, struct box);
ECHO_ARRAY_RAW(words_layout, uint64_t);
ECHO_ARRAY_REF(table_layout);

typedef struct tree ECHO_REF* tree_ref;
struct tree {
  ECHO_HEADER;
  int64_t i, j;
  tree_ref left, right;
};
ECHO_LAYOUT(tree_layout, struct tree, ECHO_STRONG(struct tree, left), ECHO_STRONG(struct tree, right));

typedef struct job ECHO_REF* job_ref;
struct job {
  ECHO_HEADER;
  uint64_t seed;
  int64_t slots, rounds;
  uint64_t sum;
  int64_t replaced, large, nodes;
};
ECHO_LAYOUT_RAW(job_layout, struct job);

enum { MAX_BLOB_WORDS = 126, LARGE_RING = 4, LARGE_EVERY = 2048, TREE_EVERY = 512, TREE_DEPTH = 12 };

/* A blob of n words that all depend on its key; n == 0 gives a box of 16 bytes with the key. */
static echo_any make_blob(uint64_t key, int64_t words) {
  if (words == 0) {
    box_ref box = echo_new(box_layout, box_ref);
    box->value = key;
    return (echo_any)box;
  }
  echo_any blob = echo_new_array(words_layout, words);
  for (int64_t i = 0; i < words; ++i)
    echo_at(blob, uint64_t, i) = key + (uint64_t)i * 0x9E3779B97F4A7C15u;
  return blob;
}

static uint64_t check_blob(echo_any blob, uint64_t key, int64_t words) {
  if (words == 0) {
    check(((box_ref)blob)->value == key, "a box of 16 bytes was overwritten");
    return key;
  }
  check(echo_length(blob) == words, "a blob changed its length");
  uint64_t sum = 0;
  for (int64_t i = 0; i < words; ++i) {
    check(echo_at(blob, uint64_t, i) == key + (uint64_t)i * 0x9E3779B97F4A7C15u, "a blob was overwritten");
    sum += echo_at(blob, uint64_t, i);
  }
  return sum;
}

/* The blob that version `version` of slot `slot` holds: its key and number of words. */
static uint64_t blob_key(uint64_t seed, int64_t slot, int64_t version) {
  return scramble(seed, (uint64_t)slot * 1000003u + (uint64_t)version);
}
static int64_t blob_words(uint64_t key) {
  return (int64_t)((key >> 20) % (MAX_BLOB_WORDS + 1));
}

/* GCBench's two ways of making a tree: bottom up, and top down (stores into old objects). */
static tree_ref bottom_up(int64_t depth) {
  tree_ref left = 0;
  tree_ref right = 0;
  if (depth > 0) {
    left = bottom_up(depth - 1);
    right = bottom_up(depth - 1);
  }
  tree_ref tree = echo_new(tree_layout, tree_ref);
  tree->i = depth;
  tree->left = left;
  tree->right = right;
  return tree;
}
static void top_down(int64_t depth, tree_ref tree) {
  tree->j = depth;
  if (depth == 0)
    return;
  tree->left = echo_new(tree_layout, tree_ref);
  tree->right = echo_new(tree_layout, tree_ref);
  top_down(depth - 1, tree->left);
  top_down(depth - 1, tree->right);
}
static int64_t weigh(tree_ref tree) {
  if (tree == 0)
    return 0;
  return 1 + tree->i + tree->j + weigh(tree->left) + weigh(tree->right);
}

static echo_any make_large(uint64_t key) {
  const int64_t words = 8192 + (int64_t)(key % 122880);
  echo_any large = echo_new_array(words_layout, words);
  for (int64_t i = 0; i < words; i += 512)
    echo_at(large, uint64_t, i) = key ^ (uint64_t)i;
  echo_at(large, uint64_t, words - 1) = key;
  return large;
}
static uint64_t check_large(echo_any large, uint64_t key) {
  const int64_t words = 8192 + (int64_t)(key % 122880);
  check(echo_length(large) == words, "a large array changed its length");
  uint64_t sum = 0;
  for (int64_t i = 0; i < words - 1; i += 512) {
    check(echo_at(large, uint64_t, i) == (key ^ (uint64_t)i), "a large array was overwritten");
    check(i + 1 >= words - 1 || echo_at(large, uint64_t, i + 1) == 0, "a large array was not zeroed");
    sum += echo_at(large, uint64_t, i);
  }
  check(echo_at(large, uint64_t, words - 1) == key, "the end of a large array was overwritten");
  return sum;
}

static void run_share(echo_any job_object) {
  job_ref job = (job_ref)job_object;
  const uint64_t seed = job->seed;
  const int64_t slots = job->slots;
  echo_any table = echo_new_array(table_layout, slots);
  echo_any versions = echo_new_array(words_layout, slots);
  echo_any ring = echo_new_array(table_layout, LARGE_RING);
  tree_ref old_tree = bottom_up(TREE_DEPTH);
  uint64_t sum = 0;
  int64_t large = 0;
  int64_t nodes = 0;
  for (int64_t slot = 0; slot < slots; ++slot) {
    const uint64_t key = blob_key(seed, slot, 0);
    echo_set(table, slot, make_blob(key, blob_words(key)));
  }
  const int64_t steps = job->rounds * slots;
  for (int64_t step = 0; step < steps; ++step) {
    const int64_t slot = (int64_t)(scramble(~seed, (uint64_t)step) % (uint64_t)slots);
    const int64_t version = (int64_t)echo_at(versions, uint64_t, slot);
    const uint64_t old_key = blob_key(seed, slot, version);
    sum = mix(sum, check_blob(echo_get(table, slot, echo_any), old_key, blob_words(old_key)));
    const uint64_t key = blob_key(seed, slot, version + 1);
    echo_set(table, slot, make_blob(key, blob_words(key)));
    echo_at(versions, uint64_t, slot) = (uint64_t)(version + 1);
    if (step % TREE_EVERY == 0) {
      tree_ref fresh = echo_new(tree_layout, tree_ref);
      top_down(6, fresh);
      nodes += weigh(fresh) + weigh(bottom_up(6));
    }
    if (step % LARGE_EVERY == 0) {
      const int64_t place = large % LARGE_RING;
      if (large >= LARGE_RING)
        sum = mix(sum, check_large(echo_get(ring, place, echo_any),
                                   scramble(seed, (uint64_t)(large - LARGE_RING))));
      echo_set(ring, place, make_large(scramble(seed, (uint64_t)large)));
      ++large;
    }
  }
  for (int64_t slot = 0; slot < slots; ++slot) {
    const uint64_t key = blob_key(seed, slot, (int64_t)echo_at(versions, uint64_t, slot));
    sum = mix(sum, check_blob(echo_get(table, slot, echo_any), key, blob_words(key)));
  }
  nodes += weigh(old_tree);
  job->sum = sum;
  job->replaced = steps;
  job->large = large;
  job->nodes = nodes;
}

static job_ref new_job(uint64_t seed, int64_t slots, int64_t rounds) {
  job_ref job = echo_new(job_layout, job_ref);
  job->seed = seed;
  job->slots = slots;
  job->rounds = rounds;
  return job;
}

static void report(job_ref job, int64_t share) {
  printf("share %lld: %lld blobs replaced, %lld large arrays, tree weight %lld, sum %llx\n", (long long)share,
         (long long)job->replaced, (long long)job->large, (long long)job->nodes,
         (unsigned long long)job->sum);
  echo_checksum(job->replaced);
  echo_checksum(job->large);
  echo_checksum(job->nodes);
  echo_checksum((int64_t)job->sum);
}

int main(int argc, char** argv) {
  const struct task task = read_task(argc, argv, 16384, 1, 10000000, 24);
  job_ref first = new_job(11, task.size, task.rounds);
  job_ref second = new_job(12, task.size, task.rounds);
  run_shares(run_share, (echo_any)first, (echo_any)second, task.threads);
  report(first, 0);
  report(second, 1);
  return 0;
}
