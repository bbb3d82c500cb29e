// SPDX-License-Identifier: MIT
//
// Purpose     Weak slots while they are cleared beside the program, step by step, with faults planted in each rule.
//             [weak.load.1] [weak.clear.1] [weak.over.1] [weak.bound.1] [mark.end.2]
#include "tests/gc/stepped_cycle.h"

namespace echo {
namespace {

using test::fixed_layout;
using test::kMiB;
using test::SteppedCycle;
using test::TestHeap;
using test::watched;

constexpr std::size_t kNext = 8, kWeak = 16;

// A chain of `kHolders` objects, each with a weak slot; the targets of even ones are dead when the mark starts.
class WeakCycleTest : public ::testing::Test {
protected:
  static constexpr std::size_t kHolders = 8;
  explicit WeakCycleTest(const Config& config = watched()) : heap(config), cycle(heap) {
    node = heap.layout(fixed_layout("weak", 24, {{kNext, ECHO_SLOT_STRONG}, {kWeak, ECHO_SLOT_WEAK}}));
    for (std::size_t i = 0; i < kHolders; ++i) {
      holders.push_back(heap.make(node));
      heap.store(holders.back(), kNext, i == 0 ? ObjectRef{} : holders[i - 1]);
      targets.push_back(heap.make(node));
      heap.store(holders.back(), kWeak, targets.back());
      heap.root(1 + i, targets.back());
    }
    heap.root(0, holders.back());
    heap.collect(); // all are old
    for (std::size_t i = 0; i < kHolders; i += 2) {
      heap.root(1 + i, {});
    }
  }
  Address slot(std::size_t i) const { return holders[i].address + kWeak; }
  Address raw(std::size_t i) const { return load_slot(slot(i)); }

