/* SPDX-License-Identifier: MIT
 *
 * echo/jit.h - libecho_jit: LLVM IR onto any heap plugin.
 *
 * Purpose     Takes LLVM 19 IR (text or bitcode) in which references are `ptr addrspace(1)` and heap operations are
 *             calls to abstract operations, lowers them by the heap's recipes, compiles with ORC, feeds the stack maps
 *             to the heap as its frame source, and enters the code. No LLVM type crosses this header.
 *
 * Abstract operations (declare them in the module; a wrong type is BAD_ABSTRACT_OPERATION)
 *   ptr addrspace(1) @echo.gc.new(ptr layout)                       SAFEPOINT  layout: a constant echo_layout
 *   ptr addrspace(1) @echo.gc.new_array(ptr layout, i64 length)     SAFEPOINT
 *   void @echo.gc.store(ptr addrspace(1) object, ptr addrspace(1) slot, ptr addrspace(1) value)
 *   void @echo.gc.array_store(ptr addrspace(1) array, i64 index, ptr addrspace(1) value)
 *   i64  @echo.gc.header(ptr addrspace(1) object)                   the header word
 *   i64  @echo.gc.length(ptr addrspace(1) array)                    the length word
 *   void @echo.gc.safepoint()                                       SAFEPOINT  an explicit poll
 *   void @echo.gc.raw_copy(ptr addrspace(1) to, ptr addrspace(1) from, i64 bytes)   bytes that hold no reference
 *   void @echo.gc.raw_fill(ptr addrspace(1) to, i8 byte, i64 bytes)
 *   ptr addrspace(1) @echo.gc.exchange(ptr addrspace(1) object, ptr addrspace(1) slot, ptr addrspace(1) value)
 *   ptr addrspace(1) @echo.gc.compare_exchange(ptr addrspace(1) object, ptr addrspace(1) slot,
 *                                              ptr addrspace(1) expected, ptr addrspace(1) value)
 *                                                                   both give the old reference, seq_cst
 *   void @echo.gc.array_copy(ptr addrspace(1) to, i64 to_index, ptr addrspace(1) from, i64 from_index, i64 count)
 *                                                                   SAFEPOINT  arrays of references; may overlap
 *   void @echo.gc.array_fill(ptr addrspace(1) array, i64 index, i64 count, ptr addrspace(1) value)   SAFEPOINT
 *   void @echo.gc.tagged_store(ptr addrspace(1) object, ptr addrspace(1) slot, i64 word, i64 tag)
 *                                                                   (word & ~7) | tag, a constant 1..7
 *   i64  @echo.gc.tagged_word(ptr addrspace(1) slot)                the integer with its tag, or 0
 *   ptr addrspace(1) @echo.gc.tagged_reference(ptr addrspace(1) slot)   the reference, or null
 *   i64  @echo.gc.identity_hash(ptr addrspace(1) object)            not null; the same for the object's whole life
 *   ptr addrspace(1) @echo.gc.weak_load(ptr addrspace(1) object, ptr addrspace(1) slot)
 *                                                                   a slot of kind WEAK, read in no other way: a
 *                                                                   reference that is alive from then on, or null
 *   The slots of tagged_* are of kind TAGGED; a reference is stored in one by echo.gc.store.
 *   atomicrmw xchg and cmpxchg of references in a heap object are lowered as the exchanges, with their own ordering.
 *   A plain store of a reference into a heap object is lowered as echo.gc.store. Loads are plain loads.
 *
 * Rules       Every function defined in a module is a collected function unless it carries "gc-leaf-function".
 *             The compiler inserts polls at loop back-edges, returns and landing pads. [jit.poll.1]
 *             Every function gets the thread as a swiftself parameter (a pinned register). [jit.thread.1]
 *             Functions that a module only declares are native; a call to one publishes the anchor first, so it may
 *             come back through echo_jit_call, allocate or collect; it may not hold references meanwhile except in
 *             handles. Mark the declaration "gc-leaf-function" if it does none of this. [jit.native.1]
 *             A declaration marked "echo-blocking", or defined as ECHO_JIT_SYMBOL_BLOCKING, is called with the thread
 *             native, so that no stop waits for it: for calls that block. It touches no reference, does not come back
 *             into managed code and does not throw. [jit.native.3] [jit.native.4]
 *             References live in SSA values, heap objects and module globals (registered as roots) only; anything
 *             else is refused by name with function, variable and line. [jit.refuse.1]
 */
#ifndef ECHO_JIT_H
#define ECHO_JIT_H

#include "echo/heap.h"

ECHO_BEGIN_DECLS

typedef struct echo_jit echo_jit;

