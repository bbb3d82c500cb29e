// SPDX-License-Identifier: MIT
//
// Purpose     How long a thread has been runnable without running, as the kernel counts it: what the machine, and not the
//             collector, adds to a pause.
// Source      The second number of /proc/thread-self/schedstat, opened once per thread and read in place: about 1 us a reading
//             (CLOCK_THREAD_CPUTIME_ID, which costs as much, does not tell waiting for a processor from sleeping).
//             The kernel adds a wait when it is over: of another thread that waits at this moment the last wait is missing.
// Equations   looked: the time of a reading;  v(t): what the kernel had counted at t
//             waited in [start, now]  >=  v(now) - v(looked) - max(0, start - looked)
// Invariants  [pause.source.1] A kernel that does not count, or a file that cannot be opened, is a wait of 0: then net = raw. At most
//             kMostFiles threads of a process have a file open. [pause.least.1] What is said of a stretch is never more than
//             what the thread waited in it.
#pragma once

#include <cstdint>

namespace echo {

class RunQueue {
public:
  // What lasted less is not looked into: a reading costs a twentieth of it.
  static constexpr std::uint64_t kWorthNs = 20'000;
  static constexpr int kMostFiles = 64;
  static constexpr const char* kFile = "/proc/thread-self/schedstat";

  RunQueue() = default;
  ~RunQueue() { close(); }
  RunQueue(const RunQueue&) = delete;
  RunQueue& operator=(const RunQueue&) = delete;

  // On the thread that it is of from now on.
  void open(const char* file = kFile);
  void close();
  bool is_open() const { return file_ >= 0; }
  // The one that the calling thread opened last and that is not closed; null.
  static RunQueue* mine();
  // Whether this kernel counts.
  static bool is_known();

  // All that the thread has waited so far, in nanoseconds; 0 without a source. Any thread.
  std::uint64_t read() const;
  // On the thread itself: a reading to compare with.
  void look();
  // The same, unless there has just been one.
  void look_anew();
  // Waited since the last reading.
  std::uint64_t since_look() const;
  // Waited in [start, now], at least; and a reading.
  std::uint64_t waited_since(std::uint64_t start);

private:
  int file_ = -1;
  std::uint64_t looked_ns_ = 0, waited_ = 0; // the last reading
};

} // namespace echo
