// SPDX-License-Identifier: MIT
//
// Purpose     The work that is done while a mutator is held, counted and not timed, and its caps.
// Drawing     one unit is about what 8 root words cost:
//             a thread (its memory and log are taken) 16   a frame 4   a root word 1/8   a log record 1/8   an edge 1/2
//             what a stop that is a whole cycle does besides: in units of 40 ns (gc/at_once.cpp)
// Invariants  [stop.budget.1] Every hold of a mutator has its count; the largest ever seen of each kind is in the
//             statistics. No hold does more than its cap, which depends on nothing but the number of threads that ran. What the
//             VM's own code decides - ambiguous words, references that root callbacks visit, slots of one frame, frames of a
//             source without polled returns - is counted apart, as `others`, and no part of what is capped.
// Threads     Counted by whoever works; the largest ones are atomics.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace echo {

// X(kind, units at most, and of these per thread that ran, hold): the table of docs/pauses.md, which a test compares.
#define ECHO_HOLD_TABLE(X)                                                                                   \
  X(mark_start, 1024, 96, "the stop in which a mark starts")                                                 \
  X(mark_end, 192, 80, "a stop in which a mark ends, or goes on")                                            \
  X(frames, 512, 0, "a thread visits its own older frames, or its youngest when it notices a mark")          \
  X(assist, 192, 0, "a thread marks a slice, or takes a step of mode incremental")

enum class Hold : std::uint8_t {
#define ECHO_HOLD(kind, fixed, per_thread, sentence) kind,
  ECHO_HOLD_TABLE(ECHO_HOLD)
#undef ECHO_HOLD
      count_of_kinds
};

struct HoldCap {
  std::uint64_t fixed, per_thread;
  constexpr std::uint64_t of(std::uint64_t threads) const { return fixed + per_thread * threads; }
};

constexpr HoldCap cap_of(Hold kind) {
  constexpr std::array<HoldCap, static_cast<std::size_t>(Hold::count_of_kinds)> kCaps = {{
#define ECHO_HOLD(kind, fixed, per_thread, sentence) {fixed, per_thread},
      ECHO_HOLD_TABLE(ECHO_HOLD)
#undef ECHO_HOLD
  }};
  return kCaps[static_cast<std::size_t>(kind)];
}

struct WorkUnits {
  std::uint64_t threads = 0, frames = 0, words = 0, records = 0, edges = 0;
  std::uint64_t rest = 0;   // units: of a cycle in one stop
  std::uint64_t others = 0; // words
  std::uint64_t capped() const {
    return 16 * threads + 4 * frames + (words + records) / 8 + edges / 2 + rest;
  }
  void add(const WorkUnits& more) {
    threads += more.threads;
    frames += more.frames;
    words += more.words;
    records += more.records;
    edges += more.edges;
    rest += more.rest;
    others += more.others;
  }
  std::uint64_t total() const { return capped() + others / 8; }
};

class HeldUnits {
public:
  void note(Hold kind, const WorkUnits& work) {
    std::atomic<std::uint64_t>& most = largest_[static_cast<std::size_t>(kind)];
    const std::uint64_t units = work.total();
    std::uint64_t largest = most.load(std::memory_order_relaxed);
    while (units > largest && !most.compare_exchange_weak(largest, units, std::memory_order_relaxed)) {
    }
    if (work.capped() > cap_of(kind).of(work.threads)) {
      over_cap_.fetch_add(1, std::memory_order_relaxed);
    }
  }
  std::uint64_t largest(Hold kind) const {
    return largest_[static_cast<std::size_t>(kind)].load(std::memory_order_relaxed);
  }
  // Holds that did more than their cap.
  std::uint64_t over_cap() const { return over_cap_.load(std::memory_order_relaxed); }

private:
  std::array<std::atomic<std::uint64_t>, static_cast<std::size_t>(Hold::count_of_kinds)> largest_{};
  std::atomic<std::uint64_t> over_cap_{0};
};

} // namespace echo
