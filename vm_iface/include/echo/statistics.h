/* SPDX-License-Identifier: MIT
 *
 * echo/statistics.h - what the heap counted, and what each word means.
 *
 * Definitions [stats.live.1] live_bytes: bytes of objects found reachable by the last completed mark.
 *             [stats.used.1] used_bytes: slabs (64 KiB) that hold any object, and pages of large objects.
 *             [stats.frag.1] fragmentation = (used_bytes - bytes of objects not yet known dead) / used_bytes, at the
 *             end of a sweep, tails and holes included. [stats.util.1] utilisation = those bytes / used_bytes.
 *             [stats.committed.1] committed_bytes = used + reserve + nursery + metadata, each listed apart.
 *             [stats.pause.1] A pause runs from the first moment a mutator is held (stop, slow path that collects)
 *             to its release, measured on that mutator. [pause.net.1] Net: without what its critical path waited for a
 *             processor. The critical path of a stop: the last thread to come to rest, from the request until it has done the
 *             work; then the held thread itself, until it runs on. Of any other pause: the held thread. Subtracted is only what
 *             the kernel says for certain: not of a pause under 20 us, of a thread beyond the 64th of a process, or on a
 *             kernel that does not count (run_queue_known 0).
 *             [pause.mmu.1] mmu: 1 - the longest time that raw pauses of one thread took of any window of that length, in parts of
 *             the window (Cheng and Blelloch, PLDI 2001). Time before the thread attached counts as its own. At most 1/32 too
 *             low, never too high.
 */
#ifndef ECHO_STATISTICS_H
#define ECHO_STATISTICS_H

#include "echo/base.h"

ECHO_BEGIN_DECLS

/* Microseconds, from a log-linear histogram with at most 1 % error; max is exact. */
typedef struct echo_distribution {
  uint64_t count;
  double p50, p90, p99, p99_9, max, sum;
} echo_distribution;

/* X(name, sentence): why a collection began, and why a mutator was held. */
#define ECHO_CAUSE_TABLE(X)                                                                                  \
  X(heap_full, "allocation found no free memory below the limit or the growth threshold")                    \
  X(requested, "the VM asked for a collection")                                                              \
  X(stress, "collect-at-every-Nth-allocation")                                                               \
  X(emergency, "a second collection before reporting out of memory")                                         \
  X(large_object, "a thread zeroed a slice of a large object's recycled memory by itself")                   \
  X(mark_start, "the stop in which a mark starts that runs beside the program")                              \
  X(mark_end, "a stop in which such a mark ends, or is found not to be complete")                            \
  X(frames, "a thread visited a slice of its older frames while marking")                                    \
  X(assist, "a thread marked a slice because of what it allocates or deletes")                               \
  X(step, "the VM gave the collector a thread's idle time")

typedef enum echo_cause {
#define ECHO_CAUSE_ENUM(name, sentence) ECHO_CAUSE_##name,
  ECHO_CAUSE_TABLE(ECHO_CAUSE_ENUM)
#undef ECHO_CAUSE_ENUM
      ECHO_CAUSE_COUNT
} echo_cause;

/* X(name, sentence): which kind of ambiguous word hit an object first (echo/heap.h). */
#define ECHO_PIN_TABLE(X)                                                                                    \
  X(register, "a saved register of a thread at rest")                                                        \
  X(stack, "a word of a thread's machine stack")                                                             \
  X(range, "a word of a data range")                                                                         \
  X(object, "a word of an object without a known layout")

typedef enum echo_pin {
#define ECHO_PIN_ENUM(name, sentence) ECHO_PIN_##name,
  ECHO_PIN_TABLE(ECHO_PIN_ENUM)
#undef ECHO_PIN_ENUM
      ECHO_PIN_COUNT
} echo_pin;

