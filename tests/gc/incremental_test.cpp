// SPDX-License-Identifier: MIT
//
// Purpose     Mode incremental: cycles go on in bounded steps with allocation and in idle time, a budget is kept, a whole
//             collection ends what was begun; without payment the program stalls. How one collection runs by choice.
#include "heap/os_memory.h"
#include "tests/gc/test_heap.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <thread>

namespace echo {
namespace {

using test::kMiB;
using test::TestHeap;

constexpr std::size_t kLive = 6 * kMiB;
constexpr std::size_t kPairBytes = 24;
constexpr std::uint64_t kMostUnits = 256 / 2 + DeletionLog::kRecords / 8; // [inc.step.1]

Config incremental(std::size_t max_heap) {
  Config config;
  config.max_heap = max_heap;
  config.reserve_bytes = 1;
  config.mode = MarkMode::Incremental;
  return config;
}

void fill(TestHeap& heap, std::size_t bytes) {
  const std::size_t count = bytes / (kPairBytes + 8);
  (void)heap.root_pairs(count);
}

std::uint64_t pauses(const echo_statistics& s, echo_cause cause) {
  return cause < 8 ? s.pause_by_cause_us[cause].count : s.pause_by_later_cause_us[cause - 8].count;
}

echo_statistics churn(bool pays) {
  Config config = incremental(3 * kLive);
  config.assists = pays;
  TestHeap heap(config);
  fill(heap, kLive);
  heap.collect();
  heap.collect();
  for (std::uint64_t made = 0; made < 12 * kLive; made += kPairBytes) {
    if (!heap.try_make(heap.pair)) {
      ADD_FAILURE() << heap.mutator->last_error.message;
      break;
    }
  }
  EXPECT_EQ(heap.collector.verify(*heap.mutator, true), "");
  return heap.statistics();
}

TEST(Incremental, AllocationDrivesTheCycle) { // [inc.pay.1]
  const echo_statistics s = churn(true);
  EXPECT_GT(s.collections_full, 6u);
  EXPECT_EQ(s.collections_by_cause[ECHO_CAUSE_heap_full], s.collections_full - 2);
  EXPECT_GT(pauses(s, ECHO_CAUSE_assist), 1000u);
  EXPECT_EQ(pauses(s, ECHO_CAUSE_heap_full), 0u) << "nobody waits for a whole collection";
  EXPECT_EQ(pauses(s, ECHO_CAUSE_emergency), 0u);
  EXPECT_EQ(s.stall_us.count, 0u);
  EXPECT_LE(s.units_of_assists, kMostUnits);
  EXPECT_GT(pauses(s, ECHO_CAUSE_mark_start), 3u);
  EXPECT_GT(pauses(s, ECHO_CAUSE_mark_end), 3u);
}

TEST(Incremental, BreakNobodyPays) {
  const echo_statistics s = churn(false);
  EXPECT_GT(pauses(s, ECHO_CAUSE_heap_full), 0u) << "the program waits at the limit";
}

TEST(Incremental, IdleTimeDrivesTheCycle) {
  Config config = incremental(64 * kMiB);
  config.assists = false;
  TestHeap heap(config);
  fill(heap, kLive);
  bool done = false;
  for (int i = 0; i < 10'000 && !done; ++i) {
    done = heap.collector.idle_step(*heap.mutator, 1000);
  }
  EXPECT_TRUE(done);
  const echo_statistics before = heap.statistics();
  EXPECT_TRUE(heap.collector.begin_collection(*heap.mutator));
  EXPECT_EQ(heap.statistics().collections_full, before.collections_full) << "it is begun only";
  done = false;
  int steps = 0;
  for (; steps < 10'000 && !done; ++steps) {
    done = heap.collector.idle_step(*heap.mutator, 500);
  }
  EXPECT_TRUE(done);
  EXPECT_GT(steps, 3);
  const echo_statistics s = heap.statistics();
  EXPECT_EQ(s.collections_full, before.collections_full + 1);
  EXPECT_GE(s.collections_by_cause[ECHO_CAUSE_requested], 1u);
  EXPECT_EQ(pauses(s, ECHO_CAUSE_heap_full), 0u);
  EXPECT_EQ(heap.collector.verify(*heap.mutator, true), "");
  EXPECT_TRUE(heap.collector.idle_step(*heap.mutator, 500)) << "nothing was allocated since";
  EXPECT_EQ(heap.statistics().collections_full, s.collections_full);
}

// How well it is kept is measured by echo-bench-steps. [inc.budget.1]
TEST(Incremental, WithoutTimeNothingIsDone) {
  TestHeap heap(incremental(64 * kMiB));
  fill(heap, 2 * kLive);
  const std::uint64_t start = heap.statistics().collections_full;
  EXPECT_TRUE(heap.collector.begin_collection(*heap.mutator));
  for (int i = 0; i < 100; ++i) {
    EXPECT_FALSE(heap.collector.idle_step(*heap.mutator, 0)) << "no time, no work";
  }
  EXPECT_EQ(heap.statistics().collections_full, start);
}

TEST(Incremental, AWholeCollectionEndsWhatWasBegun) { // [inc.full.1] [cycle.oom.1]
  TestHeap heap(incremental(64 * kMiB));
  fill(heap, kLive);
  for (int steps = 0; steps < 40; ++steps) {
    const std::uint64_t before = heap.statistics().collections_full;
    EXPECT_TRUE(heap.collector.begin_collection(*heap.mutator));
    bool done = false;
    for (int i = 0; i < steps && !done; ++i) {
      done = heap.collector.idle_step(*heap.mutator, 150);
    }
    heap.collect();
    EXPECT_EQ(heap.statistics().collections_full, before + 2);
  }
  EXPECT_EQ(heap.collector.verify(*heap.mutator, true), "");
}

// What was reachable when the mark started, or was born since, is there whenever the steps come.
TEST(Incremental, NothingIsLostBetweenSteps) {
  Config config = incremental(32 * kMiB);
  config.poison = true;
  config.verify = true;
  TestHeap heap(config);
  constexpr std::size_t kCount = 5000;
  const ObjectRef array = heap.make(heap.refs, kCount);
  heap.root(0, array);
  for (int round = 0; round < 3; ++round) {
    for (std::size_t i = 0; i < kCount; ++i) {
      const ObjectRef pair = heap.make(heap.pair);
      heap.store(pair, 8, {TestHeap::peek(array, 16 + 8 * i)});
      heap.store(array, 16 + 8 * i, pair);
    }
    (void)heap.collector.begin_collection(*heap.mutator);
    for (std::size_t i = 0; i < kCount; ++i) { // the older one moves to the other side, and back
      const ObjectRef young = heap.make(heap.pair);
      const ObjectRef pair{TestHeap::peek(array, 16 + 8 * i)};
      heap.store(young, 16, {TestHeap::peek(pair, 8)});
      heap.store(pair, 8, {});
      heap.store(pair, 16, young);
      if (i % 16 == 0) {
        (void)heap.collector.idle_step(*heap.mutator, 60);
      }
    }
    while (!heap.collector.idle_step(*heap.mutator, 1000)) {
    }
    for (std::size_t i = 0; i < kCount; ++i) {
      const ObjectRef pair{TestHeap::peek(array, 16 + 8 * i)};
      ASSERT_NE(TestHeap::peek(pair, 0), kPoisonWord);
      ASSERT_NE(TestHeap::peek({TestHeap::peek(pair, 16)}, 0), kPoisonWord);
      heap.store(pair, 8, {});
    }
  }
  std::string why;
  EXPECT_EQ(heap.collector.failure(&why), ECHO_OK) << why;
}

TEST(Incremental, ThreadsStepInTurn) {
  constexpr unsigned kThreads = 3;
  TestHeap heap(incremental(24 * kMiB));
  fill(heap, 4 * kMiB);
  std::vector<std::thread> threads;
  std::atomic<int> failures{0};
  heap.collector.safepoints.enter_native(*heap.mutator, ThreadState::Blocked);
  for (unsigned t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      Mutator* m = nullptr;
      std::string why;
      ASSERT_EQ(heap.collector.attach(&m, &why), ECHO_OK) << why;
      for (std::uint64_t made = 0; made < 40 * kMiB; made += kPairBytes) {
        if (!heap.collector.allocate(*m, heap.pair, 0)) {
          ++failures;
          break;
        }
        if (t == 0 && made % (kPairBytes * 50'000) == 0) {
          (void)heap.collector.idle_step(*m, 300);
        }
      }
      heap.collector.detach(m);
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  heap.collector.safepoints.leave_native(*heap.mutator);
  EXPECT_EQ(failures, 0);
  EXPECT_GT(heap.statistics().collections_full, 4u);
  EXPECT_EQ(heap.collector.verify(*heap.mutator, true), "");
}

// --- one collection, whatever the mode

TEST(CollectWhere, EachModeKnowsBoth) {
  for (const MarkMode mode : {MarkMode::Concurrent, MarkMode::Stw, MarkMode::Incremental}) {
    Config config = test::quiet_config();
    config.mode = mode;
    TestHeap heap(config);
    fill(heap, kMiB);
    std::string why;
    const auto starts = [&] { return heap.statistics().units_at_mark_start; }; // counted of marks beside only
    EXPECT_EQ(starts(), 0u);
    ASSERT_EQ(heap.collector.collect(*heap.mutator, ECHO_CAUSE_requested, &why, Collector::Where::InStop),
              ECHO_OK)
        << why;
    EXPECT_EQ(starts(), 0u) << "one stop";
    ASSERT_EQ(heap.collector.collect(*heap.mutator, ECHO_CAUSE_requested, &why, Collector::Where::Beside),
              ECHO_OK)
        << why;
    EXPECT_GT(starts(), 0u) << "two stops";
    EXPECT_EQ(heap.statistics().collections_full, 2u);
    EXPECT_EQ(heap.collector.begin_collection(*heap.mutator), mode != MarkMode::Stw);
    EXPECT_EQ(heap.collector.verify(*heap.mutator, true), "");
  }
}

TEST(CollectWhere, InTurnWithACollectionBeside) {
  for (const MarkMode mode : {MarkMode::Concurrent, MarkMode::Stw, MarkMode::Incremental}) {
    Config config = test::quiet_config();
    config.mode = mode;
    config.poison = true;
    config.slow_marker_us = 200;
    TestHeap heap(config);
    fill(heap, kMiB);
    heap.collector.safepoints.enter_native(*heap.mutator, ThreadState::Blocked);
    std::vector<std::thread> threads;
    for (unsigned t = 0; t < 3; ++t) {
      threads.emplace_back([&, t] {
        Mutator* m = nullptr;
        std::string why;
        ASSERT_EQ(heap.collector.attach(&m, &why), ECHO_OK) << why;
        for (int i = 0; i < 12; ++i) {
          (void)heap.collector.begin_collection(*m);
          const auto where = t == 0   ? Collector::Where::InStop
                             : t == 1 ? Collector::Where::Beside
                                      : Collector::Where::AsConfigured;
          ASSERT_EQ(heap.collector.collect(*m, ECHO_CAUSE_requested, &why, where), ECHO_OK) << why;
          ASSERT_TRUE(heap.collector.allocate(*m, heap.pair, 0));
        }
        heap.collector.detach(m);
      });
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
    heap.collector.safepoints.leave_native(*heap.mutator);
    EXPECT_GE(heap.statistics().collections_full, 36u);
    EXPECT_EQ(heap.collector.verify(*heap.mutator, true), "");
  }
}

} // namespace
} // namespace echo
