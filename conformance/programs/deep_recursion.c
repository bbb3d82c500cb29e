/* SPDX-License-Identifier: MIT
 *
 * deep_recursion - 100 000 frames, each with references that only it holds.
 *
 * Purpose     A collection at any depth must find the references of every frame; frames are entered, left and
 *             re-entered between collections, so remembering a part of the stack must not remember too much.
 * Usage       deep_recursion [depth=100000] [threads=1] [rounds=40]
 * Equations   Per share and round: depth * (32 + 24 + 32) B going down and up, depth/3 * 81/64 * 32 B for the
 *             zigzag; live at most depth * 56 B. Defaults: 810 MB allocated, 6 MB live per running share.
 */
#include "program.h"

typedef struct link ECHO_REF* link_ref;
struct link {
  ECHO_HEADER;
  link_ref next;
  uint64_t value, height;
};
ECHO_LAYOUT(link_layout, struct link, ECHO_STRONG(struct link, next));

typedef struct note ECHO_REF* note_ref;
struct note {
  ECHO_HEADER;
  link_ref about;
  uint64_t value;
};
ECHO_LAYOUT(note_layout, struct note, ECHO_STRONG(struct note, about));

typedef struct job ECHO_REF* job_ref;
struct job {
  ECHO_HEADER;
  uint64_t seed, down_sum, zigzag_sum;
  int64_t depth, rounds;
};
ECHO_LAYOUT_RAW(job_layout, struct job);

static link_ref new_link(uint64_t value, uint64_t height, link_ref next) {
  link_ref link = echo_new(link_layout, link_ref);
  link->value = value;
  link->height = height;
  link->next = next;
  return link;
}

/* `here` and `note` are held by this frame alone while the frames below it allocate. */
static link_ref descend(uint64_t seed, uint64_t height) {
  link_ref here = new_link(scramble(seed, height), height, 0);
  note_ref note = echo_new(note_layout, note_ref);
  note->about = here;
  note->value = ~here->value;
  if (height == 0)
    return here;
  link_ref below = descend(seed, height - 1);
  check(below->height == height - 1, "a frame got another frame's result");
  check(here->value == scramble(seed, height) && here->height == height,
        "an object held by a frame was lost");
  check(note->about == here && note->value == ~here->value, "a second object held by a frame was lost");
  return new_link(mix(below->value, here->value), height, 0);
}

/* Goes down, comes half way up, goes down again: the lower part of the stack is always new, the upper part
 * old. */
static uint64_t zigzag(uint64_t seed, uint64_t height, link_ref above) {
  link_ref here = new_link(scramble(seed, height), height, above);
  uint64_t sum = here->value;
  if (height > 0) {
    sum = mix(sum, zigzag(seed, height - 1, here));
    if (height % 64 == 0)
      sum = mix(sum, zigzag(seed + 1, 16, here));
  }
  check(here->value == scramble(seed, height) && here->next == above,
        "an object of a re-entered frame was lost");
  return sum;
}

static void run_share(echo_any job_object) {
  job_ref job = (job_ref)job_object;
  const uint64_t depth = (uint64_t)job->depth;
  for (int64_t round = 0; round < job->rounds; ++round) {
    const uint64_t seed = scramble(job->seed, (uint64_t)round);
    link_ref result = descend(seed, depth);
    check(result->height == depth, "the recursion ended at another depth");
    job->down_sum = mix(job->down_sum, result->value);
    job->zigzag_sum = mix(job->zigzag_sum, zigzag(seed, depth / 3, 0));
  }
}

static job_ref new_job(uint64_t seed, int64_t depth, int64_t rounds) {
  job_ref job = echo_new(job_layout, job_ref);
  job->seed = seed;
  job->depth = depth;
  job->rounds = rounds;
  return job;
}

static void report(job_ref job, int64_t share) {
  printf("share %lld: down %llx, zigzag %llx\n", (long long)share, (unsigned long long)job->down_sum,
         (unsigned long long)job->zigzag_sum);
  echo_checksum((int64_t)job->down_sum);
  echo_checksum((int64_t)job->zigzag_sum);
}

int main(int argc, char** argv) {
  const struct task task = read_task(argc, argv, 100000, 1, 1000000, 40);
  job_ref first = new_job(41, task.size, task.rounds);
  job_ref second = new_job(42, task.size, task.rounds);
  run_shares(run_share, (echo_any)first, (echo_any)second, task.threads);
  report(first, 0);
  report(second, 1);
  return 0;
}
