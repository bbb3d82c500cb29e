/* SPDX-License-Identifier: MIT
 *
 * text.c - integers, "strings", names, (lists) and 'quoted values, from text and back; from ; on a line is a comment.
 */
#include "echo_lisp.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

bool at_end(vm* v) {
  for (bool comment = false; v->at < v->end; v->at++) {
    comment = *v->at != '\n' && (comment || *v->at == ';');
    v->line += *v->at == '\n';
    if (!comment && strchr(" \t\r\n", *v->at) == NULL)
      return false;
  }
  return true;
}

static echo_ref read_string(vm* v) {
  const char* const from = ++v->at;
  while (v->at < v->end && *v->at != '"' && *v->at != '\n')
    v->at++;
  if (v->at == v->end || *v->at == '\n')
    fail(v, "a string does not end on its line");
  return make_bytes(v, v->string, from, (size_t)(v->at++ - from));
}

static echo_ref read_word(vm* v) {
  const char* const from = v->at;
  while (v->at < v->end && *v->at > ' ' && *v->at < 0x7F && strchr("()'\";", *v->at) == NULL)
    v->at++;
  const int count = v->at - from > MAX_WORD ? MAX_WORD + 1 : (int)(v->at - from);
  if (count == 0 || count > MAX_WORD) {
    fail(v, count == 0 ? "nothing begins with the byte 0x%02x" : "a word is longer than 255 bytes",
         (unsigned char)*from);
  }
  const int sign = *from == '-' && count > 1 ? 1 : 0;
  if (from[sign] < '0' || from[sign] > '9')
    return intern(v, from, (size_t)count);
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

echo_ref read_value(vm* v) {
  if (at_end(v))
    fail(v, "the text ends inside a list, or behind a quote");
  if (*v->at == '"')
    return read_string(v);
  if (*v->at != '(' && *v->at != '\'')
    return read_word(v);
  const unsigned base = v->top;
  const echo_handle list = push(v, NULL);
  const echo_handle last = push(v, NULL);
  if (*v->at++ == '\'') { /* 'X is (quote X) */
    append(v, list, last, intern(v, "quote", 5));
    append(v, list, last, read_value(v));
  } else {
    while (at_end(v) || *v->at != ')')
      append(v, list, last, read_value(v));
    v->at++;
  }
  v->top = base;
  return get(v, list);
}

void show(vm* v, echo_ref value, unsigned* budget) {
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
