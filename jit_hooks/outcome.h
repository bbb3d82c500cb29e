/* SPDX-License-Identifier: MIT
 *
 * outcome.h - how every step inside jit_hooks reports failure.
 *
 * Purpose     One value type that becomes an echo_status and an echo_error at the C boundary.
 * Invariants  [jit.error.1] A failure carries one sentence: what, where, what to do. [jit.error.2] A message
 * of any length is cut at echo_error's bound, on a whole UTF-8 character, and always terminated.
 */
#ifndef ECHO_JIT_OUTCOME_H
#define ECHO_JIT_OUTCOME_H

#include "echo/base.h"

#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace echo::jit {

struct Failure {
  echo_status code = ECHO_OK;
  std::string message;
};

/* Success, or a failure. */
class [[nodiscard]] Outcome {
public:
  Outcome() = default;
  Outcome(echo_status code, std::string message) : failure_(Failure{code, std::move(message)}) {}

  bool ok() const { return !failure_.has_value(); }
  explicit operator bool() const { return ok(); }
  echo_status code() const { return failure_ ? failure_->code : ECHO_OK; }
  const std::string& message() const {
    static const std::string none;
    return failure_ ? failure_->message : none;
  }
  /* The same failure, found while doing something larger. */
  Outcome within(std::string_view place) && {
    if (failure_)
      failure_->message = std::string(place) + ": " + failure_->message;
    return std::move(*this);
  }
  /* Copies the failure to the caller's record, if there is one, and returns the code. */
  echo_status report(echo_error* why) const;

private:
  std::optional<Failure> failure_;
};

/* Fills *why (may be null) within its bound. */
void fill_error(echo_error* why, echo_status code, std::string_view message);

} // namespace echo::jit

#endif // ECHO_JIT_OUTCOME_H
