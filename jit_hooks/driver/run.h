/* SPDX-License-Identifier: MIT
 *
 * run.h - one run of a program, from its refusal or start to its report.
 *
 * Purpose     The program runs on threads of its own; the calling thread waits, shows progress, reports, and returns
 *             the exit status of the process.
 * Invariants  [run.exit.1] The exit status is the program's, or 2 for refused input, or 3 for a run ended
 *             by an error.
 *             [run.exit.2] The program's standard output is flushed before the report is written.
 *             [run.exit.3] If threads are still inside the program (exit() or an error elsewhere), nothing
 *             they use is freed, and the process ends within `patience_s` whatever locks they hold.
 */
#ifndef ECHO_RUN_RUN_H
#define ECHO_RUN_RUN_H

#include "command_line.h"
#include "echo/jit.h"

namespace echo::run {

/* Runs the program of the command line; `ahead` is the table of one that is compiled already, else null. */
int run(const CommandLine& command, const echo_jit_api* ahead);

/* Has any of the program run? */
bool run_started();

} // namespace echo::run

#endif
