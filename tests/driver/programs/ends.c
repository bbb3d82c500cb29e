/* SPDX-License-Identifier: MIT
 * Ends in the way its argument names. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "echo/cc.h"

static int64_t leave(int64_t depth) {
  if (depth == 0)
    exit(7);
  int64_t below = leave(depth - 1);
  echo_checksum(below);
  return below + 1;
}

static void leave_in_thread(echo_any unused) {
  (void)unused;
  exit(9);
}

static void read_input(echo_any unused) {
  (void)unused;
  printf("read %d\n", getchar());
}

static volatile int64_t ticks;

static void spin(echo_any unused) {
  (void)unused;
  for (;;)
    __atomic_fetch_add(&ticks, 1, __ATOMIC_RELAXED);
}

static void fall(echo_any unused) {
  (void)unused;
  echo_join(1000);
}

static void late(echo_any unused) {
  (void)unused;
  for (int64_t index = 0; index < 20000000; ++index)
    __atomic_fetch_add(&ticks, 1, __ATOMIC_RELAXED);
  printf("late\n");
}

int main(int argc, char** argv) {
  const char* how = argc > 1 ? argv[1] : "";
  printf("begun"); /* no newline: exit must flush it */
  if (strcmp(how, "exit") == 0)
    leave(100);
  else if (strcmp(how, "exit-in-thread") == 0)
    echo_join(echo_spawn(leave_in_thread, 0));
  else if (strcmp(how, "exit-beside-reader") == 0) {
    echo_spawn(read_input, 0);
    for (int64_t index = 0; index < 100; ++index)
      echo_yield();
    exit(5);
  } else if (strcmp(how, "exit-beside-spinner") == 0) {
    echo_spawn(spin, 0);
    while (__atomic_load_n(&ticks, __ATOMIC_RELAXED) == 0)
      echo_yield();
    exit(6);
  } else if (strcmp(how, "return-beside-thread") == 0)
    echo_spawn(late, 0);
  else if (strcmp(how, "abort") == 0)
    abort();
  else if (strcmp(how, "fault") == 0)
    *(volatile int*)(uintptr_t)ticks = 1;
  else if (strcmp(how, "join-unknown") == 0)
    echo_join(77);
  else if (strcmp(how, "join-self") == 0)
    echo_join(0);
  else if (strcmp(how, "join-twice") == 0) {
    int64_t thread = echo_spawn(late, 0);
    echo_join(thread);
    echo_join(thread);
  } else if (strcmp(how, "spin") == 0) {
    fflush(stdout);
    spin(0);
  } else if (strcmp(how, "fail-in-thread") == 0) {
    echo_spawn(fall, 0);
    spin(0);
  }
  return 0;
}
