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
 *             to its release, measured on that mutator.
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
  X(large_object, "a thread zeroed a slice of a large object's recycled memory by itself")

typedef enum echo_cause {
#define ECHO_CAUSE_ENUM(name, sentence) ECHO_CAUSE_##name,
  ECHO_CAUSE_TABLE(ECHO_CAUSE_ENUM)
#undef ECHO_CAUSE_ENUM
      ECHO_CAUSE_COUNT
} echo_cause;

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
} echo_statistics;

ECHO_END_DECLS

#endif /* ECHO_STATISTICS_H */
