// SPDX-License-Identifier: MIT
//
// Purpose     What steps of a cycle have cost of late, each kind by itself, and so how much of a step fits the time that is left
//             of a budget.
// Equations   a kind in units:  units = (left - 5 us) / (2 cost of a unit), at most kMostUnits
//             a kind at once:   fits if  left >= 3/2 cost
//             after a step:     cost = max(its own, but no more than 4 times what was known; what was known, less a share of it:
//                               of 20 ms of such steps one in units forgets 1 - 1/e, one at once 1/32 of it each time)
//             when a budget fitted no step at all:  15/16 cost.  Never below a part of the first guess.
// Why so      A count of slabs and the edge to a cold object differ by ten: one cost for all kinds let the dear ones begin with too
//             little time left, or kept the cheap ones waiting. Edges themselves come in stretches, 20 ns each where caches hold
//             them and 400 where not: so what counts is the dearest of some milliseconds. One step in which the system took the
//             processor is not believed, two are.
// Invariants  [inc.budget.1] A step begins only if what such a step cost of late fits what is left. A cost that was too high
//             once is forgotten by and by, also when nothing fits: no step is refused for ever.
// Threads     One at a time: who drives the cycle.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace echo {

// X(kind, in units, first guess of a unit or of the whole in ns, what such steps are at)
#define ECHO_STEP_TABLE(X)                                                                                   \
  X(retire, false, 20'000, "threads at rest hand over their memory")                                         \
  X(begin, false, 50'000, "the stop in which a mark starts")                                                 \
  X(mark, true, 200, "edges")                                                                                \
  X(end, false, 50'000, "a stop in which a mark ends, or goes on")                                           \
  X(weak, true, 200, "weak slots, ephemerons, finalizable objects")                                          \
  X(count, true, 200, "objects born before the mark")                                                        \
  X(large, true, 200, "large objects")                                                                       \
  X(small, true, 200, "slabs")                                                                               \
  X(pace, false, 20'000, "what may be allocated until the next mark")                                        \
  X(clear, true, 200, "bits of the mark before")                                                             \
  X(trim, true, 200, "memory of the marker")

enum class StepKind : std::uint8_t {
#define ECHO_STEP(kind, in_units, first_ns, steps) kind,
  ECHO_STEP_TABLE(ECHO_STEP)
#undef ECHO_STEP
      count_of_kinds
};

class StepCost {
public:
  static constexpr std::size_t kMostUnits = 256; // about as many edges: tens of microseconds
  static constexpr std::size_t kLeastUnits = 16;

  // Units of such a step that fit, kMostUnits of one that is not in units; 0: none does.
  std::size_t units_that_fit(StepKind kind, std::uint64_t left_ns) const {
    const std::uint64_t cost = cost_[index(kind)];
    if (!kKinds[index(kind)].in_units) {
      return left_ns >= (cost * 3 / 2) >> kFraction ? kMostUnits : 0;
    }
    const std::uint64_t usable = left_ns - std::min(left_ns, kFixedNs);
    const std::uint64_t units = std::min(usable, kMostUsableNs) << (kFraction - 1);
    const std::size_t fit = std::min<std::uint64_t>(kMostUnits, units / cost);
    return fit < kLeastUnits ? 0 : fit;
  }
  void note(StepKind kind, std::uint64_t ns, std::size_t units) {
    const bool in_units = kKinds[index(kind)].in_units;
    const std::uint64_t cost = cost_[index(kind)];
    const std::uint64_t took = std::min(ns, kMostUsableNs);
    const std::uint64_t own = (took << kFraction) / (in_units ? units : 1);
    const std::uint64_t forgotten = in_units ? cost * std::min(took, kMemoryNs) / kMemoryNs + 1 : cost / 32;
    set(kind, std::max(std::min(own, 4 * cost), cost - forgotten));
  }
  // A budget was given in which not even the first step, one of this kind, did fit.
  void refuse(StepKind kind) { set(kind, cost_[index(kind)] - cost_[index(kind)] / 16); }
  std::uint64_t cost_ns(StepKind kind) const { return cost_[index(kind)] >> kFraction; }

private:
  static constexpr unsigned kFraction = 10; // costs are kept in such fractions of a nanosecond
  static constexpr std::uint64_t kFixedNs =
      5'000; // of a step in units: what it costs without any, and the clock
  static constexpr std::uint64_t kMostUsableNs = 1'000'000'000;
  static constexpr std::uint64_t kMemoryNs = 20'000'000;
  struct Kind {
    bool in_units;
    std::uint64_t first_ns;
  };
  static constexpr std::size_t kCount = static_cast<std::size_t>(StepKind::count_of_kinds);
  static constexpr std::array<Kind, kCount> kKinds = {{
#define ECHO_STEP(kind, in_units, first_ns, steps) {in_units, first_ns},
      ECHO_STEP_TABLE(ECHO_STEP)
#undef ECHO_STEP
  }};
  static constexpr std::array<std::uint64_t, kCount> first_guesses() {
    std::array<std::uint64_t, kCount> costs{};
    for (std::size_t i = 0; i < kCount; ++i) {
      costs[i] = kKinds[i].first_ns << kFraction;
    }
    return costs;
  }
  static std::size_t index(StepKind kind) { return static_cast<std::size_t>(kind); }
  void set(StepKind kind, std::uint64_t cost) {
    const Kind& is = kKinds[index(kind)];
    cost_[index(kind)] = std::max(cost, (is.first_ns << kFraction) / (is.in_units ? 16 : 2));
  }

  std::array<std::uint64_t, kCount> cost_ = first_guesses();
};

} // namespace echo
