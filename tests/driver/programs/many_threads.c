/* SPDX-License-Identifier: MIT
 * Starts argv[1] threads that wait for main without joining any: more than echo-run allows at the same time,
 * unless they end first (argv[2] given). */
#include <stdlib.h>

#include "echo/cc.h"

static volatile int64_t released;

static void wait(echo_any unused) {
  (void)unused;
  while (!released)
    echo_yield();
}

int main(int argc, char** argv) {
  const int64_t count = argc > 1 ? atoll(argv[1]) : 10;
  released = argc > 2;
  for (int64_t index = 0; index < count; ++index) {
    int64_t thread = echo_spawn(wait, 0);
    if (argc > 2)
      echo_join(thread);
  }
  released = 1;
  return 0;
}
