// SPDX-License-Identifier: MIT
//
// Purpose     Finalizable objects: due once, with all that they reach; step by step, by the million, and with faults
//             planted. [final.memory.1] [final.block.1] [final.once.1] [final.root.1] [final.all.1] [final.dead.1] [final.order.1] [weak.final.1]
#include "tests/gc/stepped_cycle.h"

#include <algorithm>
#include <iterator>
#include <random>
#include <set>

namespace echo {
namespace {

using test::as_object;
using test::fixed_layout;
using test::kMiB;
using test::quiet_config;
using test::SteppedCycle;
using test::TestHeap;
using test::watched;

constexpr std::size_t kNext = 8, kOther = 16, kWeak = 24, kNumber = 32, kBytes = 40;

echo_layout finalizable(const char* name, const std::vector<echo_slot>& slots) {
  echo_layout layout = fixed_layout(name, kBytes, slots);
  layout.flags = ECHO_LAYOUT_FINALIZABLE;
  return layout;
}

class FinalizersTest : public ::testing::Test {
protected:
  explicit FinalizersTest(const Config& config = watched()) : heap(config), cycle(heap) {
    static const std::vector<echo_slot> slots{
        {kNext, ECHO_SLOT_STRONG}, {kOther, ECHO_SLOT_STRONG}, {kWeak, ECHO_SLOT_WEAK}};
    node = heap.layout(finalizable("finalizable", slots));
    plain = heap.layout(fixed_layout("plain", kBytes, slots));
  }
  ObjectRef make(std::uint64_t number, ObjectRef next = {}) {
    const ObjectRef made = heap.make(node);
    TestHeap::poke(made, kNumber, number);
    heap.store(made, kNext, next);
    return made;
  }
  ObjectRef take() {
    ObjectRef object;
    if (heap.collector.roots.finalizers.take(&object)) {
      log_leaving_root(*heap.mutator, heap.mutator->barrier, heap.collector.barriers, object);
    }
    return object;
  }
  std::vector<std::uint64_t> take_all() {
    std::vector<std::uint64_t> numbers;
    while (const ObjectRef object = take()) {
      numbers.push_back(TestHeap::peek(object, kNumber));
    }
    return numbers;
  }
  bool is_freed(ObjectRef object) const { return TestHeap::peek(object, 0) == kPoisonWord; }
  std::string verify() { return heap.collector.verify(*heap.mutator, true); }

