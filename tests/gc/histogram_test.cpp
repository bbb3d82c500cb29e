// SPDX-License-Identifier: MIT
//
// Purpose     The histogram's promise: every quantile within 1 %, count, sum and maximum exact.
#include "gc/histogram.h"

#include "gc/pauses.h"
#include "tests/heap/seed.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <vector>

namespace echo {
namespace {

TEST(Histogram, EveryValueIsWithinOnePercentOfItsBucket) {
  SCOPED_TRACE(test::seed_message());
  test::Random random(test::test_seed());
  const auto check = [](std::uint64_t v) {
    const std::uint64_t upper = Histogram::upper_bound(Histogram::bucket_of(v));
    ASSERT_GE(upper, v);
    ASSERT_LE(static_cast<double>(upper - v), 0.01 * static_cast<double>(v)) << v;
    if (v > 0) {
      ASSERT_LE(Histogram::bucket_of(v - 1), Histogram::bucket_of(v)) << "buckets are in order";
      ASSERT_LT(Histogram::bucket_of(upper), Histogram::bucket_of(upper + 1))
          << "the bound is the last value";
    }
  };
  for (std::uint64_t v = 0; v < 5000; ++v) {
    check(v);
  }
  for (int i = 0; i < 100000; ++i) {
    check(random.next() >> random.between(23, 63)); // below 2^41
  }
}

TEST(Histogram, QuantilesAgainstSortedValues) {
  SCOPED_TRACE(test::seed_message());
  test::Random random(test::test_seed());
  for (int round = 0; round < 50; ++round) {
    const auto histogram = std::make_unique<Histogram>();
    std::vector<std::uint64_t> values;
    std::uint64_t sum = 0;
    const std::size_t count = random.between(1, 3000);
    for (std::size_t i = 0; i < count; ++i) {
      values.push_back(random.next() >> random.between(24, 63));
      sum += values.back();
      histogram->add(values.back());
    }
    std::sort(values.begin(), values.end());
    ASSERT_EQ(histogram->count(), count);
    ASSERT_EQ(histogram->sum(), sum);
    ASSERT_EQ(histogram->max(), values.back());
    for (const double share : {0.0, 0.1, 0.5, 0.9, 0.99, 0.999, 1.0}) {
      std::size_t rank = 0; // of the smallest value that at least the share of all does not exceed
      while (static_cast<double>(rank + 1) < share * static_cast<double>(count)) {
        ++rank;
      }
      const std::uint64_t exact = values[rank];
      const std::uint64_t got = histogram->quantile(share);
      ASSERT_GE(got, exact) << share;
      ASSERT_LE(static_cast<double>(got - exact), 0.01 * static_cast<double>(exact)) << share;
    }
  }
}

TEST(Histogram, EmptyAndExtreme) {
  const auto histogram = std::make_unique<Histogram>();
  EXPECT_EQ(histogram->quantile(0.5), 0u);
  EXPECT_EQ(histogram->max(), 0u);
  histogram->add(UINT64_MAX / 2);
  histogram->add(std::uint64_t{1} << 50); // both over the range: counted in the last bucket
  EXPECT_EQ(histogram->count(), 2u);
  EXPECT_EQ(histogram->max(), UINT64_MAX / 2);
  EXPECT_LE(histogram->quantile(1.0), histogram->max());
}

TEST(Pauses, AreReportedInMicrosecondsByCause) { // [stats.pause.1]
  Events events;
  const auto pauses = std::make_unique<Pauses>(events);
  const auto thread = std::make_unique<Utilisation>();
  std::uint64_t now = 1'000'000'000;
  const auto record = [&](echo_cause cause, std::uint64_t ns, std::uint64_t waited) {
    pauses->record(*thread, {cause, now, now + ns, ns, waited});
    now += ns + 1'000'000'000;
  };
  record(ECHO_CAUSE_heap_full, 2000, 500);
  record(ECHO_CAUSE_heap_full, 4000, 5000);
  record(ECHO_CAUSE_stress, 9'000'000, 0);
  pauses->record_stall(7000);
  pauses->record_time_to_safepoint(5000);
  echo_statistics out{};
  pauses->report(&out);
  EXPECT_EQ(out.pause_us.count, 3u);
  EXPECT_DOUBLE_EQ(out.pause_us.sum, 9006.0);
  EXPECT_DOUBLE_EQ(out.pause_us.max, 9000.0) << "exact";
  EXPECT_NEAR(out.pause_us.p50, 4.0, 0.04);
  EXPECT_EQ(out.pause_by_cause_us[ECHO_CAUSE_heap_full].count, 2u);
  EXPECT_DOUBLE_EQ(out.pause_by_cause_us[ECHO_CAUSE_heap_full].sum, 6.0);
  EXPECT_EQ(out.pause_by_cause_us[ECHO_CAUSE_stress].count, 1u);
  EXPECT_EQ(out.pause_by_cause_us[ECHO_CAUSE_requested].count, 0u);
  EXPECT_EQ(out.pause_net_us.count, 3u) << "[pause.net.1]";
  EXPECT_DOUBLE_EQ(out.pause_net_us.sum, 9001.5);
  EXPECT_DOUBLE_EQ(out.pause_net_by_cause_us[ECHO_CAUSE_heap_full].sum, 1.5);
  EXPECT_DOUBLE_EQ(out.pause_net_by_cause_us[ECHO_CAUSE_stress].max, 9000.0);
  EXPECT_DOUBLE_EQ(out.mmu_1ms, 0.0) << "[pause.mmu.1]";
  EXPECT_NEAR(out.mmu_10ms, 0.1, 1e-9);
  EXPECT_NEAR(out.mmu_100ms, 0.91, 1e-9);
  EXPECT_DOUBLE_EQ(out.stall_us.max, 7.0);
  EXPECT_DOUBLE_EQ(out.time_to_safepoint_us.max, 5.0);
}

} // namespace
} // namespace echo
