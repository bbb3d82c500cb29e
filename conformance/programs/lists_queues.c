/* SPDX-License-Identifier: MIT
 *
 * lists_queues - lists that are mapped, filtered and reversed, a long-lived queue, a growing deque.
 *
 * Purpose     Long chains (a marker that recurses dies of them), a queue whose dead head would keep
 *             everything alive in a collector that retains too much, and arrays of references that are
 *             copied when they grow.
 * Usage       lists_queues [length=50000] [threads=1] [rounds=20]
 * Equations   Per share and round: 3 * length list cells of 24 B, 4 * length queue cells of 32 B (at most
 *             length/8 + 1 at a time), 2 * length boxes of 16 B and arrays of 32 * length B in all.
 *             Defaults: 550 MB allocated, 4 MB live.
 */
#include "program.h"

typedef struct cell ECHO_REF* cell_ref;
struct cell {
  ECHO_HEADER;
  cell_ref next;
  uint64_t value;
};
ECHO_LAYOUT(cell_layout, struct cell, ECHO_STRONG(struct cell, next));

/* A doubly linked queue, so that every cell is the target of two references. */
typedef struct link ECHO_REF* link_ref;
struct link {
  ECHO_HEADER;
  link_ref newer, older;
  uint64_t value;
};
ECHO_LAYOUT(link_layout, struct link, ECHO_STRONG(struct link, newer), ECHO_STRONG(struct link, older));

typedef struct box ECHO_REF* box_ref;
struct box {
  ECHO_HEADER;
  uint64_t value;
};
ECHO_LAYOUT_RAW(box_layout, struct box);
ECHO_ARRAY_REF(refs_layout);

typedef struct job ECHO_REF* job_ref;
struct job {
  ECHO_HEADER;
  uint64_t seed;
  int64_t length, rounds;
  uint64_t list_sum, queue_sum, deque_sum;
};
ECHO_LAYOUT_RAW(job_layout, struct job);

static cell_ref cons(uint64_t value, cell_ref next) {
  cell_ref cell = echo_new(cell_layout, cell_ref);
  cell->value = value;
  cell->next = next;
  return cell;
}

static cell_ref reversed(cell_ref list) {
  cell_ref result = 0;
  for (; list; list = list->next)
    result = cons(list->value, result);
  return result;
}

static uint64_t lists(uint64_t seed, int64_t length) {
  cell_ref list = 0;
  for (int64_t i = 0; i < length; ++i)
    list = cons(scramble(seed, (uint64_t)i), list);
  cell_ref mapped = 0;
  for (cell_ref c = list; c; c = c->next)
    mapped = cons(c->value * 3 + 1, mapped);
  cell_ref odd = 0;
  for (cell_ref c = mapped; c; c = c->next)
    if (c->value & 1)
      odd = cons(c->value, odd);
  uint64_t sum = 0;
  int64_t cells = 0;
  for (cell_ref c = reversed(odd); c; c = c->next, ++cells)
    sum = mix(sum, c->value);
  int64_t i = length;
  for (cell_ref c = list; c; c = c->next)
    check(c->value == scramble(seed, (uint64_t)--i), "a list cell was overwritten");
  check(i == 0, "a list lost cells");
  return mix(sum, (uint64_t)cells);
}

static uint64_t queue(uint64_t seed, int64_t pushes, int64_t window) {
  link_ref newest = 0;
  link_ref oldest = 0;
  int64_t popped = 0;
  uint64_t sum = 0;
  for (int64_t i = 0; i < pushes; ++i) {
    link_ref link = echo_new(link_layout, link_ref);
    link->value = scramble(seed, (uint64_t)i);
    link->older = newest;
    if (newest)
      newest->newer = link;
    else
      oldest = link;
    newest = link;
    if (i >= window) {
      check(oldest->value == scramble(seed, (uint64_t)popped), "the queue gave a wrong value");
      sum = mix(sum, oldest->value);
      oldest = oldest->newer;
      oldest->older = 0;
      ++popped;
    }
  }
  int64_t left = 0;
  for (link_ref l = newest; l; l = l->older)
    ++left;
  check(left == pushes - popped, "the queue lost cells");
  return mix(sum, (uint64_t)left);
}

/* A deque in an array of references that doubles when it is full; what is popped is set to null. */
static uint64_t deque(uint64_t seed, int64_t pushes) {
  echo_any items = echo_new_array(refs_layout, 4);
  int64_t first = 0;
  int64_t count = 0;
  int64_t next_out = 0;
  uint64_t sum = 0;
  for (int64_t i = 0; i < pushes; ++i) {
    const int64_t capacity = echo_length(items);
    if (count == capacity) {
      echo_any larger = echo_new_array(refs_layout, 2 * capacity);
      for (int64_t k = 0; k < count; ++k)
        echo_set(larger, k, echo_get(items, (first + k) % capacity, echo_any));
      items = larger;
      first = 0;
    }
    box_ref box = echo_new(box_layout, box_ref);
    box->value = scramble(seed, (uint64_t)i);
    echo_set(items, (first + count) % echo_length(items), box);
    ++count;
    if (i % 3 == 2) {
      box_ref out = echo_get(items, first, box_ref);
      check(out->value == scramble(seed, (uint64_t)next_out), "the deque gave a wrong value");
      echo_set(items, first, (echo_any)0);
      first = (first + 1) % echo_length(items);
      --count;
      ++next_out;
      sum = mix(sum, out->value);
    }
  }
  for (int64_t k = 0; k < count; ++k) {
    box_ref box = echo_get(items, (first + k) % echo_length(items), box_ref);
    check(box->value == scramble(seed, (uint64_t)(next_out + k)), "the deque lost a value");
    sum = mix(sum, box->value);
  }
  return sum;
}

static void run_share(echo_any job_object) {
  job_ref job = (job_ref)job_object;
  for (int64_t round = 0; round < job->rounds; ++round) {
    const uint64_t seed = scramble(job->seed, (uint64_t)round);
    job->list_sum = mix(job->list_sum, lists(seed, job->length));
    job->queue_sum = mix(job->queue_sum, queue(seed + 1, 4 * job->length, job->length / 8 + 1));
    job->deque_sum = mix(job->deque_sum, deque(seed + 2, 2 * job->length));
  }
}

static job_ref new_job(uint64_t seed, int64_t length, int64_t rounds) {
  job_ref job = echo_new(job_layout, job_ref);
  job->seed = seed;
  job->length = length;
  job->rounds = rounds;
  return job;
}

static void report(job_ref job, int64_t share) {
  printf("share %lld: lists %llx, queue %llx, deque %llx\n", (long long)share,
         (unsigned long long)job->list_sum, (unsigned long long)job->queue_sum,
         (unsigned long long)job->deque_sum);
  echo_checksum((int64_t)job->list_sum);
  echo_checksum((int64_t)job->queue_sum);
  echo_checksum((int64_t)job->deque_sum);
}

int main(int argc, char** argv) {
  const struct task task = read_task(argc, argv, 50000, 1, 100000000, 20);
  job_ref first = new_job(21, task.size, task.rounds);
  job_ref second = new_job(22, task.size, task.rounds);
  run_shares(run_share, (echo_any)first, (echo_any)second, task.threads);
  report(first, 0);
  report(second, 1);
  return 0;
}
