/* SPDX-License-Identifier: MIT
 *
 * echo/heap.h - the plugin's functions: load, heaps, threads, allocation, roots, collection, statistics.
 *
 * Purpose     A VM needs one symbol, echo_heap_plugin(); it returns a table of everything below. The same functions
 *             are exported by name for VMs that link.
 * Threads     A thread is managed (may touch references; must reach polls), native (may not touch references; never
 *             waited for) or blocked (native, inside the heap). echo_attach() leaves it managed.
 *             SAFEPOINT: the call may let a collection happen; references the caller holds outside handles, roots and
 *             mapped frames are invalid after it. NO-SAFEPOINT: it does not.
 * Invariants  [abi.table.1] The table only grows at its end. [abi.thread.1] A thread block's address is stable from
 *             attach to detach. [abi.state.1] Functions taking an echo_thread* are called on that thread, managed,
 *             unless stated otherwise.
 */
#ifndef ECHO_HEAP_H
#define ECHO_HEAP_H

#include "echo/base.h"
#include "echo/events.h"
#include "echo/finalizers.h"
#include "echo/fork.h"
#include "echo/frames.h"
#include "echo/layout.h"
#include "echo/persistent.h"
#include "echo/recipes.h"
#include "echo/services.h"
#include "echo/statistics.h"
#include "echo/stepping.h"

ECHO_BEGIN_DECLS

/* Feature bits: set only where the feature works. X(bit, name, sentence) */
#define ECHO_FEATURE_TABLE(X)                                                                                \
  X(0, COLLECTS, "unreachable objects are found and their memory is reused")                                 \
  X(1, STORE_BARRIER, "the store recipe is needed and its cold path works")                                  \
  X(2, SCOPED_HANDLES, "handle scopes")                                                                      \
  X(3, GLOBAL_ROOTS, "registered root words")                                                                \
  X(4, FRAME_SOURCE, "precise frames through a frame source")                                                \
  X(5, VERIFIER, "echo_verify")                                                                              \
  X(6, STRESS, "stress options")                                                                             \
  X(7, CONCURRENT, "marking runs beside the program")                                                        \
  X(8, MOVES, "objects may move")                                                                            \
  X(9, GENERATIONS, "young collections")                                                                     \
  X(10, WEAK, "weak slots, their load and its recipe")                                                       \
  X(11, FINALIZERS, "finalizable layouts")                                                                   \
  X(12, PERSISTENT_HANDLES, "handles without a scope")                                                       \
  X(13, AMBIGUOUS_ROOTS, "ambiguous stacks, data ranges and layouts; echo_resolve")                          \
  X(14, ASYNC_OBJECTS, "futures, tasks, stacks, channels, timers")                                           \
  X(15, IDENTITY_HASH, "echo_identity_hash and its recipe")                                                  \
  X(16, EPHEMERONS, "ephemeron slots")                                                                       \
  X(17, STEPPING, "echo_test_cycle_*: collections step by step, for tests")                                  \
  X(18, INCREMENTAL, "mode incremental, echo_step, flags of echo_collect")                                   \
  X(20, ROOT_CALLBACKS, "roots that the VM enumerates")                                                      \
  X(21, TRACE_CALLBACKS, "layouts whose objects the VM traces")                                              \
  X(22, OBJECT_WALK, "echo_walk_objects")                                                                    \
  X(23, PINS, "echo_pin_object, echo_unpin_object")                                                          \
  X(24, EXTERNAL_MEMORY, "echo_external_memory")                                                             \
  X(25, OUT_OF_MEMORY_HANDLER, "echo_out_of_memory_set")                                                     \
  X(26, EVENTS, "listeners and exported histograms")                                                         \
  X(27, FORK, "echo_fork_*")

#define ECHO_FEATURE_ENUM(bit, name, sentence) ECHO_FEATURE_##name = 1u << (bit),
enum { ECHO_FEATURE_TABLE(ECHO_FEATURE_ENUM) ECHO_FEATURE_NONE = 0 };
#undef ECHO_FEATURE_ENUM

/* A scoped handle: names a reference from native code until its scope is closed. */
typedef struct echo_handle_cell* echo_handle;
/* An open scope; closed in reverse order of opening. */
typedef uint64_t echo_scope;

