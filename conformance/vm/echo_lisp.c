/* SPDX-License-Identifier: MIT
 *
 * echo-lisp PLUGIN PROGRAM [OPTIONS] - a small Lisp on the Echo heap: the reference for VMs without a compiler.
 *
 * Purpose     To be read and copied. It sees the public headers only, loads the plugin by path and has no stack map: what its
 *             C code holds over a SAFEPOINT (allocate, poll, collect) is in handles, a stack of them that it makes once.
 * Invariants  [vm.handle.1] A plain echo_ref lives between two SAFEPOINT calls and never over one. Functions that may reach one
 *             put their arguments into cells first; whoever gets a reference from one uses it or puts it into a cell.
 *             [vm.store.1] References are written into objects by echo_store and echo_array_store only.
 *             [vm.bound.1] Text, words, vectors, strings and nesting are bounded; what is over a bound is an error with a sentence.
 * Exit status 0: the program ran to its end. 1: it failed. 2: it could not be started. Why is on standard error.
 */
#include "echo/heap.h"

#include <dlfcn.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

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

/* --- cells, objects: no safepoint ------------------------------------------------------------------------------- */

__attribute__((noreturn, format(printf, 2, 3))) static void fail(vm* v, const char* format, ...) {
  va_list list;
  va_start(list, format);
  vsnprintf(v->why, sizeof v->why, format, list);
  va_end(list);
  longjmp(v->failed, 1);
}

static echo_ref get(vm* v, echo_handle cell) {
  return v->api->handle_get(v->self, cell);
}
static void set(vm* v, echo_handle cell, echo_ref value) {
  v->api->handle_set(v->self, cell, value);
}
/* A cell that holds `value`, until the caller sets v->top back. */
static echo_handle push(vm* v, echo_ref value) {
  if (v->top == MAX_CELLS) {
    fail(v, "calls or lists are nested too deeply");
  }
  if (v->top < v->made) {
    set(v, v->cells[v->top], value);
  } else if ((v->cells[v->made++] = v->api->handle_new(v->self, value)) == NULL) {
    fail(v, "no memory for handles");
  }
  return v->cells[v->top++];
}

static bool is(vm* v, echo_ref value, echo_layout_id layout) {
  return value != NULL && v->api->object_layout(v->heap, value) == layout;
}
static echo_ref field(echo_ref object, uint64_t word) {
  return ((echo_ref*)(void*)object)[word];
}
static int64_t* number(echo_ref object, unsigned word) {
  return (int64_t*)(void*)object + word;
}
static uint64_t length(vm* v, echo_ref array) {
  return v->api->array_length(v->heap, array);
}
static char* bytes(vm* v, echo_ref object) {
  return (char*)object + (is(v, object, v->symbol) ? 24 : 16);
}
/* Parts of lists; nil where there is none. */
static echo_ref first(vm* v, echo_ref list) {
  return is(v, list, v->pair) ? field(list, FIRST) : NULL;
}
static echo_ref rest(vm* v, echo_ref list) {
  return is(v, list, v->pair) ? field(list, REST) : NULL;
}
static echo_ref nth(vm* v, echo_ref list, unsigned index) {
  return index == 0 ? first(v, list) : nth(v, rest(v, list), index - 1);
}
static void store(vm* v, echo_ref object, unsigned word, echo_ref value) {
  v->api->store(v->self, object, word * sizeof(uint64_t), value);
}

/* --- new objects: each is a safepoint --------------------------------------------------------------------------- */

