// SPDX-License-Identifier: MIT
//
// Purpose     Objects born while a mark is on, in the holes of slabs with old objects: the mark is held between its steps
//             while the test allocates. What was there is marked or found dead as ever, what was born lives, and each rule that
//             keeps it so is also broken on purpose. [heap.mixed.1] [heap.mixed.2] [heap.mixed.4] [heap.mixed.5]
#include "tests/gc/stepped_cycle.h"

#include <set>

namespace echo {
namespace {

using test::fixed_layout;
using test::kMiB;
using test::SteppedCycle;
using test::TestHeap;
using test::watched;

constexpr std::size_t kNext = 8, kOther = 16, kNumber = 24, kBytes = 32;
constexpr std::size_t kObjects = 16 * kSlabBytes / kBytes;

// A list of old objects, root 0, with a dead one behind each.
class MixedSlabsTest : public ::testing::Test {
protected:
  explicit MixedSlabsTest(const Config& config = watched()) : heap(config), cycle(heap) {
    static const std::vector<echo_slot> strong{{kNext, ECHO_SLOT_STRONG}, {kOther, ECHO_SLOT_STRONG}};
    static const std::vector<echo_slot> weak_slots{{kNext, ECHO_SLOT_WEAK}, {kOther, ECHO_SLOT_WEAK}};
    node = heap.layout(fixed_layout("node", kBytes, strong));
    echo_layout with_finalizer = fixed_layout("due", kBytes, strong);
    with_finalizer.flags = ECHO_LAYOUT_FINALIZABLE;
    due = heap.layout(with_finalizer);
    weak = heap.layout(fixed_layout("weak", kBytes, weak_slots));
    for (std::size_t i = 0; i < kObjects; ++i) {
      const ObjectRef made = make(i);
      if (i % 2 == 0) {
        heap.store(made, kNext, {old.empty() ? 0 : old.back()});
        old.push_back(made.address);
        heap.root(0, made);
      }
    }
    heap.collect();
  }
  ObjectRef make(std::uint64_t number) {
    const ObjectRef made = heap.make(node);
    TestHeap::poke(made, kNumber, number);
    return made;
  }
  // One that is born in a hole while the mark is on.
  ObjectRef bear(std::uint64_t number) {
    const ObjectRef made = make(number);
    EXPECT_TRUE(is_mixed(made.address));
    return made;
  }
  const SlabTable& slabs() { return heap.collector.memory.pool.slabs(); }
  bool is_mixed(Address at) { return slabs().is_mixed(slabs().kind_of_word(at)); }
  // Until no hole is left in a listed slab.
  void fill_holes() {
    for (Address last = make(0).address; is_mixed(last);) {
      last = make(0).address;
    }
  }
  // An old object of the list in the slab of `at`, from which it is taken: only `at` may refer to it.
  ObjectRef move_one_of_the_list(ObjectRef to) {
    for (std::size_t i = old.size() - 1; i > 1; --i) {
      const ObjectRef before{old[i]}, moved{old[i - 1]}, after{old[i - 2]};
      if (slabs().index_of(moved.address) == slabs().index_of(to.address)) {
        heap.store(to, kOther, moved);
        heap.store(before, kNext, after);
        old.erase(old.begin() + static_cast<std::ptrdiff_t>(i - 1));
        return moved;
      }
    }
    ADD_FAILURE() << "no object of the list lies in that slab";
    return {};
  }
  void expect_list() {
    std::size_t count = 0;
    for (Address at = TestHeap::peek({reinterpret_cast<Address>(&heap.roots[0])}, 0); at != 0;
         at = TestHeap::peek({at}, kNext)) {
      ASSERT_EQ(at, old[old.size() - 1 - count]);
      ++count;
    }
    EXPECT_EQ(count, old.size());
    EXPECT_EQ(heap.collector.verify(*heap.mutator, true), "");
  }
  bool is_marked(ObjectRef object) { return heap.collector.memory.bits.is_marked(object.address); }
  static bool is_freed(Address at) { return TestHeap::peek({at}, 0) == kPoisonWord; }

