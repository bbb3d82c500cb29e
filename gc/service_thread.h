// SPDX-License-Identifier: MIT
//
// Purpose     The background thread of a heap: brings memory in ahead of the program, zeroes freed pages of large
//             objects, and gives empty memory back after a collection; outside stops, in bounded steps (one
//             chunk, or 64 KiB of pages, at a time).
// Invariants  [sweep.os.1] No page is given back inside a stop or by a mutator. [service.end.1] The
//             destructor ends and joins the thread before any memory goes. [service.keep.1] What the next cycle needs
//             stays.
#pragma once

#include "heap/memory.h"

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace echo {

class ServiceThread {
public:
  ServiceThread(Memory& memory, bool poison) : memory_(memory), zeroes_(!poison) {}
  ~ServiceThread() { stop(); }
  // False if the system refused a thread.
  bool start();
  void stop();
  // After a collection, never inside a stop: wakes the thread if there is something to do.
  void wake_if_needed();
  // Cheap when the thread is awake.
  void wake();
  std::uint64_t cpu_ns() const { return cpu_ns_.load(std::memory_order_relaxed); }

private:
  void run();
  bool has_work();

  Memory& memory_;
  const bool zeroes_; // else freed pages keep the poison
  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable wanted_;
  bool work_ = false;               // under mutex_
  std::atomic<bool> ending_{false}; // written under mutex_; read between steps
  std::atomic<std::uint64_t> cpu_ns_{0};
};

} // namespace echo
