// SPDX-License-Identifier: MIT
//
// Purpose     Several markers: regions and edges that change hands, what only the lead looks into, and who comes, goes and
//             sleeps. That they mark the same as one: marker_test.cpp. The protocol in every interleaving:
//             tests/model/markers.pml.
#include "conformance/runner/sanitizers.h"
#include "gc/edge_pool.h"
#include "tests/gc/stepped_cycle.h"
#include "tests/heap/seed.h"

#include <gtest/gtest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <memory>
#include <set>
#include <thread>

namespace echo {
namespace {

using test::fixed_layout;
using test::quiet_config;
using test::Random;
using test::TestHeap;

constexpr Address kBase = Address{1} << 40;
constexpr std::size_t kHeapBytes = std::size_t{64} << 20;
constexpr std::size_t kRegion = std::size_t{4} << 20;

// --- the pool alone, on one thread

class EdgePoolTest : public ::testing::Test {
protected:
  static constexpr std::size_t kMarkers = 2;
  void open(std::size_t edges) {
    const std::size_t edge_bytes = EdgePool::bytes_for(edges, kMarkers);
    const std::size_t bytes = edge_bytes + 4 * sizeof(EdgePool::Slice);
    memory_.reset(
        static_cast<char*>(std::aligned_alloc(EdgeBlocks::kBytes, round_up(bytes, EdgeBlocks::kBytes))));
    pool.use(memory_.get(), edge_bytes, 4, [this](std::size_t who) { called.push_back(who); });
    for (EdgeStacks* s : {&lead, &second}) {
      s->use(pool.blocks(), kBase, kHeapBytes);
    }
    lead.begin(kHeapBytes, kRegion);
    second.begin_like(lead);
    pool.begin(lead);
  }
  static Address in_region(std::size_t region, std::size_t i) { return kBase + region * kRegion + i * 16; }

