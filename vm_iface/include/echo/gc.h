/* SPDX-License-Identifier: MIT
 *
 * echo/gc.h - the collector interface of existing Echo code. In libecho_memory_pool.so.
 *
 * Purpose     Source compatible with existing callers. Objects of this interface have no layout and its
 *             callers name no roots, so nothing can be proved dead: objects live until echo_gc_shutdown(), in
 *             native memory, never moved. A collection gives what is free (caches, empty slabs) to the system
 *             and says how much that was: it marks nothing, so marked_objects is 0 and live_objects is all.
 * Errors      ECHO_GC_ERROR_SYSTEM_ERROR before echo_gc_init() and after echo_gc_shutdown(). Nothing aborts.
 * Threads     Every function may be called from any thread; echo_gc_shutdown() must not overlap with uses of
 *             objects.
 */
#ifndef ECHO_GC_H
#define ECHO_GC_H

#include "echo/base.h"

#include <stdbool.h>
#include <time.h>

ECHO_BEGIN_DECLS

typedef enum ECHO_OPEN_ENUM {
  ECHO_GC_STATUS_IDLE = 0,
  ECHO_GC_STATUS_RUNNING = 1,
  ECHO_GC_STATUS_PAUSED = 2,
  ECHO_GC_STATUS_ERROR = 3
} echo_gc_status_t;

typedef enum ECHO_OPEN_ENUM {
  ECHO_GC_PHASE_IDLE = 0,
  ECHO_GC_PHASE_MARK = 1,
  ECHO_GC_PHASE_SWEEP = 2,
  ECHO_GC_PHASE_COMPLETE = 3
} echo_gc_phase_t;

typedef enum ECHO_OPEN_ENUM {
  ECHO_GC_TRIGGER_HEAP_USAGE = 0,
  ECHO_GC_TRIGGER_ALLOCATION_RATE = 1,
  ECHO_GC_TRIGGER_MANUAL = 2,
  ECHO_GC_TRIGGER_EMERGENCY = 3
} echo_gc_trigger_reason_t;

typedef enum ECHO_OPEN_ENUM {
  ECHO_GC_COLOR_WHITE = 0,
  ECHO_GC_COLOR_GRAY = 1,
  ECHO_GC_COLOR_BLACK = 2
} echo_gc_color_t;

typedef enum ECHO_OPEN_ENUM {
  ECHO_OBJ_TYPE_PRIMITIVE = 0,
  ECHO_OBJ_TYPE_ARRAY = 1,
  ECHO_OBJ_TYPE_STRUCT = 2,
  ECHO_OBJ_TYPE_INTERFACE = 3,
  ECHO_OBJ_TYPE_CHANNEL = 4,
  ECHO_OBJ_TYPE_SLICE = 5,
  ECHO_OBJ_TYPE_MAP = 6,
  ECHO_OBJ_TYPE_STRING = 7,
  ECHO_OBJ_TYPE_COROUTINE = 8,
  ECHO_OBJ_TYPE_FUTURE = 9
} echo_obj_type_t;

typedef enum ECHO_OPEN_ENUM {
  ECHO_GC_SUCCESS = 0,
  ECHO_GC_ERROR_INVALID_CONFIG = 1, /* a null or impossible argument or configuration */
  ECHO_GC_ERROR_OUT_OF_MEMORY = 2,  /* max_heap_size is reached, or the system refuses memory */
  ECHO_GC_ERROR_INVALID_OBJECT = 3, /* an object type that does not exist */
  ECHO_GC_ERROR_CONCURRENT_MODIFICATION = 4,
  ECHO_GC_ERROR_MARK_PHASE_FAILED = 5,
  ECHO_GC_ERROR_SWEEP_PHASE_FAILED = 6,
  ECHO_GC_ERROR_SYSTEM_ERROR = 7 /* the collector is not running */
} echo_gc_error_t;

