/* SPDX-License-Identifier: MIT
 *
 * program.h - what every program of this folder has in common.
 *
 * Purpose     PROGRAM [size] [threads] [rounds]. The work is always cut into two shares with data of their
 *             own; with one thread they run one after the other, with two at the same time. Results are
 *             combined in the order of the shares, so output and checksum do not depend on threads.
 * Invariants  [program.check.1] A program checks what it reads back from the heap: a lost or overwritten
 *             object ends it with a line that begins with FAILED and status 1, whatever the checksum says.
 */
#ifndef ECHO_CONFORMANCE_PROGRAM_H
#define ECHO_CONFORMANCE_PROGRAM_H

#include "echo/cc.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { SHARES = 2 };

/* Argument `index` as a number in [low, high]; `otherwise` when it is not given. */
static inline int64_t argument(int argc, char** argv, int index, int64_t otherwise, int64_t low,
                               int64_t high) {
  if (index >= argc)
    return otherwise;
  char* end = argv[index];
  const long long value = strtoll(argv[index], &end, 10);
  if (end == argv[index] || *end != '\0' || value < low || value > high) {
    printf("argument %d: '%s' is not a number from %lld to %lld\n", index, argv[index], (long long)low,
           (long long)high);
    exit(2);
  }
  return value;
}

/* What the command line asks for. */
struct task {
  int64_t size, threads, rounds;
};

/* A size in [low, high], `size` when it is not given; one thread and `rounds` likewise. */
static inline struct task read_task(int argc, char** argv, int64_t size, int64_t low, int64_t high,
                                    int64_t rounds) {
  const struct task task = {argument(argc, argv, 1, size, low, high), argument(argc, argv, 2, 1, 1, SHARES),
                            argument(argc, argv, 3, rounds, 1, 1000000)};
  return task;
}

/* Runs both shares: one after the other, or at the same time with two threads. */
static inline void run_shares(void (*run)(echo_any), echo_any first, echo_any second, int64_t threads) {
  if (threads == SHARES) {
    const int64_t other = echo_spawn(run, second);
    run(first);
    echo_join(other);
  } else {
    run(first);
    run(second);
  }
}

/* [program.check.1] */
static inline void check(int holds, const char* what) {
  if (!holds) {
    printf("FAILED: %s\n", what);
    exit(1);
  }
}

/* A number that looks random and depends only on (seed, index): the finaliser of SplitMix64 (Steele, Lea,
 * Flood, "Fast splittable pseudorandom number generators", 2014). */
static inline uint64_t scramble(uint64_t seed, uint64_t index) {
  uint64_t z = seed * 0xD1342543DE82EF95u + (index + 1) * 0x9E3779B97F4A7C15u;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
  return z ^ (z >> 31);
}

/* Order-dependent hash of a sequence. */
static inline uint64_t mix(uint64_t sum, uint64_t value) {
  return (sum ^ value) * 0x100000001B3u + (sum >> 29);
}

#endif /* ECHO_CONFORMANCE_PROGRAM_H */
