// SPDX-License-Identifier: MIT
//
// Purpose     Which steps fit a budget, with costs of the test's own: nothing here takes time.
#include "gc/step_cost.h"

#include <gtest/gtest.h>

namespace echo {
namespace {

constexpr std::uint64_t kUs = 1000;

// Steps of `cost_ns` a unit, until none fits; what they took.
std::uint64_t spend(StepCost* cost, std::uint64_t budget_ns, std::uint64_t unit_ns) {
  std::uint64_t used = 0;
  while (used < budget_ns) {
    const std::size_t units = cost->units_that_fit(budget_ns - used);
    if (units == 0) {
      break;
    }
    used += units * unit_ns;
    cost->note_step(units * unit_ns, units);
  }
  return used;
}

TEST(StepCost, StepsOfKnownCostStayInTheBudget) { // [inc.budget.1]
  for (const std::uint64_t unit_ns : {20u, 200u, 1500u}) {
    StepCost cost;
    (void)cost.units_that_fit(1000 * kUs);
    cost.note_step(StepCost::kLeastUnits * unit_ns, StepCost::kLeastUnits);
    for (const std::uint64_t budget : {100 * kUs, 500 * kUs, 5000 * kUs}) {
      for (int i = 0; i < 50; ++i) {
        const std::uint64_t used = spend(&cost, budget, unit_ns);
        ASSERT_LE(used, budget) << unit_ns << " ns a unit";
        const std::uint64_t least_step =
            2 * StepCost::kLeastUnits * (unit_ns + 1); // what must be left for one to begin
        ASSERT_GE(used + least_step, budget) << "no step that fits is refused";
      }
    }
  }
}

TEST(StepCost, NoStepIsMoreThanTheMost) {
  StepCost cost;
  cost.note_step(1, 1000);
  for (int i = 0; i < 100; ++i) {
    cost.note_step(1, 1000); // as cheap as can be
  }
  EXPECT_EQ(cost.units_that_fit(UINT64_MAX), StepCost::kMostUnits);
  EXPECT_EQ(cost.units_that_fit(0), 0u);
}

TEST(StepCost, OneSlowStepIsForgotten) {
  StepCost cost;
  cost.note_step(1000 * kUs, StepCost::kLeastUnits); // the system took the processor
  EXPECT_EQ(cost.units_that_fit(100 * kUs), 0u);
  int refused = 1;
  while (cost.units_that_fit(100 * kUs) == 0) {
    ASSERT_LT(++refused, 60);
  }
  EXPECT_GT(refused, 5) << "but not at once";
}

TEST(StepCost, StopsNeedTheirRoom) {
  StepCost cost;
  EXPECT_FALSE(cost.stop_fits(StepCost::kStopNsAtFirst)) << "half as much again";
  EXPECT_TRUE(cost.stop_fits(StepCost::kStopNsAtFirst * 3 / 2));
  cost.note_stop(400 * kUs);
  EXPECT_FALSE(cost.stop_fits(500 * kUs));
  EXPECT_TRUE(cost.stop_fits(600 * kUs));
  int refused = 0;
  while (!cost.stop_fits(100 * kUs)) {
    ASSERT_LT(++refused, 60);
  }
  EXPECT_GT(refused, 5);
}

} // namespace
} // namespace echo