static echo_ref make(vm* v, echo_layout_id layout, uint64_t elements) {
  const echo_ref object = v->api->allocate(v->self, layout, elements);
  if (object == NULL) {
    echo_error error = {ECHO_OK, ""};
    v->api->last_error(v->self, &error);
    fail(v, "%s: %s", echo_status_name(error.code), error.message);
  }
  return object;
}
static echo_ref make_number(vm* v, echo_layout_id layout, int64_t value) {
  const echo_ref object = make(v, layout, 0);
  *number(object, NUMBER) = value;
  return object;
}
static echo_ref make_bytes(vm* v, echo_layout_id layout, const char* from, size_t count) {
  const echo_ref object = make(v, layout, count);
  memcpy(bytes(v, object), from, count);
  return object;
}
static echo_ref cons(vm* v, echo_ref a, echo_ref b) {
  const echo_handle first_cell = push(v, a);
  const echo_handle rest_cell = push(v, b);
  const echo_ref pair = make(v, v->pair, 0);
  store(v, pair, FIRST, get(v, first_cell));
  store(v, pair, REST, get(v, rest_cell));
  v->top -= 2;
  return pair;
}
/* Adds a value at the end of the list in a cell, whose last pair is in another. */
static void append(vm* v, echo_handle list, echo_handle last, echo_ref value) {
  const echo_ref pair = cons(v, value, NULL);
  if (get(v, list) == NULL) {
    set(v, list, pair);
  } else {
    store(v, get(v, last), REST, pair);
  }
  set(v, last, pair);
}
static echo_ref intern(vm* v, const char* name, size_t count) {
  for (echo_ref list = get(v, v->symbols); list != NULL; list = rest(v, list)) {
    if (length(v, first(v, list)) == count && memcmp(bytes(v, first(v, list)), name, count) == 0) {
      return first(v, list);
    }
  }
  const echo_ref symbol = make_bytes(v, v->symbol, name, count);
  set(v, v->symbols, cons(v, symbol, get(v, v->symbols)));
  return first(v, get(v, v->symbols));
}

/* --- the reader: integers, "strings", names, (lists), 'quoted; from ; on a line is a comment --------------------- */

static bool at_end(vm* v) {
  for (bool comment = false; v->at < v->end; v->at++) {
    comment = *v->at != '\n' && (comment || *v->at == ';');
    v->line += *v->at == '\n';
    if (!comment && strchr(" \t\r\n", *v->at) == NULL) {
      return false;
    }
  }
  return true;
}

static echo_ref read_string(vm* v) {
  const char* const from = ++v->at;
  while (v->at < v->end && *v->at != '"' && *v->at != '\n') {
    v->at++;
  }
  if (v->at == v->end || *v->at == '\n') {
    fail(v, "a string does not end on its line");
  }
  return make_bytes(v, v->string, from, (size_t)(v->at++ - from));
}

static echo_ref read_word(vm* v) {
  const char* const from = v->at;
  while (v->at < v->end && *v->at > ' ' && *v->at < 0x7F && strchr("()'\";", *v->at) == NULL) {
    v->at++;
  }
  const int count = v->at - from > MAX_WORD ? MAX_WORD + 1 : (int)(v->at - from);
  if (count == 0 || count > MAX_WORD) {
    fail(v, count == 0 ? "nothing begins with the byte 0x%02x" : "a word is longer than 255 bytes",
         (unsigned char)*from);
  }
  const int sign = *from == '-' && count > 1 ? 1 : 0;
  if (from[sign] < '0' || from[sign] > '9') {
    return intern(v, from, (size_t)count);
  }
  int64_t value = 0;
  for (int i = sign; i < count; i++) {
    const int digit = from[i] - '0';
    if (digit < 0 || digit > 9 || __builtin_mul_overflow(value, 10, &value) ||
        __builtin_add_overflow(value, sign != 0 ? -digit : digit, &value)) {
      fail(v, "'%.*s' is no integer of 64 bits", count, from);
    }
  }
  return make_number(v, v->integer, value);
}

static echo_ref read_value(vm* v) {
  if (at_end(v)) {
    fail(v, "the text ends inside a list, or behind a quote");
  }
  if (*v->at == '"') {
    return read_string(v);
  }
  if (*v->at != '(' && *v->at != '\'') {
    return read_word(v);
  }
  const unsigned base = v->top;
  const echo_handle list = push(v, NULL);
  const echo_handle last = push(v, NULL);
  if (*v->at++ == '\'') { /* 'X is (quote X) */
    append(v, list, last, intern(v, "quote", 5));
    append(v, list, last, read_value(v));
  } else {
    while (at_end(v) || *v->at != ')') {
      append(v, list, last, read_value(v));
    }
    v->at++;
  }
  v->top = base;
  return get(v, list);
}

/* --- functions written in C -------------------------------------------------------------------------------------- */

