// SPDX-License-Identifier: MIT
//
// Purpose     The loop of a background thread.
#include "gc/background_thread.h"

#include "heap/os_memory.h"

#include <csignal>
#include <new>
#include <system_error>

namespace echo {

bool BackgroundThread::start() {
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  bool started = true;
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error&) {
    started = false;
  }
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return started;
}

void BackgroundThread::stop() {
  if (!thread_.joinable()) {
    return;
  }
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    ending_ = true;
  }
  wanted_.notify_one();
  thread_.join();
}

// What the thread that is gone has held or waited for is not destroyed, but made anew.
bool BackgroundThread::restart() {
  const bool was_running = thread_.joinable();
  new (&thread_) std::thread;
  new (&mutex_) std::mutex;
  new (&wanted_) std::condition_variable;
  woken_ = false;
  return !was_running || start();
}

void BackgroundThread::wake() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (woken_) {
      return;
    }
    woken_ = true;
  }
  wanted_.notify_one();
}

void BackgroundThread::run() {
  if (share_ == Share::Smaller) {
    os::lower_priority(kSmaller);
  }
  left_out_ = 0;
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    const auto is_due = [this] { return woken_ || ending_; };
    if (period_.count() == 0) {
      wanted_.wait(lock, is_due);
    } else {
      (void)wanted_.wait_for(lock, period_, is_due);
    }
    if (ending_) {
      return;
    }
    woken_ = false;
    lock.unlock();
    work_();
    cpu_ns_.store(os::thread_cpu_ns() - left_out_, std::memory_order_relaxed);
    lock.lock();
  }
}

} // namespace echo
