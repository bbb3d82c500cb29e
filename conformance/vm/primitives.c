/* SPDX-License-Identifier: MIT
 *
 * primitives.c - functions written in C. Arguments are a list in a cell: what allocates reads them from there again.
 */
#include "echo_lisp.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* X(name in C, name, types of the arguments: i integer, p pair, s string, v vector, x anything) */
/* clang-format off */
#define PRIMITIVES(X)                                                                                         \
  X(add, "+", "ii") X(subtract, "-", "ii") X(multiply, "*", "ii") X(divide, "/", "ii")                        \
  X(remainder, "%", "ii") X(less, "<", "ii") X(equal, "=", "ii") X(same, "same", "xx") X(negate, "not", "x")  \
  X(is_pair, "is-pair", "x") X(cons, "cons", "xx") X(first, "first", "p") X(rest, "rest", "p")                \
  X(set_first, "set-first", "px") X(set_rest, "set-rest", "px") X(make_vector, "make-vector", "i")            \
  X(vector_get, "vector-get", "vi") X(vector_set, "vector-set", "vix") X(append, "string-append", "ss")       \
  X(length, "string-length", "s") X(text_of, "to-string", "i") X(print, "print", "x") X(collect, "collect", "")
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

const char* primitive_name(unsigned which) {
  return which < sizeof primitives / sizeof primitives[0] ? primitives[which].name : NULL;
}

static echo_ref truth(vm* v, bool holds) {
  return holds ? make_number(v, v->integer, 1) : NULL;
}

static echo_ref string_append(vm* v, echo_handle arguments) {
  const uint64_t left = length(v, nth(v, get(v, arguments), 0));
  const uint64_t right = length(v, nth(v, get(v, arguments), 1));
  if (left + right > MAX_LENGTH)
    fail(v, "a string would be longer than %d bytes", MAX_LENGTH);
  const echo_ref string = make(v, v->string, left + right);
  memcpy(bytes(v, string), bytes(v, nth(v, get(v, arguments), 0)), left);
  memcpy(bytes(v, string) + left, bytes(v, nth(v, get(v, arguments), 1)), right);
  return string;
}

static void check_arguments(vm* v, unsigned which, echo_ref list) {
  const echo_layout_id wanted[] = {['i'] = v->integer, ['p'] = v->pair, ['s'] = v->string, ['v'] = v->vector};
  const char* type = primitives[which].types;
  for (; list != NULL && *type != '\0'; list = rest(v, list), type++) {
    if (*type != 'x' && !is(v, first(v, list), wanted[(unsigned char)*type]))
      fail(v, "an argument of %s has the wrong type", primitives[which].name);
  }
  if (list != NULL || *type != '\0')
    fail(v, "%s takes %zu arguments", primitives[which].name, strlen(primitives[which].types));
}

echo_ref apply_primitive(vm* v, unsigned which, echo_handle arguments) {
  check_arguments(v, which, get(v, arguments));
  const echo_ref x = nth(v, get(v, arguments), 0);
  const echo_ref y = nth(v, get(v, arguments), 1);
  const int64_t i = is(v, x, v->integer) ? *number(x, NUMBER) : 0;
  const int64_t k = is(v, y, v->integer) ? *number(y, NUMBER) : 0;
  int64_t result = 0;
  bool overflows = false;
  switch ((enum primitive)which) {
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
    if (k == 0)
      fail(v, "division by zero");
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
    if (i < 0 || i > MAX_LENGTH)
      fail(v, "a vector has 0 to %d elements, not %" PRId64, MAX_LENGTH, i);
    return make(v, v->vector, (uint64_t)i);
  case DO_vector_get:
  case DO_vector_set: {
    const echo_ref value = nth(v, get(v, arguments), 2);
    if (k < 0 || (uint64_t)k >= length(v, x))
      fail(v, "a vector has no element %" PRId64, k);
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
    if (v->api->collect(v->self, ECHO_COLLECT_FULL, &error) != ECHO_OK)
      fail(v, "%s: %s", echo_status_name(error.code), error.message);
    return NULL;
  }
  }
  if (overflows)
    fail(v, "the result of %s overflows 64 bits", primitives[which].name);
  return make_number(v, v->integer, result);
}
