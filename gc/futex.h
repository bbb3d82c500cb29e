// SPDX-License-Identifier: MIT
//
// Purpose     Sleeping on a 32-bit word. (std::atomic::wait spins and keeps process-wide tables; this does
//             neither.)
#pragma once

#include <atomic>
#include <climits>
#include <ctime>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace echo {

static_assert(sizeof(std::atomic<std::uint32_t>) == 4);

// Sleeps while *word == expected. May return early for any reason.
inline void futex_wait(std::atomic<std::uint32_t>* word, std::uint32_t expected) {
  (void)::syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(word), FUTEX_WAIT_PRIVATE, expected, nullptr,
                  nullptr, 0);
}
inline void futex_wait_for(std::atomic<std::uint32_t>* word, std::uint32_t expected, std::uint64_t most_us) {
  const timespec most = {static_cast<time_t>(most_us / 1'000'000),
                         static_cast<long>(most_us % 1'000'000 * 1000)};
  (void)::syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(word), FUTEX_WAIT_PRIVATE, expected, &most,
                  nullptr, 0);
}
inline void futex_wake_all(std::atomic<std::uint32_t>* word) {
  (void)::syscall(SYS_futex, reinterpret_cast<std::uint32_t*>(word), FUTEX_WAKE_PRIVATE, INT_MAX, nullptr,
                  nullptr, 0);
}

} // namespace echo