typedef enum echo_collect_kind {
  ECHO_COLLECT_FULL = 0,
  ECHO_COLLECT_YOUNG = 1,   /* feature GENERATIONS */
  ECHO_COLLECT_COMPACT = 2, /* feature MOVES */
  /* Beside a kind, with feature INCREMENTAL: how this one collection runs, whatever the option `mode` says. One at most. */
  ECHO_COLLECT_IN_STOP = 1 << 8, /* all of it in one stop: soonest done, longest pause */
  ECHO_COLLECT_BESIDE = 1 << 9,  /* the caller waits, other threads go on but for two short stops */
  ECHO_COLLECT_BEGIN =
      1 << 10 /* begins and returns: the heap's thread, or allocation and echo_step, do the rest */
} echo_collect_kind;

typedef enum echo_option_type {
  ECHO_OPTION_BYTES = 0, /* 64k, 2m, 1g or plain bytes */
  ECHO_OPTION_COUNT = 1,
  ECHO_OPTION_SWITCH = 2, /* on / off */
  ECHO_OPTION_WORD = 3,   /* one of the words in `range` */
  ECHO_OPTION_PATH = 4    /* the path of a file; since 1.1 */
} echo_option_type;

typedef struct echo_option_info {
  uint32_t size;                                       /* set by the caller */
  uint32_t type;                                       /* echo_option_type */
  const char *name, *default_value, *range, *sentence; /* static strings */
} echo_option_info;

