/* SPDX-License-Identifier: MIT
 * Keeps its only reference to an object where no stack map looks, collects, and reads the object: every function is
 * refused by name, and with the refusal switched off its object is lost. */
#include "echo/cc.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct box ECHO_REF* box_ref;
struct box {
  ECHO_HEADER;
  int64_t value;
};
ECHO_LAYOUT_RAW(box_layout, struct box);

enum { VALUE = 123456789 };

static box_ref make(int64_t value) {
  box_ref box = echo_new(box_layout, box_ref);
  box->value = value;
  return box;
}

/* Other objects take the room of what was freed. */
static void collect(void) {
  for (int64_t i = 0; i < 10; ++i)
    make(i);
}

static void hide(void* address) {
  static void* volatile somewhere;
  somewhere = address;
}

#ifdef VARIABLE
static int64_t keep(void) {
  box_ref variable = make(VALUE);
  hide(&variable);
  collect();
  return variable->value;
}
#elif defined(STRUCT)
static int64_t keep(void) {
  struct {
    int64_t number;
    box_ref box;
  } pair = {1, make(VALUE)};
  hide(&pair);
  collect();
  return pair.box->value;
}
#elif defined(ARRAY)
static int64_t keep(void) {
  box_ref table[4];
  static volatile int three = 3;
  table[three] = make(VALUE);
  collect();
  return table[three]->value;
}
#elif defined(RAW)
static int64_t keep(void) {
  box_ref* word = malloc(sizeof *word);
  *word = make(VALUE);
  collect();
  const int64_t value = (*word)->value;
  free(word);
  return value;
}
#elif defined(INTEGER)
static int64_t keep(void) {
  const uint64_t number = (uint64_t)make(VALUE);
  collect();
  return ((box_ref)number)->value;
}
#elif defined(CAST)
static int64_t keep(void) {
  struct box* plain = (struct box*)make(VALUE);
  collect();
  return ((box_ref)plain)->value;
}
#else /* in a local variable, which every stack map knows */
static int64_t keep(void) {
  box_ref box = make(VALUE);
  collect();
  return box->value;
}
#endif

int main(void) {
  puts(keep() == VALUE ? "kept" : "lost");
  return 0;
}