/* Test-only switches: each removes one safeguard, so that a test can show what it is for. */
enum {
  ECHO_JIT_ALLOW_REF_IN_STACK = 1u << 0,   /* keep stack slots that hold references: their objects are lost */
  ECHO_JIT_ALLOW_REF_IN_RAW = 1u << 1,     /* keep references in raw memory */
  ECHO_JIT_ALLOW_REF_MEMCPY = 1u << 2,     /* keep memcpy and friends over references */
  ECHO_JIT_NO_BARRIER_ELISION = 1u << 3,   /* barriers on initialising stores too */
  ECHO_JIT_ALLOW_REF_AS_INTEGER = 1u << 4, /* keep ptrtoint and inttoptr */
  ECHO_JIT_ALLOW_UNSUPPORTED_FRAME = 1u << 5,
  ECHO_JIT_OMIT_BARRIERS = 1u << 6,       /* store without barrier: the barrier verifier must notice */
  ECHO_JIT_ALLOW_MUSTTAIL = 1u << 7,      /* keep musttail: statepoints break the call */
  ECHO_JIT_ALLOW_ADDRSPACECAST = 1u << 8, /* keep casts between references and plain pointers */
  ECHO_JIT_ALLOW_THREAD_LOCAL = 1u << 9,  /* keep thread-local variables: their references are no roots */
  ECHO_JIT_CURSOR_AS_REFERENCE =
      1u << 10, /* the allocation cursor is a reference: a wrong base for the next object */
  ECHO_JIT_THREAD_BEFORE_OPTIMISER =
      1u << 11, /* O2 sees the thread parameter, and drops it where nothing reads it */
  ECHO_JIT_ALLOCATION_IS_ZEROED = 1u << 12,   /* O2 is told that new objects are zero, header included */
  ECHO_JIT_OPTIMISE_POLLS = 1u << 13,         /* polls load their word once, before a loop */
  ECHO_JIT_BARRIER_AFTER_STORE = 1u << 14,    /* the barrier comes too late for the old value */
  ECHO_JIT_PLAIN_STORES = 1u << 15,           /* stores of references may be merged */
  ECHO_JIT_ELIDE_OVER_SAFEPOINTS = 1u << 16,  /* an object counts as new also after a safepoint */
  ECHO_JIT_BARRIER_WITHOUT_EFFECT = 1u << 17, /* the optimiser is told that a barrier does nothing */
  ECHO_JIT_STUBS_LOSE_RAX = 1u << 18,         /* cold paths without result do not keep rax */
  ECHO_JIT_VECTORISE = 1u << 19,              /* vectorisers run: vectors of references */
  ECHO_JIT_VECTOR_IS_ONE_ROOT =
      1u << 20, /* vectors of references stay whole, and their first is the only root */
  ECHO_JIT_STALE_REFERENCE = 1u << 21, /* one use of a reference keeps the value from before a safepoint */
  ECHO_JIT_VERIFY = 1u << 22,          /* no fault: verifies statepoints also in builds without deep checks */
  ECHO_JIT_NO_ENTRY_GUARD = 1u << 23,  /* an exception that leaves a call leaves the call's anchor behind */
  ECHO_JIT_NATIVE_WITHOUT_ANCHOR = 1u << 24, /* calls of natives publish no anchor */
  ECHO_JIT_SKIP_PROMOTION = 1u << 25,        /* local variables stay in stack memory */
  ECHO_JIT_LOOP_POLLS_ONLY = 1u << 26,       /* returns and landing pads pass the watermark without looking */
  ECHO_JIT_STALE_IN_PADS = 1u << 27, /* landing pads use references as they were before the call that threw */
  ECHO_JIT_REMOVE_UNDER_FRAMES = 1u << 28,   /* modules are removed without a look at the stacks */
  ECHO_JIT_LINK_WITHOUT_LOCK = 1u << 29,     /* compile threads meet in the link plugin: the process ends */
  ECHO_JIT_CACHE_AFTER_OPTIMISER = 1u << 30, /* the object cache is asked where ORC asks its own */
  /* Of ECHO_JIT_PROFILE_UNMODIFIED, whose code has neither landing pads nor statepoints: two bits mean something else. */
  ECHO_JIT_OMIT_POLLS = ECHO_JIT_STALE_IN_PADS, /* it never polls: a stop waits for ever */
  ECHO_JIT_OMIT_BASES =
      ECHO_JIT_STALE_REFERENCE, /* objects may be lost while only a pointer outside them is at hand */
  ECHO_JIT_ALL_SWITCHES = 0x7fffffff
};

/* How operations are emitted. A module says it with the module flag "echo.operations": !{i32 1, !"echo.operations", i32 1}.
 * Modules of both kinds work together. */
enum {
  ECHO_JIT_OPERATIONS_INLINE = 0, /* fast paths */
  ECHO_JIT_OPERATIONS_CALLED =
      1 /* level 0: each allocation, store, exchange and poll is one call, for a VM's first day */
};

