// SPDX-License-Identifier: MIT
//
// Purpose     The background thread of a heap for pages: brings memory in ahead of the program, zeroes freed pages of
//             large objects, and gives empty memory back after a collection; outside stops, in bounded steps (one
//             chunk, or 64 KiB of pages, at a time).
// Invariants  [sweep.os.1] No page is given back inside a stop or by a mutator. [service.keep.1] What the next cycle needs
//             stays, unless the program is idle [service.idle.1].
#pragma once

#include "gc/background_thread.h"
#include "heap/memory.h"

namespace echo {

class ServiceThread {
public:
  // `look` is called at the end of its work, and every `period` if that is not 0.
  ServiceThread(Memory& memory, bool poison, std::chrono::milliseconds period, std::function<void()> look)
      : memory_(memory), zeroes_(!poison), look_(std::move(look)), thread_([this] { work(); }, period) {}
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

private:
  void work();
  template <class Step> void repeat(Step step);
  bool has_work();

  Memory& memory_;
  const bool zeroes_; // else freed pages keep the poison
  const std::function<void()> look_;
  Mutex gate_;
  BackgroundThread thread_;
};

} // namespace echo
