/* SPDX-License-Identifier: MIT
 *
 * producer_consumer - objects pass from one thread to another through a ring on the heap.
 *
 * Purpose     What one thread allocates another reads and drops, so the two agree on nothing but the ring;
 *             the positions are atomics in raw memory, as a language's run-time would have them. With one
 *             thread the ring is filled and drained in turn: messages and order are the same.
 * Usage       producer_consumer [messages=1000000] [threads=1] [rounds=2]
 * Invariants  [ring.order.1] The producer writes slot p % capacity before it publishes produced = p + 1
 *             (release); the consumer reads it after it has seen that (acquire), clears it, then publishes
 *             consumed = p + 1, which the producer has seen before it writes the slot again.
 * Equations   A message of 40 B carries a chain of 1 .. 4 parcels of 32 B: 120 B on average; live: at most
 *             256 messages. Defaults: 240 MB allocated, 31 KB live.
 */
#include "program.h"

#include <stdatomic.h>

typedef struct parcel ECHO_REF* parcel_ref;
struct parcel {
  ECHO_HEADER;
  parcel_ref next;
  uint64_t value, check;
};
ECHO_LAYOUT(parcel_layout, struct parcel, ECHO_STRONG(struct parcel, next));

typedef struct message ECHO_REF* message_ref;
struct message {
  ECHO_HEADER;
  parcel_ref parcels;
  int64_t number, length, unused;
};
ECHO_LAYOUT(message_layout, struct message, ECHO_STRONG(struct message, parcels));
ECHO_ARRAY_REF(ring_layout);

enum { CAPACITY = 256 };

typedef struct job ECHO_REF* job_ref;
struct job {
  ECHO_HEADER;
  echo_any ring;
  uint64_t seed;
  int64_t messages;
};
ECHO_LAYOUT(job_layout, struct job, ECHO_STRONG(struct job, ring));

static _Atomic int64_t produced;
static _Atomic int64_t consumed;

static message_ref new_message(uint64_t seed, int64_t number) {
  message_ref message = echo_new(message_layout, message_ref);
  message->number = number;
  message->length = 1 + (int64_t)(scramble(seed, (uint64_t)number) & 3);
  for (int64_t i = 0; i < message->length; ++i) {
    parcel_ref parcel = echo_new(parcel_layout, parcel_ref);
    parcel->value = scramble(seed + 1, (uint64_t)(number * 4 + i));
    parcel->check = ~parcel->value;
    parcel->next = message->parcels;
    message->parcels = parcel;
  }
  return message;
}

/* Puts messages from `number` on into the ring until it is full or none is left; returns the next number. */
static int64_t produce_some(job_ref job, int64_t number) {
  while (number < job->messages &&
         number - atomic_load_explicit(&consumed, memory_order_acquire) < CAPACITY) {
    echo_set(job->ring, number % CAPACITY, new_message(job->seed, number));
    ++number;
    atomic_store_explicit(&produced, number, memory_order_release);
  }
  return number;
}

static uint64_t consume_one(job_ref job, int64_t number, uint64_t sum) {
  message_ref message = echo_get(job->ring, number % CAPACITY, message_ref);
  echo_set(job->ring, number % CAPACITY, (echo_any)0);
  atomic_store_explicit(&consumed, number + 1, memory_order_release);
  check(message->number == number, "a message came out of order");
  int64_t length = 0;
  for (parcel_ref p = message->parcels; p; p = p->next, ++length) {
    check(p->check == ~p->value, "a parcel was overwritten");
    sum = mix(sum, p->value);
  }
  check(length == message->length, "a message lost parcels");
  return sum;
}

static void produce(echo_any job_object) {
  job_ref job = (job_ref)job_object;
  for (int64_t number = 0; number < job->messages;) {
    const int64_t next = produce_some(job, number);
    if (next == number)
      echo_yield();
    number = next;
  }
}

static uint64_t run_round(uint64_t seed, int64_t messages, int64_t threads) {
  atomic_store(&produced, 0);
  atomic_store(&consumed, 0);
  job_ref job = echo_new(job_layout, job_ref);
  job->ring = echo_new_array(ring_layout, CAPACITY);
  job->seed = seed;
  job->messages = messages;
  const int64_t producer = threads == 2 ? echo_spawn(produce, (echo_any)job) : 0;
  int64_t next_to_produce = 0;
  uint64_t sum = 0;
  for (int64_t number = 0; number < messages; ++number) {
    while (atomic_load_explicit(&produced, memory_order_acquire) <= number) {
      if (threads == 2)
        echo_yield();
      else
        next_to_produce = produce_some(job, next_to_produce);
    }
    sum = consume_one(job, number, sum);
  }
  if (threads == 2)
    echo_join(producer);
  for (int64_t i = 0; i < CAPACITY; ++i)
    check(echo_get(job->ring, i, echo_any) == 0, "the ring is not empty at the end");
  return sum;
}

int main(int argc, char** argv) {
  const struct task task = read_task(argc, argv, 1000000, 1, 1000000000, 2);
  for (int64_t round = 0; round < task.rounds; ++round) {
    const uint64_t sum = run_round(61 + (uint64_t)round, task.size, task.threads);
    printf("round %lld: %lld messages, sum %llx\n", (long long)round, (long long)task.size,
           (unsigned long long)sum);
    echo_checksum((int64_t)sum);
  }
  return 0;
}
