/* SPDX-License-Identifier: MIT
 *
 * echo/base.h - words every other header uses: versions, status codes, errors, opaque types.
 *
 * Purpose     One place for what crosses the boundary between a VM and the plugin as a value.
 * Invariants  [abi.error.1] Every failure is a value: a status and, where an echo_error is given, a sentence
 *             that names what is wrong. Nothing throws and nothing aborts across this boundary.
 *             [abi.error.2] A status keeps its number and its name for ever.
 */
#ifndef ECHO_BASE_H
#define ECHO_BASE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define ECHO_BEGIN_DECLS extern "C" {
#define ECHO_END_DECLS }
#else
#define ECHO_BEGIN_DECLS
#define ECHO_END_DECLS
#endif

#define ECHO_EXPORT __attribute__((visibility("default")))

/* An enumeration whose variables may hold any int: a value from outside that it does not name is refused, in C++ as
 * in C. */
#ifdef __cplusplus
#define ECHO_OPEN_ENUM : int
#else
#define ECHO_OPEN_ENUM
#endif

/* [abi.version.1] A plugin serves one major version; within it, a minor version only adds at the end. */
#define ECHO_ABI_MAJOR 1u
#define ECHO_ABI_MINOR 0u

ECHO_BEGIN_DECLS

/* A reference: the address of an object's header word, or null. */
typedef struct echo_object* echo_ref;

typedef struct echo_heap echo_heap;     /* one garbage-collected heap */
typedef struct echo_thread echo_thread; /* one attached thread: the address of its thread block */
typedef uint32_t echo_layout_id;        /* 0 is never a layout */

/* X(number, name, meaning) - the one table of status codes. */
#define ECHO_STATUS_TABLE(X)                                                                                 \
  X(0, OK, "success")                                                                                        \
  X(1, INVALID_ARGUMENT, "an argument is null or outside its range")                                         \
  X(2, HEAP_LIMIT, "the heap limit is reached and a full collection freed too little")                       \
  X(3, SYSTEM_MEMORY, "the operating system refused memory")                                                 \
  X(4, NOT_SUPPORTED, "this plugin does not have the feature (its feature bit is clear)")                    \
  X(5, VERSION_MISMATCH, "the ABI version asked for is not served")                                          \
  X(6, UNKNOWN_OPTION, "no option has this name")                                                            \
  X(7, BAD_OPTION_VALUE, "the option's value has the wrong type or is out of range")                         \
  X(8, BAD_LAYOUT, "the layout descriptor contradicts itself")                                               \
  X(9, UNKNOWN_LAYOUT, "no layout is registered under this number")                                          \
  X(10, WRONG_THREAD, "the call belongs to another thread")                                                  \
  X(11, WRONG_STATE, "the thread or heap is in a state that forbids the call")                               \
  X(12, HANDLE_MISUSE, "a handle or scope is used after its end or out of order")                            \
  X(13, THREADS_ATTACHED, "threads are still attached to the heap")                                          \
  X(14, LIMIT_EXCEEDED, "a fixed bound (layouts, root words, threads) is exceeded")                          \
  X(15, OUT_OF_BOUNDS, "an index or offset lies outside the object")                                         \
  X(16, HEAP_CORRUPT, "the heap verifier found a broken invariant")                                          \
  X(17, FRAME_WITHOUT_MAP, "a frame on a managed stack has no stack map")                                    \
  X(18, IO_ERROR, "a file could not be read or written")                                                     \
  X(100, IR_INVALID, "the input is not valid LLVM IR")                                                       \
  X(101, REF_IN_STACK_SLOT, "a reference may live in stack memory, where the collector cannot see it")       \
  X(102, REF_IN_RAW_MEMORY, "a reference is stored in or read from memory outside the heap")                 \
  X(103, REF_AS_INTEGER, "a reference is converted from or to an integer")                                   \
  X(104, REF_ADDRSPACECAST, "a pointer is cast between the reference address space and another")             \
  X(105, REF_MEMORY_INTRINSIC, "memcpy, memmove or memset is applied to references")                         \
  X(106, MUSTTAIL_CALL, "a musttail call in a collected function")                                           \
  X(107, THREAD_LOCAL_VARIABLE, "a thread-local variable in the module")                                     \
  X(108, UNSUPPORTED_FRAME, "the frame cannot be walked")                                                    \
  X(109, UNSUPPORTED_OPERATION, "an instruction or operation this version does not lower")                   \
  X(110, BAD_ABSTRACT_OPERATION, "an abstract operation is used with the wrong type or operand")             \
  X(111, MISSING_SYMBOL, "a symbol the program uses is not defined")                                         \
  X(112, CODEGEN_FAILED, "LLVM could not compile or link the module")                                        \
  X(113, MANAGED_CODE_ESCAPES, "a collected function's address is passed to native code")                    \
  X(114, STACK_OVERFLOW, "the program's stack is exhausted")                                                 \
  X(115, ABANDONED, "the managed call was abandoned by an error raised inside it")

typedef enum echo_status {
#define ECHO_STATUS_ENUM(number, name, meaning) ECHO_##name = number,
  ECHO_STATUS_TABLE(ECHO_STATUS_ENUM)
#undef ECHO_STATUS_ENUM
} echo_status;

/* Owned by the caller; every function that takes one fills it on failure and leaves it alone on success. */
typedef struct echo_error {
  int32_t code;      /* an echo_status */
  char message[508]; /* one sentence, NUL-terminated, without the code */
} echo_error;

/* The stable name of a status ("HEAP_LIMIT"), or "UNKNOWN". Static string. NO-SAFEPOINT. No errors. */
static inline const char* echo_status_name(int32_t status) {
  switch (status) {
#define ECHO_STATUS_NAME(number, name, meaning)                                                              \
  case number:                                                                                               \
    return #name;
    ECHO_STATUS_TABLE(ECHO_STATUS_NAME)
#undef ECHO_STATUS_NAME
  default:
    return "UNKNOWN";
  }
}

ECHO_END_DECLS

#endif /* ECHO_BASE_H */
