/* SPDX-License-Identifier: MIT
 *
 * failure.h - what went wrong, as a value, and the one line a person sees of it.
 *
 * Purpose     Every error of echo-run is a Failure: a status code of echo/base.h and a sentence.
 *             print_failure() is the only place that turns one into text.
 * Invariants  [run.error.1] A failure is shown as exactly one line, `echo-run: CODE: what, where, what to
 *             do`, whatever bytes the sentence contains.
 */
#ifndef ECHO_RUN_FAILURE_H
#define ECHO_RUN_FAILURE_H

#include <cstdint>
#include <string>
#include <string_view>

#include "echo/base.h"

namespace echo::run {

/* Exit statuses of echo-run itself; every other status is the program's. */
constexpr int exit_refused = 2; /* the input was refused; nothing of the program ran */
constexpr int exit_failed = 3;  /* the program was ended by an error */

struct Failure {
  int32_t code = ECHO_OK;
  std::string sentence;

  explicit operator bool() const { return code != ECHO_OK; }
};

/* A failure reported by a plugin: its sentence, then `where`, then advice that belongs to the code. */
Failure failure_from(echo_status status, const echo_error& why, std::string_view where);

/* `text` with every control character replaced by a space, runs of spaces joined and trimmed. */
std::string one_line(std::string_view text);

/* "echo-run: CODE: sentence", without the newline. */
std::string failure_line(const Failure& failure);

/* Writes the line to standard error with a single write where possible. */
void print_failure(const Failure& failure);

} // namespace echo::run

#endif
