// SPDX-License-Identifier: MIT
//
// Purpose     The background thread of a heap for pages: brings memory in ahead of the program, zeroes freed pages of
//             large objects, and gives empty memory back after a collection; outside stops, in bounded steps (one
//             chunk, or 64 KiB of pages, at a time).
// Invariants  [sweep.os.1] No page is given back inside a stop or by a mutator. [service.keep.1] What the next cycle needs
//             stays, unless the program is idle [service.idle.1]. [service.stop.1] While a stop is asked for no step begins,
//             since the thread that the stop waits for may want the processor; and whoever drives a cycle, and may wait, asks for
//             its stops when no step is on.
#pragma once

#include "gc/background_thread.h"
#include "heap/memory.h"

#include <atomic>

namespace echo {

class ServiceThread {
public:
  // `look` is called at the end of its work, and every `period` if that is not 0. `stop_asked`: any thread.
  ServiceThread(Memory& memory, bool poison, std::chrono::milliseconds period, std::function<void()> look,
                std::function<bool()> stop_asked)
      : memory_(memory), zeroes_(!poison), look_(std::move(look)), stop_asked_(std::move(stop_asked)),
        thread_([this] { work(); }, period) {}
  // False if the system refused a thread.
  bool start() { return thread_.start(); }
  void stop() { thread_.stop(); }
  // After a collection, never inside a stop: wakes the thread if there is something to do.
  void wake_if_needed();
  // Cheap when the thread is awake.
  void wake() { thread_.wake(); }
  // The program is idle: gives back what it need not find at once. On the thread itself, or in tests instead of it.
  void give_back_when_idle();
  bool is_ending() const { return thread_.is_ending(); }
  std::uint64_t cpu_ns() const { return thread_.cpu_ns(); }
  // In `look` on the thread itself: a collection that it drove has counted its time. [stats.cpu.1]
  void leave_out(std::uint64_t ns) { thread_.leave_out(ns); }
  // Held during each step: whoever holds it finds the thread between two.
  Mutex& gate() { return gate_; }
  bool restart() { return thread_.restart(); }

  // Between its construction and its end no step is on. Waits for the one that is: not for a thread that is held.
  class Aside {
  public:
    explicit Aside(ServiceThread& service) ECHO_NO_THREAD_ANALYSIS : service_(service) {
      service_.aside_.fetch_add(1); // first: else it would have the gate again each time before we are awake
      service_.gate_.lock();
    }
    ~Aside() ECHO_NO_THREAD_ANALYSIS {
      service_.gate_.unlock();
      service_.aside_.fetch_sub(1);
    }
    Aside(const Aside&) = delete;
    Aside& operator=(const Aside&) = delete;

  private:
    ServiceThread& service_;
  };

private:
  void work();
  template <class Step> void repeat(Step step);
  bool has_work();

  Memory& memory_;
  const bool zeroes_; // else freed pages keep the poison
  const std::function<void()> look_;
  const std::function<bool()> stop_asked_;
  Mutex gate_;
  std::atomic<unsigned> aside_{0}; // threads that want no step to begin
  BackgroundThread thread_;
};

} // namespace echo
