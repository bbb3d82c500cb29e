// SPDX-License-Identifier: MIT
//
// Purpose     The pauses of all mutators, by cause, raw and net; the windows of time in which they lost most; stalls; times to
//             safepoint.
// Equations   net = raw - what the critical path waited for a processor.  The critical path of a stop: the last thread to arrive,
//             from the request until it has done the work, then the held thread itself, until it runs on. Of any other pause:
//             the held thread. (gc/safepoint.cpp, gc/run_queue.h)
// Invariants  [stats.pause.1] Every hold of a mutator is recorded once, on that mutator, from hold to
//             release. [pause.net.1] Both distributions have every pause; no net one is longer than its raw one; what is
//             subtracted is never more than what was waited. [pause.mmu.1] The utilisation is that of raw pauses, the least of
//             all threads.
#pragma once

#include "echo/statistics.h"
#include "gc/events.h"
#include "gc/histogram.h"
#include "gc/run_queue.h"
#include "gc/utilisation.h"
#include "heap/mutex.h"

namespace echo {

struct Pause {
  echo_cause cause;
  std::uint64_t start, end; // by the clock
  std::uint64_t ns;         // of that: held, and not waiting for a turn to run
  std::uint64_t waited;     // of that: by the critical path, for a processor
};

class Pauses {
public:
  explicit Pauses(Events& events) : events_(events) {}

  // On the thread that was held.
  void record(Utilisation& of, const Pause& pause) ECHO_EXCLUDES(mutex_) {
    const bool is_worst = of.add(pause.start, pause.end, pause.ns);
    const std::uint64_t net = pause.ns - std::min(pause.ns, pause.waited);
    {
      const MutexLock lock(mutex_);
      all_.add(pause.ns);
      by_cause_[pause.cause].add(pause.ns);
      net_.add(net);
      net_by_cause_[pause.cause].add(net);
      for (std::size_t i = 0; is_worst && i < longest_.size(); ++i) {
        longest_[i] = std::max(longest_[i], of.longest()[i]);
      }
    }
    events_.raise(ECHO_EVENT_pause, pause.cause, 0, pause.ns);
  }
  void record_stall(std::uint64_t ns) ECHO_EXCLUDES(mutex_) {
    {
      const MutexLock lock(mutex_);
      stall_.add(ns);
    }
    events_.raise(ECHO_EVENT_stall, 0, 0, ns);
  }
  // A copy.
  void copy(echo_histogram which, std::uint32_t cause, Histogram* out) ECHO_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    *out = which == ECHO_HISTOGRAM_PAUSES                ? all_
           : which == ECHO_HISTOGRAM_PAUSES_BY_CAUSE     ? by_cause_[cause]
           : which == ECHO_HISTOGRAM_PAUSES_NET          ? net_
           : which == ECHO_HISTOGRAM_PAUSES_NET_BY_CAUSE ? net_by_cause_[cause]
           : which == ECHO_HISTOGRAM_STALLS              ? stall_
                                                         : time_to_safepoint_;
  }
  // A thread waited for its turn to run: no pause.
  void record_permit_wait(std::uint64_t ns) ECHO_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    permit_wait_.add(ns);
  }
  void record_time_to_safepoint(std::uint64_t ns) ECHO_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    time_to_safepoint_.add(ns);
  }
  void report(echo_statistics* out) ECHO_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    out->pause_us = summarise(all_);
    out->pause_net_us = summarise(net_);
    out->run_queue_known = is_net_ ? 1 : 0;
    out->mmu_1ms = utilisation(0);
    out->mmu_10ms = utilisation(1);
    out->mmu_100ms = utilisation(2);
    for (int c = 0; c < ECHO_CAUSE_COUNT; ++c) {
      out->pause_net_by_cause_us[c] = summarise(net_by_cause_[c]);
      echo_distribution& one =
          c < kFirstCauses ? out->pause_by_cause_us[c] : out->pause_by_later_cause_us[c - kFirstCauses];
      one = summarise(by_cause_[c]);
    }
    out->stall_us = summarise(stall_);
    out->time_to_safepoint_us = summarise(time_to_safepoint_);
    out->permit_wait_us = summarise(permit_wait_);
  }

private:
  static echo_distribution summarise(const Histogram& h) {
    const auto us = [](std::uint64_t ns) { return static_cast<double>(ns) / 1000.0; };
    return {
        h.count(),   us(h.quantile(0.5)), us(h.quantile(0.9)), us(h.quantile(0.99)), us(h.quantile(0.999)),
        us(h.max()), us(h.sum())};
  }

  double utilisation(std::size_t window) const ECHO_REQUIRES(mutex_) {
    return 1 - static_cast<double>(longest_[window]) / static_cast<double>(kUtilisationWindowsNs[window]);
  }

  static constexpr int kFirstCauses = 8; // those of the first array
  static_assert(ECHO_CAUSE_COUNT <= 2 * kFirstCauses, "a place for every cause");

  Events& events_;
  const bool is_net_ = RunQueue::is_known(); // [pause.source.1]
  Mutex mutex_;
  LongestLosses longest_ ECHO_GUARDED_BY(mutex_){};
  Histogram net_ ECHO_GUARDED_BY(mutex_);
  Histogram net_by_cause_[ECHO_CAUSE_COUNT] ECHO_GUARDED_BY(mutex_);
  Histogram all_ ECHO_GUARDED_BY(mutex_);
  Histogram by_cause_[ECHO_CAUSE_COUNT] ECHO_GUARDED_BY(mutex_);
  Histogram stall_ ECHO_GUARDED_BY(mutex_);
  Histogram time_to_safepoint_ ECHO_GUARDED_BY(mutex_);
  Histogram permit_wait_ ECHO_GUARDED_BY(mutex_);
};

} // namespace echo