  TestHeap heap;
  SteppedCycle cycle;
  LayoutId node;
  std::vector<ObjectRef> holders, targets;
};

TEST_F(WeakCycleTest, TheStopClearsNothing) { // [weak.bound.1]
  cycle.begin();
  cycle.end_marking();
  for (std::size_t i = 0; i < kHolders; ++i) {
    EXPECT_EQ(raw(i), targets[i].address);
  }
  EXPECT_EQ(heap.mutator->phase, kBarrierClearing);
  for (std::size_t done = 1; heap.collector.weak_slice(1); ++done) {
    std::size_t cleared = 0;
    for (std::size_t i = 0; i < kHolders; ++i) {
      cleared += raw(i) == 0 ? 1 : 0;
    }
    EXPECT_LE(cleared, done);
  }
  EXPECT_EQ(cycle.finish(), "");
  for (std::size_t i = 0; i < kHolders; ++i) {
    EXPECT_EQ(raw(i), i % 2 == 0 ? 0 : targets[i].address);
  }
  EXPECT_EQ(heap.collector.verify(*heap.mutator, true), "");
}

TEST_F(WeakCycleTest, LoadsAnswerByLivenessAndStoreNothing) { // [weak.load.1]
  cycle.begin();
  cycle.end_marking();
  for (std::size_t i = 0; i < kHolders; ++i) {
    EXPECT_EQ(cycle.weak_load(slot(i)), i % 2 == 0 ? 0 : targets[i].address);
    EXPECT_EQ(raw(i), targets[i].address) << "the load stored something";
  }
  EXPECT_EQ(heap.mutator->barrier.log.size(), 0u) << "and nothing is logged after the end [mark.end.2]";
  EXPECT_EQ(cycle.finish(), "");
}

TEST_F(WeakCycleTest, BreakALoadThatDoesNotAsk) {
  cycle.begin();
  cycle.end_marking();
  heap.mutator->phase = kBarrierIdle; // as if the stop had not told the thread
  const Address loaded = cycle.weak_load(slot(0));
  ASSERT_EQ(loaded, targets[0].address);
  heap.root(20, {loaded});
  EXPECT_EQ(cycle.finish(), "");
  EXPECT_NE(heap.collector.verify(*heap.mutator, true), "");
}

TEST_F(WeakCycleTest, WhatIsStoredMeanwhileStays) { // [weak.clear.1]
  cycle.begin();
  cycle.end_marking();
  const ObjectRef fresh = heap.make(node);
  heap.root(20, fresh);
  heap.store(holders[0], kWeak, fresh);
  heap.store(holders[2], kWeak, targets[1]);
  heap.store(fresh, kWeak, targets[3]);
  EXPECT_EQ(cycle.weak_load(slot(0)), fresh.address);
  EXPECT_EQ(cycle.weak_load(slot(2)), targets[1].address);
  EXPECT_EQ(cycle.finish(), "");
  EXPECT_EQ(raw(0), fresh.address);
  EXPECT_EQ(raw(2), targets[1].address);
  EXPECT_EQ(TestHeap::peek(fresh, kWeak), targets[3].address);
  EXPECT_EQ(heap.collector.verify(*heap.mutator, true), "");
}

TEST_F(WeakCycleTest, AThreadNoticesTheEndInItsNextColdPath) { // [weak.over.1]
  cycle.begin();
  cycle.end_marking();
  EXPECT_EQ(cycle.finish(), "");
  EXPECT_EQ(heap.mutator->phase, kBarrierClearing) << "nobody stopped it";
  EXPECT_EQ(cycle.weak_load(slot(1)), targets[1].address);
  EXPECT_EQ(heap.mutator->phase, kBarrierIdle);
  cycle.begin();
  cycle.end_marking();
  EXPECT_EQ(cycle.finish(), "");
  heap.store(holders[1], kWeak, {});
  if (heap.mutator->phase != kBarrierIdle) {
    store_barrier_cold(*heap.mutator, heap.mutator->barrier, heap.collector.barriers, slot(3));
  }
  EXPECT_EQ(heap.mutator->phase, kBarrierIdle) << "a store notices, too";
}

TEST_F(WeakCycleTest, ThreadsThatComeMeanwhileAsk) {
  cycle.begin();
  cycle.end_marking();
  cycle.on_another_thread([&](Mutator& m) {
    EXPECT_EQ(m.phase, kBarrierClearing);
    EXPECT_EQ(weak_load_barrier_cold(m, m.barrier, heap.collector.barriers, slot(0)), 0u);
  });
  while (heap.collector.weak_slice(1)) {
  }
  cycle.on_another_thread([](Mutator& m) { EXPECT_EQ(m.phase, kBarrierIdle); });
  EXPECT_EQ(cycle.finish(), "");
}

TEST_F(WeakCycleTest, AMarkWithoutWeakSlotsEndsIdle) {
  for (std::size_t i = 0; i <= kHolders; ++i) {
    heap.root(i, {});
  }
  cycle.begin();
  cycle.end_marking();
  EXPECT_EQ(heap.mutator->phase, kBarrierIdle);
  EXPECT_EQ(cycle.finish(), "");
}

// What a mark that was given up has not reached is not dead.
TEST_F(WeakCycleTest, AMarkThatWasGivenUpClearsNothing) {                            // [cycle.free.1]
  TestHeap::poke(holders[0], kNext, heap.collector.memory.pool.slabs().base() + 12); // no object
  cycle.begin();
  cycle.end_marking();
  EXPECT_NE(cycle.finish(), "");
  for (std::size_t i = 0; i < kHolders; ++i) {
    EXPECT_EQ(raw(i), targets[i].address);
  }
}

// A million weak slots, half of them to be cleared: the stop at the end does as much as with none. [weak.bound.1]
TEST(WeakCycle, AMillionSlotsAddNothingToTheStop) {
  constexpr std::size_t kSlots = 1000000;
  TestHeap heap(test::quiet_config(256 * kMiB));
  const SteppedCycle cycle(heap);
  const LayoutId node =
      heap.layout(fixed_layout("weak", 24, {{kNext, ECHO_SLOT_STRONG}, {kWeak, ECHO_SLOT_WEAK}}));
  std::vector<ObjectRef> holders(kSlots);
  for (std::size_t i = 0; i < kSlots; ++i) {
    holders[i] = heap.make(node);
    heap.store(holders[i], kNext, heap.roots[0] == nullptr ? ObjectRef{} : test::as_object(heap.roots[0]));
    heap.root(0, holders[i]);
    heap.store(holders[i], kWeak, i % 2 == 0 ? heap.make(heap.pair) : holders[i / 2]);
  }
  cycle.begin();
  while (heap.collector.mark_slice(4096) == Collector::MarkState::More) {
  }
  const std::uint64_t start = os::monotonic_ns();
  ASSERT_TRUE(cycle.end());
  const std::uint64_t stopped_ns = os::monotonic_ns() - start;
  EXPECT_NE(TestHeap::peek(holders[0], kWeak), 0u) << "cleared in the stop";
  EXPECT_LE(heap.statistics().units_at_mark_end, 64u + 80u);
  EXPECT_EQ(cycle.finish(), "");
  for (std::size_t i = 0; i < kSlots; ++i) {
    ASSERT_EQ(TestHeap::peek(holders[i], kWeak) != 0, i % 2 != 0) << i;
  }
  RecordProperty("end_stop_us", static_cast<int>(stopped_ns / 1000));
}

} // namespace
} // namespace echo
