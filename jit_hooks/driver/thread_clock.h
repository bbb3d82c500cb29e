/* SPDX-License-Identifier: MIT
 *
 * thread_clock.h - wall time summed over the threads that are in the program.
 *
 * Equation    total(t) = sum of leave times - sum of enter times + (threads inside now) * t
 *             so a reader needs no list of threads, and time of threads still inside counts up to t.
 */
#ifndef ECHO_RUN_THREAD_CLOCK_H
#define ECHO_RUN_THREAD_CLOCK_H

#include <chrono>
#include <cstdint>
#include <mutex>

namespace echo::run {

class ThreadClock {
public:
  void enter() {
    const std::lock_guard lock(mutex_);
    balance_ns_ -= now_ns();
    ++inside_;
  }
  void leave() {
    const std::lock_guard lock(mutex_);
    balance_ns_ += now_ns();
    --inside_;
  }
  double seconds() const {
    const std::lock_guard lock(mutex_);
    return static_cast<double>(balance_ns_ + inside_ * now_ns()) * 1e-9;
  }

private:
  using Clock = std::chrono::steady_clock;
  /* Since this clock was made: small numbers, so that sums over many threads stay far from overflow. */
  int64_t now_ns() const {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - zero_).count();
  }

  const Clock::time_point zero_ = Clock::now();
  mutable std::mutex mutex_;
  int64_t balance_ns_ = 0;
  int64_t inside_ = 0;
};

} // namespace echo::run

#endif
