/* SPDX-License-Identifier: MIT
 *
 * main.cpp - echo-run: runs an LLVM IR program on a heap plugin and says what the collector did.
 */
#include <exception>
#include <new>
#include <string>
#include <unistd.h>

#include "command_line.h"
#include "descriptor_io.h"
#include "run.h"
#include "session.h"
#include "words.h"

namespace echo::run {

namespace {

int list_heap_options(const CommandLine& command) {
  Session session(command);
  if (Failure failure = session.load_plugins()) {
    print_failure(failure);
    return exit_refused;
  }
  return write_all(1, heap_option_help(*session.plugins().heap)) == 0 ? 0 : exit_refused;
}

int entry(int argc, char** argv) {
  CommandLine command;
  std::optional<std::string> answer;
  const Failure failure = parse_command_line(argc, argv, command, answer);
  if (answer)
    return write_all(1, *answer) == 0 ? 0 : exit_refused;
  if (command.heap_options == "help")
    return list_heap_options(command);
  if (failure) {
    print_failure(failure);
    return exit_refused;
  }
  if (command.echo)
    words.missing_symbol = "leave its calls out: the Echo runtime layer does not have it";
  return run(command, nullptr);
}

} // namespace

} // namespace echo::run

int main(int argc, char** argv) {
  namespace run = echo::run;
  run::Failure failure;
  try {
    return run::entry(argc, argv);
  } catch (const std::bad_alloc&) {
    failure = {ECHO_SYSTEM_MEMORY, "the system refused memory, in echo-run itself, free memory"};
  } catch (const std::exception& problem) {
    failure = {ECHO_INVALID_ARGUMENT, std::string("unexpected: ") + problem.what() + ", in echo-run itself"};
  }
  run::print_failure(failure);
  /* Threads of the program may be running: nothing is torn down. */
  _exit(run::run_started() ? run::exit_failed : run::exit_refused);
}
