/* SPDX-License-Identifier: MIT
 *
 * ops - one function per fast path, for counting instructions in the compiled code.
 */
#include "echo/cc.h"

typedef struct pair ECHO_REF* pair_ref;
struct pair {
  ECHO_HEADER;
  pair_ref first, second;
};
ECHO_LAYOUT(pair_layout, struct pair, ECHO_STRONG(struct pair, first), ECHO_STRONG(struct pair, second));

__attribute__((noinline)) pair_ref op_allocate(pair_ref a, pair_ref b) {
  pair_ref p = echo_new(pair_layout, pair_ref);
  p->first = a;
  p->second = b;
  return p;
}
__attribute__((noinline)) void op_store(pair_ref p, pair_ref value) {
  p->first = value;
}
/* A pointer chase: its loop has one poll per step. */
__attribute__((noinline)) int64_t op_poll(pair_ref p) {
  int64_t n = 0;
  for (; p; p = p->first) {
    ++n;
  }
  return n;
}

int main(void) {
  pair_ref p = op_allocate(0, 0);
  op_store(p, op_allocate(p, p));
  op_store(p, 0);
  echo_checksum(op_poll(p));
  return 0;
}
