/* SPDX-License-Identifier: MIT
 *
 * native_functions.cpp - see native_functions.h.
 *
 * Method      Compiled code calls these on a managed thread with its anchor published, so they may
 *             collect; references arrive as raw pointers. The frames that abandon the program own nothing
 *             [run.thread.3]: each function is split into one that works with C++ objects and returns, and
 *             one that only decides.
 */
#include "native_functions.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <sched.h>

#include "current_thread.h"
#include "native_table.h"
#include "program.h"

namespace echo::run {

namespace {

void fill(echo_error& why, int32_t code, const char* message) {
  why.code = code;
  std::strncpy(why.message, message, sizeof why.message - 1);
  why.message[sizeof why.message - 1] = '\0';
}

/* True, with `why` filled, if there is a failure. */
bool failed(const Failure& failure, echo_error& why) {
  if (!failure)
    return false;
  fill(why, failure.code, failure.sentence.c_str());
  return true;
}

} // namespace

/* A friend of Program: the private operations the program's calls stand for. */
struct NativeFunctions {
  static bool spawn(void* function, echo_ref argument, int64_t& number, echo_error& why) {
    try {
      return failed(current_thread.program->spawn(function, argument, number), why);
    } catch (const std::bad_alloc&) {
      fill(why, ECHO_SYSTEM_MEMORY, "the system refused memory, in echo_spawn, free memory or join threads");
      return true;
    }
  }
  static bool join(int64_t number, echo_error& why) {
    return failed(current_thread.program->join(number), why);
  }
  static const Plugins& plugins() { return current_thread.program->plugins_; }
  static void mix(int64_t value) { current_thread.program->checksum_.mix(value); }

  [[noreturn]] static void leave(const echo_error& why) {
    Program& program = *current_thread.program;
    program.plugins_.jit->abandon(program.jit_, current_thread.thread, &why);
    /* It returns only where no managed call is active, and only managed code calls the functions below. */
    std::abort();
  }
};

/* Code compiled ahead of time calls them by these names. [aot.main.1] */
extern "C" {
ECHO_EXPORT void echo_run_checksum(int64_t value) __asm__("echo.checksum");
ECHO_EXPORT void echo_run_collect() __asm__("echo.collect");
ECHO_EXPORT int64_t echo_run_spawn(void* function, echo_ref argument) __asm__("echo.thread.spawn");
ECHO_EXPORT void echo_run_join(int64_t number) __asm__("echo.thread.join");
ECHO_EXPORT void echo_run_yield() __asm__("echo.thread.yield");
ECHO_EXPORT void echo_run_exit(int status) __asm__("echo.exit");
}

extern "C" {

void echo_run_checksum(int64_t value) {
  NativeFunctions::mix(value);
}

void echo_run_collect() {
  echo_error why{};
  const echo_status status =
      NativeFunctions::plugins().heap->collect(current_thread.thread, ECHO_COLLECT_FULL, &why);
  if (status == ECHO_OK)
    return;
  why.code = status;
  NativeFunctions::leave(why);
}

int64_t echo_run_spawn(void* function, echo_ref argument) {
  echo_error why{};
  int64_t number = 0;
  if (NativeFunctions::spawn(function, argument, number, why))
    NativeFunctions::leave(why);
  return number;
}

void echo_run_join(int64_t number) {
  echo_error why{};
  if (NativeFunctions::join(number, why))
    NativeFunctions::leave(why);
}

void echo_run_yield() {
  const echo_heap_api& heap = *NativeFunctions::plugins().heap;
  heap.enter_native(current_thread.thread);
  sched_yield();
  heap.leave_native(current_thread.thread);
}

void echo_run_exit(int status) {
  current_thread.exiting = true;
  current_thread.exit_status = status;
  echo_error why{};
  fill(why, ECHO_ABANDONED, "the program called exit()");
  NativeFunctions::leave(why);
}

} // extern "C"

namespace {

struct NativeSymbol {
  const char* name;
  void* address;
  uint32_t kind;
  const char* type; /* letters of echo_jit_define_typed */
};

} // namespace

Failure define_native_functions(const Plugins& plugins, echo_jit* jit) {
  static const NativeSymbol symbols[] = {
#define ECHO_NATIVE_SYMBOL(name, function, kind, type) {name, reinterpret_cast<void*>(&function), kind, type},
      ECHO_NATIVE_TABLE(ECHO_NATIVE_SYMBOL)
#undef ECHO_NATIVE_SYMBOL
  };
  for (const NativeSymbol& symbol : symbols) {
    echo_error why{};
    if (const echo_status status =
            plugins.jit->define_typed(jit, symbol.name, symbol.address, symbol.kind, symbol.type, &why);
        status != ECHO_OK)
      return failure_from(status, why, std::string("the definition of ") + symbol.name);
  }
  return {};
}

} // namespace echo::run
