/* SPDX-License-Identifier: MIT
 *
 * ops - one function per operation, for counting instructions in the compiled code.
 */
#include "echo/cc.h"

typedef struct pair ECHO_REF* pair_ref;
struct pair {
  ECHO_HEADER;
  pair_ref first, second;
};
ECHO_LAYOUT(pair_layout, struct pair, ECHO_STRONG(struct pair, first), ECHO_STRONG(struct pair, second));
typedef struct mixed ECHO_REF* mixed_ref;
struct mixed {
  ECHO_HEADER;
  echo_any word;
};
ECHO_LAYOUT(mixed_layout, struct mixed, ECHO_TAGGED(struct mixed, word));
ECHO_ARRAY_RAW(numbers, int64_t);
ECHO_BLOCKING int usleep(unsigned microseconds);

#define OP __attribute__((noinline))

OP pair_ref op_allocate(pair_ref a, pair_ref b) {
  pair_ref p = echo_new(pair_layout, pair_ref);
  p->first = a;
  p->second = b;
  return p;
}
/* Three objects behind one comparison; every field is stored. */
OP pair_ref op_three(pair_ref a, pair_ref b) {
  pair_ref p = echo_new(pair_layout, pair_ref), q = echo_new(pair_layout, pair_ref),
           r = echo_new(pair_layout, pair_ref);
  p->first = a;
  p->second = b;
  q->first = b;
  q->second = a;
  r->first = p;
  r->second = q;
  return r;
}
OP echo_any op_array(int64_t length) {
  return echo_new_array(numbers, length);
}
OP void op_store(pair_ref p, pair_ref value) {
  p->first = value;
}
OP pair_ref op_exchange(pair_ref p, pair_ref value) {
  return (pair_ref)echo_exchange(p, first, value);
}
OP pair_ref op_compare(pair_ref p, pair_ref expected, pair_ref value) {
  return (pair_ref)echo_compare_exchange(p, first, expected, value);
}
OP void op_tagged(mixed_ref m, int64_t word) {
  echo_tagged_store(m, word, word, 1);
}
OP uint64_t op_hash(pair_ref p) {
  return echo_hash(p);
}
OP void op_native(void) {
  usleep(0);
}
/* A pointer chase: its loop has one poll per step. */
OP int64_t op_poll(pair_ref p) {
  int64_t n = 0;
  for (; p; p = p->first) {
    ++n;
  }
  return n;
}

int main(void) {
  pair_ref p = op_allocate(0, 0);
  op_store(p, op_three(p, p));
  op_store(p, op_exchange(p, 0));
  op_compare(p, 0, p);
  op_store(p, 0);
  mixed_ref m = echo_new(mixed_layout, mixed_ref);
  op_tagged(m, 40);
  op_native();
  echo_checksum(op_poll(p) + (op_hash(p) == op_hash(p)) + echo_length(op_array(3)));
  return 0;
}
