// SPDX-License-Identifier: MIT
//
// Purpose     runtime_char_ptr_to_string where its three result registers have not been written down: refused by name.
#include "failure.h"
#include "functions.h"
#include "state.h"

void runtime_char_ptr_to_string(void*) {
  echo::runtime::fail(echo::runtime::current, "runtime_char_ptr_to_string", ECHO_NOT_SUPPORTED,
                      "its result is three words in registers, which this library returns on x86-64 only");
}