/* X(name in C, name, types of the arguments: i integer, p pair, s string, v vector, x anything) */
/* clang-format off */
#define PRIMITIVES(X)                                                                                         \
  X(add, "+", "ii") X(subtract, "-", "ii") X(multiply, "*", "ii") X(divide, "/", "ii")                        \
  X(remainder, "%", "ii") X(less, "<", "ii") X(equal, "=", "ii") X(same, "same", "xx") X(negate, "not", "x")  \
  X(is_pair, "is-pair", "x") X(cons, "cons", "xx") X(first, "first", "p") X(rest, "rest", "p")                \
  X(set_first, "set-first", "px") X(set_rest, "set-rest", "px") X(make_vector, "make-vector", "i")            \
  X(vector_get, "vector-get", "vi") X(vector_set, "vector-set", "vix") X(append, "string-append", "ss")       \
  X(length, "string-length", "s") X(text_of, "to-string", "i") X(print, "print", "x") X(collect, "collect", "")
#define FORMS(X) X(none) X(quote) X(if) X(define) X(set) X(lambda) X(let) X(begin) X(while)
/* clang-format on */

enum primitive {
#define ENUM(c_name, name, types) DO_##c_name,
  PRIMITIVES(ENUM)
#undef ENUM
};
static const struct {
  const char *name, *types;
} primitives[] = {
#define ROW(c_name, name, types) {name, types},
    PRIMITIVES(ROW)
#undef ROW
};

/* At most `*budget` values: a list may be a ring. */
static void show(vm* v, echo_ref value, unsigned* budget) {
  *budget -= *budget != 0 ? 1 : 0;
  if (*budget == 0) {
    fputs("...", stdout);
  } else if (is(v, value, v->integer)) {
    printf("%" PRId64, *number(value, NUMBER));
  } else if (is(v, value, v->string) || is(v, value, v->symbol)) {
    fwrite(bytes(v, value), 1, length(v, value), stdout);
  } else if (is(v, value, v->pair)) {
    for (const char* before = "("; value != NULL && *budget != 0; value = rest(v, value), before = " ") {
      fputs(before, stdout);
      show(v, is(v, value, v->pair) ? first(v, value) : value, budget);
    }
    putchar(')');
  } else {
    fputs(value == NULL ? "nil" : is(v, value, v->vector) ? "<vector>" : "<function>", stdout);
  }
}

static echo_ref truth(vm* v, bool holds) {
  return holds ? make_number(v, v->integer, 1) : NULL;
}

static echo_ref string_append(vm* v, echo_handle arguments) {
  const uint64_t left = length(v, nth(v, get(v, arguments), 0));
  const uint64_t right = length(v, nth(v, get(v, arguments), 1));
  if (left + right > MAX_LENGTH) {
    fail(v, "a string would be longer than %d bytes", MAX_LENGTH);
  }
  const echo_ref string = make(v, v->string, left + right);
  memcpy(bytes(v, string), bytes(v, nth(v, get(v, arguments), 0)), left);
  memcpy(bytes(v, string) + left, bytes(v, nth(v, get(v, arguments), 1)), right);
  return string;
}

static void check_arguments(vm* v, enum primitive which, echo_ref list) {
  const echo_layout_id wanted[] = {['i'] = v->integer, ['p'] = v->pair, ['s'] = v->string, ['v'] = v->vector};
  const char* type = primitives[which].types;
  for (; list != NULL && *type != '\0'; list = rest(v, list), type++) {
    if (*type != 'x' && !is(v, first(v, list), wanted[(unsigned char)*type])) {
      fail(v, "an argument of %s has the wrong type", primitives[which].name);
    }
  }
  if (list != NULL || *type != '\0') {
    fail(v, "%s takes %zu arguments", primitives[which].name, strlen(primitives[which].types));
  }
}

