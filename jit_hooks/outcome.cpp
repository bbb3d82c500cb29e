/* SPDX-License-Identifier: MIT
 *
 * outcome.cpp - failures at the C boundary. Invariants: outcome.h.
 */
#include "outcome.h"

#include <cstring>

namespace echo::jit {

void fill_error(echo_error* why, echo_status code, std::string_view message) {
  if (why == nullptr)
    return;
  why->code = code;
  size_t length = message.size();
  if (length >= sizeof(why->message)) {
    length = sizeof(why->message) - 1;
    while (length > 0 && (static_cast<unsigned char>(message[length]) & 0xC0u) == 0x80u)
      --length;
  }
  std::memcpy(why->message, message.data(), length);
  why->message[length] = '\0';
}

echo_status Outcome::report(echo_error* why) const {
  if (failure_)
    fill_error(why, failure_->code, failure_->message);
  return code();
}

} // namespace echo::jit
