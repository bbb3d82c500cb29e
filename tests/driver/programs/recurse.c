/* SPDX-License-Identifier: MIT
 * Recurses argv[1] deep: in compiled frames; with argv[2] = "native" through the C library at every level;
 * with "thread" in a thread of its own; with "large" in frames of 1 MiB. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "echo/cc.h"

static char text[64];
static int64_t depth;

static int64_t descend(int64_t left) {
  if (left == 0)
    return 1;
  int64_t below = descend(left - 1);
  echo_checksum(below);
  return below ^ left;
}

static int64_t descend_native(int64_t left) {
  if (left == 0)
    return 1;
  snprintf(text, sizeof text, "%lld %f", (long long)left, (double)left);
  int64_t below = descend_native(left - 1);
  echo_checksum(below);
  return below ^ (left + text[0]);
}

static int64_t descend_large(int64_t left) {
  volatile char block[1 << 20]; /* indexed by a variable, so that it stays a megabyte */
  const int64_t at = left & ((1 << 20) - 1);
  block[at] = (char)left;
  if (left == 0)
    return block[at];
  int64_t below = descend_large(left - 1);
  echo_checksum(below);
  return below ^ block[at];
}

static void in_thread(echo_any unused) {
  (void)unused;
  descend(depth);
}

int main(int argc, char** argv) {
  depth = argc > 1 ? atoll(argv[1]) : 10;
  const char* how = argc > 2 ? argv[2] : "compiled";
  printf("down\n");
  int64_t result = 0;
  if (strcmp(how, "native") == 0)
    result = descend_native(depth);
  else if (strcmp(how, "large") == 0)
    result = descend_large(depth);
  else if (strcmp(how, "thread") == 0)
    echo_join(echo_spawn(in_thread, 0));
  else
    result = descend(depth);
  printf("up %d\n", result != 0);
  return 0;
}