static echo_ref apply_primitive(vm* v, enum primitive which, echo_handle arguments) {
  check_arguments(v, which, get(v, arguments));
  const echo_ref x = nth(v, get(v, arguments), 0);
  const echo_ref y = nth(v, get(v, arguments), 1);
  const int64_t i = is(v, x, v->integer) ? *number(x, NUMBER) : 0;
  const int64_t k = is(v, y, v->integer) ? *number(y, NUMBER) : 0;
  int64_t result = 0;
  bool overflows = false;
  switch (which) {
  case DO_add:
    overflows = __builtin_add_overflow(i, k, &result);
    break;
  case DO_subtract:
    overflows = __builtin_sub_overflow(i, k, &result);
    break;
  case DO_multiply:
    overflows = __builtin_mul_overflow(i, k, &result);
    break;
  case DO_divide:
  case DO_remainder:
    if (k == 0) {
      fail(v, "division by zero");
    }
    overflows = i == INT64_MIN && k == -1;
    result = overflows ? 0 : which == DO_divide ? i / k : i % k;
    break;
  case DO_length:
    result = (int64_t)length(v, x);
    break;
  case DO_less:
    return truth(v, i < k);
  case DO_equal:
    return truth(v, i == k);
  case DO_same:
    return truth(v, x == y);
  case DO_negate:
    return truth(v, x == NULL);
  case DO_is_pair:
    return truth(v, is(v, x, v->pair));
  case DO_cons:
    return cons(v, x, y);
  case DO_first:
    return first(v, x);
  case DO_rest:
    return rest(v, x);
  case DO_set_first:
  case DO_set_rest:
    store(v, x, which == DO_set_first ? FIRST : REST, y);
    return y;
  case DO_make_vector:
    if (i < 0 || i > MAX_LENGTH) {
      fail(v, "a vector has 0 to %d elements, not %" PRId64, MAX_LENGTH, i);
    }
    return make(v, v->vector, (uint64_t)i);
  case DO_vector_get:
  case DO_vector_set: {
    const echo_ref value = nth(v, get(v, arguments), 2);
    if (k < 0 || (uint64_t)k >= length(v, x)) {
      fail(v, "a vector has no element %" PRId64, k);
    }
    return which == DO_vector_get ? field(x, 2 + (uint64_t)k)
                                  : (v->api->array_store(v->self, x, (uint64_t)k, value), value);
  }
  case DO_append:
    return string_append(v, arguments);
  case DO_text_of: {
    char text[24];
    return make_bytes(v, v->string, text, (size_t)snprintf(text, sizeof text, "%" PRId64, i));
  }
  case DO_print:
    show(v, x, &(unsigned){MAX_SHOWN});
    putchar('\n');
    return x;
  case DO_collect: {
    echo_error error = {ECHO_OK, ""};
    if (v->api->collect(v->self, ECHO_COLLECT_FULL, &error) != ECHO_OK) {
      fail(v, "%s: %s", echo_status_name(error.code), error.message);
    }
    return NULL;
  }
  }
  if (overflows) {
    fail(v, "the result of %s overflows 64 bits", primitives[which].name);
  }
  return make_number(v, v->integer, result);
}

/* --- the evaluator. A scope is a list of bindings (symbol . value), innermost first ------------------------------- */

enum form {
#define ENUM(name) FORM_##name,
  FORMS(ENUM)
#undef ENUM
};

/* The binding of a name; nil if `must` is false and there is none. No safepoint. */
static echo_ref find(vm* v, echo_ref name, echo_ref scope, bool must) {
  for (int turn = 0; turn < 2; turn++, scope = get(v, v->globals)) {
    for (; scope != NULL; scope = rest(v, scope)) {
      if (first(v, first(v, scope)) == name) {
        return first(v, scope);
      }
    }
  }
  if (must) {
    fail(v, "the name '%.*s' has no value", (int)length(v, name), bytes(v, name));
  }
  return NULL;
}

static void bind(vm* v, echo_handle scope, echo_ref name, echo_ref value) {
  if (!is(v, name, v->symbol)) {
    fail(v, "a name is expected where something else stands");
  }
  const echo_ref binding = cons(v, name, value);
  set(v, scope, cons(v, binding, get(v, scope)));
}

