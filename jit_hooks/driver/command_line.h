/* SPDX-License-Identifier: MIT
 *
 * command_line.h - the command line of echo-run.
 */
#ifndef ECHO_RUN_COMMAND_LINE_H
#define ECHO_RUN_COMMAND_LINE_H

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "failure.h"
#include "guarded_stack.h"

namespace echo::run {

struct CommandLine {
  std::string program;
  std::vector<std::string> arguments; /* after --, without the program's own name */
  std::optional<std::string> heap_plugin, heap_options, json, dump_objects, dump_ir, cache;
  bool gdb = false, perf = false, lines = false;
  uint64_t stack_bytes = stack_default;
  uint32_t optimise = 2;
  uint32_t switches = 0;   /* ECHO_JIT_*: tests only */
  uint32_t operations = 0; /* ECHO_JIT_OPERATIONS_* */
  bool quiet = false;
  bool echo = false;       /* unmodified output of the Echo compiler */
  uint32_t echo_print = 0; /* echo_runtime_print */
  std::optional<std::string> echo_runtime;
};

/* Fills `out`. A text in `answer` is to be printed instead of running anything (--help, --version). */
Failure parse_command_line(int argc, char** argv, CommandLine& out, std::optional<std::string>& answer);

} // namespace echo::run

#endif
