/* SPDX-License-Identifier: MIT
 *
 * array_moves - an editor's sequence: a growing array of references in which everything moves all the time.
 *
 * Purpose     Inserting and removing in the middle are copies inside one array that overlap, upwards and downwards;
 *             growing is a copy between arrays; clearing is a fill. The moved references are the only ones to their
 *             objects. Beside them a raw array of bytes moves the same way.
 * Usage       array_moves [operations=60000] [threads=1] [rounds=4]
 * Equations   Per share and round: about `operations` items of 24 B are made, up to 1000 of them are alive; each
 *             insertion or removal moves up to 1000 references and bytes.
 */
#include "program.h"

typedef struct item ECHO_REF* item_ref;
struct item {
  ECHO_HEADER;
  int64_t number, weight;
};
ECHO_LAYOUT_RAW(item_layout, struct item);
ECHO_ARRAY_REF(refs_layout);
ECHO_ARRAY_RAW(bytes_layout, uint8_t);

/* length items in an array that may be longer; marks[i] belongs to items[i]. */
typedef struct sequence ECHO_REF* sequence_ref;
struct sequence {
  ECHO_HEADER;
  echo_any items, marks;
  int64_t length;
};
ECHO_LAYOUT(sequence_layout, struct sequence, ECHO_STRONG(struct sequence, items),
            ECHO_STRONG(struct sequence, marks));

typedef struct job ECHO_REF* job_ref;
struct job {
  ECHO_HEADER;
  uint64_t seed, sum;
  int64_t operations, rounds, moved;
};
ECHO_LAYOUT_RAW(job_layout, struct job);

enum { FIRST_CAPACITY = 4, LONGEST = 1000 };

static sequence_ref new_sequence(void) {
  sequence_ref sequence = echo_new(sequence_layout, sequence_ref);
  sequence->items = echo_new_array(refs_layout, FIRST_CAPACITY);
  sequence->marks = echo_new_array(bytes_layout, FIRST_CAPACITY);
  return sequence;
}

/* The address of a mark; a macro, since a function may not return an address inside an object. */
#define MARK_AT(marks, index) ((echo_any)((char ECHO_REF*)(marks) + 16 + (index)))

static void grow(sequence_ref sequence) {
  const int64_t capacity = echo_length(sequence->items) * 2;
  echo_any items = echo_new_array(refs_layout, capacity);
  echo_array_copy(items, 0, sequence->items, 0, sequence->length);
  sequence->items = items;
  echo_any marks = echo_new_array(bytes_layout, capacity);
  echo_raw_copy(MARK_AT(marks, 0), MARK_AT(sequence->marks, 0), sequence->length);
  sequence->marks = marks;
}

static void insert(sequence_ref sequence, int64_t index, item_ref item) {
  if (sequence->length == echo_length(sequence->items))
    grow(sequence);
  const int64_t behind = sequence->length - index;
  echo_array_copy(sequence->items, index + 1, sequence->items, index, behind);
  echo_raw_copy(MARK_AT(sequence->marks, index + 1), MARK_AT(sequence->marks, index), behind);
  echo_set(sequence->items, index, item);
  echo_at(sequence->marks, uint8_t, index) = (uint8_t)item->number;
  ++sequence->length;
}

static item_ref take(sequence_ref sequence, int64_t index) {
  item_ref item = echo_get(sequence->items, index, item_ref);
  const int64_t behind = sequence->length - index - 1;
  echo_array_copy(sequence->items, index, sequence->items, index + 1, behind);
  echo_raw_copy(MARK_AT(sequence->marks, index), MARK_AT(sequence->marks, index + 1), behind);
  --sequence->length;
  echo_set(sequence->items, sequence->length, 0);
  return item;
}

static item_ref new_item(int64_t number, uint64_t seed) {
  item_ref item = echo_new(item_layout, item_ref);
  item->number = number;
  item->weight = (int64_t)(scramble(seed, (uint64_t)number) >> 40);
  return item;
}

static void run_share(echo_any job_object) {
  job_ref job = (job_ref)job_object;
  uint64_t sum = 0;
  int64_t moved = 0;
  for (int64_t round = 0; round < job->rounds; ++round) {
    const uint64_t seed = scramble(job->seed, (uint64_t)round);
    sequence_ref sequence = new_sequence();
    for (int64_t i = 0; i < job->operations; ++i) {
      const uint64_t choice = scramble(seed ^ 0x5eed, (uint64_t)i);
      const int64_t length = sequence->length;
      const int64_t place = (int64_t)((choice >> 16) % (uint64_t)(length + 1));
      if (length == LONGEST) { /* clear the second half */
        echo_array_fill(sequence->items, LONGEST / 2, LONGEST / 2, 0);
        sequence->length = LONGEST / 2;
        sum = mix(sum, 1);
      } else if (place < length && choice % 3 == 0) {
        item_ref item = take(sequence, place);
        sum = mix(sum, (uint64_t)item->weight);
        moved += length - place - 1;
      } else {
        insert(sequence, place, new_item(i, seed));
        moved += length - place;
      }
    }
    for (int64_t i = 0; i < sequence->length; ++i) {
      item_ref item = echo_get(sequence->items, i, item_ref);
      check(item != 0, "a reference was not moved");
      check(item->weight == (int64_t)(scramble(seed, (uint64_t)item->number) >> 40),
            "an item was overwritten");
      check(echo_at(sequence->marks, uint8_t, i) == (uint8_t)item->number,
            "bytes and references moved apart");
      sum = mix(sum, (uint64_t)item->number);
    }
    for (int64_t i = sequence->length; i < echo_length(sequence->items); ++i)
      check(echo_get(sequence->items, i, item_ref) == 0, "a removed reference is still there");
  }
  job->sum = sum;
  job->moved = moved;
}

static job_ref new_job(uint64_t seed, int64_t operations, int64_t rounds) {
  job_ref job = echo_new(job_layout, job_ref);
  job->seed = seed;
  job->operations = operations;
  job->rounds = rounds;
  return job;
}

static void report(job_ref job, int64_t share) {
  printf("share %lld: %lld elements moved, sum %llx\n", (long long)share, (long long)job->moved,
         (unsigned long long)job->sum);
  echo_checksum(job->moved);
  echo_checksum((int64_t)job->sum);
}

int main(int argc, char** argv) {
  const struct task task = read_task(argc, argv, 60000, 1, 100000000, 4);
  job_ref first = new_job(71, task.size, task.rounds);
  job_ref second = new_job(72, task.size, task.rounds);
  run_shares(run_share, (echo_any)first, (echo_any)second, task.threads);
  report(first, 0);
  report(second, 1);
  return 0;
}
