/* SPDX-License-Identifier: MIT
 *
 * echo/events.h - what a heap tells about itself while it runs: events for listeners, histograms for tools.
 *
 * Invariants  [event.deliver.1] Listeners are called on a thread of the heap that no stop, mutator or collection waits for: a
 *             slow listener delays and loses events, nothing else. [event.order.1] Each listener hears events in the order in
 *             which they were raised; what is lost is counted in the next one. [event.remove.1] When the removal of a
 *             listener returns it is not running and not called again.
 *             [histogram.log.1] An exported histogram decodes to the recorded buckets.
 */
#ifndef ECHO_EVENTS_H
#define ECHO_EVENTS_H

#include "echo/base.h"

ECHO_BEGIN_DECLS

/* X(name, arguments, sentence): every kind of event. What is not named is 0. */
#define ECHO_EVENT_TABLE(X)                                                                                  \
  X(cycle_begin, "cause; values[0]: bytes used", "a collection begins")                                      \
  X(cycle_end, "cause, duration_ns; values[0]: bytes live, values[1]: bytes used", "a collection has ended") \
  X(phase, "phase", "a collection enters a phase: 1 marking, 2 clearing, 3 sweeping, 0 idle")                \
  X(pause, "cause, duration_ns", "a mutator was held")                                                       \
  X(stall, "duration_ns", "an allocation waited for memory while another thread collected")                  \
  X(out_of_memory, "values[0]: bytes asked for, values[1]: status", "an allocation is about to be refused")  \
  X(soft_limit, "values[0]: bytes used, values[1]: the limit",                                               \
    "a collection ended with more in use than the soft limit")                                               \
  X(handles_left, "values[0]: handles, values[1]: pinned objects",                                           \
    "the heap is destroyed with persistent handles that nobody destroyed")

typedef enum echo_event_kind {
#define ECHO_EVENT_ENUM(name, arguments, sentence) ECHO_EVENT_##name,
  ECHO_EVENT_TABLE(ECHO_EVENT_ENUM)
#undef ECHO_EVENT_ENUM
      ECHO_EVENT_COUNT
} echo_event_kind;

typedef struct echo_event {
  uint32_t size;        /* sizeof(echo_event) in the plugin */
  uint32_t kind;        /* echo_event_kind */
  uint32_t cause;       /* echo_cause */
  uint32_t phase;       /* of the collection */
  uint64_t time_ns;     /* when it was raised: CLOCK_MONOTONIC */
  uint64_t duration_ns; /* of what has ended */
  uint64_t values[2];
  uint64_t lost; /* events before this one that were not delivered */
} echo_event;

/* Hears one event, which is valid during the call. On a thread of the heap, never in a stop. It calls no function of the heap but
 * echo_get_statistics and echo_listener_remove. */
typedef void (*echo_listener_fn)(void* context, const echo_event* event);

/* Feature EVENTS. From now on `listener` hears every kind whose bit (1 << kind) is in `kinds`. At most 64 listeners; up to 1024
 * events wait. *out: for its removal. Any thread, any state. NO-SAFEPOINT. INVALID_ARGUMENT (null; no kind),
 * LIMIT_EXCEEDED, SYSTEM_MEMORY (no thread), NOT_SUPPORTED. */
ECHO_EXPORT echo_status echo_listener_add(echo_heap* heap, uint64_t kinds, echo_listener_fn listener,
                                          void* context, uint32_t* out, echo_error* why);
/* Ends it: waits while it is running, unless it is the caller itself. Events that wait are not delivered to it.
 * Any thread, any state. NO-SAFEPOINT. INVALID_ARGUMENT (null heap, unknown number), NOT_SUPPORTED. */
ECHO_EXPORT echo_status echo_listener_remove(echo_heap* heap, uint32_t listener, echo_error* why);

/* Which histogram. */
typedef enum echo_histogram {
  ECHO_HISTOGRAM_PAUSES = 0,             /* every pause of every mutator */
  ECHO_HISTOGRAM_PAUSES_BY_CAUSE = 1,    /* those of one echo_cause */
  ECHO_HISTOGRAM_STALLS = 2,             /* allocation waited while another thread collected */
  ECHO_HISTOGRAM_TIME_TO_SAFEPOINT = 3,  /* from the request of a stop until the last mutator arrived */
  ECHO_HISTOGRAM_PAUSES_NET = 4,         /* the first, without waits for a processor [pause.net.1] */
  ECHO_HISTOGRAM_PAUSES_NET_BY_CAUSE = 5 /* those of one echo_cause */
} echo_histogram;

/* Feature EVENTS. Writes a histogram of nanoseconds since the heap's creation as a log of one interval in the format of HdrHistogram
 * (1.3; payload V2), NUL-terminated. *bytes: of the buffer; afterwards of the text with its NUL. Any thread, any state.
 * NO-SAFEPOINT. INVALID_ARGUMENT (null heap or bytes; unknown histogram or cause), OUT_OF_BOUNDS (the buffer is too small or null:
 * *bytes says what it takes), SYSTEM_MEMORY, NOT_SUPPORTED. */
ECHO_EXPORT echo_status echo_histogram_export(echo_heap* heap, uint32_t histogram, uint32_t cause,
                                              char* buffer, uint64_t* bytes, echo_error* why);

ECHO_END_DECLS

#endif /* ECHO_EVENTS_H */
