/* SPDX-License-Identifier: MIT
 *
 * echo/runtime.h - libecho_runtime: the 60 functions that unmodified Echo compiler output calls, on an Echo heap.
 *
 * Purpose     Strings, conversions, slices, maps, futures, tasks, channels and printing under the names and with the
 *             types that the Echo compiler emits. They find their runtime through the calling thread: enter a runtime,
 *             run the program's main, leave. docs/echo-runtime.md describes each of them.
 * Memory      Echo code holds the address of an object's payload, behind the heap's header, in stack words, registers,
 *             module globals and other objects, none of which anybody describes. The heap must therefore have
 *             ECHO_FEATURE_AMBIGUOUS_ROOTS; module globals are the caller's to register (echo_ambiguous_range_add).
 * Names       `malloc` is exported as echo_runtime_malloc, so that nothing takes it for the C library's: rename the
 *             program's calls before any optimisation.
 * Invariants  [runtime.enter.1] A thread has at most one current runtime and a runtime at most one thread: its tasks run
 *             one at a time. [runtime.enter.2] Between enter and leave the thread's whole stack is an ambiguous root.
 *             [runtime.fail.1] A function of the 60 that cannot do what it is asked for calls `fail` and does not return.
 */
#ifndef ECHO_RUNTIME_H
#define ECHO_RUNTIME_H

#include "echo/heap.h"

ECHO_BEGIN_DECLS

typedef struct echo_runtime echo_runtime;

/* What every print_* function writes behind its text. */
typedef enum echo_runtime_print {
  ECHO_RUNTIME_PRINT_LINES = 0, /* a newline */
  ECHO_RUNTIME_PRINT_RAW = 1    /* nothing */
} echo_runtime_print;

/* The exit status of the default `fail`: 70, as of a program's own internal error. */
#define ECHO_RUNTIME_FAILED 70

typedef struct echo_runtime_options {
  uint32_t size;  /* sizeof(echo_runtime_options) */
  uint32_t print; /* echo_runtime_print */
  /* Seeds the hashes of maps, so that nobody can choose keys that collide; 0: a random one from the system. */
  uint64_t seed;
  /* Takes what print_* writes; null: standard output, buffered by the C library and flushed by echo_runtime_leave. */
  void (*output)(void* context, const char* bytes, uint64_t length);
  void* output_context;
  /* Ends the program, or the call that runs it, with an error raised inside one of the 60; must not return. Frames
   * between it and the program need no clean-up. Null: the sentence on standard error, then exit(ECHO_RUNTIME_FAILED).
   * The same happens if it returns, or if the thread has no runtime. */
  void (*fail)(void* context, const echo_error* why);
  void* fail_context;
  /* Calls a task's entry function; null: entry(argument). */
  void (*call)(void* context, void (*entry)(void*), void* argument);
  void* call_context;
} echo_runtime_options;

/* One of the 60. Strings are static. */
typedef struct echo_runtime_symbol_info {
  uint32_t size;        /* set by the caller: sizeof(echo_runtime_symbol_info) */
  uint32_t reserved;    /* 0 */
  const char* name;     /* as the program's module calls it: "malloc" */
  const char* exported; /* as this library exports it: "echo_runtime_malloc" */
  void* address;
  /* Result, then parameters, in the letters of echo_jit_define_typed: v z i l d p. One has none for its result: that of
   * runtime_char_ptr_to_string is `?`, the first-class aggregate {ptr, i64, i64}. Bits above an argument's width may
   * hold anything. */
  const char* type;
} echo_runtime_symbol_info;

/* A runtime on `heap`, which must outlive it. `options` is copied; null: all zero. Any thread. NO-SAFEPOINT.
 * INVALID_ARGUMENT; NOT_SUPPORTED (the heap has no ambiguous roots); SYSTEM_MEMORY; errors of layout_register. */
ECHO_EXPORT echo_status echo_runtime_create(const echo_heap_api* api, echo_heap* heap,
                                            const echo_runtime_options* options, echo_runtime** out,
                                            echo_error* why);
/* Forgets its queue, channels and literals. WRONG_STATE while a thread is in it. Null is allowed. Any thread.
 * NO-SAFEPOINT. */
ECHO_EXPORT echo_status echo_runtime_destroy(echo_runtime* runtime, echo_error* why);

/* Makes `runtime` the calling thread's. `thread` is the calling thread's block, attached to the runtime's heap and
 * managed; its stack becomes an ambiguous root. NO-SAFEPOINT. WRONG_STATE (the thread or the runtime is taken),
 * INVALID_ARGUMENT (another heap), errors of echo_ambiguous_stack. */
ECHO_EXPORT echo_status echo_runtime_enter(echo_runtime* runtime, echo_thread* thread, echo_error* why);
/* Ends it and flushes standard output; also after `fail` has ended a call. What is still queued or in channels stays.
 * NO-SAFEPOINT. WRONG_STATE (another runtime is current); IO_ERROR (output could not be written; the thread has left). */
ECHO_EXPORT echo_status echo_runtime_leave(echo_runtime* runtime, echo_error* why);

/* Address of one of the 60 by the program's or the exported name; null for any other name. Any thread. NO-SAFEPOINT. */
ECHO_EXPORT void* echo_runtime_symbol(const char* name);
/* The index-th of the 60, in a fixed order. INVALID_ARGUMENT past the last. Any thread. NO-SAFEPOINT. */
ECHO_EXPORT echo_status echo_runtime_symbol_at(uint32_t index, echo_runtime_symbol_info* out);

/* A string literal of a module lies at `address` and has `bytes` bytes, a terminating NUL included if it has one:
 * runtime_char_ptr_to_string takes the text up to the first NUL, or all of it. Not owned; it must stay mapped until it is
 * removed. A literal of 0 bytes may share its address with the next one, which then has it. Literals that nobody
 * registered are looked up in the dynamic symbol tables of the process. The thread that is in the runtime, or any one
 * while none is. NO-SAFEPOINT. INVALID_ARGUMENT (null, overlap, or end of the address space), SYSTEM_MEMORY. */
ECHO_EXPORT echo_status echo_runtime_literals_add(echo_runtime* runtime, const void* address, uint64_t bytes,
                                                  echo_error* why);
/* Forgets the literal registered at `address`. INVALID_ARGUMENT if there is none. */
ECHO_EXPORT echo_status echo_runtime_literals_remove(echo_runtime* runtime, const void* address,
                                                     echo_error* why);

ECHO_END_DECLS

#endif /* ECHO_RUNTIME_H */
