/* SPDX-License-Identifier: MIT
 *
 * command_line.cpp - see command_line.h. The only file that knows CLI11.
 *
 * Method      argv is split at the first "--" before CLI11 sees it, so the program's arguments are never
 *             interpreted.
 *             CLI11 throws on a wrong command line; every such exception becomes a Failure here.
 *             [run.error.1]
 */
#include "command_line.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <array>
#include <cstring>
#include <string_view>
#include <utility>

#include "echo/jit.h"
#include "echo/runtime.h"
#include "sizes.h"

namespace echo::run {

namespace {

constexpr std::array<std::pair<const char*, uint32_t>, 33> switch_names{{
    {"allow-ref-in-stack", ECHO_JIT_ALLOW_REF_IN_STACK},
    {"allow-ref-in-raw", ECHO_JIT_ALLOW_REF_IN_RAW},
    {"allow-ref-memcpy", ECHO_JIT_ALLOW_REF_MEMCPY},
    {"no-barrier-elision", ECHO_JIT_NO_BARRIER_ELISION},
    {"allow-ref-as-integer", ECHO_JIT_ALLOW_REF_AS_INTEGER},
    {"allow-unsupported-frame", ECHO_JIT_ALLOW_UNSUPPORTED_FRAME},
    {"omit-barriers", ECHO_JIT_OMIT_BARRIERS},
    {"allow-musttail", ECHO_JIT_ALLOW_MUSTTAIL},
    {"allow-addrspacecast", ECHO_JIT_ALLOW_ADDRSPACECAST},
    {"allow-thread-local", ECHO_JIT_ALLOW_THREAD_LOCAL},
    {"cursor-as-reference", ECHO_JIT_CURSOR_AS_REFERENCE},
    {"thread-before-optimiser", ECHO_JIT_THREAD_BEFORE_OPTIMISER},
    {"allocation-is-zeroed", ECHO_JIT_ALLOCATION_IS_ZEROED},
    {"optimise-polls", ECHO_JIT_OPTIMISE_POLLS},
    {"barrier-after-store", ECHO_JIT_BARRIER_AFTER_STORE},
    {"plain-stores", ECHO_JIT_PLAIN_STORES},
    {"elide-over-safepoints", ECHO_JIT_ELIDE_OVER_SAFEPOINTS},
    {"barrier-without-effect", ECHO_JIT_BARRIER_WITHOUT_EFFECT},
    {"stubs-lose-rax", ECHO_JIT_STUBS_LOSE_RAX},
    {"vectorise", ECHO_JIT_VECTORISE},
    {"vector-is-one-root", ECHO_JIT_VECTOR_IS_ONE_ROOT},
    {"stale-reference", ECHO_JIT_STALE_REFERENCE},
    {"verify", ECHO_JIT_VERIFY},
    {"no-entry-guard", ECHO_JIT_NO_ENTRY_GUARD},
    {"native-without-anchor", ECHO_JIT_NATIVE_WITHOUT_ANCHOR},
    {"skip-promotion", ECHO_JIT_SKIP_PROMOTION},
    {"loop-polls-only", ECHO_JIT_LOOP_POLLS_ONLY},
    {"stale-in-pads", ECHO_JIT_STALE_IN_PADS},
    {"remove-under-frames", ECHO_JIT_REMOVE_UNDER_FRAMES},
    {"link-without-lock", ECHO_JIT_LINK_WITHOUT_LOCK},
    {"cache-after-optimiser", ECHO_JIT_CACHE_AFTER_OPTIMISER},
    {"omit-polls", ECHO_JIT_OMIT_POLLS},
    {"omit-bases", ECHO_JIT_OMIT_BASES},
}};

std::string switch_list() {
  std::string list;
  for (const auto& [name, bit] : switch_names)
    list.append(list.empty() ? "" : ", ").append(name);
  return list;
}

constexpr const char* footer = R"(Exit status
  the program's own (main's result or exit()'s argument, low 8 bits), or
  2  the input was refused before any of it ran: wrong options, a missing file, another plugin version,
     invalid IR, an operation the compiler refuses, a missing symbol, no main
  70 with --echo: the runtime layer ended the program, as by a map key that is not there
  3  the program was ended by an error: the heap limit, an exhausted stack, a failure inside the heap
     or in one of its threads, a report file that cannot be written
  128+N as usual when the program dies of signal N (abort() stays abort)
  With 2 and 3 standard error has exactly one line  echo-run: CODE: what, where, what to do
  and the JSON file has the same under "error", which tells them from a program that itself exits with 2 or 3.

Usage of the tail: echo-run PROGRAM [OPTIONS] -- ARGS gives ARGS to the program, unread.
The program gets main(argc, argv, environ), owns standard output, and may use the C library and echo/cc.h.
When main returns, echo-run waits for the program's other threads; exit() ends the program at once.
The definitions of everything reported are in docs/echo-run.md.)";

Failure convert_switches(std::string_view list, uint32_t& out) {
  while (!list.empty()) {
    const std::string name(list.substr(0, list.find(',')));
    list.remove_prefix(std::min(list.size(), name.size() + 1));
    uint32_t found = 0;
    for (const auto& [known, bit] : switch_names)
      if (name == known)
        found = bit;
    if (found == 0)
      return {ECHO_BAD_OPTION_VALUE,
              "'" + name + "' is no switch, in --unsafe, give one of " + switch_list()};
    out |= found;
  }
  return {};
}

Failure parse_failure(const CLI::ParseError& error, const CLI::App& app) {
  const std::string help = "see echo-run --help";
  if (dynamic_cast<const CLI::RequiredError*>(&error) != nullptr)
    return {ECHO_INVALID_ARGUMENT,
            "no program was given, on the command line, give the path of a .ll or .bc file"};
  if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr) {
    const std::vector<std::string> extras = app.remaining();
    const std::string first = extras.empty() ? std::string() : extras.front();
    if (first.size() > 1 && first.front() == '-')
      return {ECHO_UNKNOWN_OPTION, "'" + first + "' is no option, on the command line, " + help};
    return {ECHO_INVALID_ARGUMENT,
            "'" + first +
                "' is one argument too many, on the command line, arguments of the program go after --"};
  }
  return {ECHO_BAD_OPTION_VALUE, std::string(error.what()) + ", on the command line, " + help};
}

} // namespace

