// SPDX-License-Identifier: MIT
//
// Purpose     The work that is done while a mutator is held, counted and not timed.
// Drawing     one unit is about what 8 root words cost:
//             a thread (its memory and log are taken) 16   a frame 4   a root word 1/8   a log record 1/8   an edge 1/2
// Invariants  [stop.budget.1] Every hold of a mutator has its count; the largest ever seen of each kind is in the
//             statistics, and docs/pauses.md has the cap of each kind and what a unit costs.
// Threads     Counted by whoever works; the largest ones are atomics.
#pragma once

#include <atomic>
#include <cstdint>

namespace echo {

struct WorkUnits {
  std::uint64_t threads = 0, frames = 0, words = 0, records = 0, edges = 0;
  std::uint64_t total() const { return 16 * threads + 4 * frames + (words + records) / 8 + edges / 2; }
};

class LargestUnits {
public:
  void note(const WorkUnits& work) {
    const std::uint64_t units = work.total();
    std::uint64_t largest = largest_.load(std::memory_order_relaxed);
    while (units > largest && !largest_.compare_exchange_weak(largest, units, std::memory_order_relaxed)) {
    }
  }
  std::uint64_t get() const { return largest_.load(std::memory_order_relaxed); }

private:
  std::atomic<std::uint64_t> largest_{0};
};

} // namespace echo