  TestHeap heap;
  SteppedCycle cycle;
  LayoutId node, plain;
};

class FinalizerModes : public FinalizersTest, public ::testing::WithParamInterface<MarkMode> {
protected:
  FinalizerModes() : FinalizersTest(watched(GetParam())) {}
};
INSTANTIATE_TEST_SUITE_P(Modes, FinalizerModes, ::testing::Values(MarkMode::Concurrent, MarkMode::Stw),
                         [](const auto& mode) { return mode.param == MarkMode::Stw ? "stw" : "concurrent"; });

TEST_P(FinalizerModes, DueOnceAndThenFreed) { // [final.once.1] [weak.final.1]
  const ObjectRef child = heap.make(plain);
  const ObjectRef object = make(7, child);
  heap.root(0, object);
  heap.collect();
  EXPECT_FALSE(take()) << "it is alive";
  heap.root(0, {});
  heap.collect();
  EXPECT_FALSE(is_freed(object));
  EXPECT_FALSE(is_freed(child));
  EXPECT_EQ(verify(), "");
  heap.collect();
  heap.collect();
  EXPECT_FALSE(is_freed(child)) << "it is a root until it is taken [final.root.1]";
  EXPECT_EQ(heap.statistics().finalizers_due, 1u);
  EXPECT_EQ(take().address, object.address);
  EXPECT_FALSE(take());
  heap.root(0, object); // resurrected
  heap.collect();
  EXPECT_FALSE(is_freed(child));
  heap.root(0, {});
  heap.collect();
  EXPECT_TRUE(is_freed(object));
  EXPECT_TRUE(is_freed(child));
  EXPECT_FALSE(take());
  EXPECT_EQ(heap.statistics().finalizers_found, 1u);
  EXPECT_EQ(verify(), "");
}

TEST_P(FinalizerModes, ObjectsThatReachEachOtherAreDueTogetherInOrder) { // [final.dead.1] [final.order.1]
  const ObjectRef first = make(1), second = make(2, first), third = make(3, second);
  heap.store(first, kNext, third);
  heap.root(0, make(4));
  heap.collect();
  EXPECT_EQ(take_all(), (std::vector<std::uint64_t>{1, 2, 3}));
  heap.root(0, {});
  (void)make(5);
  heap.collect();
  EXPECT_EQ(take_all(), (std::vector<std::uint64_t>{4, 5}));
}

TEST_P(FinalizerModes, WeakSlotsAreNullBeforeAnObjectIsDue) { // [weak.clear.1]
  const ObjectRef holder = heap.make(plain), inner = heap.make(plain), lost = heap.make(plain);
  const ObjectRef object = make(1, inner);
  heap.store(inner, kOther, heap.make(plain));
  heap.root(0, holder);
  heap.store(holder, kWeak, object);
  heap.store(object, kWeak, lost);  // nothing else knows it
  heap.store(inner, kWeak, object); // both live because of the object
  heap.collect();
  EXPECT_EQ(TestHeap::peek(holder, kWeak), 0u);
  EXPECT_EQ(take().address, object.address);
  EXPECT_EQ(TestHeap::peek(object, kWeak), 0u);
  EXPECT_EQ(TestHeap::peek(inner, kWeak), object.address);
  EXPECT_TRUE(is_freed(lost));
  EXPECT_EQ(verify(), "");
}

TEST_P(FinalizerModes, EphemeronsOfWhatIsResurrected) {
  const LayoutId table = heap.layout(fixed_layout("table", 40,
                                                  {{8, ECHO_SLOT_EPHEMERON_KEY},
                                                   {16, ECHO_SLOT_EPHEMERON_VALUE},
                                                   {24, ECHO_SLOT_EPHEMERON_KEY},
                                                   {32, ECHO_SLOT_EPHEMERON_VALUE}}));
  const ObjectRef inside = heap.make(table), outside = heap.make(table);
  const ObjectRef key = heap.make(plain), kept = heap.make(plain), lost = heap.make(plain);
  const ObjectRef object = make(1, inside);
  heap.store(object, kOther, key);
  heap.store(inside, 8, key);
  heap.store(inside, 16, kept);
  heap.store(inside, 24, lost);
  heap.store(inside, 32, heap.make(plain));
  heap.root(0, outside);
  heap.store(outside, 8, key);
  heap.store(outside, 16, heap.make(plain));
  heap.collect();
  EXPECT_EQ(TestHeap::peek(outside, 8), 0u) << "as weak slots";
  EXPECT_EQ(TestHeap::peek(outside, 16), 0u);
  EXPECT_EQ(TestHeap::peek(inside, 8), key.address);
  EXPECT_EQ(TestHeap::peek(inside, 16), kept.address);
  EXPECT_EQ(TestHeap::peek(inside, 24), 0u);
  EXPECT_EQ(TestHeap::peek(inside, 32), 0u);
  EXPECT_FALSE(is_freed(kept));
  EXPECT_TRUE(is_freed(lost));
  EXPECT_EQ(verify(), "");
}

TEST_P(FinalizerModes, LargeObjectsAndArrays) {
  echo_layout array = test::raw_array_layout("finalizable array", 1);
  array.flags = ECHO_LAYOUT_FINALIZABLE;
  const LayoutId bytes = heap.layout(array);
  const ObjectRef large = heap.make(bytes, 100000), small = heap.make(bytes, 100);
  heap.root(0, large);
  heap.collect();
  EXPECT_EQ(take().address, small.address);
  heap.root(0, {});
  heap.collect();
  EXPECT_EQ(take().address, large.address);
  heap.collect();
  EXPECT_EQ(heap.statistics().large_objects, 0u);
  EXPECT_EQ(verify(), "");
}

// What an ambiguous word of it hits is followed as while marking: also what was born after the mark before.
TEST_P(FinalizerModes, WhatAmbiguousObjectsHit) { // [weak.final.1] [resolve.hit.1]
  std::string why;
  ASSERT_EQ(heap.collector.starts.use(&why), ECHO_OK) << why;
  const LayoutId unknown = heap.layout(test::describe("unknown", ECHO_LAYOUT_AMBIGUOUS, 16, 8));
  const ObjectRef old_child = heap.make(plain), words = heap.make(unknown, 3);
  heap.root(0, old_child);
  heap.root(1, words);
  heap.collect();
  const ObjectRef young_child = heap.make(plain), large = heap.make(heap.bytes, 100000);
  TestHeap::poke(words, 16, old_child.address + 9);
  TestHeap::poke(words, 24, young_child.address + 17);
  TestHeap::poke(words, 32, large.address + 99000);
  const ObjectRef object = make(1, words);
  heap.root(0, {});
  heap.root(1, {});
  heap.collect();
  EXPECT_EQ(heap.statistics().finalizers_due, 1u);
  EXPECT_FALSE(is_freed(old_child));
  EXPECT_FALSE(is_freed(young_child));
  EXPECT_EQ(heap.statistics().large_objects, 1u);
  EXPECT_EQ(verify(), "");
  EXPECT_EQ(take().address, object.address);
  heap.collect();
  EXPECT_TRUE(is_freed(young_child));
  EXPECT_EQ(heap.statistics().large_objects, 0u);
}

// While weak things are dealt with words hit what the mark found alive, and nothing dead.
TEST_F(FinalizersTest, WordsHitNothingDeadMeanwhile) { // [resolve.dead.1] [resolve.dead.2]
  std::string why;
  ASSERT_EQ(heap.collector.starts.use(&why), ECHO_OK) << why;
  const ObjectRef kept = heap.make(plain), holder = heap.make(plain), dead = heap.make(plain);
  heap.root(0, holder);
  heap.store(holder, kNext, kept);
  heap.store(holder, kWeak, dead);
  cycle.begin();
  cycle.end_marking();
  const ObjectRef born = heap.make(plain);
  const auto hit = [&](ObjectRef object) {
    ObjectRef found;
    EXPECT_EQ(heap.collector.starts.resolve(*heap.mutator, {object.address + 8}, &found, &why), ECHO_OK)
        << why;
    return found.address == object.address;
  };
  do {
    EXPECT_TRUE(hit(kept));
    EXPECT_TRUE(hit(born));
    EXPECT_FALSE(hit(dead));
  } while (heap.collector.weak_slice(1));
  EXPECT_EQ(cycle.finish(), "");
  EXPECT_TRUE(hit(kept) && hit(born));
  EXPECT_FALSE(hit(dead));
}

TEST_P(FinalizerModes, WithoutMemoryNothingIsDueAndAllLives) { // [final.memory.1]
  const ObjectRef child = heap.make(plain), object = make(1, child);
  heap.collector.finalizers.refuse_memory(true);
  for (int turn = 0; turn < 3; ++turn) {
    heap.collect();
    EXPECT_FALSE(take());
    EXPECT_FALSE(is_freed(object));
    EXPECT_FALSE(is_freed(child));
    EXPECT_EQ(verify(), "");
  }
  heap.collector.finalizers.refuse_memory(false);
  heap.collect();
  EXPECT_EQ(take().address, object.address);
}

// Threads that are gone have left their objects behind.
TEST_P(FinalizerModes, ObjectsOfThreadsThatAreGone) { // [final.all.1]
  cycle.on_another_thread([this](Mutator& m) {
    for (std::uint64_t i = 0; i < 1000; ++i) {
      TestHeap::poke(heap.collector.allocate(m, node, 0), kNumber, i);
    }
  });
  heap.collect();
  EXPECT_EQ(take_all().size(), 1000u);
}

// Random objects under random roots: each is due in the first collection that does not reach it, and never again.
TEST_P(FinalizerModes, AgreeWithAModel) {
  const std::uint32_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  std::uint64_t made = 0;
  std::set<std::uint64_t> waiting; // not due yet
  for (int round = 0; round < 30; ++round) {
    for (int i = 0; i < 600; ++i) {
      const std::size_t where = random() % heap.roots.size();
      const ObjectRef below = as_object(heap.roots[random() % heap.roots.size()]);
      waiting.insert(made);
      const ObjectRef object = make(made++, random() % 2 == 0 ? below : ObjectRef{});
      if (random() % 4 != 0) {
        heap.root(where, object);
      }
    }
    if (random() % 4 == 0) {
      for (std::size_t i = 0; i < heap.roots.size(); ++i) {
        heap.root(i, {});
      }
    }
    std::set<std::uint64_t> alive;
    for (const echo_ref root : heap.roots) {
      for (ObjectRef at = as_object(root); at && alive.insert(TestHeap::peek(at, kNumber)).second;
           at = {TestHeap::peek(at, kNext)}) {
      }
    }
    heap.collect();
    std::vector<std::uint64_t> expected;
    std::set_difference(waiting.begin(), waiting.end(), alive.begin(), alive.end(),
                        std::back_inserter(expected));
    ASSERT_EQ(take_all(), expected);
    for (const std::uint64_t number : expected) {
      waiting.erase(number);
    }
    ASSERT_EQ(verify(), "");
  }
}

// What is taken while marking is logged: the queue is a root of the snapshot.
class QueueSnapshotTest : public FinalizersTest {
protected:
  static constexpr std::uint64_t kObjects = 2000; // of several blocks
  QueueSnapshotTest() {
    for (std::uint64_t i = 0; i < kObjects; ++i) {
      children.push_back(heap.make(plain));
      (void)make(i, children.back());
    }
    heap.collect();
    cycle.begin();
  }
  std::vector<ObjectRef> children;
};

TEST_F(QueueSnapshotTest, WhatIsTakenWhileMarkingLives) { // [final.root.1]
  const ObjectRef list = heap.make(heap.refs, kObjects);  // fresh: the marker does not look
  heap.root(0, list);
  for (std::uint64_t i = 0; i < kObjects; ++i) {
    const ObjectRef object = take();
    ASSERT_TRUE(object);
    heap.store(list, 16 + 8 * i, object);
    if (i % 100 == 0) {
      (void)heap.collector.mark_slice(50);
    }
  }
  cycle.end_marking();
  EXPECT_EQ(cycle.finish(), "");
  for (const ObjectRef child : children) {
    ASSERT_FALSE(is_freed(child));
  }
  EXPECT_EQ(verify(), "");
}

TEST_F(QueueSnapshotTest, BreakATakeThatIsNotLogged) {
  ObjectRef object;
  ASSERT_TRUE(heap.collector.roots.finalizers.take(&object)); // not through take()
  const ObjectRef fresh = heap.make(plain);
  heap.root(0, fresh);
  heap.store(fresh, kNext, object);
  cycle.end_marking();
  EXPECT_NE(cycle.finish().find("is not the start of an object that survived the last mark"),
            std::string::npos);
}

TEST_F(QueueSnapshotTest, TheRestIsTraced) {
  cycle.end_marking();
  EXPECT_EQ(cycle.finish(), "");
  EXPECT_EQ(take_all().size(), kObjects);
  heap.collect();
  EXPECT_TRUE(is_freed(children[0]));
}

// Until all that a due object reaches is marked nobody can get at it, and nobody waits: words hit what the mark found alive,
// between the slices as before and after, whether the heap has declared ambiguous words or not.
class ResurrectionTest : public FinalizersTest, public ::testing::WithParamInterface<bool> {
protected:
  ObjectRef hit(Address word) {
    ObjectRef found;
    std::string why;
    EXPECT_EQ(heap.collector.starts.resolve(*heap.mutator, {word}, &found, &why), ECHO_OK) << why;
    return found;
  }
};
INSTANTIATE_TEST_SUITE_P(Words, ResurrectionTest, ::testing::Bool(),
                         [](const auto& used) { return used.param ? "ambiguous" : "none"; });

TEST_P(ResurrectionTest, NobodyObtainsWhatIsBeingResurrected) { // [weak.final.1] [resolve.dead.2]
  std::string why;
  const ObjectRef holder = heap.make(plain);
  heap.root(0, holder);
  ObjectRef list = heap.make(heap.bytes, 100000); // large, and not finalizable
  const ObjectRef large = list;
  std::vector<ObjectRef> due, neighbours;
  for (std::uint64_t i = 0; i < 100; ++i) { // alive and due side by side
    list = make(i, list);
    due.push_back(list);
    neighbours.push_back(heap.make(heap.pair));
    heap.store(neighbours.back(), 8, test::as_object(heap.roots[1]));
    heap.root(1, neighbours.back());
  }
  heap.store(holder, kWeak, list);
  if (GetParam()) {
    ASSERT_EQ(heap.collector.starts.use(&why), ECHO_OK) << why;
  }
  cycle.begin();
  cycle.end_marking();
  EXPECT_EQ(cycle.weak_load(holder.address + kWeak), 0u);
  const ObjectRef born = heap.make(plain), born_large = heap.make(heap.bytes, 100000);
  std::size_t steps = 0, marked = 0;
  while (heap.collector.weak_slice(1)) {
    ++steps;
    EXPECT_EQ(cycle.weak_load(holder.address + kWeak), 0u);
    const bool is_over = heap.collector.roots.finalizers.size() != 0;
    for (std::size_t i = 0; i < due.size(); ++i) {
      const bool is_marked = heap.collector.memory.bits.is_marked(due[i].address);
      marked += is_marked ? 1 : 0;
      ASSERT_TRUE(is_marked || !is_over);
      ASSERT_EQ(hit(due[i].address + kBytes - 1).address, is_over ? due[i].address : 0u) << steps;
      ASSERT_EQ(hit(neighbours[i].address + 23).address, neighbours[i].address) << steps;
    }
    EXPECT_EQ(hit(large.address + 50000).address, is_over ? large.address : 0u);
    EXPECT_EQ(hit(holder.address + kBytes - 1).address, holder.address);
    EXPECT_EQ(hit(born.address + 1).address, born.address);
    EXPECT_EQ(hit(born_large.address + 50000).address, born_large.address);
  }
  EXPECT_GT(steps, 100u) << "in slices";
  EXPECT_GT(marked, 0u) << "looked at half way";
  EXPECT_EQ(cycle.finish(), "");
  for (const ObjectRef object : due) {
    ASSERT_EQ(hit(object.address).address, object.address);
  }
  EXPECT_EQ(hit(large.address + 50000).address, large.address);
  EXPECT_EQ(take_all().size(), 100u);
  heap.collect();
  EXPECT_FALSE(hit(list.address)) << "it was taken and dropped";
}

// The next resurrection knows nothing of the last one.
TEST_P(ResurrectionTest, WhatWasResurrectedOnceIsObtainedInTheNextCycle) { // [resolve.dead.2]
  const ObjectRef kept = make(1, heap.make(plain));
  heap.collect(); // due
  heap.root(0, take());
  (void)make(2);
  if (std::string why; GetParam()) {
    ASSERT_EQ(heap.collector.starts.use(&why), ECHO_OK) << why;
  }
  cycle.begin();
  cycle.end_marking();
  while (heap.collector.weak_slice(1)) {
    ASSERT_EQ(hit(kept.address + 1).address, kept.address);
  }
  EXPECT_EQ(cycle.finish(), "");
  EXPECT_EQ(take_all(), std::vector<std::uint64_t>{2});
}

TEST_F(FinalizersTest, BreakAMarkThatStopsHalfWay) {
  const ObjectRef object = make(1, heap.make(plain));
  heap.collect();
  heap.collector.memory.bits.clear_mark(TestHeap::peek(object, kNext)); // as if it had not been followed
  EXPECT_NE(verify(), "") << "the queue is a root";
}

// Registration is O(1), and a million finalizable objects, half of them due, add nothing to the stops.
TEST(Finalizers, AMillionObjectsAddNothingToTheStops) {
  constexpr std::uint64_t kObjects = 1000000;
  TestHeap heap(quiet_config(512 * kMiB));
  const SteppedCycle cycle(heap);
  const LayoutId node = heap.layout(finalizable("finalizable", {{kNext, ECHO_SLOT_STRONG}}));
  for (std::uint64_t i = 0; i < kObjects; ++i) {
    const ObjectRef object = heap.make(node);
    TestHeap::poke(object, kNumber, i);
    heap.store(object, kNext, as_object(heap.roots[i % 2]));
    heap.root(i % 2, object);
  }
  heap.root(1, {});
  for (int turn = 0; turn < 2; ++turn) { // the second with half a million in the queue
    cycle.begin();
    while (heap.collector.mark_slice(4096) == Collector::MarkState::More) {
    }
    ASSERT_TRUE(cycle.end());
    EXPECT_EQ(heap.collector.roots.finalizers.size(), turn == 0 ? 0 : kObjects / 2) << "found in the stop";
    EXPECT_EQ(cycle.finish(), "");
    EXPECT_LE(heap.statistics().units_at_mark_start, 1024u + 96u);
    EXPECT_LE(heap.statistics().units_at_mark_end, 64u + 80u);
    EXPECT_EQ(heap.statistics().finalizers_due, kObjects / 2);
    EXPECT_EQ(heap.statistics().finalizable_objects, kObjects / 2);
  }
  ObjectRef object;
  std::uint64_t next = 1;
  for (; heap.collector.roots.finalizers.take(&object); next += 2) {
    ASSERT_EQ(TestHeap::peek(object, kNumber), next);
  }
  EXPECT_EQ(next, kObjects + 1);
  heap.collect();
  EXPECT_EQ(heap.statistics().live_bytes, kObjects / 2 * kBytes);
}

} // namespace
} // namespace echo