typedef struct echo_gc_config {
  /* 0 < ratio < 1: a collection starts when objects take this share of max_heap_size, and after every further
   * sixteenth. */
  double trigger_ratio;
  uint64_t min_heap_size;        /* live and free bytes together that collections leave in memory */
  uint64_t max_heap_size;        /* bytes of objects at most */
  uint64_t target_pause_time_us; /* at most max_pause_time_us */
  uint64_t max_pause_time_us;    /* a collection started by an allocation works no longer than this */
  int max_concurrent_workers;    /* at least 1; collections need only one */
  bool enable_tracing;           /* print each collection to standard error */
  bool enable_profiling;         /* measure the processor time of collections */
} echo_gc_config_t;

typedef struct echo_gc_metrics {
  uint64_t pause_time_p50_us, pause_time_p95_us, pause_time_p99_us; /* of the last 1024 collections */
  uint64_t total_pause_time_us;
  uint64_t gc_duration_us; /* of the last collection */
  double heap_usage_ratio; /* live / committed bytes */
  uint64_t memory_reclaimed_bytes;
  uint64_t allocation_rate_bps; /* since the previous metrics, or since the start */
  double fragmentation_ratio;   /* 1 - heap_usage_ratio */
  uint64_t total_objects;       /* ever allocated */
  uint64_t live_objects;
  uint64_t marked_objects;
  double gc_cpu_percentage;     /* of the time since the start; 0 without enable_profiling */
  struct timespec collected_at; /* CLOCK_MONOTONIC */
} echo_gc_metrics_t;

typedef struct echo_gc_stats {
  uint64_t total_cycles, successful_cycles, failed_cycles;
  uint64_t total_gc_time_us, total_pause_time_us, average_gc_duration_us;
  uint64_t total_memory_allocated, total_memory_reclaimed; /* bytes asked for; bytes that left memory */
  struct timespec last_completed_at;                       /* CLOCK_MONOTONIC; zero before the first */
} echo_gc_stats_t;

/* Null: trigger_ratio 0.75, 16 MiB, 1 GiB, both pauses 100 us, 4 workers, no tracing, no profiling. Succeeds
 * and changes nothing if the collector is running. */
ECHO_EXPORT echo_gc_error_t echo_gc_init(const echo_gc_config_t* config);
/* Frees all objects. */
ECHO_EXPORT void echo_gc_shutdown(void);
ECHO_EXPORT echo_gc_error_t echo_gc_get_config(echo_gc_config_t* config);
ECHO_EXPORT echo_gc_error_t echo_gc_update_config(const echo_gc_config_t* config);
/* *ptr: `size` zeroed bytes, size > 0; untouched on failure. */
ECHO_EXPORT echo_gc_error_t echo_gc_allocate(size_t size, echo_obj_type_t type, void** ptr);
ECHO_EXPORT echo_gc_error_t echo_gc_collect(void);
ECHO_EXPORT echo_gc_status_t echo_gc_get_status(void); /* ECHO_GC_STATUS_ERROR if not running */
ECHO_EXPORT echo_gc_phase_t echo_gc_get_phase(void);
ECHO_EXPORT echo_gc_error_t echo_gc_get_stats(echo_gc_stats_t* stats);
ECHO_EXPORT echo_gc_error_t echo_gc_get_metrics(echo_gc_metrics_t* metrics);
/* *slot = new_value; nothing to record, because nothing is marked. Null slots are ignored. */
ECHO_EXPORT void echo_gc_write_barrier(void** slot, void* new_value);
ECHO_EXPORT void echo_gc_dump_heap(void);  /* to standard output */
ECHO_EXPORT void echo_gc_dump_stats(void); /* to standard output */
/* False if not running, or if the records of this thread's and of unused caches contradict each other. */
ECHO_EXPORT bool echo_gc_validate_heap(void);

/* event_type "gc_start" (event_data: const echo_gc_trigger_reason_t*) and "gc_complete" (const
 * echo_gc_stats_t*). Called on the collecting thread, which may allocate but not collect. */
typedef void (*echo_gc_event_callback_t)(const char* event_type, const void* event_data);
/* One callback per event type; null removes it. ECHO_GC_ERROR_INVALID_CONFIG for another type. */
ECHO_EXPORT echo_gc_error_t echo_gc_register_event_callback(const char* event_type,
                                                            echo_gc_event_callback_t callback);

ECHO_END_DECLS

#endif /* ECHO_GC_H */
