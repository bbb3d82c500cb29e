// SPDX-License-Identifier: MIT
//
// Purpose     What happened, on its way to listeners.
// Drawing     raise(): any thread, in stops too -> ring of 1024 -> thread of the heap -> listeners
// Invariants  [event.deliver.1] Raising writes one entry under a short lock, and calls nobody. In a stop it does not wake the
//             thread either: who asked for the stop does, behind it. [event.order.1] The ring is first in, first out; full, it loses the
//             newest, and counts them. [event.remove.1] A removal waits while its listener runs, unless it is the caller.
#pragma once

#include "echo/events.h"
#include "echo/statistics.h"
#include "gc/background_thread.h"
#include "heap/mutex.h"

#include <array>
#include <atomic>
#include <string>
#include <vector>

namespace echo {

class Events {
public:
  static constexpr std::size_t kWaiting = 1024;
  static constexpr std::size_t kMostListeners = 64;

  Events();
  // Somebody listens for this kind. Any thread, no lock.
  bool wants(echo_event_kind kind) const { return (kinds_.load(std::memory_order_relaxed) >> kind & 1) != 0; }
  // Outside stops. Does nothing unless wants(kind).
  void raise(echo_event_kind kind, std::uint32_t cause, std::uint32_t phase, std::uint64_t duration_ns,
             std::uint64_t first = 0, std::uint64_t second = 0) ECHO_EXCLUDES(mutex_) {
    if (wants(kind)) {
      put(kind, cause, phase, duration_ns, first, second);
      thread_.wake();
    }
  }
  // In a stop.
  void raise_in_stop(echo_event_kind kind, std::uint32_t cause, std::uint32_t phase,
                     std::uint64_t duration_ns, std::uint64_t first = 0, std::uint64_t second = 0)
      ECHO_EXCLUDES(mutex_) {
    if (wants(kind)) {
      put(kind, cause, phase, duration_ns, first, second);
    }
  }
  // Outside stops: what was raised in the last one is delivered soon.
  void wake() {
    if (kinds_.load(std::memory_order_relaxed) != 0) {
      thread_.wake();
    }
  }
  echo_status add(std::uint64_t kinds, echo_listener_fn listener, void* context, std::uint32_t* out,
                  std::string* why) ECHO_EXCLUDES(mutex_);
  echo_status remove(std::uint32_t listener, std::string* why) ECHO_EXCLUDES(mutex_);
  // In the child of a fork.
  bool restart() ECHO_EXCLUDES(mutex_) {
    {
      const MutexLock lock(mutex_);
      running_ = 0;
    }
    return thread_.restart();
  }
  // Ends the thread; what waits is delivered on the calling one.
  void end() ECHO_EXCLUDES(mutex_);

private:
  struct Listener {
    std::uint32_t number;
    std::uint64_t kinds;
    echo_listener_fn listener;
    void* context;
  };
  void put(echo_event_kind kind, std::uint32_t cause, std::uint32_t phase, std::uint64_t duration_ns,
           std::uint64_t first, std::uint64_t second) ECHO_EXCLUDES(mutex_);
  void deliver() ECHO_EXCLUDES(mutex_);
  bool next(echo_event* out) ECHO_EXCLUDES(mutex_);
  void note_kinds() ECHO_REQUIRES(mutex_);

  std::atomic<std::uint64_t> kinds_{0}; // that somebody listens for
  Mutex mutex_;
  std::array<echo_event, kWaiting> ring_ ECHO_GUARDED_BY(mutex_){};
  std::size_t first_ ECHO_GUARDED_BY(mutex_) = 0, count_ ECHO_GUARDED_BY(mutex_) = 0;
  std::uint64_t lost_ ECHO_GUARDED_BY(mutex_) = 0;
  std::vector<Listener> listeners_ ECHO_GUARDED_BY(mutex_); // by number
  std::uint32_t last_number_ ECHO_GUARDED_BY(mutex_) = 0;
  std::uint32_t running_ ECHO_GUARDED_BY(mutex_) = 0; // the listener that is called now
  pthread_t delivers_ ECHO_GUARDED_BY(mutex_){};      // on this thread
  bool started_ ECHO_GUARDED_BY(mutex_) = false;
  BackgroundThread thread_;
};

} // namespace echo
