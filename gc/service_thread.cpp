// SPDX-License-Identifier: MIT
//
// Purpose     The loop of the background thread.
#include "gc/service_thread.h"

#include "heap/os_memory.h"

#include <algorithm>
#include <csignal>
#include <system_error>

namespace echo {

bool ServiceThread::start() {
  // Signals belong to the VM's threads.
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

void ServiceThread::stop() {
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

void ServiceThread::wake() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (work_) {
      return;
    }
    work_ = true;
  }
  wanted_.notify_one();
}

bool ServiceThread::has_work() {
  const std::size_t keep = memory_.pool.keep();
  const std::size_t worth_a_wake = zeroes_ ? std::min(kSlabBytes, keep) : keep;
  return memory_.pool.is_behind() || memory_.pool.empty_bytes() > keep ||
         memory_.large.free_page_bytes() > worth_a_wake;
}

void ServiceThread::wake_if_needed() {
  if (has_work()) { // a wake-up costs both threads 10 to 30 us
    wake();
  }
}

void ServiceThread::run() {
  std::unique_lock<std::mutex> lock(mutex_);
  for (;;) {
    wanted_.wait(lock, [this] { return work_ || ending_; });
    if (ending_) {
      return;
    }
    work_ = false;
    lock.unlock();
    while (!ending_ && memory_.pool.populate_step()) { // first: somebody may be about to need it
    }
    while (!ending_ && memory_.pool.return_one_chunk(memory_.pool.keep())) {
    }
    while (!ending_ && memory_.large.free_page_bytes() > memory_.pool.keep() &&
           memory_.large.return_free_pages()) {
    }
    while (!ending_ && zeroes_ && memory_.large.zero_free_pages()) {
    }
    cpu_ns_.store(os::thread_cpu_ns(), std::memory_order_relaxed);
    lock.lock();
  }
}

} // namespace echo