typedef struct echo_statistics {
  uint32_t size; /* set by the caller: sizeof(echo_statistics) */
  uint32_t threads_attached;
  uint64_t objects_allocated,
      bytes_allocated; /* cumulative, all threads, exact at the call for the caller's own */
  uint64_t collections_full, collections_young, collections_compact;
  uint64_t collections_by_cause[8]; /* indexed by echo_cause */
  echo_distribution pause_us;       /* every pause of every mutator */
  echo_distribution pause_by_cause_us[8];
  echo_distribution stall_us;             /* allocation waited for memory while another thread collected */
  echo_distribution time_to_safepoint_us; /* request until the last mutator arrived */
  double gc_cpu_s;                        /* CPU time of collector work, on whatever thread */
  uint64_t live_bytes, used_bytes, object_bytes;
  uint64_t committed_bytes, reserve_bytes, nursery_bytes, metadata_bytes;
  uint64_t peak_committed_bytes;
  double fragmentation, utilisation;
  uint64_t objects_marked, bytes_marked;           /* cumulative */
  double mark_s, sweep_s;                          /* cumulative wall time */
  uint64_t barrier_cold, poll_cold, allocate_cold; /* cold paths taken */
  uint64_t log_entries;                            /* deletions logged by the store barrier */
  uint64_t scoped_handles, global_root_words;
  uint64_t large_objects, large_bytes;
  uint64_t bytes_returned;  /* given back to the operating system */
  uint64_t bytes_populated; /* brought in ahead of the program by the background thread, cumulative */
  uint64_t slabs_late;      /* handed out before their pages were there, cumulative */
  uint64_t numa_nodes;      /* 1: the machine has one, or its kernel has no NUMA; the next four are then 0 */
  uint64_t slabs_local, slabs_remote; /* handed to a thread of their own node, of another; cumulative */
  uint64_t slabs_migrated;            /* handed to a thread of another node than their last owner's */
  uint64_t bind_refusals;             /* chunks that the kernel did not bind to their node */
  uint64_t ambiguous_words,
      ambiguous_hits; /* looked at by marks; those that pointed into an object; cumulative */
  uint64_t pinned_objects, pinned_slabs; /* by the last mark; slabs: 64 KiB blocks in which they begin */
  uint64_t pinned_by[8]; /* these objects by the first word that hit them: indexed by echo_pin */
  /* The most work that was ever done while a mutator was held, in units (docs/pauses.md). */
  uint64_t units_at_mark_start,
      units_at_mark_end;     /* in the stop in which a mark started, or ended or went on */
  uint64_t units_of_frames;  /* frames that a thread visited at a time, itself */
  uint64_t units_of_assists; /* a slice that a thread marked itself */
  /* Causes from 8 on, which begin no collections: indexed by echo_cause - 8. */
  echo_distribution pause_by_later_cause_us[8];
  uint64_t edges_assisted;          /* marked by the threads of the program; cumulative */
  uint64_t log_buffers_peak;        /* the most logs of deletions that ever waited for the marker */
  echo_distribution permit_wait_us; /* a thread waited for its turn, option permits: not part of any pause */
  uint64_t weak_slots_cleared, ephemerons_cleared; /* found dead and made null; cumulative */
  uint64_t finalizable_objects;                    /* known to the heap and not due, at the last collection */
  uint64_t finalizers_found;                       /* objects that became due; cumulative */
  uint64_t finalizers_due;                         /* of these not taken yet */
  uint64_t persistent_handles, objects_pinned;     /* by calls (echo/persistent.h) */
  uint64_t external_bytes;                         /* echo_external_memory */
  uint64_t soft_limit_passed;                      /* collections that ended with more in use; cumulative */
  uint64_t edges_of_seconds;      /* marked by threads besides the one that leads the mark; cumulative */
  uint64_t markers_peak;          /* threads that marked together, the most so far */
  echo_distribution pause_net_us; /* every pause again, without waits for a processor */
  echo_distribution pause_net_by_cause_us[16]; /* indexed by echo_cause */
  uint64_t run_queue_known;                    /* 1: the kernel tells these waits; 0: net is raw */
  double mmu_1ms, mmu_10ms, mmu_100ms;         /* minimum mutator utilisation */
  uint64_t holds_over_cap; /* holds of a mutator that did more work than docs/pauses.md allows: 0 */
} echo_statistics;

/* X(field, unit, sentence): every field of echo_statistics, in its order; docs/reference.md is made from it. Those that are
 * "cumulative" only grow, from the heap's creation on. */
