/* SPDX-License-Identifier: MIT
 *
 * string_map - a hash map whose keys are strings, as the runtime of a dynamic language has it: words are counted,
 * some are forgotten, the table grows.
 *
 * Purpose     Strings are raw arrays made anew for every look-up, buckets are chains of entries in an array of
 *             references that is replaced when the map grows; entries are unlinked in the middle of chains.
 * Usage       string_map [words=40000] [threads=1] [rounds=4]
 * Equations   Per share and round: `words` strings of 16 + 4..11 B, about words/3 entries of 40 B alive, and tables of
 *             8 B per bucket that double. Every 7th word is forgotten.
 */
#include "program.h"

ECHO_ARRAY_RAW(string_layout, uint8_t);
ECHO_ARRAY_REF(refs_layout);

typedef struct entry ECHO_REF* entry_ref;
struct entry {
  ECHO_HEADER;
  entry_ref next;
  echo_any key;
  uint64_t hash;
  int64_t count;
};
ECHO_LAYOUT(entry_layout, struct entry, ECHO_STRONG(struct entry, next), ECHO_STRONG(struct entry, key));

typedef struct map ECHO_REF* map_ref;
struct map {
  ECHO_HEADER;
  echo_any buckets; /* a power of two of chains */
  int64_t entries;
};
ECHO_LAYOUT(map_layout, struct map, ECHO_STRONG(struct map, buckets));

typedef struct job ECHO_REF* job_ref;
struct job {
  ECHO_HEADER;
  uint64_t seed, sum;
  int64_t words, rounds, entries;
};
ECHO_LAYOUT_RAW(job_layout, struct job);

static map_ref new_map(void) {
  map_ref map = echo_new(map_layout, map_ref);
  map->buckets = echo_new_array(refs_layout, 8);
  return map;
}

/* The word that a number stands for: 4 to 11 letters. */
static echo_any new_word(uint64_t number) {
  const uint64_t bits = scramble(0x30bd5, number);
  const int64_t length = 4 + (int64_t)(bits >> 61);
  echo_any word = echo_new_array(string_layout, length);
  for (int64_t i = 0; i < length; ++i)
    echo_at(word, uint8_t, i) = (uint8_t)('a' + (bits >> (i * 5)) % 26);
  return word;
}

/* FNV-1a. */
static uint64_t hash_of(echo_any word) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (int64_t i = 0; i < echo_length(word); ++i)
    hash = (hash ^ echo_at(word, uint8_t, i)) * 0x100000001b3u;
  return hash;
}

static int equal(echo_any a, echo_any b) {
  if (echo_length(a) != echo_length(b))
    return 0;
  for (int64_t i = 0; i < echo_length(a); ++i)
    if (echo_at(a, uint8_t, i) != echo_at(b, uint8_t, i))
      return 0;
  return 1;
}

static int64_t bucket_of(echo_any buckets, uint64_t hash) {
  return (int64_t)(hash & (uint64_t)(echo_length(buckets) - 1));
}

static entry_ref find(map_ref map, echo_any key, uint64_t hash) {
  entry_ref entry = echo_get(map->buckets, bucket_of(map->buckets, hash), entry_ref);
  while (entry && !(entry->hash == hash && equal(entry->key, key)))
    entry = entry->next;
  return entry;
}

static void grow(map_ref map) {
  echo_any old = map->buckets;
  echo_any buckets = echo_new_array(refs_layout, echo_length(old) * 2);
  for (int64_t i = 0; i < echo_length(old); ++i)
    for (entry_ref entry = echo_get(old, i, entry_ref); entry;) {
      entry_ref next = entry->next;
      const int64_t bucket = bucket_of(buckets, entry->hash);
      entry->next = echo_get(buckets, bucket, entry_ref);
      echo_set(buckets, bucket, entry);
      entry = next;
    }
  map->buckets = buckets;
}

/* Counts a word; returns its new count. */
static int64_t count_word(map_ref map, uint64_t number) {
  echo_any key = new_word(number);
  const uint64_t hash = hash_of(key);
  entry_ref entry = find(map, key, hash);
  if (!entry) {
    if (map->entries == echo_length(map->buckets))
      grow(map);
    entry = echo_new(entry_layout, entry_ref);
    entry->key = key;
    entry->hash = hash;
    const int64_t bucket = bucket_of(map->buckets, hash);
    entry->next = echo_get(map->buckets, bucket, entry_ref);
    echo_set(map->buckets, bucket, entry);
    ++map->entries;
  }
  return ++entry->count;
}

/* Removes a word; returns the count it had. */
static int64_t forget(map_ref map, uint64_t number) {
  echo_any key = new_word(number);
  entry_ref entry = find(map, key, hash_of(key));
  if (!entry)
    return 0;
  const int64_t bucket = bucket_of(map->buckets, entry->hash);
  entry_ref before = echo_get(map->buckets, bucket, entry_ref);
  if (before == entry) {
    echo_set(map->buckets, bucket, entry->next);
  } else {
    while (before->next != entry)
      before = before->next;
    before->next = entry->next;
  }
  --map->entries;
  return entry->count;
}

static void run_share(echo_any job_object) {
  job_ref job = (job_ref)job_object;
  uint64_t sum = 0;
  int64_t entries = 0;
  for (int64_t round = 0; round < job->rounds; ++round) {
    const uint64_t seed = scramble(job->seed, (uint64_t)round);
    const uint64_t vocabulary = (uint64_t)job->words / 2 + 1;
    map_ref map = new_map();
    for (int64_t i = 0; i < job->words; ++i) {
      const uint64_t choice = scramble(seed, (uint64_t)i);
      const uint64_t word = choice % vocabulary;
      const int64_t count = (choice >> 40) % 7 == 0 ? forget(map, word) : count_word(map, word);
      sum = mix(sum, (uint64_t)count);
    }
    int64_t seen = 0;
    uint64_t total = 0;
    for (int64_t i = 0; i < echo_length(map->buckets); ++i)
      for (entry_ref entry = echo_get(map->buckets, i, entry_ref); entry; entry = entry->next) {
        check(hash_of(entry->key) == entry->hash, "a key has changed");
        check(bucket_of(map->buckets, entry->hash) == i, "an entry is in the wrong bucket");
        total += entry->hash * (uint64_t)entry->count; /* whatever the order */
        ++seen;
      }
    check(seen == map->entries, "the map lost an entry");
    sum = mix(sum, total);
    entries += seen;
  }
  job->sum = sum;
  job->entries = entries;
}

static job_ref new_job(uint64_t seed, int64_t words, int64_t rounds) {
  job_ref job = echo_new(job_layout, job_ref);
  job->seed = seed;
  job->words = words;
  job->rounds = rounds;
  return job;
}

static void report(job_ref job, int64_t share) {
  printf("share %lld: %lld entries at the ends, sum %llx\n", (long long)share, (long long)job->entries,
         (unsigned long long)job->sum);
  echo_checksum(job->entries);
  echo_checksum((int64_t)job->sum);
}

int main(int argc, char** argv) {
  const struct task task = read_task(argc, argv, 40000, 1, 100000000, 4);
  job_ref first = new_job(81, task.size, task.rounds);
  job_ref second = new_job(82, task.size, task.rounds);
  run_shares(run_share, (echo_any)first, (echo_any)second, task.threads);
  report(first, 0);
  report(second, 1);
  return 0;
}
