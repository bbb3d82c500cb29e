/* SPDX-License-Identifier: MIT
 *
 * quicksort_boxed - quicksort of boxed values with boxed comparison results, as a dynamic language runs it.
 *
 * Purpose     References move inside one large array of references (array stores with the barrier), the
 *             worklist is on the heap, and each comparison makes a box that dies at once. The comparison is
 *             called through a function pointer.
 * Usage       quicksort_boxed [length=60000] [threads=1] [rounds=6]
 * Equations   Per share and round: length boxes of 24 B and an array of 8 length + 16 B are live; about
 *             1.3 length log2(length) comparisons make 16 B each.
 *             Defaults: 300 MB allocated, 2 MB live per running share.
 */
#include "program.h"

typedef struct box ECHO_REF* box_ref;
struct box {
  ECHO_HEADER;
  int64_t key, origin;
};
ECHO_LAYOUT_RAW(box_layout, struct box);

typedef struct verdict ECHO_REF* verdict_ref;
struct verdict {
  ECHO_HEADER;
  int64_t order; /* negative, zero, positive */
};
ECHO_LAYOUT_RAW(verdict_layout, struct verdict);

/* A range still to sort: [low, high). */
typedef struct range ECHO_REF* range_ref;
struct range {
  ECHO_HEADER;
  range_ref next;
  int64_t low, high;
};
ECHO_LAYOUT(range_layout, struct range, ECHO_STRONG(struct range, next));
ECHO_ARRAY_REF(refs_layout);

typedef struct job ECHO_REF* job_ref;
struct job {
  ECHO_HEADER;
  uint64_t seed, sum;
  int64_t length, rounds, comparisons;
};
ECHO_LAYOUT_RAW(job_layout, struct job);

typedef verdict_ref (*comparison)(box_ref, box_ref);

static verdict_ref verdict(int64_t order) {
  verdict_ref result = echo_new(verdict_layout, verdict_ref);
  result->order = order;
  return result;
}
static verdict_ref ascending(box_ref a, box_ref b) {
  return verdict(a->key < b->key ? -1 : a->key > b->key);
}
static verdict_ref descending(box_ref a, box_ref b) {
  return verdict(a->key < b->key ? 1 : -(a->key > b->key));
}

static range_ref push(range_ref rest, int64_t low, int64_t high) {
  if (high - low < 2)
    return rest;
  range_ref range = echo_new(range_layout, range_ref);
  range->low = low;
  range->high = high;
  range->next = rest;
  return range;
}

/* Hoare's partition around the middle element; returns the number of comparisons. */
static int64_t quicksort(echo_any items, comparison compare) {
  int64_t comparisons = 0;
  range_ref work = push(0, 0, echo_length(items));
  while (work) {
    const int64_t low = work->low;
    const int64_t high = work->high;
    box_ref pivot = echo_get(items, low + (high - low) / 2, box_ref);
    int64_t i = low;
    int64_t j = high - 1;
    while (i <= j) {
      while (compare(echo_get(items, i, box_ref), pivot)->order < 0) {
        ++i;
        ++comparisons;
      }
      while (compare(echo_get(items, j, box_ref), pivot)->order > 0) {
        --j;
        ++comparisons;
      }
      comparisons += 2;
      if (i <= j) {
        box_ref left = echo_get(items, i, box_ref);
        echo_set(items, i, echo_get(items, j, box_ref));
        echo_set(items, j, left);
        ++i;
        --j;
      }
    }
    work = push(push(work->next, low, j + 1), i, high);
  }
  return comparisons;
}

static void run_share(echo_any job_object) {
  job_ref job = (job_ref)job_object;
  const int64_t length = job->length;
  uint64_t sum = 0;
  int64_t comparisons = 0;
  for (int64_t round = 0; round < job->rounds; ++round) {
    const uint64_t seed = scramble(job->seed, (uint64_t)round);
    const comparison order = round % 2 ? descending : ascending;
    echo_any items = echo_new_array(refs_layout, length);
    uint64_t keys_before = 0;
    for (int64_t i = 0; i < length; ++i) {
      box_ref box = echo_new(box_layout, box_ref);
      /* Few distinct keys in some rounds, many in others; some negative. */
      box->key = (int64_t)(scramble(seed, (uint64_t)i) >> (round % 3 ? 1 : 50)) - 5000;
      box->origin = i;
      keys_before += (uint64_t)box->key;
      echo_set(items, i, box);
    }
    comparisons += quicksort(items, order);
    uint64_t keys_after = 0;
    uint64_t origins = 0;
    for (int64_t i = 0; i < length; ++i) {
      box_ref box = echo_get(items, i, box_ref);
      if (i > 0)
        check(order(echo_get(items, i - 1, box_ref), box)->order <= 0, "the array is not sorted");
      keys_after += (uint64_t)box->key;
      origins += (uint64_t)box->origin;
      sum = mix(sum, (uint64_t)box->key);
    }
    check(keys_before == keys_after, "sorting changed the values");
    check(origins == (uint64_t)length * (uint64_t)(length - 1) / 2, "sorting lost a box");
  }
  job->sum = sum;
  job->comparisons = comparisons;
}

static job_ref new_job(uint64_t seed, int64_t length, int64_t rounds) {
  job_ref job = echo_new(job_layout, job_ref);
  job->seed = seed;
  job->length = length;
  job->rounds = rounds;
  return job;
}

static void report(job_ref job, int64_t share) {
  printf("share %lld: %lld comparisons, sum %llx\n", (long long)share, (long long)job->comparisons,
         (unsigned long long)job->sum);
  echo_checksum(job->comparisons);
  echo_checksum((int64_t)job->sum);
}

int main(int argc, char** argv) {
  const struct task task = read_task(argc, argv, 60000, 1, 100000000, 6);
  job_ref first = new_job(51, task.size, task.rounds);
  job_ref second = new_job(52, task.size, task.rounds);
  run_shares(run_share, (echo_any)first, (echo_any)second, task.threads);
  report(first, 0);
  report(second, 1);
  return 0;
}
