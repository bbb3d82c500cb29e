/* SPDX-License-Identifier: MIT
 *
 * echo/cc.h - C programs on the Echo heap: what `echo-cc` compiles and `echo-run` runs.
 *
 * Purpose     References are pointers into address space 1; the abstract operations of echo/jit.h are functions.
 *             Only echo-cc understands this header: any other compiler gets a clear error.
 * Rules       Keep references in parameters, local variables whose address is not taken, heap objects and file-scope
 *             variables. `p->field = q` stores with the barrier. Never cast a reference to an integer or to a plain
 *             pointer. Structs begin with ECHO_HEADER; arrays are made with echo_new_array.
 *
 *   typedef struct node ECHO_REF* node_ref;
 *   struct node { ECHO_HEADER; node_ref left, right; };
 *   ECHO_LAYOUT(node_layout, struct node, ECHO_STRONG(struct node, left), ECHO_STRONG(struct node, right));
 *   node_ref n = echo_new(node_layout, node_ref);
 */
#ifndef ECHO_CC_H
#define ECHO_CC_H

#if !defined(__clang__)
#error "echo/cc.h: compile this program with echo-cc (clang 19)"
#endif

#include "echo/layout.h"

#define ECHO_REF __attribute__((address_space(1)))
#define ECHO_HEADER uint64_t echo_header_word
#define ECHO_ARRAY_HEADER                                                                                    \
  uint64_t echo_header_word;                                                                                 \
  uint64_t echo_length_word
/* A function that neither allocates nor calls anything that does: called without a stack map. */
#define ECHO_LEAF __attribute__((annotate("gc-leaf-function")))

/* A native function that may block: called with the thread native, so that no collection waits for it. */
#define ECHO_BLOCKING __attribute__((annotate("echo-blocking")))

typedef void ECHO_REF* echo_any;
typedef echo_any ECHO_REF* echo_slot_address;

#define ECHO_STRONG(type, member) {offsetof(type, member), ECHO_SLOT_STRONG}
#define ECHO_TAGGED(type, member) {offsetof(type, member), ECHO_SLOT_TAGGED}
#define ECHO_WEAK(type, member) {offsetof(type, member), ECHO_SLOT_WEAK}