static echo_ref evaluate(vm* v, echo_ref what, echo_ref where) {
  const unsigned base = v->top;
  const echo_handle code = push(v, what);
  const echo_handle scope = push(v, where);
  const echo_handle a = push(v, NULL); /* what each form needs */
  const echo_handle list = push(v, NULL);
  const echo_handle last = push(v, NULL);
  echo_ref result = NULL;
  for (bool again = true; again;) { /* a call in tail position is a turn */
    v->api->poll(v->self);
    const echo_ref c = get(v, code);
    bool sequence = false; /* `code` is a list: its last element is the next `code` */
    again = false;
    if (is(v, c, v->symbol)) {
      result = rest(v, find(v, c, get(v, scope), true));
      break;
    }
    if (!is(v, c, v->pair)) {
      result = c;
      break;
    }
    switch (is(v, first(v, c), v->symbol) ? (enum form) * number(first(v, c), FORM) : FORM_none) {
    case FORM_quote:
      result = nth(v, c, 1);
      break;
    case FORM_if:
      result = evaluate(v, nth(v, c, 1), get(v, scope));
      set(v, code, nth(v, get(v, code), result != NULL ? 2 : 3));
      again = true;
      break;
    case FORM_define:
    case FORM_set: {
      set(v, a, evaluate(v, nth(v, c, 2), get(v, scope)));
      const bool define = *number(first(v, get(v, code)), FORM) == FORM_define;
      const echo_ref name = nth(v, get(v, code), 1);
      const echo_ref binding =
          is(v, name, v->symbol) ? find(v, name, define ? NULL : get(v, scope), !define) : NULL;
      if (binding != NULL) {
        store(v, binding, REST, get(v, a));
      } else {
        bind(v, v->globals, name, get(v, a));
      }
      result = get(v, a);
      break;
    }
    case FORM_lambda:
      result = make(v, v->closure, 0);
      store(v, result, NAMES, nth(v, get(v, code), 1));
      store(v, result, BODY, rest(v, rest(v, get(v, code))));
      store(v, result, SCOPE, get(v, scope));
      break;
    case FORM_let: /* (let ((name value) ...) body ...): each value sees the names before it */
      for (set(v, list, nth(v, c, 1)); get(v, list) != NULL; set(v, list, rest(v, get(v, list)))) {
        const echo_ref value = evaluate(v, nth(v, first(v, get(v, list)), 1), get(v, scope));
        bind(v, scope, first(v, first(v, get(v, list))), value);
      }
      set(v, code, rest(v, rest(v, get(v, code))));
      sequence = true;
      break;
    case FORM_begin:
      set(v, code, rest(v, c));
      sequence = true;
      break;
    case FORM_while:
      while (evaluate(v, nth(v, get(v, code), 1), get(v, scope)) != NULL) {
        for (set(v, list, rest(v, rest(v, get(v, code)))); get(v, list) != NULL;
             set(v, list, rest(v, get(v, list)))) {
          evaluate(v, first(v, get(v, list)), get(v, scope));
        }
      }
      result = NULL;
      break;
    case FORM_none:
    default: { /* a call: the function goes to `a`, the arguments to `list` */
      set(v, a, evaluate(v, first(v, c), get(v, scope)));
      for (set(v, list, NULL); set(v, code, rest(v, get(v, code))), get(v, code) != NULL;) {
        append(v, list, last, evaluate(v, first(v, get(v, code)), get(v, scope)));
      }
      const echo_ref function = get(v, a);
      if (is(v, function, v->primitive)) {
        result = apply_primitive(v, (enum primitive) * number(function, NUMBER), list);
        break;
      }
      if (!is(v, function, v->closure)) {
        fail(v, "what is called is no function");
      }
      set(v, scope, field(function, SCOPE));
      for (set(v, code, field(function, NAMES)); get(v, code) != NULL && get(v, list) != NULL;
           set(v, code, rest(v, get(v, code))), set(v, list, rest(v, get(v, list)))) {
        bind(v, scope, first(v, get(v, code)), first(v, get(v, list)));
      }
      if (get(v, code) != NULL || get(v, list) != NULL) {
        fail(v, "a function is called with too %s arguments", get(v, list) != NULL ? "many" : "few");
      }
      set(v, code, field(get(v, a), BODY));
      sequence = true;
      break;
    }
    }
    if (sequence) {
      for (; rest(v, get(v, code)) != NULL; set(v, code, rest(v, get(v, code)))) {
        evaluate(v, first(v, get(v, code)), get(v, scope));
      }
      set(v, code, first(v, get(v, code)));
      again = true;
    }
  }
  v->top = base;
  return result;
}

/* --- the program -------------------------------------------------------------------------------------------------- */

static echo_layout_id add_layout(vm* v, const char* name, uint32_t kind, uint64_t fixed_bytes,
                                 uint32_t references) {
  static const echo_slot slots[] = {{8, ECHO_SLOT_STRONG}, {16, ECHO_SLOT_STRONG}, {24, ECHO_SLOT_STRONG}};
  const uint32_t element = kind == ECHO_LAYOUT_FIXED ? 0 : kind == ECHO_LAYOUT_REF_ARRAY ? 8 : 1;
  const echo_layout layout = {
      sizeof layout, kind, name, fixed_bytes, element, 0, 0, references, references != 0 ? slots : NULL};
  echo_layout_id id = 0;
  echo_error error;
  if (v->api->layout_register(v->heap, &layout, &id, &error) != ECHO_OK) {
    fail(v, "%s: %s", echo_status_name(error.code), error.message);
  }
  return id;
}

