// SPDX-License-Identifier: MIT
//
// Purpose     The policies: their equations on made-up measures, and that the soft limit and memory outside the heap take
//             part in each. No clock.
#include "gc/heap_sizing.h"

#include "gc/pacing.h"
#include "tests/gc/test_heap.h"

#include <gtest/gtest.h>

#include <cmath>

namespace echo {
namespace {

using test::kMiB;
using test::TestHeap;

constexpr std::uint64_t kMs = 1'000'000;
constexpr std::uint64_t kEnd = 1024 * kMiB;

// A program that allocates and a collector that marks at constant rates.
struct Program {
  double allocates = 1, collects = 1; // bytes per ns
  std::uint64_t now = kMs, allocated = 0;

  // A collection after `interval_ns`, with `live` bytes alive and no holes.
  CycleMeasure collection(std::uint64_t live, std::uint64_t interval_ns) {
    now += interval_ns;
    allocated += static_cast<std::uint64_t>(allocates * static_cast<double>(interval_ns));
    CycleMeasure m;
    m.live = m.used = live;
    m.start_ns = now;
    m.allocated_start = m.allocated_end = allocated;
    m.cpu_ns = m.mark_ns = m.total_ns = static_cast<std::uint64_t>(static_cast<double>(live) / collects);
    return m;
  }
};

HeapSizing::Options options(HeapPolicy policy) {
  HeapSizing::Options made;
  made.policy = policy;
  made.balance = 500;
  return made;
}

// [size.policy.1]
TEST(HeapSizing, GrowthIsInProportion) {
  HeapSizing::Options o = options(HeapPolicy::Growth);
  o.growth_percent = 250;
  HeapSizing sizing(o);
  CycleMeasure m;
  m.live = m.used = 100'000'000;
  EXPECT_EQ(sizing.target(m, kEnd), 250'000'000u);
  m.holes = 40'000'000;
  EXPECT_EQ(sizing.target(m, kEnd), 210'000'000u) << "holes are allocated in before more is used";
  EXPECT_EQ(sizing.target(m, 180'000'000), 180'000'000u) << "at most the end";
  m.live = m.used = m.holes = 0;
  m.cpu_ns = 50'000;
  EXPECT_EQ(sizing.target(m, kEnd), 5'000'000u) << "least: 100 bytes per ns of a collection";
  m.cpu_ns = 1;
  EXPECT_EQ(sizing.target(m, kEnd), kMiB);
  m.cpu_ns = 1000 * kMs;
  EXPECT_EQ(sizing.target(m, kEnd), 32 * kMiB);
  o.trigger = 7 * kMiB;
  EXPECT_EQ(HeapSizing(o).target(m, kEnd), 7 * kMiB);
}

TEST(HeapSizing, FixedIsFixed) {
  HeapSizing::Options o = options(HeapPolicy::Fixed);
  HeapSizing all(o);
  o.trigger = 64 * kMiB;
  HeapSizing some(o);
  for (const std::uint64_t live : {std::uint64_t{0}, 3 * kMiB, 40 * kMiB}) {
    CycleMeasure m;
    m.live = m.used = live;
    m.holes = live / 4;
    m.cpu_ns = live;
    EXPECT_EQ(all.target(m, kEnd), kEnd);
    EXPECT_EQ(some.target(m, kEnd), 64 * kMiB) << live << " alive";
  }
  CycleMeasure m;
  m.live = 160 * kMiB;
  m.used = 170 * kMiB;
  EXPECT_EQ(some.target(m, kEnd), 180 * kMiB) << "a collection has to be worth something";
  m.live = kMiB;
  m.used = 64 * kMiB;
  EXPECT_EQ(some.target(m, kEnd), 65 * kMiB);
}

TEST(HeapSizing, MemBalancerIsTheSquareRootOfWhatIsMeasured) {
  HeapSizing sizing(options(HeapPolicy::MemBalancer));
  Program program;
  program.allocates = 0.5;
  program.collects = 2;
  const std::uint64_t live = 100 * kMiB;
  EXPECT_EQ(sizing.target(program.collection(live, 500 * kMs), kEnd), 200 * kMiB)
      << "growth, until there is a rate";
  std::uint64_t target = 0;
  for (int i = 0; i < 4; ++i) {
    target = sizing.target(program.collection(live, 500 * kMs), kEnd);
  }
  EXPECT_NEAR(sizing.allocation_rate(), 0.5, 1e-6);
  EXPECT_NEAR(sizing.collection_rate(), 2, 1e-6);
  // c = 500 millionths of the time per MiB: E = sqrt(100 MiB * 0.5 / (c * 2)) = sqrt(100 * 0.25 / 0.0005) MiB
  const double headroom = std::sqrt(100 * 0.25 / 0.0005);
  EXPECT_NEAR(static_cast<double>(target - live) / static_cast<double>(kMiB), headroom, 0.1);
  // The share of time that goes into collecting, live * g / (s * E), is then c * E: a MiB more saves 500 millionths.
  const auto share = [&](double mib) { return 100 * 0.25 / mib; };
  EXPECT_NEAR(share(headroom) - share(headroom + 1), 500e-6, 5e-6);
}

TEST(HeapSizing, MemBalancerFollowsEachMeasure) {
  const auto headroom = [](std::uint64_t balance, double allocates, double collects, std::uint64_t live) {
    HeapSizing::Options o = options(HeapPolicy::MemBalancer);
    o.balance = balance;
    HeapSizing sizing(o);
    Program program{allocates, collects};
    std::uint64_t target = 0;
    for (int i = 0; i < 3; ++i) {
      target = sizing.target(program.collection(live, 1000 * kMs), std::uint64_t{1} << 50);
    }
    return static_cast<double>(target - live);
  };
  const double base = headroom(500, 1, 1, 64 * kMiB);
  EXPECT_NEAR(headroom(500, 4, 1, 64 * kMiB) / base, 2, 0.01) << "who allocates faster gets more";
  EXPECT_NEAR(headroom(500, 1, 4, 64 * kMiB) / base, 0.5, 0.01) << "who is collected faster needs less";
  EXPECT_NEAR(headroom(500, 1, 1, 256 * kMiB) / base, 2, 0.01);
  EXPECT_NEAR(headroom(125, 1, 1, 64 * kMiB) / base, 2, 0.01) << "the option";
  EXPECT_EQ(headroom(0, 1, 1, 64 * kMiB), static_cast<double>((std::uint64_t{1} << 50) - 64 * kMiB))
      << "memory that is worth nothing is all taken";
  EXPECT_EQ(headroom(1'000'000'000, 1, 1, 8 * kMiB), 32.0 * kMiB) << "least, of a collection of 8 ms";
}

TEST(HeapSizing, MemBalancerSmooths) {
  HeapSizing sizing(options(HeapPolicy::MemBalancer));
  Program program;
  for (int i = 0; i < 3; ++i) {
    (void)sizing.target(program.collection(64 * kMiB, 100 * kMs), kEnd);
  }
  EXPECT_NEAR(sizing.allocation_rate(), 1, 1e-6);
  program.allocates = 4;
  (void)sizing.target(program.collection(64 * kMiB, 100 * kMs), kEnd);
  EXPECT_NEAR(sizing.allocation_rate(), 2.5, 1e-3) << "half of what was known stays";
  (void)sizing.target(program.collection(64 * kMiB, 100 * kMs), kEnd);
  EXPECT_NEAR(sizing.allocation_rate(), 3.25, 1e-3);
  (void)sizing.target(program.collection(64 * kMiB, 1 * kMs), kEnd);
  EXPECT_NEAR(sizing.allocation_rate(), 3.26, 0.01) << "a short interval says little";
  CycleMeasure idle = program.collection(64 * kMiB, 0);
  idle.start_ns = program.now += 60'000 * kMs;
  idle.while_idle = true;
  (void)sizing.target(idle, kEnd);
  EXPECT_NEAR(sizing.allocation_rate(), 3.26, 0.01) << "an idle minute nothing";
}

TEST(HeapSizing, ExternalMemoryThatCounts) { // [size.external.1]
  HeapSizing::Options o = options(HeapPolicy::Growth);
  o.growth_percent = 300;
  EXPECT_EQ(HeapSizing(o).external_allowed(10 * kMiB), 30 * kMiB);
  EXPECT_EQ(HeapSizing(o).external_allowed(UINT64_MAX / 2), UINT64_MAX / 100);
  EXPECT_EQ(HeapSizing(options(HeapPolicy::Fixed)).external_allowed(10 * kMiB), 10 * kMiB);
  EXPECT_EQ(HeapSizing(options(HeapPolicy::MemBalancer)).external_allowed(10 * kMiB), 10 * kMiB);
}

TEST(HeapSizing, TightIsLessThanThreeQuartersOfWhatIsAlive) { // [sweep.dense.1]
  Pacing pacing(options(HeapPolicy::Growth), 160 * kMiB);     // the bound beside the program: 140
  CycleMeasure m;
  m.live = 80 * kMiB;
  m.used = 100 * kMiB;
  EXPECT_FALSE(pacing.is_tight(m, false)) << "60 are left";
  EXPECT_TRUE(pacing.is_tight(m, true)) << "40";
  m.holes = 20 * kMiB;
  EXPECT_FALSE(pacing.is_tight(m, true)) << "and the holes";
  m.used = 150 * kMiB;
  EXPECT_TRUE(pacing.is_tight(m, true));
  m.live = 0;
  EXPECT_FALSE(pacing.is_tight(m, true));
}

// --- in a heap

constexpr HeapPolicy kPolicies[] = {HeapPolicy::Growth, HeapPolicy::Fixed, HeapPolicy::MemBalancer};

Config config_of(HeapPolicy policy) {
  Config config;
  config.max_heap = 256 * kMiB;
  config.reserve_bytes = 1;
  config.mode = MarkMode::Stw;
  config.policy = policy;
  config.growth_percent = 2000;
  config.balance = 0; // all there is
  return config;
}

void fill(TestHeap& heap, std::size_t bytes) {
  const std::size_t count = bytes / 32;
  (void)heap.root_pairs(count);
}

TEST(HeapPolicies, TheSoftLimitTakesPart) { // [limit.soft.1]
  for (const HeapPolicy policy : kPolicies) {
    SCOPED_TRACE(static_cast<int>(policy));
    for (const std::size_t soft : {std::size_t{0}, 12 * kMiB}) {
      Config config = config_of(policy);
      config.soft_limit = soft;
      TestHeap heap(config);
      fill(heap, 6 * kMiB);
      heap.collect();
      heap.collect(); // there are rates
      const std::size_t trigger = heap.collector.memory.pool.trigger();
      if (soft != 0) {
        EXPECT_EQ(trigger, soft);
      } else {
        EXPECT_GT(trigger, 60 * kMiB) << "it takes another to hold it";
      }
    }
  }
}

TEST(HeapPolicies, ExternalMemoryTakesPart) { // [external.push.1] [size.external.1]
  for (const HeapPolicy policy : kPolicies) {
    SCOPED_TRACE(static_cast<int>(policy));
    TestHeap heap(config_of(policy));
    fill(heap, 6 * kMiB);
    heap.collect();
    heap.collect();
    std::string why;
    ASSERT_FALSE(heap.collector.memory.pool.is_over_trigger());
    ASSERT_EQ(heap.collector.add_external(512 * kMiB, &why), ECHO_OK);
    EXPECT_TRUE(heap.collector.memory.pool.is_over_trigger()) << "what was announced is a collection's worth";
    heap.collect();
    EXPECT_FALSE(heap.collector.memory.pool.is_over_trigger()) << "and once only";
  }
}

// Every fourth object of each slab is dead: what is allocated next goes there if memory is tight, and else to empty slabs.
TEST(HeapPolicies, DenselyFilledSlabsAreAllocatedInWhenMemoryIsTight) { // [sweep.dense.1]
  for (const bool tight : {false, true}) {
    Config config = config_of(HeapPolicy::Growth);
    config.max_heap = tight ? 12 * kMiB : 64 * kMiB;
    config.initial_trigger = config.max_heap;
    TestHeap heap(config);
    const std::size_t count = 160'000; // 3.7 MiB
    const ObjectRef array = heap.root_pairs(count);
    const ObjectRef filler = heap.make(heap.bytes, 4'000'000); // two chunks
    heap.root(1, filler);
    for (std::size_t i = 0; i < count; i += 4) {
      heap.store(array, 16 + 8 * i, {});
    }
    std::string why;
    ASSERT_EQ(heap.collector.collect(*heap.mutator, ECHO_CAUSE_requested, &why), ECHO_OK) << why;
    const std::size_t used = heap.collector.memory.pool.used_bytes();
    for (std::size_t i = 0; i < count / 8; ++i) {
      ASSERT_TRUE(heap.try_make(heap.pair));
    }
    const std::size_t more = heap.collector.memory.pool.used_bytes() - used;
    if (tight) {
      EXPECT_EQ(more, 0u);
    } else {
      EXPECT_GT(more, count / 8 * 24 / 2);
    }
    EXPECT_EQ(heap.collector.verify(*heap.mutator, true), "");
  }
}

} // namespace
} // namespace echo