typedef struct echo_heap_api {
  uint32_t size; /* bytes of this table in the plugin */
  uint16_t abi_major, abi_minor;
  const char* build_id; /* static string: version and source revision */
  uint64_t features;    /* ECHO_FEATURE_* */

  echo_status (*heap_create)(const char* options, echo_heap** out, echo_error* why);
  echo_status (*heap_destroy)(echo_heap* heap, echo_error* why);
  echo_status (*option_info)(uint32_t index, echo_option_info* out);

  echo_status (*layout_register)(echo_heap* heap, const echo_layout* layout, echo_layout_id* out,
                                 echo_error* why);
  echo_status (*layout_get)(echo_heap* heap, echo_layout_id id, echo_layout_info* out);
  echo_status (*layout_slot)(echo_heap* heap, echo_layout_id id, uint32_t index, echo_slot* out);
  uint32_t (*layout_count)(echo_heap* heap);

  echo_status (*attach)(echo_heap* heap, echo_thread** out, echo_error* why);
  echo_status (*detach)(echo_thread* thread, echo_error* why);
  echo_status (*enter_native)(echo_thread* thread);
  echo_status (*leave_native)(echo_thread* thread);
  echo_status (*enter_blocked)(echo_thread* thread);
  echo_status (*leave_blocked)(echo_thread* thread);
  void (*poll)(echo_thread* thread);
  echo_heap* (*heap_of)(const echo_thread* thread);
  void* (*vm_word)(const echo_thread* thread);
  void (*set_vm_word)(echo_thread* thread, void* word);
  echo_status (*last_error)(const echo_thread* thread, echo_error* out);

  echo_ref (*allocate)(echo_thread* thread, echo_layout_id layout, uint64_t length);
  echo_status (*store)(echo_thread* thread, echo_ref object, uint64_t offset, echo_ref value);
  echo_status (*array_store)(echo_thread* thread, echo_ref array, uint64_t index, echo_ref value);
  uint64_t (*object_bytes)(echo_heap* heap, echo_ref object);
  echo_layout_id (*object_layout)(echo_heap* heap, echo_ref object);
  uint64_t (*array_length)(echo_heap* heap, echo_ref object);

  echo_status (*scope_open)(echo_thread* thread, echo_scope* out);
  echo_status (*scope_close)(echo_thread* thread, echo_scope scope);
  echo_handle (*handle_new)(echo_thread* thread, echo_ref object);
  echo_ref (*handle_get)(echo_thread* thread, echo_handle handle);
  echo_status (*handle_set)(echo_thread* thread, echo_handle handle, echo_ref object);

  echo_status (*roots_add)(echo_heap* heap, echo_ref* first, uint64_t count, echo_error* why);
  echo_status (*roots_remove)(echo_heap* heap, echo_ref* first, echo_error* why);
  echo_status (*frame_source_set)(echo_heap* heap, const echo_frame_source* source, echo_error* why);

  echo_status (*collect)(echo_thread* thread, uint32_t kind, echo_error* why);
  echo_status (*statistics)(echo_heap* heap, echo_statistics* out);
  echo_status (*verify)(echo_thread* thread, uint32_t level, echo_error* why);
  echo_status (*recipes)(echo_heap* heap, uint32_t set, const echo_recipes** out);
  uint64_t (*identity_hash)(echo_thread* thread, echo_ref object);

  echo_status (*ambiguous_stack)(echo_thread* thread, uint32_t on, echo_error* why);
  echo_status (*ambiguous_range_add)(echo_heap* heap, const void* start, uint64_t bytes, echo_error* why);
  echo_status (*ambiguous_range_remove)(echo_heap* heap, const void* start, echo_error* why);
  echo_ref (*resolve)(echo_thread* thread, uintptr_t word);

  echo_ref (*weak_load)(echo_thread* thread, echo_ref object, uint64_t offset);

  echo_status (*test_cycle_start)(echo_thread* thread, echo_error* why);
  echo_status (*test_cycle_step)(echo_thread* thread, uint64_t units, uint32_t* state, echo_error* why);
  echo_status (*test_cycle_finish)(echo_thread* thread, echo_error* why);
  echo_status (*test_cycle_hold)(echo_thread* thread, uint32_t on, echo_error* why);

  echo_status (*step)(echo_thread* thread, uint64_t budget_us, uint32_t* done);
  echo_status (*finalizer_next)(echo_thread* thread, echo_ref* out);
  uint64_t (*finalizers_due)(echo_heap* heap);

  echo_status (*persistent_new)(echo_thread* thread, echo_ref object, echo_persistent* out, echo_error* why);
  echo_status (*persistent_of)(echo_thread* thread, echo_handle scoped, echo_persistent* out,
                               echo_error* why);
  echo_status (*persistent_copy)(echo_heap* heap, echo_persistent from, echo_persistent* out,
                                 echo_error* why);
  echo_ref (*persistent_get)(echo_thread* thread, echo_persistent handle);
  echo_status (*persistent_set)(echo_thread* thread, echo_persistent handle, echo_ref object);
  echo_status (*persistent_destroy)(echo_heap* heap, echo_persistent handle, echo_error* why);
  echo_status (*pin_object)(echo_thread* thread, echo_ref object, echo_error* why);
  echo_status (*unpin_object)(echo_heap* heap, echo_ref object, echo_error* why);

  echo_status (*roots_callback_add)(echo_heap* heap, echo_roots_fn roots, void* context, echo_error* why);
  echo_status (*roots_callback_remove)(echo_heap* heap, echo_roots_fn roots, void* context, echo_error* why);
  echo_status (*layout_register_traced)(echo_heap* heap, const echo_layout* layout, echo_trace_fn trace,
                                        void* context, echo_layout_id* out, echo_error* why);
  echo_status (*store_outside)(echo_thread* thread, echo_ref* slot, echo_ref value);
  echo_status (*walk_objects)(echo_thread* thread, echo_walk* walk, echo_walk_fn visit, void* context,
                              echo_error* why);
  echo_status (*external_memory)(echo_heap* heap, int64_t delta, echo_error* why);
  echo_status (*out_of_memory_set)(echo_heap* heap, echo_out_of_memory_fn handler, void* context,
                                   echo_error* why);

  echo_status (*listener_add)(echo_heap* heap, uint64_t kinds, echo_listener_fn listener, void* context,
                              uint32_t* out, echo_error* why);
  echo_status (*listener_remove)(echo_heap* heap, uint32_t listener, echo_error* why);
  echo_status (*histogram_export)(echo_heap* heap, uint32_t histogram, uint32_t cause, char* buffer,
                                  uint64_t* bytes, echo_error* why);

  echo_status (*fork_prepare)(echo_thread* thread, echo_error* why);
  echo_status (*fork_parent)(echo_thread* thread, echo_error* why);
  echo_status (*fork_child)(echo_thread* thread, echo_error* why);
} echo_heap_api;

/* The one symbol a VM must look up. Static table, owned by the plugin, valid until it is unloaded; null with a
 * sentence in *why (may be null) for another major version or a newer minor. Any thread. NO-SAFEPOINT. [abi.version.1] */
ECHO_EXPORT const echo_heap_api* echo_heap_plugin(uint32_t wanted_major, uint32_t wanted_minor,
                                                  echo_error* why);

/* --- heaps ------------------------------------------------------------------------------------------------------- */

