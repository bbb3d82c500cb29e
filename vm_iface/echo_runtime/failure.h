// SPDX-License-Identifier: MIT
//
// Purpose     How one of the 60 functions says that it cannot do what it was asked for.
// Invariants  [runtime.fail.1] The sentence begins with the function's name; the call does not return. Frames above it may
//             be dropped without notice: no object with a destructor lives in a frame that may fail.
#pragma once

#include "echo/base.h"

struct echo_runtime;

namespace echo::runtime {

// Ends the program or the call that runs it, through options.fail of `runtime` (null: the default).
[[noreturn, gnu::cold, gnu::format(printf, 4, 5)]] void
fail(const echo_runtime* runtime, const char* function, echo_status status, const char* format, ...);

// Fills *why, if there is one, and returns `status`: for the functions of echo/runtime.h.
[[gnu::cold, gnu::format(printf, 3, 4)]] echo_status report(echo_error* why, echo_status status,
                                                            const char* format, ...);

} // namespace echo::runtime