static void prepare(vm* v) {
  v->integer = add_layout(v, "integer", ECHO_LAYOUT_FIXED, 16, 0);
  v->pair = add_layout(v, "pair", ECHO_LAYOUT_FIXED, 24, 2);
  v->closure = add_layout(v, "closure", ECHO_LAYOUT_FIXED, 32, 3);
  v->symbol = add_layout(v, "symbol", ECHO_LAYOUT_MIXED_RAW, 24, 0);
  v->string = add_layout(v, "string", ECHO_LAYOUT_RAW_ARRAY, 16, 0);
  v->vector = add_layout(v, "vector", ECHO_LAYOUT_REF_ARRAY, 16, 0);
  v->primitive = add_layout(v, "primitive", ECHO_LAYOUT_FIXED, 16, 0);
  v->symbols = push(v, NULL);
  v->globals = push(v, NULL);
#define DEFINE_FORM(name) *number(intern(v, #name, strlen(#name)), FORM) = FORM_##name;
  FORMS(DEFINE_FORM)
#undef DEFINE_FORM
  bind(v, v->globals, intern(v, "nil", 3), NULL);
  for (unsigned i = 0; i < sizeof primitives / sizeof primitives[0]; i++) {
    const echo_handle value = push(v, make_number(v, v->primitive, i));
    const echo_ref name = intern(v, primitives[i].name, strlen(primitives[i].name));
    bind(v, v->globals, name, get(v, value));
    v->top--;
  }
}

static int refuse(const char* what, const char* why) {
  fprintf(stderr, "echo-lisp: %s: %s\n", what, why);
  return 2;
}

static int run(vm* v, const char* path) {
  static volatile int status; /* a jump leaves it as it is */
  status = 2;
  if (setjmp(v->failed) == 0) {
    prepare(v);
    for (status = 1; !at_end(v);) {
      evaluate(v, read_value(v), NULL);
    }
    status = 0;
  } else {
    fprintf(stderr, "echo-lisp: %s:%u: %s\n", path, v->line, v->why);
  }
  echo_statistics s = {.size = sizeof s};
  v->api->statistics(v->heap, &s);
  fprintf(stderr, "echo-lisp: %" PRIu64 " objects, %" PRIu64 " collections\n", s.objects_allocated,
          s.collections_full);
  return status;
}

int main(int count, char** arguments) {
  static char text[MAX_TEXT + 1];
  static vm v;
  echo_error error = {ECHO_OK, "it has no symbol echo_heap_plugin"};
  echo_scope scope;
  if (count < 3 || count > 4) {
    return refuse("usage", "echo-lisp PLUGIN PROGRAM [OPTIONS]");
  }
  FILE* const file = fopen(arguments[2], "rb");
  const size_t size = file != NULL ? fread(text, 1, sizeof text, file) : 0;
  const bool whole = file != NULL && ferror(file) == 0 && size <= MAX_TEXT;
  if (file != NULL) {
    fclose(file);
  }
  if (!whole) {
    return refuse(arguments[2], "it cannot be read, or is longer than 1 MiB");
  }
  void* const library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
  const echo_heap_api* (*entry)(uint32_t, uint32_t, echo_error*) = NULL;
  if (library == NULL) {
    return refuse("the plugin does not load", dlerror());
  }
  *(void**)&entry = dlsym(library, "echo_heap_plugin");
  if (entry == NULL || (v.api = entry(1, 0, &error)) == NULL || /* 1.0 is all that this VM needs */
      v.api->heap_create(count == 4 ? arguments[3] : NULL, &v.heap, &error) != ECHO_OK ||
      v.api->attach(v.heap, &v.self, &error) != ECHO_OK) {
    return refuse(arguments[1], error.message);
  }
  v.line = 1;
  v.at = text;
  v.end = text + size;
  v.api->scope_open(v.self, &scope);
  const int status = run(&v, arguments[2]);
  if (v.api->scope_close(v.self, scope) != ECHO_OK || v.api->detach(v.self, &error) != ECHO_OK ||
      v.api->heap_destroy(v.heap, &error) != ECHO_OK) {
    return refuse("the end", error.message);
  }
  dlclose(library);
  return fflush(stdout) == 0 ? status : 1;
}