/* Creates a heap. `options` ("max_heap=2g,poison=on"; null = none) override ECHO_HEAP_OPTIONS, which overrides the file
 * that ECHO_HEAP_OPTIONS_FILE names; both are ignored in set-user-ID processes. Option `file` reads a file where it
 * stands. Any thread. NO-SAFEPOINT. UNKNOWN_OPTION, BAD_OPTION_VALUE, IO_ERROR (a file), WRONG_STATE (a file in a
 * set-user-ID process), SYSTEM_MEMORY. The caller owns *out until echo_heap_destroy. */
ECHO_EXPORT echo_status echo_heap_create(const char* options, echo_heap** out, echo_error* why);
/* Frees everything. THREADS_ATTACHED (nothing is freed) while a thread is attached. NO-SAFEPOINT. */
ECHO_EXPORT echo_status echo_heap_destroy(echo_heap* heap, echo_error* why);
/* Row `index` of the option table; INVALID_ARGUMENT past its end. Any thread. NO-SAFEPOINT. */
ECHO_EXPORT echo_status echo_option_get_info(uint32_t index, echo_option_info* out);

/* --- layouts ----------------------------------------------------------------------------------------------------- */

/* Registers a layout; identical descriptors with the same name share a number. Any thread, any state. NO-SAFEPOINT.
 * BAD_LAYOUT with the reason, LIMIT_EXCEEDED, NOT_SUPPORTED (slot kinds or flags whose feature bit is clear). */
ECHO_EXPORT echo_status echo_layout_register(echo_heap* heap, const echo_layout* layout, echo_layout_id* out,
                                             echo_error* why);
/* Describes layout `id`. UNKNOWN_LAYOUT. Any thread. NO-SAFEPOINT. */
ECHO_EXPORT echo_status echo_layout_get(echo_heap* heap, echo_layout_id id, echo_layout_info* out);
/* Slot `index` of the fixed part, in order of offset. UNKNOWN_LAYOUT, OUT_OF_BOUNDS. Any thread. NO-SAFEPOINT. */
ECHO_EXPORT echo_status echo_layout_get_slot(echo_heap* heap, echo_layout_id id, uint32_t index,
                                             echo_slot* out);
/* Number of layouts; their numbers are 1 .. count. Any thread. NO-SAFEPOINT. No errors. */
ECHO_EXPORT uint32_t echo_layout_count(echo_heap* heap);

/* --- threads ----------------------------------------------------------------------------------------------------- */

/* Attaches the calling thread, managed. A thread may be attached once to each heap. SAFEPOINT (waits for a stop in
 * progress). WRONG_STATE if attached already, LIMIT_EXCEEDED, SYSTEM_MEMORY. */
ECHO_EXPORT echo_status echo_attach(echo_heap* heap, echo_thread** out, echo_error* why);
/* Detaches; the block is gone. Managed or native. SAFEPOINT. WRONG_THREAD; WRONG_STATE while scopes are open. */
ECHO_EXPORT echo_status echo_detach(echo_thread* thread, echo_error* why);
/* managed -> native: the heap never waits for the thread and the thread touches no reference. The anchor must be
 * published if managed frames are on the stack. NO-SAFEPOINT. WRONG_STATE. */
ECHO_EXPORT echo_status echo_enter_native(echo_thread* thread);
/* native -> managed; waits while a stop is on. SAFEPOINT. WRONG_STATE. */
ECHO_EXPORT echo_status echo_leave_native(echo_thread* thread);
/* The same for a thread about to wait for long (a lock, a join): counted apart. */
ECHO_EXPORT echo_status echo_enter_blocked(echo_thread* thread);
ECHO_EXPORT echo_status echo_leave_blocked(echo_thread* thread);
/* The poll of an interpreter. SAFEPOINT. No errors. */
ECHO_EXPORT void echo_poll(echo_thread* thread);
/* The heap a thread is attached to. NO-SAFEPOINT. No errors. */
ECHO_EXPORT echo_heap* echo_heap_of(const echo_thread* thread);
/* One word of the thread block that belongs to the VM. NO-SAFEPOINT. No errors. */
ECHO_EXPORT void* echo_vm_word(const echo_thread* thread);
ECHO_EXPORT void echo_set_vm_word(echo_thread* thread, void* word);
/* Copies the thread's latest error (of a function that returns null). Returns its code; OK if there was none. */
ECHO_EXPORT echo_status echo_last_error(const echo_thread* thread, echo_error* out);

/* --- objects ----------------------------------------------------------------------------------------------------- */

/* Allocates; length is ignored for FIXED. Header written, payload zero. SAFEPOINT. Null: echo_last_error says
 * UNKNOWN_LAYOUT, HEAP_LIMIT, SYSTEM_MEMORY or INVALID_ARGUMENT (length overflows). */
