// SPDX-License-Identifier: MIT
//
// Purpose     A thread of the heap's own that sleeps until it is woken, does what it was made for, and sleeps again.
// Invariants  [service.end.1] stop() ends and joins it before any memory goes; the work looks at is_ending() between
//             bounded steps. It takes no signals: they belong to the VM's threads. [service.share.1] A thread that marks gets a
//             quarter of a processor that a thread of the program wants too: a stop asks for threads that run, and waits for
//             those that do not.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>

namespace echo {

class BackgroundThread {
public:
  enum class Share : std::uint8_t {
    Equal,  // of a processor, beside a thread of the program
    Smaller // a quarter of it: [service.share.1]
  };
  // With a period it does its work that often without being woken, too.
  explicit BackgroundThread(std::function<void()> work, std::chrono::milliseconds period = {},
                            Share share = Share::Equal)
      : work_(std::move(work)), period_(period), share_(share) {}
  ~BackgroundThread() { stop(); }
  // False if the system refused a thread.
  bool start();
  void stop();
  // In the child of a fork: begins anew, if it was running in the parent. False as start().
  bool restart();
  // Cheap when the thread has been woken and has not begun yet.
  void wake();
  bool is_ending() const { return ending_.load(std::memory_order_relaxed); }
  // On the thread itself, in its work: so much of its processor time is counted elsewhere.
  void leave_out(std::uint64_t ns) { left_out_ += ns; }
  // Of the whole thread but for that, after its last piece of work.
  std::uint64_t cpu_ns() const { return cpu_ns_.load(std::memory_order_relaxed); }

private:
  static constexpr int kSmaller = 5; // nice(2): weight 335 beside 1024
  void run();

  const std::function<void()> work_;
  const std::chrono::milliseconds period_;
  const Share share_;
  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable wanted_;
  bool woken_ = false;              // under mutex_
  std::atomic<bool> ending_{false}; // written under mutex_; read between steps
  std::uint64_t left_out_ = 0;      // the thread's own
  std::atomic<std::uint64_t> cpu_ns_{0};
};

} // namespace echo
