/* SPDX-License-Identifier: MIT
 *
 * echo_lisp.h - what the three files of the VM share: the VM itself, and how it looks at values.
 *
 *   echo_lisp.c   the interpreter: everything that it takes to live with the heap
 *   text.c        values from text and back
 *   primitives.c  functions written in C
 *
 * Invariants  [vm.handle.1] A plain echo_ref lives between two SAFEPOINT calls (allocate, poll, collect) and never over one.
 *             Functions that may reach one put their arguments into cells first; whoever gets a reference from one uses it or puts
 *             it into a cell. [vm.store.1] References are written into objects by echo_store and echo_array_store only.
 *             [vm.bound.1] Text, words, vectors, strings and nesting are bounded; what is over a bound is an error with a sentence.
 */
#ifndef ECHO_LISP_H
#define ECHO_LISP_H

#include "echo/heap.h"

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MAX_TEXT = 1 << 20, MAX_WORD = 255, MAX_LENGTH = 1 << 24, MAX_CELLS = 12000, MAX_SHOWN = 10000 };

/* A value is a reference; null is nil, the empty list and the only false one. */
typedef struct vm {
  const echo_heap_api* api;
  echo_heap* heap;
  echo_thread* self;
  echo_layout_id integer, pair, closure, symbol, string, vector, primitive;
  echo_handle symbols, globals; /* lists: of symbols; of bindings (symbol . value) */
  echo_handle cells[MAX_CELLS]; /* the stack of roots; [0, made) exist, [0, top) are in use */
  unsigned top, made, line;
  const char *at, *end; /* of the text */
  jmp_buf failed;
  char why[700];
} vm;

/* Words of the objects; 0 is the header. */
enum { FIRST = 1, REST = 2, NAMES = 1, BODY = 2, SCOPE = 3, NUMBER = 1, FORM = 2 };

/* --- looking at values: no safepoint ---------------------------------------------------------------------------------- */

static inline echo_ref get(vm* v, echo_handle cell) {
  return v->api->handle_get(v->self, cell);
}
static inline void set(vm* v, echo_handle cell, echo_ref value) {
  v->api->handle_set(v->self, cell, value);
}
static inline bool is(vm* v, echo_ref value, echo_layout_id layout) {
  return value != NULL && v->api->object_layout(v->heap, value) == layout;
}
static inline echo_ref field(echo_ref object, uint64_t word) {
  return ((echo_ref*)(void*)object)[word];
}
static inline int64_t* number(echo_ref object, unsigned word) {
  return (int64_t*)(void*)object + word;
}
static inline uint64_t length(vm* v, echo_ref array) {
  return v->api->array_length(v->heap, array);
}
static inline char* bytes(vm* v, echo_ref object) {
  return (char*)object + (is(v, object, v->symbol) ? 24 : 16);
}
/* Parts of lists; nil where there is none. */
static inline echo_ref first(vm* v, echo_ref list) {
  return is(v, list, v->pair) ? field(list, FIRST) : NULL;
}
static inline echo_ref rest(vm* v, echo_ref list) {
  return is(v, list, v->pair) ? field(list, REST) : NULL;
}
static inline echo_ref nth(vm* v, echo_ref list, unsigned index) {
  return index == 0 ? first(v, list) : nth(v, rest(v, list), index - 1);
}
static inline void store(vm* v, echo_ref object, unsigned word, echo_ref value) {
  v->api->store(v->self, object, word * sizeof(uint64_t), value);
}

/* --- echo_lisp.c ------------------------------------------------------------------------------------------------------- */

/* Ends the program with a sentence. */
__attribute__((noreturn, format(printf, 2, 3))) void fail(vm* v, const char* format, ...);
/* A cell that holds `value`, until the caller sets v->top back. */
echo_handle push(vm* v, echo_ref value);
/* New objects: each is a safepoint. */
echo_ref make(vm* v, echo_layout_id layout, uint64_t elements);
echo_ref make_number(vm* v, echo_layout_id layout, int64_t value);
echo_ref make_bytes(vm* v, echo_layout_id layout, const char* from, size_t count);
echo_ref cons(vm* v, echo_ref a, echo_ref b);
/* Adds a value at the end of the list in a cell, whose last pair is in another. */
void append(vm* v, echo_handle list, echo_handle last, echo_ref value);
echo_ref intern(vm* v, const char* name, size_t count);

/* --- text.c ------------------------------------------------------------------------------------------------------------ */

bool at_end(vm* v);
/* The next value of the text: a safepoint. */
echo_ref read_value(vm* v);
/* Prints at most `*budget` values: a list may be a ring. */
void show(vm* v, echo_ref value, unsigned* budget);

/* --- primitives.c ------------------------------------------------------------------------------------------------------ */

/* The name of the primitive of this number, or null behind the last one. */
const char* primitive_name(unsigned which);
/* Calls it with the list of arguments in a cell. May be a safepoint. */
echo_ref apply_primitive(vm* v, unsigned which, echo_handle arguments);

#endif /* ECHO_LISP_H */
