/* SPDX-License-Identifier: MIT
 *
 * driver/native_table.h - what a program may call of whoever runs it: names, kinds and types, one table for all.
 */
#ifndef ECHO_RUN_NATIVE_TABLE_H
#define ECHO_RUN_NATIVE_TABLE_H

#include "echo/jit.h"

namespace echo::run {

/* X(name, function, kind, type): functions of native_functions.cpp, types in letters of echo_jit_define_typed */
#define ECHO_NATIVE_TABLE(X)                                                                                 \
  X("echo.checksum", echo_run_checksum, ECHO_JIT_SYMBOL_LEAF, "vl")                                          \
  X("echo.collect", echo_run_collect, ECHO_JIT_SYMBOL_NATIVE, "v")                                           \
  X("echo.thread.spawn", echo_run_spawn, ECHO_JIT_SYMBOL_NATIVE, "lpr")                                      \
  X("echo.thread.join", echo_run_join, ECHO_JIT_SYMBOL_NATIVE, "vl")                                         \
  X("echo.thread.yield", echo_run_yield, ECHO_JIT_SYMBOL_NATIVE, "v")                                        \
  X("exit", echo_run_exit, ECHO_JIT_SYMBOL_NATIVE, "vi")

struct NativeRow {
  const char* name;
  uint32_t kind;
  const char* type;
};

inline constexpr NativeRow kNativeTable[] = {
#define ECHO_NATIVE_ROW(name, function, kind, type) {name, kind, type},
    ECHO_NATIVE_TABLE(ECHO_NATIVE_ROW)
#undef ECHO_NATIVE_ROW
};

} // namespace echo::run

#endif