#define ECHO_STATISTICS_TABLE(X)                                                                             \
  X(size, "bytes", "of the struct that the caller knows; the heap fills no more")                            \
  X(threads_attached, "threads", "attached now")                                                             \
  X(objects_allocated, "objects", "cumulative, of all threads; exact for the caller's own")                  \
  X(bytes_allocated, "bytes", "cumulative, of all threads; exact for the caller's own")                      \
  X(collections_full, "collections", "of the whole heap, completed; cumulative")                             \
  X(collections_young, "collections", "of the nursery, completed; cumulative")                               \
  X(collections_compact, "collections", "that moved objects, completed; cumulative")                         \
  X(collections_by_cause, "collections", "by echo_cause; cumulative")                                        \
  X(pause_us, "microseconds", "every pause of every mutator [stats.pause.1]")                                \
  X(pause_by_cause_us, "microseconds", "the same by echo_cause")                                             \
  X(stall_us, "microseconds", "an allocation waited for memory while another thread collected")              \
  X(time_to_safepoint_us, "microseconds", "from the request of a stop until the last mutator arrived")       \
  X(gc_cpu_s, "seconds", "processor time of collector work, on whatever thread; cumulative")                 \
  X(live_bytes, "bytes", "of objects that the last completed mark found reachable [stats.live.1]")           \
  X(used_bytes, "bytes", "slabs that hold any object, and pages of large objects [stats.used.1]")            \
  X(object_bytes, "bytes", "of objects not yet known dead")                                                  \
  X(committed_bytes, "bytes", "used, reserve, nursery and metadata [stats.committed.1]")                     \
  X(reserve_bytes, "bytes", "empty memory that is kept")                                                     \
  X(nursery_bytes, "bytes", "of young allocation")                                                           \
  X(metadata_bytes, "bytes", "bitmaps and tables of the heap")                                               \
  X(peak_committed_bytes, "bytes", "the highest committed_bytes so far")                                     \
  X(fragmentation, "0 .. 1", "share of used_bytes without an object, after a sweep [stats.frag.1]")          \
  X(utilisation, "0 .. 1", "share of used_bytes with one [stats.util.1]")                                    \
  X(objects_marked, "objects", "cumulative")                                                                 \
  X(bytes_marked, "bytes", "cumulative")                                                                     \
  X(mark_s, "seconds", "of marking, by the clock; cumulative")                                               \
  X(sweep_s, "seconds", "of sweeping, by the clock; cumulative")                                             \
  X(barrier_cold, "calls", "of the cold path of stores; cumulative")                                         \
  X(poll_cold, "calls", "of the cold path of polls; cumulative")                                             \
  X(allocate_cold, "calls", "of the cold path of allocation; cumulative")                                    \
  X(log_entries, "entries", "deletions that the store barrier logged; cumulative")                           \
  X(scoped_handles, "handles", "in open scopes now")                                                         \
  X(global_root_words, "words", "registered as roots now")                                                   \
  X(large_objects, "objects", "with pages of their own now")                                                 \
  X(large_bytes, "bytes", "of these pages")                                                                  \
  X(bytes_returned, "bytes", "given back to the operating system; cumulative")                               \
  X(bytes_populated, "bytes", "brought in ahead by the background thread; cumulative")                       \
  X(slabs_late, "slabs", "handed out before their pages were there; cumulative")                             \
  X(numa_nodes, "nodes", "of the machine; 1: one, or a kernel without NUMA, and the next four are 0")        \
  X(slabs_local, "slabs", "handed to a thread of their own node; cumulative")                                \
  X(slabs_remote, "slabs", "handed to a thread of another node; cumulative")                                 \
  X(slabs_migrated, "slabs", "handed to a thread of another node than their last owner's; cumulative")       \
  X(bind_refusals, "chunks", "that the kernel did not bind to their node; cumulative")                       \
  X(ambiguous_words, "words", "of unknown meaning that marks looked at; cumulative")                         \
  X(ambiguous_hits, "words", "of these that pointed into an object; cumulative")                             \
  X(pinned_objects, "objects", "held in place by ambiguous words, at the last mark")                         \
  X(pinned_slabs, "slabs", "in which these begin")                                                           \
  X(pinned_by, "objects", "of these by echo_pin, the kind of word that hit them first")                      \
  X(units_at_mark_start, "units", "the most work of a stop that started a mark [stop.budget.1]")             \
  X(units_at_mark_end, "units", "the most work of a stop that ended a mark, or let it go on")                \
  X(units_of_frames, "units", "the most frames that a thread visited at a time, itself")                     \
  X(units_of_assists, "units", "the most work of a slice that a thread marked itself [assist.slice.1]")      \
  X(pause_by_later_cause_us, "microseconds", "pause_by_cause_us of the causes from 8 on: by echo_cause - 8") \
  X(edges_assisted, "edges", "that threads of the program marked; cumulative")                               \
  X(log_buffers_peak, "logs", "of 512 deletions, the most that ever waited for the marker [mark.log.2]")     \
  X(permit_wait_us, "microseconds", "a thread waited for its turn to run, option permits; part of no pause") \
  X(weak_slots_cleared, "slots", "that became null because their object was dead; cumulative")               \
  X(ephemerons_cleared, "ephemerons",                                                                        \
    "of which the key became null because its object was dead; cumulative")                                  \
  X(finalizable_objects, "objects", "of finalizable layouts that were not due at the last collection")       \
  X(finalizers_found, "objects", "that became due for finalization; cumulative")                             \
  X(finalizers_due, "objects", "of these that the VM has not taken yet")                                     \
  X(persistent_handles, "handles", "that exist now, those of pins included")                                 \
  X(objects_pinned, "objects", "pinned by calls now")                                                        \
  X(external_bytes, "bytes", "outside the heap, as the VM announced them")                                   \
  X(soft_limit_passed, "collections", "that ended with more in use than the soft limit; cumulative")         \
  X(edges_of_seconds, "edges", "that threads besides the one that leads a mark worked off; cumulative")      \
  X(markers_peak, "threads", "that marked together, the most so far")                                        \
  X(pause_net_us, "microseconds",                                                                            \
    "every pause, without what its critical path waited for a processor [pause.net.1]")                      \
  X(pause_net_by_cause_us, "microseconds", "the same by echo_cause")                                         \
  X(run_queue_known, "0 or 1", "1: the kernel tells these waits; 0: it does not, and net is raw")            \
  X(mmu_1ms, "0 .. 1", "the least part that a thread had of any window of 1 ms [pause.mmu.1]")               \
  X(mmu_10ms, "0 .. 1", "the same of 10 ms")                                                                 \
  X(mmu_100ms, "0 .. 1", "the same of 100 ms")                                                               \
  X(holds_over_cap, "holds", "of a mutator with more work than their cap: 0 [stop.budget.1]; cumulative")

ECHO_END_DECLS

#endif /* ECHO_STATISTICS_H */
