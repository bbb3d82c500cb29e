// SPDX-License-Identifier: MIT
//
// Purpose     What steps of a cycle have cost of late, and so which of them fits the time that is left of a budget.
// Equations   a stop:  fits if  left >= 3/2 max(cost, kStopNsAtFirst);   cost = max(last, 7/8 cost)
//             a step:  units = left / (2 cost of a unit), at most kMostUnits;   cost = max(last / units + 1, 7/8 cost)
// Invariants  [inc.budget.1] A step begins only if what such a step cost of late fits what is left. A cost that was too high
//             once is forgotten by and by, also when nothing fits: no step is refused for ever.
// Threads     One at a time: who drives the cycle.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace echo {

class StepCost {
public:
  static constexpr std::size_t kMostUnits = 256; // about as many edges: tens of microseconds
  static constexpr std::size_t kLeastUnits = 16;
  static constexpr std::uint64_t kStopNsAtFirst = 50'000;

  bool stop_fits(std::uint64_t left_ns) {
    if (left_ns < std::max(stop_ns_, kStopNsAtFirst) * 3 / 2) {
      stop_ns_ -= stop_ns_ / 8;
      return false;
    }
    return true;
  }
  // Units of a step that fits; 0: none does.
  std::size_t units_that_fit(std::uint64_t left_ns) {
    const std::size_t units =
        std::min<std::uint64_t>(kMostUnits, left_ns / 2 / std::max<std::uint64_t>(unit_ns_, 1));
    if (units < kLeastUnits) {
      unit_ns_ -= unit_ns_ / 8;
      return 0;
    }
    return units;
  }
  void note_stop(std::uint64_t ns) { stop_ns_ = std::max(ns, stop_ns_ - stop_ns_ / 8); }
  void note_step(std::uint64_t ns, std::size_t units) {
    unit_ns_ = std::max(ns / units + 1, unit_ns_ - unit_ns_ / 8);
  }

private:
  std::uint64_t stop_ns_ = 0, unit_ns_ = 200;
};

} // namespace echo
