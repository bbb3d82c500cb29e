/* SPDX-License-Identifier: MIT
 *
 * ending.cpp - see ending.h.
 *
 * Method      A semaphore, because sem_post is async-signal-safe and a condition variable is not.
 */
#include "ending.h"

#include <cerrno>
#include <ctime>

namespace echo::run {

static_assert(std::atomic<EndingKind>::is_always_lock_free && std::atomic<bool>::is_always_lock_free,
              "claimed in a signal handler [run.ending.2]");

Ending::Ending() {
  sem_init(&announced_, 0, 0);
}
Ending::~Ending() {
  sem_destroy(&announced_);
}

bool Ending::claim(EndingKind kind) {
  EndingKind expected = EndingKind::running;
  return kind_.compare_exchange_strong(expected, kind, std::memory_order_acq_rel);
}

void Ending::announce() {
  complete_.store(true, std::memory_order_release);
  sem_post(&announced_);
}

bool Ending::wait_for(unsigned milliseconds) {
  timespec until{};
  clock_gettime(CLOCK_MONOTONIC, &until);
  constexpr long second = 1000000000L;
  until.tv_sec += static_cast<time_t>(milliseconds / 1000);
  until.tv_nsec += static_cast<long>(milliseconds % 1000) * 1000000L;
  if (until.tv_nsec >= second) {
    until.tv_nsec -= second;
    until.tv_sec += 1;
  }
  while (sem_clockwait(&announced_, CLOCK_MONOTONIC, &until) != 0)
    if (errno != EINTR)
      return false;
  return complete_.load(std::memory_order_acquire);
}

} // namespace echo::run
