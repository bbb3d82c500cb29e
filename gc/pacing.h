// SPDX-License-Identifier: MIT
//
// Purpose     When the next collection starts.
// Equations   headroom = max(live * (growth - 100 %), least),  least = the option trigger, or
//             min(32 MiB, max(1 MiB, kBytesPerGcNs * t)) with t the CPU time of the last collection
//             target = used + max(0, headroom - holes), at most the limit, beside the program the bound of 7/8 of it
//             beside the program: duration = live / marking rate + the rest of the last cycle
//             predicted = 5/4 * allocation rate * duration + reserve
//             start = target - min(predicted, (target - used) / 2), at most bound - max(predicted, (bound - used) / 4)     [mark.pace.1]
//             An adapting trigger keeps a program with little alive in the caches: while a collection costs
//             10 us, one per MiB is cheaper than streaming through memory (measured, 24-byte objects: 2.4 ns
//             each at 512 KiB, 4.6 at 32 MiB). kBytesPerGcNs bounds what that costs: at 5 bytes allocated per
//             ns, 100 is 5 % of the time.
// Threads     One at a time: who drives the cycle.
#pragma once

#include "heap/config.h"

#include <cstddef>
#include <cstdint>

namespace echo {

// One finished cycle.
struct CycleMeasure {
  std::uint64_t live = 0;            // bytes marked
  std::uint64_t used = 0;            // after the sweep
  std::uint64_t holes = 0;           // recyclable
  std::uint64_t cpu_ns = 0;          // without counting objects
  std::uint64_t start_ns = 0;        // monotonic
  std::uint64_t mark_ns = 0;         // from the start to the end of marking
  std::uint64_t total_ns = 0;        // from the start to the end of sweeping
  std::uint64_t allocated_start = 0; // cumulative bytes when it started and when it ended
  std::uint64_t allocated_end = 0;
};

class Pacing {
public:
  Pacing(std::uint64_t growth_percent, std::size_t fixed_trigger, std::size_t limit)
      : growth_percent_(growth_percent), fixed_trigger_(fixed_trigger), limit_(limit),
        bound_(limit - limit / 8) {}

  // Used bytes at which the next cycle starts; `beside`: while it runs the program goes on.
  std::size_t next_start(const CycleMeasure& cycle, bool beside);
  // Used bytes at which that cycle should be over.
  std::size_t target() const { return target_; }
  // What the program is expected to allocate during the next cycle. 0 before the first.
  std::uint64_t predicted() const { return predicted_; }

private:
  void learn(const CycleMeasure& cycle);

  const std::uint64_t growth_percent_;
  const std::size_t fixed_trigger_;
  const std::size_t limit_;
  const std::size_t bound_; // Urgency::Beside
  std::size_t target_ = 0;
  double allocation_rate_ = 0; // bytes per ns
  double marking_rate_ = 0;    // bytes per ns
  std::uint64_t last_start_ns_ = 0;
  std::uint64_t last_allocated_ = 0; // at the last start
  std::uint64_t predicted_ = 0;
};

} // namespace echo
