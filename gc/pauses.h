// SPDX-License-Identifier: MIT
//
// Purpose     The pauses of all mutators, by cause; stalls; times to safepoint.
// Invariants  [stats.pause.1] Every hold of a mutator is recorded once, on that mutator, from hold to
//             release.
#pragma once

#include "echo/statistics.h"
#include "gc/events.h"
#include "gc/histogram.h"
#include "heap/mutex.h"

namespace echo {

class Pauses {
public:
  explicit Pauses(Events& events) : events_(events) {}

  void record(echo_cause cause, std::uint64_t ns) ECHO_EXCLUDES(mutex_) {
    {
      const MutexLock lock(mutex_);
      all_.add(ns);
      by_cause_[cause].add(ns);
    }
    events_.raise(ECHO_EVENT_pause, cause, 0, ns);
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
    *out = which == ECHO_HISTOGRAM_PAUSES            ? all_
           : which == ECHO_HISTOGRAM_PAUSES_BY_CAUSE ? by_cause_[cause]
           : which == ECHO_HISTOGRAM_STALLS          ? stall_
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
    for (int c = 0; c < ECHO_CAUSE_COUNT; ++c) {
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

  static constexpr int kFirstCauses = 8; // those of the first array
  static_assert(ECHO_CAUSE_COUNT <= 2 * kFirstCauses, "a place for every cause");

  Events& events_;
  Mutex mutex_;
  Histogram all_ ECHO_GUARDED_BY(mutex_);
  Histogram by_cause_[ECHO_CAUSE_COUNT] ECHO_GUARDED_BY(mutex_);
  Histogram stall_ ECHO_GUARDED_BY(mutex_);
  Histogram time_to_safepoint_ ECHO_GUARDED_BY(mutex_);
  Histogram permit_wait_ ECHO_GUARDED_BY(mutex_);
};

} // namespace echo