Failure parse_command_line(int argc, char** argv, CommandLine& out, std::optional<std::string>& answer) {
  int own = 0;
  while (own < argc && std::strcmp(argv[own], "--") != 0)
    ++own;
  for (int index = own + 1; index < argc; ++index)
    out.arguments.emplace_back(argv[index]);

  CLI::App app("Runs a program in LLVM IR on a garbage-collected heap and reports what the collector did.",
               "echo-run");
  app.footer(footer);
  std::string stack, optimise, operations, print;
  std::string switches;
  bool version = false;
  app.add_option("PROGRAM", out.program, "LLVM 19 IR: text (.ll) or bitcode (.bc)")->required();
  app.add_option("--heap-plugin", out.heap_plugin,
                 "The heap; default: libecho_heap.so in ../lib of this executable")
      ->type_name("PATH");
  app.add_option(
         "--heap", out.heap_options,
         "Options of the heap, name=value,...; --heap=help lists them. They override ECHO_HEAP_OPTIONS")
      ->type_name("OPTIONS");
  app.add_option("--json", out.json, "Also write the report as JSON")->type_name("FILE");
  app.add_option("--stack", stack, "Stack of each program thread, 256k to 64g; default 256m")
      ->type_name("SIZE");
  app.add_flag("--quiet", out.quiet, "No report and no progress on standard error; errors still");
  app.add_option("--opt", optimise, "Optimise: 0 or 2 (default)")->type_name("0|2");
  app.add_option("--operations", operations,
                 "Operations of the heap inline (default), or called: level 0, each a call")
      ->type_name("inline|called");
  app.add_flag("--echo", out.echo, "PROGRAM is output of the Echo compiler as it is");
  app.add_option("--echo-print", print, "With --echo: print_* end a line (default), or write nothing behind")
      ->type_name("lines|raw");
  app.add_option("--echo-runtime", out.echo_runtime,
                 "With --echo: the runtime layer; default: libecho_runtime.so in ../lib of this executable")
      ->type_name("PATH");
  app.add_option("--dump-objects", out.dump_objects, "Write the compiled object files here")
      ->type_name("DIR");
  app.add_option("--dump-ir", out.dump_ir, "Write the IR after lowering here")->type_name("DIR");
  app.add_option("--cache", out.cache, "Keep compiled modules here, and take them from here")
      ->type_name("DIR");
  app.add_flag("--gdb", out.gdb, "Announce compiled code to debuggers");
  app.add_flag("--perf", out.perf, "Write the names of compiled functions for perf");
  app.add_flag("--lines", out.lines,
               "Keep the source lines of compiled code, for plugins that check the program");
  app.add_option("--unsafe", switches, "For tests: switch safeguards off: " + switch_list())
      ->type_name("SWITCH,...");
  app.add_flag("--version", version, "Print the version and end");

  for (int index = 1; index < own; ++index)
    if (const std::string_view word = argv[index]; word.starts_with("--") && word.ends_with("="))
      return {ECHO_BAD_OPTION_VALUE,
              "'" + std::string(word) +
                  "' has an empty value, on the command line, give one or leave the option out"};
  try {
    std::vector<std::string> reversed; /* CLI11 pops arguments from the back */
    for (int index = own - 1; index > 0; --index)
      reversed.emplace_back(argv[index]);
    app.parse(reversed);
  } catch (const CLI::CallForHelp&) {
    answer = app.help();
    return {};
  } catch (const CLI::ParseError& error) {
    if (!version)
      return parse_failure(error, app);
  }
  if (version) {
    answer = "echo-run " ECHO_RUN_VERSION ", heap ABI " + std::to_string(ECHO_ABI_MAJOR) + "." +
             std::to_string(ECHO_ABI_MINOR) + "\n";
    return {};
  }
  if (app.count("--stack") != 0)
    if (Failure failure = convert_stack(stack, "--stack", out.stack_bytes))
      return failure;
  if (app.count("--opt") != 0) {
    if (optimise != "0" && optimise != "2")
      return {ECHO_BAD_OPTION_VALUE, "'" + optimise + "' is no optimisation level, in --opt, give 0 or 2"};
    out.optimise = optimise == "0" ? 0 : 2;
  }
  if (app.count("--operations") != 0) {
    if (operations != "inline" && operations != "called")
      return {ECHO_BAD_OPTION_VALUE,
              "'" + operations + "' is no kind of operations, in --operations, give inline or called"};
    out.operations = operations == "called" ? ECHO_JIT_OPERATIONS_CALLED : ECHO_JIT_OPERATIONS_INLINE;
  }
  if (!out.echo && (app.count("--echo-print") != 0 || out.echo_runtime))
    return {ECHO_BAD_OPTION_VALUE, "--echo-print and --echo-runtime are for unmodified Echo programs, on the "
                                   "command line, give --echo too"};
  if (out.echo && out.operations != ECHO_JIT_OPERATIONS_INLINE)
    return {ECHO_BAD_OPTION_VALUE,
            "an unmodified Echo program has no operations that could be called, in --operations, "
            "leave it out with --echo"};
  if (app.count("--echo-print") != 0) {
    if (print != "lines" && print != "raw")
      return {ECHO_BAD_OPTION_VALUE,
              "'" + print + "' is no way to print, in --echo-print, give lines or raw"};
    out.echo_print = print == "raw" ? ECHO_RUNTIME_PRINT_RAW : ECHO_RUNTIME_PRINT_LINES;
  }
  return convert_switches(switches, out.switches);
}

} // namespace echo::run