/* What modules are. */
enum {
  ECHO_JIT_PROFILE_REFERENCES = 0, /* as above: references and abstract operations */
  /* Output of the Echo compiler as it is: plain pointers, nothing else said. The JIT renames malloc to
   * echo_runtime_malloc, inserts polls and store barriers before optimisation, and registers module variables as
   * ambiguous ranges; frames are found because the thread's stack is an ambiguous root, which is the VM's to say
   * (echo_runtime_enter does). Needs ECHO_FEATURE_AMBIGUOUS_ROOTS. Functions of the module are entered through
   * echo_jit_call only. Of the process, only functions that LLVM itself calls are bound. docs/echo-profiles.md */
  ECHO_JIT_PROFILE_UNMODIFIED = 1
};

/* Told of each literal (array of bytes) of a module of the unmodified profile: once it is linked, before an address of
 * the module is handed out, and again (`added` 0) before its memory goes. An error status fails the lookup. */
typedef echo_status (*echo_jit_literal_fn)(void* context, const void* address, uint64_t bytes, int added,
                                           echo_error* why);

typedef struct echo_jit_options {
  uint32_t size;               /* sizeof(echo_jit_options) */
  uint32_t optimise;           /* 0 or 2 */
  uint32_t compile_threads;    /* 0: compile on the calling thread */
  uint32_t switches;           /* ECHO_JIT_*: tests only, else 0 */
  const char* dump_objects;    /* directory for the object files (disassembly), or null */
  const char* dump_ir;         /* directory for the IR after lowering, or null */
  uint32_t operations;         /* ECHO_JIT_OPERATIONS_*, for modules that do not say it themselves */
  uint32_t tools;              /* ECHO_JIT_TOOL_* */
  const char* cache;           /* directory for compiled modules, found again by their input; or null */
  uint32_t profile;            /* ECHO_JIT_PROFILE_* */
  uint32_t reserved;           /* 0 */
  echo_jit_literal_fn literal; /* or null */
  void* literal_context;
} echo_jit_options;

enum {
  ECHO_JIT_TOOL_GDB = 1u << 0, /* announce each object to debuggers (GDB's JIT interface) */
  ECHO_JIT_TOOL_PERF =
      1u << 1, /* write the names of functions where perf looks for them: perf-PID.map in the temporary
                                  folder */
  ECHO_JIT_TOOL_LINES =
      1u << 2 /* keep the source lines of modules with debug information, for echo_jit_where */
};

typedef struct echo_jit_statistics {
  uint32_t size; /* set by the caller */
  uint32_t functions, sites;
  uint64_t map_bytes, code_bytes;
  uint64_t derived_pairs, polls_inserted, barriers_emitted, barriers_elided;
  double parse_ms, optimise_ms, lower_ms, link_ms;
  uint64_t modules_compiled;                           /* went through the optimiser */
  uint64_t cache_hits, cache_damaged, modules_removed; /* damaged: entries found broken, compiled again */
} echo_jit_statistics;

enum {
  ECHO_JIT_SYMBOL_NATIVE = 0, /* called with the anchor published: may collect or re-enter */
  ECHO_JIT_SYMBOL_LEAF = 1,   /* neither collects nor blocks nor re-enters: called directly */
  ECHO_JIT_SYMBOL_BLOCKING =
      2 /* called with the thread native: may block, touches no reference, does not throw */
};

typedef struct echo_jit_api {
  uint32_t size;
  uint16_t abi_major, abi_minor;
  echo_status (*create)(const echo_heap_api* api, echo_heap* heap, const echo_jit_options* options,
                        echo_jit** out, echo_error* why);
  echo_status (*destroy)(echo_jit* jit, echo_error* why);
  echo_status (*add_module)(echo_jit* jit, const char* name, const void* bytes, uint64_t length,
                            echo_error* why);
  echo_status (*define)(echo_jit* jit, const char* name, void* address, uint32_t kind, echo_error* why);
  echo_status (*lookup)(echo_jit* jit, const char* name, void** out, echo_error* why);
  echo_status (*call)(echo_jit* jit, echo_thread* thread, void* function, const uint64_t* arguments,
                      uint32_t argument_count, uint64_t* result, echo_error* why);
  void (*abandon)(echo_jit* jit, echo_thread* thread, const echo_error* why);
  echo_status (*function_at)(echo_jit* jit, uintptr_t pc, char* name, uint64_t capacity);
  echo_status (*statistics)(echo_jit* jit, echo_jit_statistics* out);
  echo_status (*define_typed)(echo_jit* jit, const char* name, void* address, uint32_t kind, const char* type,
                              echo_error* why);
  echo_status (*function_type)(echo_jit* jit, const void* function, char* type, uint64_t capacity);
  echo_status (*remove_module)(echo_jit* jit, echo_thread* thread, const char* name, echo_error* why);
} echo_jit_api;

