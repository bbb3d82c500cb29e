/* SPDX-License-Identifier: MIT
 *
 * ahead/start.cpp - the start of a program that was compiled ahead of time.
 *
 * Purpose     The C main of such a program calls echo_aot_main, which runs it as echo-run would: on threads with guarded
 *             stacks, with errors as one line, with a report if one is asked for. The program's arguments are its own;
 *             the environment says what the options of echo-run say:
 *               ECHO_HEAP_PLUGIN   the heap; default libecho_heap.so beside the executable, else beside this library
 *               ECHO_HEAP_OPTIONS  options of the heap (read by the heap itself)
 *               ECHO_STACK         stack of each program thread
 *               ECHO_REPORT        1: the report on standard error
 *               ECHO_JSON          file for the report as JSON
 *               ECHO_PRINT         of unmodified Echo programs: lines or raw
 * Invariants  [aot.env.1] Of a set-user-ID program the environment is not read, as the heap does not either.
 */
#include "ahead/ahead_code.h"
#include "ahead/images.h"
#include "driver/command_line.h"
#include "driver/plugins.h"
#include "driver/run.h"
#include "driver/sizes.h"
#include "driver/words.h"
#include "echo/runtime.h"

#include <cstdlib>
#include <cstring>
#include <exception>
#include <filesystem>
#include <new>
#include <string_view>
#include <unistd.h>

namespace echo::ahead {
namespace {

const char* setting(const char* name) {
  const char* const value = secure_getenv(name);
  return value != nullptr && *value != '\0' ? value : nullptr;
}

std::string default_heap() {
  namespace fs = std::filesystem;
  std::error_code problem;
  const fs::path self = fs::read_symlink("/proc/self/exe", problem);
  const fs::path beside = self.parent_path() / "libecho_heap.so";
  if (!problem && fs::exists(beside, problem))
    return beside.string();
  return run::beside_this_library("libecho_heap.so");
}

void take_words(const char* program) {
  const char* const slash = std::strrchr(program, '/');
  run::words = {.tool = slash != nullptr ? slash + 1 : program,
                .heap_options = "ECHO_HEAP_OPTIONS",
                .list_options = "echo-run --heap=help lists the options",
                .heap_plugin = "ECHO_HEAP_PLUGIN=PATH",
                .stack = "ECHO_STACK=SIZE",
                .json = "ECHO_JSON"};
}

run::Failure read_settings(int argc, char** argv, run::CommandLine& out) {
  out.program = argc > 0 ? argv[0] : "program";
  for (int index = 1; index < argc; ++index)
    out.arguments.emplace_back(argv[index]);
  const char* const plugin = setting("ECHO_HEAP_PLUGIN");
  out.heap_plugin = plugin != nullptr ? plugin : default_heap();
  if (const char* json = setting("ECHO_JSON"))
    out.json = json;
  if (const char* report = setting("ECHO_REPORT"); report != nullptr && std::string_view(report) != "0") {
    if (std::string_view(report) != "1")
      return {ECHO_BAD_OPTION_VALUE,
              "'" + std::string(report) + "' is neither 0 nor 1, in ECHO_REPORT, give 1"};
    out.quiet = false;
  } else {
    out.quiet = true;
  }
  if (const char* print = setting("ECHO_PRINT")) {
    if (std::string_view(print) != "lines" && std::string_view(print) != "raw")
      return {ECHO_BAD_OPTION_VALUE,
              "'" + std::string(print) + "' is neither lines nor raw, in ECHO_PRINT, give one of them"};
    out.echo_print = std::string_view(print) == "raw" ? ECHO_RUNTIME_PRINT_RAW : ECHO_RUNTIME_PRINT_LINES;
  }
  if (const char* stack = setting("ECHO_STACK"))
    return run::convert_stack(stack, "ECHO_STACK", out.stack_bytes);
  return {};
}

int run_program(int argc, char** argv) {
  run::CommandLine command;
  run::Failure failure = read_settings(argc, argv, command);
  if (failure) {
    run::print_failure(failure);
    return run::exit_refused;
  }
  if (const Image* image = seal_images(); image != nullptr) {
    command.optimise = image->optimise;
    command.operations = image->operations;
    command.echo = image->profile == ECHO_JIT_PROFILE_UNMODIFIED;
    command.echo_runtime = "libecho_runtime.so.1"; /* the one that the program is linked with */
  }
  return run::run(command, &ahead_table());
}

} // namespace
} // namespace echo::ahead

extern "C" ECHO_EXPORT int echo_aot_main(int argc, char** argv, char**) {
  namespace run = echo::run;
  run::Failure failure;
  try {
    echo::ahead::take_words(argc > 0 ? argv[0] : "program");
    return echo::ahead::run_program(argc, argv);
  } catch (const std::bad_alloc&) {
    failure = {ECHO_SYSTEM_MEMORY, "the system refused memory, in the start of the program, free memory"};
  } catch (const std::exception& problem) {
    failure = {ECHO_INVALID_ARGUMENT,
               std::string("unexpected: ") + problem.what() + ", in the start of the program"};
  }
  run::print_failure(failure);
  /* Threads of the program may be running: nothing is torn down. */
  _exit(run::run_started() ? run::exit_failed : run::exit_refused);
}