  TestHeap heap;
  SteppedCycle cycle;
  LayoutId node, due, weak;
  std::vector<Address> old;
};

TEST_F(MixedSlabsTest, WhatIsBornThereLivesAndIsNotMarked) {
  cycle.begin();
  const ObjectRef first = bear(1), second = bear(2), lost = bear(3);
  heap.store({old.back()}, kOther, first); // an object that the marker scans leads to them
  heap.store(first, kNext, second);
  EXPECT_EQ(heap.collector.verify(*heap.mutator, true), "") << "while it is on";
  cycle.end_marking();
  for (const ObjectRef born : {first, second, lost}) {
    EXPECT_FALSE(is_marked(born));
  }
  EXPECT_EQ(cycle.finish(), "");
  EXPECT_EQ(TestHeap::peek(second, kNumber), 2u);
  EXPECT_FALSE(is_freed(lost.address)) << "in the cycle of its birth nothing is swept there [heap.mixed.4]";
  expect_list();
  heap.collect();
  EXPECT_EQ(TestHeap::peek(second, kNumber), 2u);
  EXPECT_TRUE(is_freed(lost.address));
  expect_list();
}

TEST_F(MixedSlabsTest, WhatWasThereIsMarkedThoughOnlyTheBornReferToIt) { // [bar.cold.1]
  cycle.begin();
  const ObjectRef born = bear(1);
  heap.root(1, born); // root words are read at the start only
  const ObjectRef moved = move_one_of_the_list(born);
  EXPECT_EQ(cycle.finish_marking_and_sweep(), "");
  EXPECT_TRUE(is_marked(moved));
  EXPECT_EQ(TestHeap::peek(born, kOther), moved.address);
  expect_list();
}

TEST_F(MixedSlabsTest, WhatDiedThereIsFreedInTheNextCycle) {
  cycle.begin();
  const ObjectRef born = bear(1);
  const ObjectRef moved = move_one_of_the_list(born);
  EXPECT_EQ(cycle.finish_marking_and_sweep(), "");
  EXPECT_TRUE(is_marked(moved)) << "it was reachable when the mark started";
  EXPECT_FALSE(is_freed(moved.address));
  heap.collect();
  EXPECT_TRUE(is_freed(moved.address));
  EXPECT_TRUE(is_freed(born.address));
}

TEST_F(MixedSlabsTest, BreakTheKindIsLost) { // as if the slab that is handed out kept the kind OLD
  cycle.begin();
  const ObjectRef born = bear(1);
  heap.root(1, born);
  heap.collector.memory.pool.slabs().set_kind(slabs().index_of(born.address), SlabKind::Old);
  EXPECT_NE(cycle.finish_marking_and_sweep().find("reachable but not marked"), std::string::npos);
}

TEST_F(MixedSlabsTest, BreakAFreshKindInstead) { // as if all that lies there were black
  cycle.begin();
  const ObjectRef born = bear(1);
  heap.root(1, born);
  heap.collector.memory.pool.slabs().set_kind(slabs().index_of(born.address), slabs().fresh_kind());
  (void)move_one_of_the_list(born);
  EXPECT_NE(cycle.finish_marking_and_sweep().find("is not the start of an object"), std::string::npos);
}

// Until what is due for its finalizer is marked too, its memory is no hole. [heap.mixed.2]
TEST_F(MixedSlabsTest, WhatIsDueIsNotOverwritten) {
  std::vector<Address> all;
  for (int i = 0; i < 500; ++i) {
    const ObjectRef object = heap.make(due);
    TestHeap::poke(object, kNumber, 77);
    heap.store(object, kNext, make(78));
    heap.root(2, object);
    heap.store(object, kNext, make(78));
    all.push_back(object.address);
    heap.store({old[static_cast<std::size_t>(i)]}, kOther, object);
  }
  heap.root(2, {});
  heap.collect(); // all of them are old, and in slabs with holes
  for (int i = 0; i < 500; ++i) {
    heap.store({old[static_cast<std::size_t>(i)]}, kOther, {});
  }
  cycle.begin();
  cycle.end_marking();
  fill_holes();
  for (const Address at : all) {
    EXPECT_EQ(TestHeap::peek({at}, kNumber), 77u);
    EXPECT_EQ(TestHeap::peek({TestHeap::peek({at}, kNext)}, kNumber), 78u);
  }
  EXPECT_EQ(cycle.finish(), "");
  std::set<Address> taken;
  for (ObjectRef object; heap.collector.roots.finalizers.take(&object);) {
    EXPECT_EQ(TestHeap::peek(object, kNumber), 77u);
    EXPECT_EQ(TestHeap::peek({TestHeap::peek(object, kNext)}, kNumber), 78u);
    taken.insert(object.address);
  }
  EXPECT_EQ(taken, std::set<Address>(all.begin(), all.end()));
  expect_list();
}

// Slabs that a thread took while marking, and begins to allocate in when the bits of the cycle before are gone.
TEST_F(MixedSlabsTest, ABatchOutlivesItsMark) { // [heap.mixed.2]
  cycle.begin();
  for (std::size_t i = 0; i < kSlabBytes / kBytes * 3; ++i) {
    (void)make(i); // batches grow
  }
  ASSERT_GT(heap.mutator->allocator.policy().batch(), 1u);
  for (std::size_t i = 0; i < old.size(); i += 2) {
    TestHeap::poke({old[i]}, kNumber, 9);
  }
  EXPECT_EQ(cycle.finish_marking_and_sweep(), "");
  for (std::size_t i = 0; i < kObjects; ++i) {
    (void)make(0);
  }
  for (std::size_t i = 0; i < old.size(); i += 2) {
    ASSERT_EQ(TestHeap::peek({old[i]}, kNumber), 9u);
  }
  expect_list();
  heap.collect();
  expect_list();
}

// After a mark that was given up its bits name but a part of what lives. [heap.mixed.5]
TEST_F(MixedSlabsTest, NothingIsHandedOutAfterAMarkThatFailed) {
  const auto word = TestHeap::peek({old.front()}, kOther);
  cycle.begin();
  (void)bear(1);
  TestHeap::poke({old.front()}, kOther, old.front() + 4); // no object
  EXPECT_NE(cycle.finish_marking_and_sweep(), "");
  TestHeap::poke({old.front()}, kOther, word);
  EXPECT_EQ(heap.collector.memory.supply.hole_bytes(), 0u);
  fill_holes(); // of the slab that the thread has
  const auto expect_fresh = [this] {
    for (std::size_t i = 0; i < kObjects; ++i) {
      ASSERT_EQ(slabs().kind_of_word(make(0).address), slabs().fresh_kind());
    }
  };
  expect_fresh();
  cycle.begin(); // of which the bits of the cycle before are those
  expect_fresh();
}

TEST_F(MixedSlabsTest, WordsAreResolvedThere) { // [resolve.hit.1]
  std::string why;
  std::vector<std::uintptr_t> words(1);
  ASSERT_EQ(heap.collector.add_ambiguous_range(words.data(), sizeof(std::uintptr_t), &why), ECHO_OK) << why;
  const auto resolve = [&](Address word) {
    ObjectRef hit;
    EXPECT_EQ(heap.collector.starts.resolve(*heap.mutator, {word}, &hit, &why), ECHO_OK) << why;
    return hit.address;
  };
  heap.collect();
  words[0] = old[10] + 5;
  cycle.begin();
  const ObjectRef born = bear(1);
  const ObjectRef there = move_one_of_the_list(born);
  heap.root(1, born);
  for (int turn = 0; turn < 3; ++turn) {
    EXPECT_EQ(resolve(born.address + 9), born.address);
    EXPECT_EQ(resolve(there.address + 31), there.address);
    if (turn == 0) {
      cycle.end_marking();
      EXPECT_TRUE(is_marked(there));
      EXPECT_TRUE(is_marked({old[10]}));
      EXPECT_FALSE(is_marked(born));
    } else if (turn == 1) {
      EXPECT_EQ(cycle.finish(), "");
    }
  }
  EXPECT_EQ(heap.collector.verify(*heap.mutator, true), "");
  heap.collect();
  EXPECT_EQ(resolve(born.address + 9), born.address);
  EXPECT_EQ(resolve(there.address), there.address);
  ASSERT_EQ(heap.collector.remove_ambiguous_range(words.data(), &why), ECHO_OK) << why;
}

// A word into a hole that is filled while the mark is on is a root of nothing.
TEST_F(MixedSlabsTest, AStaleWordDoesNotMarkWhatIsBorn) {
  std::string why;
  std::vector<std::uintptr_t> words(kObjects);
  ASSERT_EQ(heap.collector.add_ambiguous_range(words.data(), words.size() * sizeof(std::uintptr_t), &why),
            ECHO_OK)
      << why;
  heap.collect();
  for (std::size_t i = 0; i < words.size(); ++i) {
    words[i] = old[i / 2] + i % 2 * kBytes; // each of the list, and what lies behind it: a hole
  }
  cycle.begin();
  fill_holes();
  EXPECT_EQ(cycle.finish_marking_and_sweep(), "") << "the verifier finds none marked that was born since";
  expect_list();
  ASSERT_EQ(heap.collector.remove_ambiguous_range(words.data(), &why), ECHO_OK) << why;
}

TEST_F(MixedSlabsTest, WeakSlotsTellTheDeadFromTheBorn) { // [weak.load.1]
  const ObjectRef holder = heap.make(weak);
  heap.root(3, holder);
  ObjectRef dead{old[old.size() / 2]};
  heap.store(holder, kNext, dead);
  heap.collect();
  heap.store({old[old.size() / 2 + 1]}, kNext, {old[old.size() / 2 - 1]});
  old.erase(old.begin() + static_cast<std::ptrdiff_t>(old.size() / 2));
  cycle.begin();
  fill_holes(); // the dead one's slab is mixed now
  ASSERT_TRUE(is_mixed(dead.address));
  const ObjectRef born = make(1);
  heap.store(holder, kOther, born);
  cycle.end_marking();
  EXPECT_EQ(cycle.weak_load(holder.address + kNext), 0u);
  EXPECT_EQ(cycle.weak_load(holder.address + kOther), born.address);
  EXPECT_EQ(cycle.finish(), "");
  EXPECT_EQ(TestHeap::peek(holder, kNext), 0u);
  EXPECT_EQ(TestHeap::peek(holder, kOther), born.address);
  expect_list();
}

// A cycle begins while what is left of the holes still serves the program beside it. [heap.holes.1] [mark.pace.1]
TEST_F(MixedSlabsTest, ACycleIsDueBeforeTheHolesAreFilled) {
  SlabSupply& supply = heap.collector.memory.supply;
  const std::size_t holes = supply.hole_bytes();
  EXPECT_GE(holes, 16 * kSlabBytes / 2 - 2 * kSlabBytes);
  const std::size_t used = heap.collector.memory.pool.used_bytes();
  EXPECT_FALSE(supply.is_cycle_due());
  supply.set_start(used, holes / 2);
  const std::uint64_t cycles = heap.collector.cycles();
  std::size_t made = 0;
  for (; !supply.is_cycle_due(); ++made) {
    (void)make(0);
    ASSERT_LT(made, kObjects);
  }
  EXPECT_LT(made * kBytes, holes);
  EXPECT_GT(supply.hole_bytes(), 0u);
  for (int i = 0; heap.collector.cycles() == cycles && i < 2'000'000; ++i) {
    (void)make(0); // the next slab that is needed wakes the heap's own thread
  }
  EXPECT_GT(heap.collector.cycles(), cycles);
}

} // namespace
} // namespace echo