/* A fixed layout with at least one slot; and one without. */
#define ECHO_LAYOUT(name, type, ...)                                                                         \
  static const echo_slot name##_slots[] = {__VA_ARGS__};                                                     \
  static const echo_layout name = {sizeof(echo_layout),                                                      \
                                   ECHO_LAYOUT_FIXED,                                                        \
                                   #type,                                                                    \
                                   sizeof(type),                                                             \
                                   0,                                                                        \
                                   0,                                                                        \
                                   0,                                                                        \
                                   sizeof(name##_slots) / sizeof(echo_slot),                                 \
                                   name##_slots}
#define ECHO_LAYOUT_RAW(name, type)                                                                          \
  static const echo_layout name = {                                                                          \
      sizeof(echo_layout), ECHO_LAYOUT_FIXED, #type, sizeof(type), 0, 0, ECHO_LAYOUT_LEAF, 0, 0}
/* Arrays: of raw elements, of references. */
#define ECHO_ARRAY_RAW(name, element)                                                                        \
  static const echo_layout name = {                                                                          \
      sizeof(echo_layout), ECHO_LAYOUT_RAW_ARRAY, #element "[]", 16, sizeof(element), 0, 0, 0, 0}
#define ECHO_ARRAY_REF(name)                                                                                 \
  static const echo_layout name = {sizeof(echo_layout), ECHO_LAYOUT_REF_ARRAY, "ref[]", 16, 8, 0, 0, 0, 0}

echo_any echo_op_new(const echo_layout* layout) __asm__("echo.gc.new");
echo_any echo_op_new_array(const echo_layout* layout, int64_t length) __asm__("echo.gc.new_array");
void echo_op_store(echo_any object, echo_slot_address slot, echo_any value) __asm__("echo.gc.store");
void echo_op_array_store(echo_any array, int64_t index, echo_any value) __asm__("echo.gc.array_store");
uint64_t echo_op_header(echo_any object) __asm__("echo.gc.header");
int64_t echo_op_length(echo_any array) __asm__("echo.gc.length");
/* An explicit poll; loops and returns have theirs without asking. */
void echo_safepoint(void) __asm__("echo.gc.safepoint");
/* Bytes that hold no reference, inside heap objects. */
void echo_raw_copy(echo_any to, echo_any from, int64_t bytes) __asm__("echo.gc.raw_copy");
void echo_raw_fill(echo_any to, char byte, int64_t bytes) __asm__("echo.gc.raw_fill");

/* Exchange a reference for another; both return the old one. `slot` is the address of a field of `object`. */
echo_any echo_op_exchange(echo_any object, echo_slot_address slot,
                          echo_any value) __asm__("echo.gc.exchange");
echo_any echo_op_compare_exchange(echo_any object, echo_slot_address slot, echo_any expected,
                                  echo_any value) __asm__("echo.gc.compare_exchange");
/* Elements of arrays of references: a copy may overlap; no bounds check. */
void echo_array_copy(echo_any to, int64_t to_index, echo_any from, int64_t from_index,
                     int64_t count) __asm__("echo.gc.array_copy");
void echo_array_fill(echo_any array, int64_t index, int64_t count,
                     echo_any value) __asm__("echo.gc.array_fill");
/* Fields of kind TAGGED: an integer whose low 3 bits are a tag from 1 to 7 (a constant), or a reference. */
void echo_op_tagged_store(echo_any object, echo_slot_address slot, int64_t word,
                          int64_t tag) __asm__("echo.gc.tagged_store");
int64_t echo_op_tagged_word(echo_slot_address slot) __asm__("echo.gc.tagged_word");
echo_any echo_op_tagged_reference(echo_slot_address slot) __asm__("echo.gc.tagged_reference");

/* Fields of kind WEAK: stored like any other, and read by this only: a reference, or null once its object is dead. */
echo_any echo_op_weak_load(echo_any object, echo_slot_address slot) __asm__("echo.gc.weak_load");
/* The same number for an object's whole life, wherever it moves; not of null. */
uint64_t echo_op_identity_hash(echo_any object) __asm__("echo.gc.identity_hash");
#define echo_hash(object) echo_op_identity_hash((echo_any)(object))

#define echo_new(layout, ref_type) ((ref_type)echo_op_new(&(layout)))
#define echo_new_array(layout, length) echo_op_new_array(&(layout), (length))
#define echo_length(array) echo_op_length((echo_any)(array))
/* Element `index` of an array of references: no bounds check. */
#define echo_get(array, index, ref_type)                                                                     \
  ((ref_type)((echo_any ECHO_REF*)((char ECHO_REF*)(array) + 16))[index])
#define echo_set(array, index, value) echo_op_array_store((echo_any)(array), (index), (echo_any)(value))
/* The field `member` of an object as a slot. */
#define echo_slot_of(object, member) ((echo_slot_address) & (object)->member)
#define echo_exchange(object, member, value)                                                                 \
  echo_op_exchange((echo_any)(object), echo_slot_of(object, member), (echo_any)(value))
#define echo_compare_exchange(object, member, expected, value)                                               \
  echo_op_compare_exchange((echo_any)(object), echo_slot_of(object, member), (echo_any)(expected),           \
                           (echo_any)(value))
/* A TAGGED field (declared as echo_any): store an integer; the integer in it or 0; the reference in it or null. */
#define echo_tagged_store(object, member, word, tag)                                                         \
  echo_op_tagged_store((echo_any)(object), echo_slot_of(object, member), (word), (tag))
#define echo_tagged_word(object, member) echo_op_tagged_word(echo_slot_of(object, member))
#define echo_tagged_reference(object, member, ref_type)                                                      \
  ((ref_type)echo_op_tagged_reference(echo_slot_of(object, member)))
#define echo_weak_get(object, member, ref_type)                                                              \
  ((ref_type)echo_op_weak_load((echo_any)(object), echo_slot_of(object, member)))
/* Lvalue: element `index` of an array of raw elements. */
#define echo_at(array, element, index) (((element ECHO_REF*)((char ECHO_REF*)(array) + 16))[index])

/* --- what echo-run offers a program besides the C library ---------------------------------------------------------- */

/* Mixes a value into the program's checksum, which echo-run reports: sum = rotl(sum, 5) ^ value * 0x9E3779B97F4A7C15
 * for each value in order, from 0. Adds nothing if never called. Thread-safe, but order matters: call from one thread. */
void echo_checksum(int64_t value) __asm__("echo.checksum");
/* Runs a full collection now. */
void echo_collect_now(void) __asm__("echo.collect");
/* Starts a thread that runs fn(argument) on a stack of its own; returns a thread number > 0. */
int64_t echo_spawn(void (*fn)(echo_any), echo_any argument) __asm__("echo.thread.spawn");
/* Waits for a thread to end. */
void echo_join(int64_t thread) __asm__("echo.thread.join");
/* Lets other threads run. */
void echo_yield(void) __asm__("echo.thread.yield");

#endif /* ECHO_CC_H */