  EdgePool pool;
  EdgeStacks lead, second;
  std::vector<std::size_t> called;

private:
  struct Free {
    void operator()(char* p) const { std::free(p); }
  };
  std::unique_ptr<char, Free> memory_;
};

// [mark.parallel.1]
TEST_F(EdgePoolTest, ARegionHasOneMarker) {
  open(10000);
  SharedEdges mine(lead, pool);
  SharedEdges others(second, pool);
  mine.push(in_region(3, 0));
  ASSERT_TRUE(mine.next_region());
  EXPECT_TRUE(mine.has(in_region(3, 100)));
  others.push(in_region(3, 1));
  EXPECT_FALSE(others.next_region()) << "the lead has it";
  EXPECT_TRUE(second.is_empty()) << "[mark.parallel.2] what it cannot take is in the inbox";
  EXPECT_EQ(mine.pop(), in_region(3, 0));
  ASSERT_TRUE(mine.next_region()) << "its inbox, before it is let go";
  EXPECT_EQ(mine.pop(), in_region(3, 1));
  EXPECT_FALSE(mine.next_region());
  others.push(in_region(3, 2));
  ASSERT_TRUE(others.next_region()) << "nobody has it now";
  EXPECT_EQ(others.pop(), in_region(3, 2));
}

// [mark.parallel.2] [mark.edge.3] Pushes, pops, shares and leaves at random: nothing is lost, nothing comes twice, and of the
// blocks the last one is used.
TEST_F(EdgePoolTest, NothingIsLostBetweenMarkers) {
  SCOPED_TRACE(test::seed_message());
  Random random(test::test_seed());
  constexpr std::size_t kMost = 30000;
  open(kMost);
  pool.allow(1);
  std::multiset<Address> expected;
  bool at_work = false;
  const auto push_some = [&](EdgeStacks& stacks) {
    SharedEdges edges(stacks, pool);
    for (std::size_t n = random.below(2 * EdgeBlocks::kEdges); n > 0 && expected.size() < kMost; --n) {
      const Address word = kBase + random.below(kHeapBytes / 16) * 16;
      edges.push(word);
      expected.insert(word);
    }
    edges.finish();
  };
  const auto pop_some = [&](EdgeStacks& stacks, std::size_t most) {
    SharedEdges edges(stacks, pool);
    for (; most > 0 && (!edges.is_empty() || edges.next_region()); --most) {
      const Address word = edges.pop();
      ASSERT_TRUE(edges.has(word)) << "[mark.parallel.1]";
      const auto it = expected.find(word);
      ASSERT_NE(it, expected.end()) << "an edge nobody pushed";
      expected.erase(it);
    }
    edges.finish();
  };
  for (int turn = 0; turn < 500; ++turn) {
    push_some(lead);
    pop_some(lead, random.below(3 * EdgeBlocks::kEdges));
    if (random.chance(30)) {
      pool.share(lead);
    }
    if (!at_work) {
      at_work = pool.enter(0);
    }
    if (at_work) {
      push_some(second);
      pop_some(second, random.below(3 * EdgeBlocks::kEdges));
      if (random.chance(20)) {
        pool.leave(second, 0);
        ASSERT_TRUE(second.is_empty());
        at_work = false;
      }
    }
    ASSERT_FALSE(HasFatalFailure());
  }
  if (at_work) {
    EXPECT_FALSE(pool.is_quiet());
    pool.leave(second, 0);
  }
  pop_some(lead, SIZE_MAX);
  EXPECT_TRUE(expected.empty());
  EXPECT_TRUE(pool.is_quiet());
}

TEST_F(EdgePoolTest, WhatIsHandedComesToTheLeadOnce) { // [mark.parallel.4]
  open(10000);
  std::multiset<Address> expected;
  for (std::size_t i = 0; i < 3 * EdgeBlocks::kEdges; ++i) {
    const Address object = in_region(i % 16, i);
    pool.hand_objects(&object, 1);
    expected.insert(object);
  }
  EXPECT_FALSE(pool.is_quiet());
  for (Address object = pool.take_handed(); object != 0; object = pool.take_handed()) {
    const auto it = expected.find(object);
    ASSERT_NE(it, expected.end());
    expected.erase(it);
  }
  EXPECT_TRUE(expected.empty());
  EXPECT_TRUE(pool.is_quiet());
}

// [mark.parallel.2] Each thing that waits keeps the lead from saying that nothing is left.
TEST_F(EdgePoolTest, NothingIsLeftOnlyIfNothingWaitsAndNobodyIsAtWork) {
  open(10000);
  pool.allow(1);
  EXPECT_TRUE(pool.is_quiet());
  SharedEdges mine(lead, pool);
  for (std::size_t i = 0; i < 100; ++i) {
    mine.push(in_region(3, i));
  }
  pool.share(lead);
  EXPECT_FALSE(pool.is_quiet()) << "edges in an inbox";
  while (mine.next_region()) {
    while (!mine.is_empty()) {
      (void)mine.pop();
    }
  }
  EXPECT_TRUE(pool.is_quiet());
  pool.push_slice({in_region(5, 0), 256}, 1);
  EXPECT_FALSE(pool.is_quiet()) << "a slice";
  ASSERT_TRUE(pool.enter(0));
  EdgePool::Slice slice{};
  ASSERT_TRUE(pool.take_slice(&slice));
  EXPECT_EQ(slice.array, in_region(5, 0));
  EXPECT_EQ(slice.next, 256u);
  EXPECT_FALSE(pool.is_quiet()) << "a second at work";
  pool.leave(second, 0);
  EXPECT_TRUE(pool.is_quiet());
  const Address object = in_region(7, 0);
  pool.hand_objects(&object, 1);
  EXPECT_FALSE(pool.is_quiet()) << "an object for the lead";
  EXPECT_EQ(pool.take_handed(), object);
  EXPECT_TRUE(pool.is_quiet());
  pool.push_lead_slice({in_region(8, 0), 512});
  EXPECT_FALSE(pool.is_quiet()) << "a slice that is the lead's";
  EXPECT_FALSE(pool.take_slice(&slice));
  EXPECT_FALSE(pool.enter(0));
  ASSERT_TRUE(pool.take_lead_slice(&slice));
  EXPECT_EQ(slice.next, 512u);
  EXPECT_TRUE(pool.is_quiet());
}

// A mark that was given up leaves nothing to the next one: no edge, region, slice, object, count or word of corruption.
TEST_F(EdgePoolTest, ANewMarkBeginsWithNothing) {
  open(100000);
  pool.allow(1);
  SharedEdges mine(lead, pool);
  SharedEdges others(second, pool);
  for (std::size_t i = 0; i < 500; ++i) {
    mine.push(in_region(2, i));
  }
  mine.push(in_region(4, 0));
  pool.share(lead);
  ASSERT_TRUE(pool.enter(0));
  ASSERT_TRUE(others.next_region()); // it has a region, and edges for another
  others.push(in_region(6, 0));
  pool.push_slice({in_region(5, 0), 256}, 100000);
  pool.push_lead_slice({in_region(5, 0), 256});
  const Address object = in_region(7, 0);
  pool.hand_objects(&object, 1);
  pool.add({1, 2, 3});
  pool.report("wrong");
  pool.forget_seconds(); // as in the child of a fork: it left nothing in order
  called.clear();

  lead.begin(kHeapBytes, kRegion);
  second.begin_like(lead);
  pool.begin(lead);
  EXPECT_TRUE(pool.is_quiet());
  EXPECT_EQ(pool.take_handed(), 0u);
  EdgePool::Slice slice{};
  EXPECT_FALSE(pool.take_slice(&slice));
  EXPECT_FALSE(pool.take_lead_slice(&slice));
  EXPECT_EQ(pool.take_corruption(), "");
  const EdgePool::Done done = pool.done_by_seconds();
  EXPECT_EQ(done.edges + done.objects + done.bytes, 0u);
  pool.allow(1);
  EXPECT_TRUE(called.empty());
  EXPECT_FALSE(pool.enter(0));
  SharedEdges anew(lead, pool);
  EXPECT_FALSE(anew.next_region());
  for (std::size_t region = 0; region < kHeapBytes / kRegion; ++region) {
    anew.push(in_region(region, 1));
    ASSERT_TRUE(anew.next_region()) << "nobody has region " << region;
    ASSERT_EQ(anew.pop(), in_region(region, 1));
    ASSERT_TRUE(anew.is_empty());
  }
  pool.allow(0);
  pool.push_slice({in_region(5, 0), 256}, 1); // the memory of slices is whole again
  for (int i = 0; i < 3; ++i) {
    pool.push_slice({in_region(5, 0), 256}, 1);
  }
}

// [mark.parallel.3] Who is called: nobody for little, nobody twice, nobody beyond what is allowed, and who finds nothing goes.
TEST_F(EdgePoolTest, SecondsAreCalledForWorkThatIsWorthIt) {
  open(100000);
  SharedEdges mine(lead, pool);
  const auto push = [&](std::size_t region, std::size_t edges) {
    for (std::size_t i = 0; i < edges; ++i) {
      mine.push(in_region(region, i));
    }
  };
  push(1, 10);
  pool.allow(1);
  EXPECT_TRUE(pool.is_wanting());
  pool.share(lead);
  EXPECT_TRUE(called.empty()) << "ten edges";
  EXPECT_FALSE(pool.enter(0)) << "they stayed with the lead";
  push(2, 500);
  push(5, 500);
  pool.share(lead);
  EXPECT_EQ(called, std::vector<std::size_t>{0}) << "one is allowed";
  pool.share(lead);
  EXPECT_EQ(called.size(), 1u) << "called already";
  ASSERT_TRUE(pool.enter(0));
  EXPECT_FALSE(pool.is_wanting());
  EXPECT_FALSE(pool.enter(1)) << "not allowed";
  pool.allow(0);
  EXPECT_TRUE(pool.must_leave(0));
  pool.leave(second, 0);
  EXPECT_FALSE(pool.enter(0)) << "not allowed any more";
  pool.allow(2);
  EXPECT_EQ(called.size(), 3u) << "three regions wait, two may come";
  EXPECT_EQ(pool.most_at_work(), 2u);
}

TEST_F(EdgePoolTest, EdgesThatWereTakenAreWorthNoCallAnyMore) { // [mark.parallel.3]
  open(100000);
  SharedEdges mine(lead, pool);
  SharedEdges others(second, pool);
  for (std::size_t i = 0; i < 500; ++i) {
    mine.push(in_region(2, i));
  }
  pool.allow(1);
  pool.share(lead);
  ASSERT_EQ(called.size(), 1u);
  ASSERT_TRUE(pool.enter(0));
  ASSERT_TRUE(others.next_region());
  for (std::size_t i = 0; i < 490; ++i) {
    (void)others.pop();
  }
  pool.leave(second, 0);
  EXPECT_EQ(called.size(), 1u) << "ten edges are left";
  EXPECT_FALSE(pool.is_quiet());
}

// Whoever dismisses the seconds goes on when they have put everything down, and what they did is complete then.
TEST_F(EdgePoolTest, SecondsAreDismissedWhenTheyHaveLeft) { // [mark.parallel.2]
  open(100000);
  for (int round = 0; round < 200; ++round) {
    SharedEdges mine(lead, pool);
    for (std::size_t i = 0; i < 500; ++i) {
      mine.push(in_region(2, i));
    }
    pool.allow(1);
    pool.share(lead);
    std::atomic<bool> works{false};
    std::thread other([&] {
      ASSERT_TRUE(pool.enter(0));
      works = true;
      while (!pool.must_leave(0)) {
      }
      pool.add({1, 1, 1});
      pool.report("wrong");
      pool.leave(second, 0);
    });
    while (!works) {
      std::this_thread::yield();
    }
    pool.dismiss();
    EXPECT_EQ(pool.done_by_seconds().objects, 1u);
    EXPECT_EQ(pool.take_corruption(), "wrong");
    other.join();
    ASSERT_FALSE(HasFailure()) << round;
    lead.begin(kHeapBytes, kRegion);
    second.begin_like(lead);
    pool.begin(lead);
  }
}

TEST_F(EdgePoolTest, NoSecondComesWhileTheyAreHeld) { // [mark.parallel.5]
  open(100000);
  SharedEdges mine(lead, pool);
  pool.allow(1);
  pool.hold(true);
  for (std::size_t i = 0; i < 500; ++i) {
    mine.push(in_region(2, i));
  }
  EXPECT_FALSE(pool.is_wanting());
  pool.share(lead);
  EXPECT_TRUE(called.empty());
  EXPECT_FALSE(pool.enter(0));
  pool.hold(false);
  ASSERT_TRUE(pool.enter(0));
  EXPECT_DEATH(pool.hold(true), "mark.parallel.5");
  EXPECT_DEATH(pool.begin(lead), "mark.parallel.2");
  pool.leave(second, 0);
}

// --- whole marks: the lead leaves to the seconds what they can do

Config seconds_first(MarkMode mode) {
  Config config = quiet_config();
  config.markers = 3;
  config.mark_region = kSlabBytes;
  config.seconds_first = true;
  config.poison = true;
  config.verify = true;
  config.mode = mode;
  return config;
}

class ParallelMark : public ::testing::TestWithParam<MarkMode> {
protected:
  bool is_marked(ObjectRef object) const { return heap.collector.memory.bits.is_marked(object.address); }
  bool is_freed(ObjectRef object) const { return TestHeap::peek(object, 0) == kPoisonWord; }
  TestHeap heap{seconds_first(GetParam())};
};
INSTANTIATE_TEST_SUITE_P(Modes, ParallelMark, ::testing::Values(MarkMode::Concurrent, MarkMode::Stw),
                         [](const auto& mode) { return mode.param == MarkMode::Stw ? "stw" : "concurrent"; });

TEST_P(ParallelMark, SecondsMarkAWideArrayAndADeepTree) {
  constexpr std::size_t kLeaves = 20000, kFirstParent = 1 << 13, kTree = 2 * kFirstParent - 1;
  (void)heap.root_pairs(kLeaves);
  std::vector<ObjectRef> tree;
  for (std::size_t i = 0; i < kTree; ++i) { // children before their parents, in slabs all over
    const ObjectRef node = heap.make(heap.pair);
    if (i >= kFirstParent) {
      heap.store(node, 8, tree[2 * (i - kFirstParent)]);
      heap.store(node, 16, tree[2 * (i - kFirstParent) + 1]);
    }
    tree.push_back(node);
  }
  heap.root(1, tree.back());
  heap.collect();
  const echo_statistics s = heap.statistics();
  EXPECT_EQ(s.objects_marked, 1 + kLeaves + kTree);
  EXPECT_GT(s.edges_of_seconds, kLeaves);
  EXPECT_GE(s.markers_peak, 2u);
  EXPECT_LE(s.markers_peak, 3u);
  EXPECT_EQ(heap.verify_after_mark(), "");
}

// [mark.parallel.4] The lead alone looks into these, whoever marked them.
TEST_P(ParallelMark, WeakSlotsTraceCallbacksAndAmbiguousWordsAreTheLeads) {
  constexpr std::size_t kEach = 500;
  const LayoutId weak = heap.layout(fixed_layout("weak", 24, {{8, ECHO_SLOT_WEAK}, {16, ECHO_SLOT_STRONG}}));
  std::string why;
  ASSERT_EQ(heap.collector.starts.use(&why), ECHO_OK) << why;
  const LayoutId unknown = heap.layout(test::describe("unknown", ECHO_LAYOUT_AMBIGUOUS, 16, 8));
  LayoutId traced;
  const auto trace = [](void*, echo_ref object, echo_visit_ref_fn visit, void* visitor) {
    visit(visitor, reinterpret_cast<echo_ref>(load_slot(reinterpret_cast<Address>(object) + 8)));
  };
  ASSERT_EQ(heap.collector.register_layout(fixed_layout("traced", 16), &traced, &why, {trace, nullptr}),
            ECHO_OK)
      << why;
  std::vector<ObjectRef> kept, lost, weaks;
  const ObjectRef array = heap.make(heap.refs, 3 * kEach);
  heap.root(0, array);
  for (std::size_t i = 0; i < kEach; ++i) {
    const ObjectRef w = heap.make(weak);
    heap.store(array, 16 + 8 * (3 * i), w);
    kept.push_back(heap.make(heap.pair));
    heap.store(w, 16, kept.back());
    lost.push_back(heap.make(heap.pair));
    TestHeap::poke(w, 8, lost.back().address);
    weaks.push_back(w);
    const ObjectRef u = heap.make(unknown, 1);
    heap.store(array, 16 + 8 * (3 * i + 1), u);
    kept.push_back(heap.make(heap.pair));
    TestHeap::poke(u, 16, kept.back().address + 9);
    const ObjectRef t = heap.make(traced);
    heap.store(array, 16 + 8 * (3 * i + 2), t);
    kept.push_back(heap.make(heap.pair));
    TestHeap::poke(t, 8, kept.back().address);
  }
  heap.collect();
  EXPECT_EQ(heap.statistics().objects_marked, 1 + 6 * kEach);
  EXPECT_EQ(heap.statistics().weak_slots_cleared, kEach);
  EXPECT_EQ(heap.statistics().pinned_objects, kEach);
  for (const ObjectRef object : kept) {
    ASSERT_TRUE(is_marked(object));
  }
  for (const ObjectRef object : lost) {
    ASSERT_TRUE(is_freed(object));
  }
  for (const ObjectRef w : weaks) {
    ASSERT_EQ(TestHeap::peek(w, 8), 0u);
  }
}

TEST_P(ParallelMark, LongArraysOfAmbiguousWordsAreTheLeads) { // [mark.parallel.4]
  constexpr std::size_t kArrays = 4, kLength = 5000;
  std::string why;
  ASSERT_EQ(heap.collector.starts.use(&why), ECHO_OK) << why;
  const LayoutId unknown = heap.layout(test::describe("unknown", ECHO_LAYOUT_AMBIGUOUS, 16, 8));
  for (std::size_t a = 0; a < kArrays; ++a) {
    const ObjectRef array = heap.make(unknown, kLength);
    heap.root(a, array);
    for (std::size_t i = 0; i < kLength; ++i) {
      TestHeap::poke(array, 16 + 8 * i, heap.make(heap.pair).address + 9);
    }
  }
  heap.collect();
  EXPECT_EQ(heap.statistics().objects_marked, kArrays * (1 + kLength));
  EXPECT_EQ(heap.statistics().pinned_objects, kArrays * kLength);
  EXPECT_EQ(heap.statistics().ambiguous_words, kArrays * kLength);
  EXPECT_EQ(heap.verify_after_mark(), "");
}

// [mark.parallel.5] Each value is the key of the next pair, and half of the chain hangs on a key that is dead.
TEST_P(ParallelMark, EphemeronsAreLookedAtWhileNoSecondIsAtWork) {
  constexpr std::size_t kPairs = 600;
  const LayoutId node = heap.layout(
      fixed_layout("ephemeron", 24, {{8, ECHO_SLOT_EPHEMERON_KEY}, {16, ECHO_SLOT_EPHEMERON_VALUE}}));
  const ObjectRef array = heap.make(heap.refs, kPairs);
  heap.root(0, array);
  std::vector<ObjectRef> keys;
  for (std::size_t i = 0; i <= kPairs; ++i) {
    keys.push_back(heap.make(heap.pair));
  }
  heap.root(1, keys[0]);
  for (std::size_t i = 0; i < kPairs; ++i) {
    const ObjectRef pair = heap.make(node);
    heap.store(array, 16 + 8 * (kPairs - 1 - i), pair);
    heap.store(pair, 8, keys[i]);
    heap.store(pair, 16, i == kPairs / 2 ? ObjectRef{} : keys[i + 1]);
  }
  heap.collect();
  for (std::size_t i = 0; i <= kPairs; ++i) {
    ASSERT_EQ(is_freed(keys[i]), i > kPairs / 2) << i;
  }
  EXPECT_EQ(heap.statistics().ephemerons_cleared, kPairs - kPairs / 2 - 1);
  EXPECT_EQ(heap.statistics().objects_marked, 1 + kPairs + kPairs / 2 + 1);
}

// Each key lies at the end of a value that is worth sharing.
TEST_P(ParallelMark, KeysInWideValuesReleaseTheirPairs) { // [mark.parallel.5]
  constexpr std::size_t kPairs = 5, kWide = 6000;
  const LayoutId node = heap.layout(
      fixed_layout("ephemeron", 24, {{8, ECHO_SLOT_EPHEMERON_KEY}, {16, ECHO_SLOT_EPHEMERON_VALUE}}));
  const ObjectRef array = heap.make(heap.refs, kPairs);
  heap.root(0, array);
  ObjectRef key = heap.make(heap.pair);
  heap.root(1, key);
  for (std::size_t i = 0; i < kPairs; ++i) {
    const ObjectRef pair = heap.make(node);
    heap.store(array, 16 + 8 * (kPairs - 1 - i), pair);
    heap.store(pair, 8, key);
    const ObjectRef value = heap.make(heap.refs, kWide);
    heap.store(pair, 16, value);
    for (std::size_t k = 0; k < kWide; ++k) {
      key = heap.make(heap.pair);
      heap.store(value, 16 + 8 * k, key);
    }
  }
  heap.collect();
  EXPECT_EQ(heap.statistics().objects_marked, 2 + kPairs * (2 + kWide));
  EXPECT_EQ(heap.statistics().ephemerons_cleared, 0u);
  EXPECT_TRUE(is_marked(key));
}

// [mark.error.1] [cycle.free.1]
TEST_P(ParallelMark, WhatASecondFindsCorruptIsReported) {
  Config config = seconds_first(GetParam());
  config.verify = false; // it would say so before the mark
  TestHeap broken(config);
  const ObjectRef garbage = broken.make(broken.bytes, 100);
  TestHeap::poke(garbage, 16, 0x1122334455667788);
  const ObjectRef array = broken.root_pairs(5000);
  const ObjectRef victim{TestHeap::peek(array, 16 + 8 * std::size_t{4000})};
  TestHeap::poke(victim, 8, broken.make(broken.pair).address + 4);
  std::string why;
  EXPECT_EQ(broken.collect(&why), ECHO_HEAP_CORRUPT);
  EXPECT_NE(why.find("is not aligned to 8 bytes"), std::string::npos) << why;
  EXPECT_EQ(TestHeap::peek(garbage, 16), 0x1122334455667788u) << "freed";
}

// In the child the seconds are gone, and made anew; in the parent they go on. [fork.child.1]
TEST_P(ParallelMark, ForksBesideSeconds) {
  if (conformance::kThreadSanitizer) {
    GTEST_SKIP() << "the thread sanitizer does not follow a process that forks";
  }
  for (const bool first : {true, false}) {
    Config config = seconds_first(GetParam());
    config.seconds_first = first;
    TestHeap forking(config);
    (void)forking.root_pairs(20000);
    forking.collect();
    std::string why;
    (void)forking.collector.begin_collection(*forking.mutator); // a mark may be on in the fork
    ASSERT_EQ(forking.collector.fork_prepare(*forking.mutator, &why), ECHO_OK) << why;
    const pid_t child = ::fork();
    if (child == 0) {
      const bool ok = forking.collector.fork_child(*forking.mutator, &why) == ECHO_OK;
      const std::uint64_t before = forking.statistics().edges_of_seconds;
      const bool collected = ok && forking.collect(&why) == ECHO_OK;
      ::_exit(collected && (!first || forking.statistics().edges_of_seconds > before) ? 0 : 1);
    }
    ASSERT_EQ(forking.collector.fork_parent(*forking.mutator, &why), ECHO_OK) << why;
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    forking.collect();
    EXPECT_EQ(forking.verify_after_mark(), "");
  }
}

TEST_P(ParallelMark, AHeapGoesInTheMiddleOfAMark) { // [service.end.1]
  (void)heap.root_pairs(20000);
  (void)heap.collector.begin_collection(*heap.mutator);
}

// --- when there is nothing to share

TEST(ParallelMarkAlone, NobodyIsCalledForALongList) { // [mark.parallel.3]
  Config config = quiet_config();
  config.markers = 4;
  TestHeap heap(config);
  constexpr std::size_t kLength = 100000;
  for (std::size_t i = 0; i < kLength; ++i) {
    const ObjectRef cell = heap.make(heap.pair);
    heap.store(cell, 8, test::as_object(heap.roots[0]));
    heap.root(0, cell);
  }
  heap.collect();
  const echo_statistics s = heap.statistics();
  EXPECT_EQ(s.objects_marked, kLength);
  EXPECT_EQ(s.edges_of_seconds, 0u);
  EXPECT_EQ(s.markers_peak, 1u);
}

TEST(ParallelMarkAlone, StepsOfTheProgramAreNotShared) { // [mark.parallel.6]
  for (const bool stepping : {false, true}) {
    Config config = seconds_first(stepping ? MarkMode::Concurrent : MarkMode::Incremental);
    config.stepping = stepping;
    TestHeap heap(config);
    (void)heap.root_pairs(5000);
    heap.collect();
    EXPECT_EQ(heap.statistics().objects_marked, 5001u);
    EXPECT_EQ(heap.statistics().markers_peak, 1u);
  }
}

TEST(ParallelMarkAlone, ASmallHeapIsMarkedByOne) { // [mark.parallel.6]
  TestHeap heap(quiet_config());
  heap.root(0, heap.make(heap.refs, 100000));
  heap.collect();
  EXPECT_EQ(heap.statistics().markers_peak, 1u);
}

} // namespace
} // namespace echo
