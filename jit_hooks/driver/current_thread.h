/* SPDX-License-Identifier: MIT
 *
 * current_thread.h - what a native function or a signal handler must know of the thread it runs on.
 *
 * Invariants  [run.current.1] Plain data without constructor or destructor, in the executable's own
 *             thread-local block: readable in a signal handler.
 */
#ifndef ECHO_RUN_CURRENT_THREAD_H
#define ECHO_RUN_CURRENT_THREAD_H

#include <cstdint>
#include <type_traits>

#include "echo/base.h"

namespace echo::run {

class GuardedStack;
class Program;

struct CurrentThread {
  Program* program;
  echo_thread* thread;
  const GuardedStack* stack;
  int64_t number;
  bool exiting; /* the program called exit() here */
  int exit_status;
  bool layer_failed; /* the Echo runtime layer raised an error here */
};

static_assert(std::is_trivially_destructible_v<CurrentThread> &&
                  std::is_trivially_default_constructible_v<CurrentThread>,
              "[run.current.1]");

extern constinit thread_local CurrentThread current_thread;

} // namespace echo::run

#endif
