/* SPDX-License-Identifier: MIT
 *
 * overflow_handler.h - turns a touch of a stack's guard into an error that names the function.
 *
 * Invariants  [run.stack.3] Only a fault whose address lies in the guard of the faulting thread's own
 *             stack is taken; every other fault gets the action that was there before.
 *             [run.stack.4] The handler uses only async-signal-safe calls and memory set up before.
 */
#ifndef ECHO_RUN_OVERFLOW_HANDLER_H
#define ECHO_RUN_OVERFLOW_HANDLER_H

#include <atomic>
#include <cstdint>

#include "ending.h"
#include "failure.h"
#include "plugins.h"

namespace echo::run {

/* Set while a progress line stands on the terminal: an error line must clear it first. */
extern std::atomic<bool> progress_line_shown;

/* Installs the handler for this process. The recipes say where a thread block holds its anchor: the managed
 * frame that last called native code. */
void install_overflow_handler(Ending& ending, const echo_jit_api& api, echo_jit* jit,
                              const echo_recipes& recipes);

/* Puts the action back that was there before. */
void remove_overflow_handler();

/* The failure the handler printed; valid after an ending of kind stack_overflow was announced. */
Failure overflow_failure();

} // namespace echo::run

#endif
