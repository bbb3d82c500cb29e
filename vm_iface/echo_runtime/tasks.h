// SPDX-License-Identifier: MIT
//
// Purpose     Tasks that wait for their turn, and waiting for what they bring.
#pragma once

#include "state.h"

namespace echo::runtime {

// Runs the oldest task that waits, to its end, on this stack; false if none does. SAFEPOINT.
bool run_oldest(echo_runtime& runtime);

// Runs tasks until `ready()`; fails with `otherwise` if none is left before. [runtime.wait.1]
template <class Ready>
void wait_until(echo_runtime& runtime, const char* function, const char* otherwise, Ready ready) {
  while (!ready()) {
    if (!run_oldest(runtime)) [[unlikely]] {
      fail(&runtime, function, ECHO_WRONG_STATE, "%s", otherwise);
    }
  }
}

} // namespace echo::runtime
