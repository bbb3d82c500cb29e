// SPDX-License-Identifier: MIT
//
// Purpose     The equations of pacing.h.
#include "gc/pacing.h"

#include <algorithm>

namespace echo {

namespace {

constexpr std::uint64_t kReserve = std::uint64_t{512} << 10;

double per_ns(std::uint64_t bytes, std::uint64_t ns) {
  return static_cast<double>(bytes) / static_cast<double>(std::max<std::uint64_t>(ns, 1));
}

} // namespace

void Pacing::learn(const CycleMeasure& cycle) {
  // The faster of: while it ran, since the one before started. Half of what was known stays.
  double rate = per_ns(cycle.taken_end - cycle.taken_start, cycle.total_ns);
  if (cycle.while_idle) {
    rate = std::max(rate, taking_rate_); // it may go on as it did
  }
  if (last_start_ns_ != 0) {
    rate = std::max(rate, per_ns(cycle.taken_start - last_taken_, cycle.start_ns - last_start_ns_));
  }
  taking_rate_ = std::max(rate, (taking_rate_ + rate) / 2);
  const double marking = per_ns(cycle.live, cycle.mark_ns);
  marking_rate_ = marking_rate_ == 0 ? marking : (marking_rate_ + marking) / 2;
  last_start_ns_ = cycle.start_ns;
  last_taken_ = cycle.taken_start;
  const double duration = static_cast<double>(cycle.live) / std::max(marking_rate_, 1e-9) +
                          static_cast<double>(cycle.total_ns - cycle.mark_ns);
  predicted_ = static_cast<std::uint64_t>(1.25 * taking_rate_ * duration) + kReserve;
}

Pacing::Start Pacing::next_start(const CycleMeasure& cycle, bool beside) {
  // Beside a cycle allocation goes on to the bound, so that is where the memory ends.
  const std::uint64_t end = beside ? bound_ : limit_;
  const std::uint64_t target = sizing_.target(cycle, end);
  target_ = target;
  if (!beside) {
    return {target, 0};
  }
  learn(cycle);
  const std::uint64_t room = target - std::min(target, cycle.used);
  // If the next one is over at once like this one, nothing is allocated beside it.
  const std::uint64_t start = cycle.at_once ? target : target - std::min(predicted_, room / 2);
  const std::uint64_t left = end - std::min<std::uint64_t>(end, cycle.used);
  const std::uint64_t latest = end - std::min<std::uint64_t>(std::max(predicted_, left / 8 * 3), end);
  const std::uint64_t ahead = cycle.at_once ? 0 : std::min(predicted_, (room + cycle.holes) / 2);
  return {std::max(std::min(start, latest), std::min<std::uint64_t>(cycle.used, limit_)), ahead};
}

} // namespace echo