/* The table of libecho_jit; null with a sentence for versions it does not serve. NO-SAFEPOINT. */
ECHO_EXPORT const echo_jit_api* echo_jit_plugin(uint32_t wanted_major, uint32_t wanted_minor,
                                                echo_error* why);

/* Creates a JIT for one heap and becomes the heap's frame source. WRONG_STATE if the heap has another source;
 * VERSION_MISMATCH if the table is too old; INVALID_ARGUMENT. The caller owns *out. NO-SAFEPOINT. */
ECHO_EXPORT echo_status echo_jit_create(const echo_heap_api* api, echo_heap* heap,
                                        const echo_jit_options* options, echo_jit** out, echo_error* why);
/* Frees code and maps and unregisters global roots. WRONG_STATE while a thread is inside echo_jit_call. */
ECHO_EXPORT echo_status echo_jit_destroy(echo_jit* jit, echo_error* why);
/* Parses, checks, optimises and lowers one module (`bytes` is copied); `name` appears in messages. IR_INVALID and the
 * refusals 101..113. Any thread; a calling thread that is attached must be native. */
ECHO_EXPORT echo_status echo_jit_add_module(echo_jit* jit, const char* name, const void* bytes,
                                            uint64_t length, echo_error* why);
/* Removes the module added last under this name: its code, sites, symbols and roots. The caller sees to it that nobody
 * calls into it any more; what is still inside is found. INVALID_ARGUMENT: no such module. WRONG_STATE, and nothing
 * happens: another module uses one of its symbols, or a frame of it is on a stack. `thread` is the calling thread,
 * managed, whose collection looks at every stack (SAFEPOINT), or null, which is refused while any call is active. */
ECHO_EXPORT echo_status echo_jit_remove_module(echo_jit* jit, echo_thread* thread, const char* name,
                                               echo_error* why);
/* Defines a native symbol for modules added later. INVALID_ARGUMENT if defined already. */
ECHO_EXPORT echo_status echo_jit_define(echo_jit* jit, const char* name, void* address, uint32_t kind,
                                        echo_error* why);
/* The same for a symbol whose type is known. A module that declares or calls it with another type is refused:
 * BAD_ABSTRACT_OPERATION. `type` has one letter for the result, then one for each parameter:
 *   v void   z i1   b i8   s i16   i i32   l i64   f float   d double   p pointer   r reference
 * INVALID_ARGUMENT also for any other letter. */
ECHO_EXPORT echo_status echo_jit_define_typed(echo_jit* jit, const char* name, void* address, uint32_t kind,
                                              const char* type, echo_error* why);
/* The type of a compiled function in these letters (`?` for what has none), by its address. INVALID_ARGUMENT if no
 * function begins there, or `capacity` is too small for the letters and a NUL. NO-SAFEPOINT. */
ECHO_EXPORT echo_status echo_jit_function_type(echo_jit* jit, const void* function, char* type,
                                               uint64_t capacity);
/* Address of a compiled function, for echo_jit_call only. MISSING_SYMBOL names all missing symbols. */
ECHO_EXPORT echo_status echo_jit_lookup(echo_jit* jit, const char* name, void** out, echo_error* why);
/* Enters managed code on a managed thread: at most 6 integer or pointer arguments; *result is the returned word.
 * May nest: native functions called from managed code may call again. SAFEPOINT. ABANDONED or the raised error. */
ECHO_EXPORT echo_status echo_jit_call(echo_jit* jit, echo_thread* thread, void* function,
                                      const uint64_t* arguments, uint32_t argument_count, uint64_t* result,
                                      echo_error* why);
/* Leaves the innermost echo_jit_call of this thread with an error; only managed frames lie between. Does not return
 * when a call is active; returns (doing nothing) when none is. To be called from a native function or cold path whose
 * own frames need no clean-up. */
ECHO_EXPORT void echo_jit_abandon(echo_jit* jit, echo_thread* thread, const echo_error* why);
/* Name of the function whose code contains pc. MISSING_SYMBOL. Async-signal-safe. */
ECHO_EXPORT echo_status echo_jit_function_at(echo_jit* jit, uintptr_t pc, char* name, uint64_t capacity);
/* In words, what stands at a return address in code of any JIT of this process: the function, and file and line where
 * ECHO_JIT_TOOL_LINES keeps them ("push (list.c:31)"). By name only: who asks has an address and no JIT. Any thread.
 * NO-SAFEPOINT. MISSING_SYMBOL; INVALID_ARGUMENT. */
ECHO_EXPORT echo_status echo_jit_where(uintptr_t return_address, char* text, uint64_t capacity);
ECHO_EXPORT echo_status echo_jit_get_statistics(echo_jit* jit, echo_jit_statistics* out);

ECHO_END_DECLS

#endif /* ECHO_JIT_H */
