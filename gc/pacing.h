// SPDX-License-Identifier: MIT
//
// Purpose     When the next collection starts.
// Equations   target: gc/heap_sizing.h, with the end of the memory at the limit, beside the program the bound of 7/8 of it
//             beside the program: duration = live / marking rate + the rest of the last cycle
//             predicted = 5/4 * rate at which memory is taken * duration + reserve: of small holes much is left over
//             start = target - min(predicted, (target - used) / 2), at most bound - max(predicted, 3/8 (bound - used)),
//             and as soon as  target - used + holes < ahead = min(predicted, half of what that was after the last cycle)     [mark.pace.1]
//             after a collection in one stop (gc/at_once.cpp): start = target, the same at most, and nothing ahead
//             tight: what is left up to the end, and the holes, are less than 3/4 of what is alive. Slabs that are filled over half
//             are then allocated in, too: slower than in others, but cheaper than collecting soon (churn over 64 MiB in twice
//             that, without compaction: twice as much is allocated per collection). [sweep.dense.1]
// Threads     One at a time: who drives the cycle.
#pragma once

#include "gc/heap_sizing.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace echo {

class Pacing {
public:
  Pacing(const HeapSizing::Options& sizing, std::size_t limit)
      : sizing_(sizing), limit_(limit), bound_(limit - limit / 8) {}

  // When the next cycle starts: at so many bytes used, or with so many left of holes and empty memory.
  struct Start {
    std::size_t used = 0, ahead = 0;
  };
  // `beside`: while it runs the program goes on.
  Start next_start(const CycleMeasure& cycle, bool beside);
  // Little may be allocated before the next cycle: holes of densely filled slabs are worth the work. Before next_start.
  bool is_tight(const CycleMeasure& cycle, bool beside) const {
    const std::uint64_t end = beside ? bound_ : limit_;
    return end - std::min<std::uint64_t>(end, cycle.used) + cycle.holes < cycle.live / 4 * 3;
  }
  // Used bytes at which that cycle should be over.
  std::size_t target() const { return target_; }
  // What the program is expected to allocate during the next cycle. 0 before the first.
  std::uint64_t predicted() const { return predicted_; }
  std::uint64_t external_allowed(std::uint64_t base) const { return sizing_.external_allowed(base); }

private:
  void learn(const CycleMeasure& cycle);

  HeapSizing sizing_;
  const std::size_t limit_;
  const std::size_t bound_; // Urgency::Beside
  std::size_t target_ = 0;
  double taking_rate_ = 0;  // bytes per ns
  double marking_rate_ = 0; // bytes per ns
  std::uint64_t last_start_ns_ = 0;
  std::uint64_t last_taken_ = 0; // at the last start
  std::uint64_t predicted_ = 0;
};

} // namespace echo
