// SPDX-License-Identifier: MIT
//
// Purpose     Marking by the threads of the program: who allocates faster than is marked marks himself and does not stall, in
//             bounded slices; deletion logs do not pile up. Each is also switched off, and then what it prevents happens.
#include "gc/mark_debt.h"
#include "gc/mark_room.h"
#include "heap/os_memory.h"
#include "tests/gc/test_heap.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace echo {
namespace {

using test::kMiB;
using test::TestHeap;

constexpr std::size_t kPairBytes = 24;
constexpr std::size_t kLive = 6 * kMiB;
constexpr std::uint64_t kMostUnits = 256 / 2 + DeletionLog::kRecords / 8; // [assist.slice.1]

std::uint64_t assists(const echo_statistics& s) {
  return s.pause_by_later_cause_us[ECHO_CAUSE_assist - 8].count;
}

// --- the account

std::uint64_t edges(std::uint64_t owed) {
  return owed >> MarkDebt::kFraction;
}

TEST(MarkDebt, TheRoomPaysForTheWholeMark) {
  MarkDebt debt;
  EXPECT_EQ(debt.owed_for(kMiB), 0u) << "[assist.off.1]";
  debt.end(1'000'000, 24 * kMiB); // the mark before
  debt.begin(48 * kMiB, 16 * kMiB);
  EXPECT_NEAR(static_cast<double>(edges(debt.owed_for(14 * kMiB))), 1e6, 5e3)
      << "before 7/8 of the room are used";
  EXPECT_NEAR(static_cast<double>(edges(debt.owed_for(debt.bytes_for(512)))), 512, 2);
  debt.progress(500'000, 0, 16 * kMiB);
  EXPECT_NEAR(static_cast<double>(edges(debt.owed_for(14 * kMiB))), 5e5, 5e3);
  debt.end(1'000'000, 24 * kMiB);
  EXPECT_EQ(debt.owed_for(kMiB), 0u);
  EXPECT_FALSE(debt.is_on());
}

TEST(MarkDebt, AWrongEstimateIsFoundOut) { // [assist.rate.1]
  MarkDebt debt;
  debt.end(1'000'000, 24 * kMiB);
  debt.begin(48 * kMiB, 16 * kMiB);
  debt.progress(1'000'000, 0, 8 * kMiB); // and more is alive: all of it, as far as is known
  EXPECT_NEAR(static_cast<double>(edges(debt.owed_for(7 * kMiB))), 1e6, 1e4);
  debt.progress(5'000'000, 0, 8 * kMiB);
  EXPECT_GT(debt.owed_for(kMiB), 0u) << "something is owed while the mark is not over";
  debt.idle();
  EXPECT_EQ(debt.owed_for(kMiB), 0u);
}

TEST(MarkDebt, WhatIsMarkedInAdvancePays) {
  MarkDebt debt;
  debt.end(1'000'000, 24 * kMiB);
  debt.begin(48 * kMiB, 16 * kMiB);
  EXPECT_EQ(debt.draw(100), 0u);
  debt.progress(4096, 4096, 16 * kMiB);
  EXPECT_EQ(debt.draw(100), 100u);
  EXPECT_EQ(debt.draw(5000), 3996u);
  EXPECT_FALSE(debt.has_credit());
  debt.progress(800'000, 795'904, 16 * kMiB);
  EXPECT_EQ(debt.draw(UINT64_MAX), 50'000u) << "a quarter of what is left";
}

TEST(MarkDebt, TheHeapsThreadIsGivenTimeAndMakesUpForIt) { // [assist.rate.1]
  MarkDebt debt;
  debt.end(1'000'000, 24 * kMiB);
  debt.begin(48 * kMiB, 16 * kMiB, true);
  EXPECT_EQ(debt.draw(UINT64_MAX), 250'000u) << "a quarter is lent";
  EXPECT_FALSE(debt.has_credit());
  debt.progress(512, 0, 16 * kMiB - 4 * kMiB);
  EXPECT_NEAR(static_cast<double>(edges(debt.owed_for(12 * kMiB / 8 * 7))), 999'488, 1e4)
      << "nobody has marked meanwhile: the rest of the room pays for all";
  debt.begin(48 * kMiB, 16 * kMiB);
  EXPECT_FALSE(debt.has_credit()) << "not in steps, which nobody else takes";
}

// A mark that is left to the program is to end in half of the room that is left then. [service.way.1]
TEST(MarkRoom, HalfOfWhatIsLeft) {
  MarkRoom room;
  room.begin(40 * kMiB, 64 * kMiB,
             20 * kMiB); // planned: the lesser of 3/4 of the room and half of what is not alive
  EXPECT_EQ(room.for_debt(40 * kMiB, 64 * kMiB), 42 * kMiB);
  EXPECT_EQ(room.for_debt(50 * kMiB, 54 * kMiB), 32 * kMiB);
  room.halve(50 * kMiB);
  EXPECT_EQ(room.for_debt(50 * kMiB, 54 * kMiB), 16 * kMiB);
  EXPECT_EQ(room.for_debt(60 * kMiB, 44 * kMiB), 6 * kMiB);
  room.halve(200 * kMiB); // nothing is left of it
  EXPECT_GT(room.for_debt(200 * kMiB, 10 * kMiB), 0u);
}

// --- allocation

struct Outcome {
  echo_statistics statistics{};
  bool failed = false;
};

// A live set in a heap of three times its size, a marker that sleeps most of the time, and garbage.
Outcome outrun(bool with_assists) {
  Config config;
  config.max_heap = 3 * kLive;
  config.reserve_bytes = 1;
  config.slow_marker_us = 5000;
  config.assists = with_assists;
  TestHeap heap(config);
  const std::size_t count = kLive / (kPairBytes + 8);
  (void)heap.root_pairs(count);
  heap.collect(); // the rates are known
  heap.collect();
  const echo_statistics before = heap.statistics();
  Outcome outcome;
  for (std::uint64_t made = 0; made < 12 * kLive && !outcome.failed; made += kPairBytes) {
    outcome.failed = !heap.try_make(heap.pair);
  }
  outcome.statistics = heap.statistics();
  EXPECT_GT(outcome.statistics.collections_full, before.collections_full + 2);
  EXPECT_EQ(heap.collector.verify(*heap.mutator, true), "");
  return outcome;
}

TEST(Assist, WhoAllocatesFasterThanIsMarkedMarksAndNeverStalls) {
  const Outcome outcome = outrun(true);
  const echo_statistics& s = outcome.statistics;
  EXPECT_FALSE(outcome.failed);
  EXPECT_GT(assists(s), 100u);
  EXPECT_GT(s.edges_assisted, 50'000u);
  EXPECT_EQ(s.stall_us.count, 0u) << "at three times what is alive";
  EXPECT_EQ(s.pause_by_cause_us[ECHO_CAUSE_heap_full].count, 0u);
  EXPECT_EQ(s.pause_by_cause_us[ECHO_CAUSE_emergency].count, 0u);
  EXPECT_GT(s.units_of_assists, 0u);
  EXPECT_LE(s.units_of_assists, kMostUnits);
}

TEST(Assist, BreakAssistsOff) {
  const Outcome outcome = outrun(false);
  const echo_statistics& s = outcome.statistics;
  EXPECT_EQ(assists(s), 0u);
  EXPECT_GT(s.stall_us.count + s.pause_by_cause_us[ECHO_CAUSE_heap_full].count, 0u)
      << "the program waited for the mark";
}

// Threads of the program on all processors mark by themselves once they have to mark at all. [service.way.1]
std::uint64_t marks_left_to_the_program(std::size_t processors, std::uint64_t most_cycles) {
  Config config;
  config.max_heap = 3 * kLive;
  config.reserve_bytes = 1;
  config.slow_marker_us = 5000;
  config.processors = processors;
  TestHeap heap(config);
  const std::size_t count = kLive / (kPairBytes + 8);
  (void)heap.root_pairs(count);
  const std::uint64_t first = heap.collector.cycles();
  while (heap.collector.marks_by_program() == 0 && heap.collector.cycles() < first + most_cycles) {
    EXPECT_TRUE(heap.try_make(heap.pair));
  }
  EXPECT_EQ(heap.collector.verify(*heap.mutator, true), "");
  return heap.collector.marks_by_program();
}

TEST(Assist, WithoutAProcessorTheHeapsThreadGivesWay) { // [service.way.1]
  EXPECT_GT(marks_left_to_the_program(1, 200), 0u);
  EXPECT_EQ(marks_left_to_the_program(64, 8), 0u);
}

// The mark ends all the same when they do not allocate.
TEST(Assist, AProgramThatDoesNotAllocateDoesNotKeepAMarkOpen) { // [service.way.1]
  Config config;
  config.max_heap = 32 * kMiB;
  config.processors = 1;
  TestHeap heap(config);
  heap.root(0, heap.make(heap.refs, 100'000));
  for (int i = 0; i < 50; ++i) { // each asked for when the one before has just ended [cycle.want.1]
    const std::uint64_t before = heap.collector.cycles();
    ASSERT_TRUE(heap.collector.begin_collection(*heap.mutator));
    const std::uint64_t start = os::monotonic_ns();
    while (heap.collector.cycles() == before) {
      heap.collector.poll(*heap.mutator);
      ASSERT_LT(os::monotonic_ns() - start, 20'000'000'000u)
          << "cycle " << i << " does not come, or does not end";
    }
  }
  EXPECT_EQ(heap.collector.marks_by_program(), 0u);
}

TEST(Assist, LargeObjectsPayInSlices) {
  Config config;
  config.max_heap = 24 * kMiB;
  config.reserve_bytes = 1;
  config.slow_marker_us = 2000;
  TestHeap heap(config);
  const std::size_t count = 4 * kMiB / (kPairBytes + 8);
  (void)heap.root_pairs(count);
  for (int i = 0; i < 400; ++i) {
    ASSERT_TRUE(heap.try_make(heap.bytes, 300'000)) << heap.mutator->last_error.message;
  }
  const echo_statistics s = heap.statistics();
  EXPECT_GT(assists(s), 0u);
  EXPECT_LE(s.units_of_assists, kMostUnits);
  EXPECT_EQ(heap.collector.verify(*heap.mutator, true), "");
}

// A thread is lent small windows while it owes something, and whole spans otherwise. [assist.window.1]
TEST(Assist, WindowsOnlyWhileMarking) {
  Config config = test::quiet_config(8 * kMiB);
  TestHeap heap(config);
  const std::size_t count = 100'000;
  (void)heap.root_pairs(count);
  heap.collect();
  (void)heap.make(heap.pair);
  EXPECT_EQ(heap.mutator->limit, heap.mutator->allocator.current().limit);
  heap.collector.prepare_cycle(ECHO_CAUSE_requested);
  heap.stopped([&](const std::vector<Mutator*>& m) { heap.collector.begin_mark(m, true); });
  EXPECT_EQ(heap.mutator->limit, heap.mutator->cursor) << "the stop took its span";
  (void)heap.make(heap.pair);
  EXPECT_LT(heap.mutator->limit, heap.mutator->allocator.current().limit);
  bool ended = false;
  while (!ended) {
    while (heap.collector.mark_slice(4096) == Collector::MarkState::More) {
    }
    heap.stopped([&](const std::vector<Mutator*>& m) { ended = heap.collector.end_mark(m); });
  }
  heap.collector.finish_cycle();
  (void)heap.make(heap.pair);
  EXPECT_EQ(heap.mutator->limit, heap.mutator->allocator.current().limit);
}

// --- logs

// Overwrites references of the snapshot until `logs` logs are full, while nobody else marks; the most that ever waited.
std::uint64_t fill_logs(bool with_assists, std::size_t logs) {
  Config config = test::quiet_config(128 * kMiB);
  config.assists = with_assists;
  TestHeap heap(config);
  const std::size_t count = logs * DeletionLog::kRecords;
  const ObjectRef array = heap.make(heap.refs, count);
  const ObjectRef copy = heap.make(heap.refs, count);
  heap.root(0, array);
  heap.root(1, copy);
  for (std::size_t i = 0; i < count; ++i) {
    heap.store(array, 16 + 8 * i, heap.make(heap.pair));
  }
  heap.collector.prepare_cycle(ECHO_CAUSE_requested);
  heap.stopped([&](const std::vector<Mutator*>& m) { heap.collector.begin_mark(m, true); });
  const ObjectRef fresh = heap.make(heap.refs, count);
  heap.root(2, fresh);
  for (std::size_t i = count; i-- > 0;) { // from the end: the marker comes from the other side
    heap.store(fresh, 16 + 8 * i, {TestHeap::peek(array, 16 + 8 * i)});
    heap.store(array, 16 + 8 * i, {});
  }
  bool ended = false;
  while (!ended) {
    while (heap.collector.mark_slice(4096) == Collector::MarkState::More) {
    }
    heap.stopped([&](const std::vector<Mutator*>& m) { ended = heap.collector.end_mark(m); });
  }
  heap.collector.finish_cycle();
  std::string why;
  EXPECT_EQ(heap.collector.failure(&why), ECHO_OK) << why;
  EXPECT_EQ(heap.statistics().objects_marked, count + 2) << "all were reachable when the mark started";
  EXPECT_EQ(heap.collector.verify(*heap.mutator, true), "");
  return heap.statistics().log_buffers_peak;
}

TEST(LogRelief, WhoFillsLogsWorksThemOff) { // [mark.log.2]
  EXPECT_LE(fill_logs(true, 600), DeletionSink::kCrowded + 1);
}

TEST(LogRelief, BreakReliefOff) {
  EXPECT_GT(fill_logs(false, 600), DeletionSink::kFull);
}

// Threads that delete beside a marker.
TEST(LogRelief, OfManyThreads) {
  constexpr unsigned kThreads = 4;
  constexpr std::size_t kCount = 120'000;
  Config config;
  config.max_heap = 128 * kMiB;
  config.reserve_bytes = 1;
  config.slow_marker_us = 500;
  TestHeap heap(config);
  std::atomic<int> ready{0};
  std::atomic<bool> done{false};
  std::vector<std::thread> threads;
  std::vector<std::vector<echo_ref>> roots(kThreads, std::vector<echo_ref>(2));
  for (unsigned t = 0; t < kThreads; ++t) {
    std::string why;
    ASSERT_EQ(heap.collector.roots.globals.add(roots[t].data(), 2, &why), ECHO_OK) << why;
    threads.emplace_back([&, t] {
      Mutator* m = nullptr;
      std::string reason;
      ASSERT_EQ(heap.collector.attach(&m, &reason), ECHO_OK) << reason;
      const auto store = [&](ObjectRef object, std::size_t i, ObjectRef value) {
        store_reference(*m, m->barrier, heap.collector.barriers, object.address + 16 + 8 * i, value);
      };
      ObjectRef from = heap.collector.allocate(*m, heap.refs, kCount);
      roots[t][0] = test::as_root(from);
      ObjectRef to = heap.collector.allocate(*m, heap.refs, kCount);
      roots[t][1] = test::as_root(to);
      for (std::size_t i = 0; i < kCount; ++i) {
        store(from, i, heap.collector.allocate(*m, heap.pair, 0));
      }
      ++ready;
      while (!done) { // moves all of them to and fro
        for (std::size_t i = 0; i < kCount; ++i) {
          store(to, i, {TestHeap::peek(from, 16 + 8 * i)});
          store(from, i, {});
          if (i % 256 == 0 && m->poll_word.load(std::memory_order_relaxed) == 0) {
            heap.collector.poll(*m);
          }
        }
        std::swap(from, to);
      }
      std::size_t lost = 0;
      for (std::size_t i = 0; i < kCount; ++i) {
        lost += TestHeap::peek(from, 16 + 8 * i) == 0 ? 1 : 0;
      }
      EXPECT_EQ(lost, 0u);
      heap.collector.detach(m);
    });
  }
  heap.collector.safepoints.enter_native(*heap.mutator, ThreadState::Blocked);
  while (ready != kThreads) {
    std::this_thread::yield();
  }
  heap.collector.safepoints.leave_native(*heap.mutator);
  for (int i = 0; i < 3; ++i) {
    heap.collect();
    EXPECT_EQ(heap.collector.verify(*heap.mutator, true), "");
  }
  done = true;
  heap.collector.safepoints.enter_native(*heap.mutator, ThreadState::Blocked);
  for (std::thread& thread : threads) {
    thread.join();
  }
  heap.collector.safepoints.leave_native(*heap.mutator);
  const echo_statistics s = heap.statistics();
  EXPECT_GT(s.log_entries, 0u);
  EXPECT_LE(s.log_buffers_peak, DeletionSink::kFull + kThreads + 1);
}

} // namespace
} // namespace echo