ECHO_EXPORT echo_ref echo_allocate(echo_thread* thread, echo_layout_id layout, uint64_t length);
/* Stores a reference into a slot of the fixed part, with the barrier. NO-SAFEPOINT. INVALID_ARGUMENT (null object),
 * OUT_OF_BOUNDS (offset is no slot of the layout). */
ECHO_EXPORT echo_status echo_store(echo_thread* thread, echo_ref object, uint64_t offset, echo_ref value);
/* Stores a reference into element `index`, with the barrier. NO-SAFEPOINT. OUT_OF_BOUNDS, INVALID_ARGUMENT. */
ECHO_EXPORT echo_status echo_array_store(echo_thread* thread, echo_ref array, uint64_t index, echo_ref value);
/* Bytes of an object, header included, rounded to the granule; 0 for null. NO-SAFEPOINT. */
ECHO_EXPORT uint64_t echo_object_bytes(echo_heap* heap, echo_ref object);
/* Layout of an object; 0 for null. NO-SAFEPOINT. */
ECHO_EXPORT echo_layout_id echo_object_layout(echo_heap* heap, echo_ref object);
/* Elements of an array; 0 for null and fixed objects. NO-SAFEPOINT. */
ECHO_EXPORT uint64_t echo_array_length(echo_heap* heap, echo_ref object);

/* Feature WEAK. Loads the weak slot, or the key or value of an ephemeron, at byte `offset` of `object`: a reference that is
 * alive from then on, or null. Such a slot is stored like any other (echo_store), and never read in another way.
 * NO-SAFEPOINT. Null with INVALID_ARGUMENT if the layout has no such slot there, NOT_SUPPORTED without the feature. */
ECHO_EXPORT echo_ref echo_weak_load(echo_thread* thread, echo_ref object, uint64_t offset);

/* A number that is the same for the object's whole life, wherever it moves, and differs between most objects; 0 for null.
 * NO-SAFEPOINT. No errors; 0 without ECHO_FEATURE_IDENTITY_HASH. */
ECHO_EXPORT uint64_t echo_identity_hash(echo_thread* thread, echo_ref object);

/* --- roots ------------------------------------------------------------------------------------------------------- */

/* Opens a scope. NO-SAFEPOINT. LIMIT_EXCEEDED. */
ECHO_EXPORT echo_status echo_scope_open(echo_thread* thread, echo_scope* out);
/* Closes it and frees its handles. NO-SAFEPOINT. HANDLE_MISUSE unless it is the innermost open scope. */
ECHO_EXPORT echo_status echo_scope_close(echo_thread* thread, echo_scope scope);
/* A handle in the innermost scope. NO-SAFEPOINT. Null: HANDLE_MISUSE (no scope open) or SYSTEM_MEMORY. O(1). */
ECHO_EXPORT echo_handle echo_handle_new(echo_thread* thread, echo_ref object);
/* The reference; null with HANDLE_MISUSE for a handle whose scope is closed. NO-SAFEPOINT. */
ECHO_EXPORT echo_ref echo_handle_get(echo_thread* thread, echo_handle handle);
ECHO_EXPORT echo_status echo_handle_set(echo_thread* thread, echo_handle handle, echo_ref object);

/* Registers `count` words as roots (not owned; they must stay mapped until removed). They are read at every
 * collection and need no barrier. Any thread. Waits for a stop in progress. At most 8192 words in all:
 * LIMIT_EXCEEDED. INVALID_ARGUMENT: null, misaligned, overlapping. */
ECHO_EXPORT echo_status echo_roots_add(echo_heap* heap, echo_ref* first, uint64_t count, echo_error* why);
/* Removes the range that begins at `first`. INVALID_ARGUMENT if there is none. */
ECHO_EXPORT echo_status echo_roots_remove(echo_heap* heap, echo_ref* first, echo_error* why);
/* Sets the source that maps managed frames (copied); null removes it. WRONG_STATE if another one is set. */
ECHO_EXPORT echo_status echo_frame_source_set(echo_heap* heap, const echo_frame_source* source,
                                              echo_error* why);

/* --- ambiguous roots ---------------------------------------------------------------------------------------------- */

