// SPDX-License-Identifier: MIT
//
// Purpose     What of the memory that is left a mark may let the program use.
// Equations   room: bytes up to the bound that allocation beside a collection has
//             planned = min(room - kept, (room + used - live) / 2): what is born during this mark is kept until the end of the
//             next, so two of them, and what is alive, share the memory. In steps not beyond half the way to pacing's target.
//             Half of that if the program's threads are to mark by themselves [service.way.1]: nothing else hurries.
//             kept = 1/4 room, less what there is besides: holes that are used when nothing else is left
//             for the debt = what of planned is not used yet, at least planned / 16 and at most the room
//             reserve = 3/4 of what is not planned                                                [assist.end.1]
// Threads     begin: in the stop in which a mark starts, or where what comes behind it begins. The others: any thread.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace echo {

class MarkRoom {
public:
  // A mark is wanted and has not begun.
  void want(std::uint64_t room) { reserve_.store(room / 4 * 3, std::memory_order_relaxed); }
  void begin(std::uint64_t used, std::uint64_t room, std::uint64_t live, std::uint64_t besides = 0) {
    const std::uint64_t both = room + used - std::min(room + used, live);
    const std::uint64_t kept = room / 4 - std::min(room / 4, besides);
    begin_with(used, room, std::min(room - kept, both / 2));
  }
  // In steps: pacing decides, since steps that need not hurry would not.
  void begin_in_steps(std::uint64_t used, std::uint64_t room, std::uint64_t live, std::uint64_t target,
                      std::uint64_t besides = 0) {
    begin(used, room, live, besides);
    begin_with(used, room, std::min(planned_, std::max((target - std::min(target, used)) / 2, kLeastRoom)));
  }
  std::uint64_t for_debt(std::uint64_t used, std::uint64_t room) const {
    const std::uint64_t since = used - std::min(used, used_before_);
    return std::min(room, std::max(planned_ - std::min(planned_, since), planned_ / 16));
  }
  // The mark is to end in half of what is left.
  void halve(std::uint64_t used) {
    const std::uint64_t since = std::min(planned_, used - std::min(used, used_before_));
    planned_ = since + (planned_ - since) / 2;
  }
  // Allocation waits for the end.
  bool is_low(std::uint64_t room) const { return room <= reserve_.load(std::memory_order_relaxed); }
  bool is_lowest(std::uint64_t room) const { return room <= reserve_.load(std::memory_order_relaxed) / 4; }

private:
  static constexpr std::uint64_t kLeastRoom = std::uint64_t{1} << 20;

  void begin_with(std::uint64_t used, std::uint64_t room, std::uint64_t planned) {
    planned_ = planned;
    used_before_ = used;
    reserve_.store((room - planned) / 4 * 3, std::memory_order_relaxed);
  }
  std::uint64_t planned_ = 0, used_before_ = 0;
  std::atomic<std::uint64_t> reserve_{0};
};

} // namespace echo
