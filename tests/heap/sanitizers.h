// SPDX-License-Identifier: MIT
//
// Purpose     Which sanitizer a test is compiled with: what it does not follow is skipped, what it adds is allowed for.
#pragma once

namespace echo::test {

// Follows no process that forks, uses registers of its own in every function, and keeps mappings of its own.
#if defined(__SANITIZE_THREAD__)
inline constexpr bool kThreadSanitizer = true;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
inline constexpr bool kThreadSanitizer = true;
#else
inline constexpr bool kThreadSanitizer = false;
#endif
#else
inline constexpr bool kThreadSanitizer = false;
#endif

} // namespace echo::test
