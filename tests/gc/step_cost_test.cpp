// SPDX-License-Identifier: MIT
//
// Purpose     Which steps fit a budget, with costs of the test's own: nothing here takes time.
#include "gc/step_cost.h"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace echo {
namespace {

constexpr std::uint64_t kUs = 1000;
constexpr std::size_t kKinds = static_cast<std::size_t>(StepKind::count_of_kinds);

// Steps of `unit_ns` a unit, until none fits; what they took.
std::uint64_t spend(StepCost* cost, StepKind kind, std::uint64_t budget_ns, std::uint64_t unit_ns) {
  std::uint64_t used = 0;
  while (used < budget_ns) {
    const std::size_t units = cost->units_that_fit(kind, budget_ns - used);
    if (units == 0) {
      break;
    }
    used += units * unit_ns;
    cost->note(kind, units * unit_ns, units);
  }
  return used;
}

TEST(StepCost, StepsOfKnownCostStayInTheBudget) { // [inc.budget.1]
  for (const std::uint64_t unit_ns : {20u, 200u, 1500u}) {
    StepCost cost;
    for (int i = 0; i < 1'000'000; ++i) {
      cost.note(StepKind::mark, StepCost::kLeastUnits * unit_ns, StepCost::kLeastUnits);
    }
    for (const std::uint64_t budget : {100 * kUs, 500 * kUs, 5000 * kUs}) {
      for (int i = 0; i < 50; ++i) {
        const std::uint64_t used = spend(&cost, StepKind::mark, budget, unit_ns);
        ASSERT_LE(used, budget) << unit_ns << " ns a unit";
        const std::uint64_t least_step = // what must be left for one to begin
            5 * kUs + 2 * StepCost::kLeastUnits * (unit_ns + 1);
        ASSERT_GE(used + least_step, budget) << "no step that fits is refused";
      }
    }
  }
}

TEST(StepCost, EachKindHasACostOfItsOwn) {
  StepCost cost;
  for (int i = 0; i < 20; ++i) {
    cost.note(StepKind::small, 256 * 2000, 256); // 2 us a slab
    cost.note(StepKind::begin, 300 * kUs, 1);
    for (int k = 0; k < 1000; ++k) {
      cost.note(StepKind::mark, 256 * 40, 256);
      cost.note(StepKind::end, 30 * kUs, 1);
    }
  }
  EXPECT_EQ(cost.units_that_fit(StepKind::mark, 100 * kUs), StepCost::kMostUnits);
  EXPECT_EQ(cost.units_that_fit(StepKind::small, 101 * kUs), 24u);
  EXPECT_NE(cost.units_that_fit(StepKind::end, 100 * kUs), 0u);
  EXPECT_EQ(cost.units_that_fit(StepKind::begin, 400 * kUs), 0u);
  EXPECT_NE(cost.units_that_fit(StepKind::begin, 450 * kUs), 0u);
}

TEST(StepCost, NoStepIsMoreThanTheMost) {
  StepCost cost;
  for (int i = 0; i < 100'000; ++i) {
    cost.note(StepKind::clear, 1000, 100'000); // as cheap as can be
  }
  EXPECT_EQ(cost.units_that_fit(StepKind::clear, UINT64_MAX), StepCost::kMostUnits);
  EXPECT_EQ(cost.units_that_fit(StepKind::clear, 0), 0u);
}

TEST(StepCost, OneSlowStepIsNotBelievedTwoAre) {
  StepCost cost;
  const std::uint64_t before = cost.cost_ns(StepKind::mark);
  cost.note(StepKind::mark, 10'000 * kUs, StepCost::kLeastUnits); // the system took the processor
  EXPECT_EQ(cost.cost_ns(StepKind::mark), 4 * before);
  for (int i = 0; i < 10; ++i) {
    cost.note(StepKind::mark, 10'000 * kUs, StepCost::kLeastUnits);
  }
  EXPECT_EQ(cost.cost_ns(StepKind::mark), 10'000 * kUs / StepCost::kLeastUnits);
}

TEST(StepCost, WhatDoesNotFitIsForgotten) {
  for (std::size_t k = 0; k < kKinds; ++k) {
    const auto kind = static_cast<StepKind>(k);
    StepCost cost;
    for (int i = 0; i < 10; ++i) {
      cost.note(kind, 1000 * kUs, StepCost::kLeastUnits);
    }
    int refused = 0;
    while (cost.units_that_fit(kind, 100 * kUs) == 0) {
      cost.refuse(kind);
      ASSERT_LT(++refused, 200) << k;
    }
    EXPECT_GT(refused, 5) << "but not at once";
  }
}

// A machine whose steps cost what a distribution of their kind says, some of them several times as much.
class Machine {
public:
  explicit Machine(std::uint64_t seed) : random_(seed) {
    for (std::size_t k = 0; k < kKinds; ++k) {
      ns_[k] = in_units(static_cast<StepKind>(k)) ? 20 + random_() % 300 : (5 + random_() % 60) * kUs;
    }
  }
  static bool in_units(StepKind kind) {
    switch (kind) {
    case StepKind::retire:
    case StepKind::begin:
    case StepKind::end:
    case StepKind::pace:
      return false;
    default:
      return true;
    }
  }
  StepKind next() { return static_cast<StepKind>(random_() % kKinds); }
  std::uint64_t take(StepKind kind, std::size_t units) {
    const std::uint64_t ns = ns_[static_cast<std::size_t>(kind)] * (in_units(kind) ? units : 1);
    if (kind == StepKind::mark && random_() % 300 == 0) { // out of the cache's reach, and back
      ns_[static_cast<std::size_t>(kind)] = random_() % 2 == 0 ? 20 : 300;
    }
    const std::uint64_t factor = 70 + random_() % 60 + (random_() % 50 == 0 ? random_() % 150 : 0); // percent
    return ns * factor / 100;
  }

private:
  std::mt19937_64 random_;
  std::array<std::uint64_t, kKinds> ns_{};
};

TEST(StepCost, OvershootIsRareAndSmall) { // [inc.budget.1]
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    for (const std::uint64_t budget : {200 * kUs, 500 * kUs, 1000 * kUs}) {
      Machine machine(seed);
      StepCost cost;
      std::size_t over = 0;
      std::uint64_t used_in_all = 0;
      constexpr std::size_t kCalls = 5000;
      for (std::size_t call = 0; call < kCalls; ++call) {
        std::uint64_t used = 0;
        while (used < budget) {
          const StepKind kind = machine.next();
          const std::size_t units = cost.units_that_fit(kind, budget - used);
          if (units == 0) {
            if (used == 0) {
              cost.refuse(kind);
            }
            break;
          }
          const std::uint64_t ns = machine.take(kind, units);
          used += ns;
          cost.note(kind, ns, units);
        }
        over += used > budget ? 1 : 0;
        used_in_all += used;
      }
      EXPECT_LT(over, kCalls / 100) << "seed " << seed << ", " << budget / kUs << " us";
      EXPECT_GT(used_in_all, kCalls * budget / 3) << "seed " << seed << ", " << budget / kUs << " us";
    }
  }
}

} // namespace
} // namespace echo
