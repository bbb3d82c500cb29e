/* SPDX-License-Identifier: MIT
 *
 * echo-lisp PLUGIN PROGRAM [OPTIONS] - a small Lisp on the Echo heap: the reference for VMs without a compiler.
 *
 * Purpose     To be read and copied. It sees the public headers only, loads the plugin by path and has no stack map: what its
 *             C code holds over a SAFEPOINT (allocate, poll, collect) is in handles, a stack of them that it makes once.
 *             This file is the interpreter; its rules are in echo_lisp.h.
 * Exit status 0: the program ran to its end. 1: it failed. 2: it could not be started. Why is on standard error.
 */
#include "echo_lisp.h"

#include <dlfcn.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* clang-format off */
#define FORMS(X) X(none) X(quote) X(if) X(define) X(set) X(lambda) X(let) X(begin) X(while)
/* clang-format on */

/* --- cells and new objects ------------------------------------------------------------------------------------------- */

void fail(vm* v, const char* format, ...) {
  va_list list;
  va_start(list, format);
  vsnprintf(v->why, sizeof v->why, format, list);
  va_end(list);
  longjmp(v->failed, 1);
}

echo_handle push(vm* v, echo_ref value) {
  if (v->top == MAX_CELLS)
    fail(v, "calls or lists are nested too deeply");
  if (v->top < v->made) {
    set(v, v->cells[v->top], value);
  } else if ((v->cells[v->made++] = v->api->handle_new(v->self, value)) == NULL) {
    fail(v, "no memory for handles");
  }
  return v->cells[v->top++];
}

echo_ref make(vm* v, echo_layout_id layout, uint64_t elements) {
  const echo_ref object = v->api->allocate(v->self, layout, elements);
  if (object == NULL) {
    echo_error error = {ECHO_OK, ""};
    v->api->last_error(v->self, &error);
    fail(v, "%s: %s", echo_status_name(error.code), error.message);
  }
  return object;
}
echo_ref make_number(vm* v, echo_layout_id layout, int64_t value) {
  const echo_ref object = make(v, layout, 0);
  *number(object, NUMBER) = value;
  return object;
}
echo_ref make_bytes(vm* v, echo_layout_id layout, const char* from, size_t count) {
  const echo_ref object = make(v, layout, count);
  memcpy(bytes(v, object), from, count);
  return object;
}
echo_ref cons(vm* v, echo_ref a, echo_ref b) {
  const echo_handle first_cell = push(v, a);
  const echo_handle rest_cell = push(v, b);
  const echo_ref pair = make(v, v->pair, 0);
  store(v, pair, FIRST, get(v, first_cell));
  store(v, pair, REST, get(v, rest_cell));
  v->top -= 2;
  return pair;
}
void append(vm* v, echo_handle list, echo_handle last, echo_ref value) {
  const echo_ref pair = cons(v, value, NULL);
  if (get(v, list) == NULL) {
    set(v, list, pair);
  } else {
    store(v, get(v, last), REST, pair);
  }
  set(v, last, pair);
}
echo_ref intern(vm* v, const char* name, size_t count) {
  for (echo_ref list = get(v, v->symbols); list != NULL; list = rest(v, list)) {
    if (length(v, first(v, list)) == count && memcmp(bytes(v, first(v, list)), name, count) == 0)
      return first(v, list);
  }
  const echo_ref symbol = make_bytes(v, v->symbol, name, count);
  set(v, v->symbols, cons(v, symbol, get(v, v->symbols)));
  return first(v, get(v, v->symbols));
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
      if (first(v, first(v, scope)) == name)
        return first(v, scope);
    }
  }
  if (must)
    fail(v, "the name '%.*s' has no value", (int)length(v, name), bytes(v, name));
  return NULL;
}

static void bind(vm* v, echo_handle scope, echo_ref name, echo_ref value) {
  if (!is(v, name, v->symbol))
    fail(v, "a name is expected where something else stands");
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
      for (set(v, list, NULL); set(v, code, rest(v, get(v, code))), get(v, code) != NULL;)
        append(v, list, last, evaluate(v, first(v, get(v, code)), get(v, scope)));
      const echo_ref function = get(v, a);
      if (is(v, function, v->primitive)) {
        result = apply_primitive(v, (unsigned)*number(function, NUMBER), list);
        break;
      }
      if (!is(v, function, v->closure))
        fail(v, "what is called is no function");
      set(v, scope, field(function, SCOPE));
      for (set(v, code, field(function, NAMES)); get(v, code) != NULL && get(v, list) != NULL;
           set(v, code, rest(v, get(v, code))), set(v, list, rest(v, get(v, list)))) {
        bind(v, scope, first(v, get(v, code)), first(v, get(v, list)));
      }
      if (get(v, code) != NULL || get(v, list) != NULL)
        fail(v, "a function is called with too %s arguments", get(v, list) != NULL ? "many" : "few");
      set(v, code, field(get(v, a), BODY));
      sequence = true;
      break;
    }
    }
    if (sequence) {
      for (; rest(v, get(v, code)) != NULL; set(v, code, rest(v, get(v, code))))
        evaluate(v, first(v, get(v, code)), get(v, scope));
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
  if (v->api->layout_register(v->heap, &layout, &id, &error) != ECHO_OK)
    fail(v, "%s: %s", echo_status_name(error.code), error.message);
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
  for (unsigned i = 0; primitive_name(i) != NULL; i++) {
    const echo_handle value = push(v, make_number(v, v->primitive, i));
    const echo_ref name = intern(v, primitive_name(i), strlen(primitive_name(i)));
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
    for (status = 1; !at_end(v);)
      evaluate(v, read_value(v), NULL);
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
  if (count < 3 || count > 4)
    return refuse("usage", "echo-lisp PLUGIN PROGRAM [OPTIONS]");
  FILE* const file = fopen(arguments[2], "rb");
  const size_t size = file != NULL ? fread(text, 1, sizeof text, file) : 0;
  const bool whole = file != NULL && ferror(file) == 0 && size <= MAX_TEXT;
  if (file != NULL)
    fclose(file);
  if (!whole)
    return refuse(arguments[2], "it cannot be read, or is longer than 1 MiB");
  void* const library = dlopen(arguments[1], RTLD_NOW | RTLD_LOCAL);
  const echo_heap_api* (*entry)(uint32_t, uint32_t, echo_error*) = NULL;
  if (library == NULL)
    return refuse("the plugin does not load", dlerror());
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
