// SPDX-License-Identifier: MIT
//
// Purpose     Assertions classed by cost.
// Classes     ECHO_CHECK  one compare on data at hand: on in every build.
//             ECHO_DEEP   walks or reloads something: on in checking builds (ECHO_DEEP_CHECKS).
// A failed assertion means that memory can no longer be trusted; it says what and where, and stops.
#pragma once

namespace echo {
[[noreturn]] void assertion_failed(const char* what, const char* file, int line);
}

#define ECHO_CHECK(condition, what)                                                                          \
  (__builtin_expect(static_cast<bool>(condition), 1)                                                         \
       ? static_cast<void>(0)                                                                                \
       : ::echo::assertion_failed(what " (" #condition ")", __FILE__, __LINE__))

#ifdef ECHO_DEEP_CHECKS
#define ECHO_DEEP(condition, what) ECHO_CHECK(condition, what)
namespace echo {
inline constexpr bool kDeepChecks = true; // for what is reported, not asserted
}
#else
#define ECHO_DEEP(condition, what) static_cast<void>(sizeof((condition) ? 1 : 0))
namespace echo {
inline constexpr bool kDeepChecks = false;
}
#endif