/* Feature AMBIGUOUS_ROOTS. An ambiguous word is one of which nobody knows whether it is a reference: 8 aligned bytes of
 * a stack, a saved register, a data range, or the payload of an object whose layout is ECHO_LAYOUT_AMBIGUOUS. If it
 * points at an object's header or into the object [roots.ambiguous.2], it keeps the object alive and in place; it is
 * never written. One past an object's end is not into it: whoever computes such addresses makes its objects a byte
 * longer. */

/* on = 1: from now on the calling thread's whole machine stack and its callee-saved registers are ambiguous words, in
 * whatever state the thread is; what it holds when it enters native state counts until it leaves it. on = 0: no more.
 * Setting what is set already is OK. NO-SAFEPOINT. NOT_SUPPORTED; INVALID_ARGUMENT (null thread, another value);
 * WRONG_STATE (not managed; the thread runs on another stack than its own; the last collection could not read every
 * root); WRONG_THREAD; SYSTEM_MEMORY. [roots.ambiguous.3] */
ECHO_EXPORT echo_status echo_ambiguous_stack(echo_thread* thread, uint32_t on, echo_error* why);
/* From now on every aligned word of [start, start + bytes) is ambiguous. Not owned; it must stay readable until it is
 * removed, or the heap destroyed. Read at every collection, without barrier. Any thread, any state; waits for a stop in
 * progress. NO-SAFEPOINT. NOT_SUPPORTED; INVALID_ARGUMENT: null, no bytes, beyond the address space, an overlap with
 * another such range or with the heap; WRONG_STATE as above; SYSTEM_MEMORY. [roots.ambiguous.4] */
ECHO_EXPORT echo_status echo_ambiguous_range_add(echo_heap* heap, const void* start, uint64_t bytes,
                                                 echo_error* why);
/* Removes the range that was added with this start. As above; INVALID_ARGUMENT if there is none. */
ECHO_EXPORT echo_status echo_ambiguous_range_remove(echo_heap* heap, const void* start, echo_error* why);
/* The object that `word` points at or into; null if none, or with an error of the thread (NOT_SUPPORTED, WRONG_STATE,
 * SYSTEM_MEMORY). Never one that the last collection found dead. SAFEPOINT, but the answer is good: it stops the world
 * only for a word into memory in which another thread allocates. [roots.resolve.1] */
ECHO_EXPORT echo_ref echo_resolve(echo_thread* thread, uintptr_t word);

/* --- collection -------------------------------------------------------------------------------------------------- */

/* Collects and waits for the end, unless a flag says otherwise. `kind`: one of the kinds, and at most one of the flags.
 * SAFEPOINT. NOT_SUPPORTED for a kind without its feature bit, and for ECHO_COLLECT_BEGIN in mode stw; INVALID_ARGUMENT;
 * FRAME_WITHOUT_MAP (nothing was freed). */
ECHO_EXPORT echo_status echo_collect(echo_thread* thread, uint32_t kind, echo_error* why);
/* Collector work for at most budget_us microseconds on this thread: what a VM has left of a frame, or before it waits for input.
 * Goes on with a collection that is on; without one begins it if half of what the program allocates between two was allocated.
 * Steps whose like took longer of late than is left are not begun, so the budget is kept but for what the system takes from
 * the thread; a budget that is too short for the next step does nothing. In mode stw nothing is done in steps; in mode concurrent
 * it marks in turn with the heap's thread. *done (may be null) becomes 1 if no work is left, else 0. Managed state. SAFEPOINT.
 * INVALID_ARGUMENT, WRONG_THREAD, WRONG_STATE, NOT_SUPPORTED without feature INCREMENTAL. That a collection failed is told by
 * the next one that is asked for. [abi.step.1] */
ECHO_EXPORT echo_status echo_step(echo_thread* thread, uint64_t budget_us, uint32_t* done);
/* Fills *out up to out->size. Any thread, any state. NO-SAFEPOINT. */
ECHO_EXPORT echo_status echo_get_statistics(echo_heap* heap, echo_statistics* out);
/* Runs the heap verifier: 0 structure, 1 and above also every reachable object. SAFEPOINT. HEAP_CORRUPT with the
 * first violation. */
ECHO_EXPORT echo_status echo_verify(echo_thread* thread, uint32_t level, echo_error* why);
/* The recipes of this heap. Static for the heap's life. Any thread. NO-SAFEPOINT. INVALID_ARGUMENT. */
ECHO_EXPORT echo_status echo_get_recipes(echo_heap* heap, uint32_t set, const echo_recipes** out);

ECHO_END_DECLS

#endif /* ECHO_HEAP_H */
