/* SPDX-License-Identifier: MIT
 *
 * sanitizers.h - which sanitizers a suite or test is compiled with: what these do not follow is skipped, what they add is
 * allowed for. The thread sanitizer follows no process that forks, takes locks of its own at any instruction, and uses
 * registers of its own in every function; both keep mappings of their own.
 */
#ifndef CONFORMANCE_SANITIZERS_H
#define CONFORMANCE_SANITIZERS_H

namespace conformance {

#if defined(__has_feature)
inline constexpr bool kThreadSanitizer = __has_feature(thread_sanitizer);
inline constexpr bool kAddressSanitizer = __has_feature(address_sanitizer);
#else
#if defined(__SANITIZE_THREAD__)
inline constexpr bool kThreadSanitizer = true;
#else
inline constexpr bool kThreadSanitizer = false;
#endif
#if defined(__SANITIZE_ADDRESS__)
inline constexpr bool kAddressSanitizer = true;
#else
inline constexpr bool kAddressSanitizer = false;
#endif
#endif

} // namespace conformance

#endif
