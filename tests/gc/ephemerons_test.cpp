// SPDX-License-Identifier: MIT
//
// Purpose     Ephemerons: against a model, in long chains and wide fans, step by step, and with faults planted in each rule.
//             [eph.value.1] [eph.null.1] [eph.clear.1] [eph.key.1] [eph.note.1] [weak.bound.1]
#include "tests/gc/stepped_cycle.h"

#include <algorithm>
#include <array>
#include <random>
#include <unordered_set>

namespace echo {
namespace {

using test::as_object;
using test::fixed_layout;
using test::kMiB;
using test::quiet_config;
using test::SteppedCycle;
using test::TestHeap;
using test::watched;

constexpr std::size_t kNext = 8, kKey = 16, kValue = 24, kBytes = 32;

std::vector<echo_slot> pair_slots() {
  return {{kNext, ECHO_SLOT_STRONG}, {kKey, ECHO_SLOT_EPHEMERON_KEY}, {kValue, ECHO_SLOT_EPHEMERON_VALUE}};
}

class EphemeronsTest : public ::testing::Test {
protected:
  explicit EphemeronsTest(const Config& config = watched()) : heap(config), cycle(heap) {
    node = heap.layout(fixed_layout("ephemeron", kBytes, pair_slots()));
  }
  ObjectRef make(ObjectRef key, ObjectRef value, ObjectRef next = {}) {
    const ObjectRef made = heap.make(node);
    heap.store(made, kKey, key);
    heap.store(made, kValue, value);
    heap.store(made, kNext, next);
    return made;
  }
  static Address at(ObjectRef object, std::size_t offset) { return TestHeap::peek(object, offset); }
  bool is_freed(ObjectRef object) const { return TestHeap::peek(object, 0) == kPoisonWord; }

  TestHeap heap;
  SteppedCycle cycle;
  LayoutId node;
};

class EphemeronModes : public EphemeronsTest, public ::testing::WithParamInterface<MarkMode> {
protected:
  EphemeronModes() : EphemeronsTest(watched(GetParam())) {}
};
INSTANTIATE_TEST_SUITE_P(Modes, EphemeronModes, ::testing::Values(MarkMode::Concurrent, MarkMode::Stw),
                         [](const auto& mode) { return mode.param == MarkMode::Stw ? "stw" : "concurrent"; });

TEST_P(EphemeronModes, AValueLivesWithItsKey) { // [eph.value.1] [eph.clear.1]
  const ObjectRef key = heap.make(heap.pair), value = heap.make(heap.pair);
  const ObjectRef pair = make(key, value);
  heap.root(0, pair);
  heap.root(1, key);
  heap.collect();
  EXPECT_EQ(at(pair, kKey), key.address);
  EXPECT_EQ(at(pair, kValue), value.address);
  EXPECT_FALSE(is_freed(value));
  heap.root(1, {});
  heap.collect();
  EXPECT_EQ(at(pair, kKey), 0u);
  EXPECT_EQ(at(pair, kValue), 0u);
  EXPECT_TRUE(is_freed(key));
  EXPECT_TRUE(is_freed(value));
  EXPECT_EQ(heap.statistics().ephemerons_cleared, 1u);
  EXPECT_EQ(heap.collector.verify(*heap.mutator, true), "");
}

TEST_P(EphemeronModes, AKeyThatOnlyItsValueReachesIsDead) {
  const ObjectRef key = heap.make(heap.pair), value = heap.make(heap.pair);
  heap.store(value, 8, key);
  const ObjectRef pair = make(key, value);
  heap.root(0, pair);
  heap.root(1, make(pair, value)); // its own pair reaches it, no root but the first
  heap.collect();
  EXPECT_EQ(at(pair, kKey), key.address) << "the value is reached by the other pair";
  heap.root(1, {});
  heap.collect();
  EXPECT_EQ(at(pair, kKey), 0u);
  EXPECT_TRUE(is_freed(key));
  EXPECT_TRUE(is_freed(value));
}

TEST_P(EphemeronModes, NullKeysKeepNothingAndForeignKeysEverything) { // [eph.null.1]
  static std::uint64_t foreign[4];
  const ObjectRef lost = heap.make(heap.pair), kept = heap.make(heap.pair), held = heap.make(heap.pair);
  heap.root(0, make({}, lost));
  heap.root(1, make({reinterpret_cast<Address>(foreign)}, kept));
  heap.root(2, make({}, held));
  heap.root(3, held);
  heap.collect();
  EXPECT_EQ(at(as_object(heap.roots[0]), kValue), 0u);
  EXPECT_TRUE(is_freed(lost));
  EXPECT_EQ(at(as_object(heap.roots[1]), kValue), kept.address);
  EXPECT_FALSE(is_freed(kept));
  EXPECT_EQ(at(as_object(heap.roots[2]), kValue), held.address) << "alive by other ways: it may be shown";
}

// Random graphs of ephemerons: after a collection each reachable one shows what a fixpoint says.
TEST_P(EphemeronModes, AgreeWithAModel) {
  const std::uint32_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  std::vector<ObjectRef> known;
  std::size_t kept = 0, cleared = 0;
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 400; ++i) {
      known.push_back(heap.make(node));
    }
    const auto any = [&] { return random() % 8 == 0 ? ObjectRef{} : known[random() % known.size()]; };
    for (const ObjectRef object : known) {
      for (const std::size_t offset : {kKey, kValue}) {
        heap.store(object, offset, any());
      }
      heap.store(object, kNext, any());
    }
    std::unordered_set<Address> alive;
    std::vector<Address> grey;
    const auto reach = [&](Address object) {
      if (object != 0 && alive.insert(object).second) {
        grey.push_back(object);
      }
    };
    for (std::size_t i = 0; i < 24; ++i) {
      heap.root(i, any());
      reach(as_object(heap.roots[i]).address);
    }
    for (bool grown = true; grown;) {
      while (!grey.empty()) {
        const Address object = grey.back();
        grey.pop_back();
        reach(at({object}, kNext));
      }
      const std::vector<Address> all(alive.begin(), alive.end());
      for (const Address object : all) {
        if (alive.contains(at({object}, kKey))) {
          reach(at({object}, kValue));
        }
      }
      grown = !grey.empty();
    }
    std::vector<std::array<Address, 3>> expected;
    for (const Address object : alive) {
      const Address key = at({object}, kKey), value = at({object}, kValue);
      expected.push_back({object, alive.contains(key) ? key : 0, alive.contains(value) ? value : 0});
      (alive.contains(key) ? kept : cleared) += key != 0 ? 1 : 0;
    }
    heap.collect();
    for (const auto& [object, key, value] : expected) {
      ASSERT_EQ(at({object}, kKey), key);
      ASSERT_EQ(at({object}, kValue), value);
    }
    ASSERT_EQ(heap.collector.verify(*heap.mutator, true), "");
    std::erase_if(known, [&](ObjectRef object) { return !alive.contains(object.address); });
    if (known.empty()) {
      known.push_back(heap.make(node));
    }
  }
  EXPECT_GT(kept, 100u);
  EXPECT_GT(cleared, 100u);
}

// A marker that took the value for strong, or never looked at it, would be noticed.
TEST_P(EphemeronModes, BreakAValueThatIsNotFollowed) {
  const ObjectRef key = heap.make(heap.pair), value = heap.make(heap.pair);
  const ObjectRef pair = make(key, value);
  heap.root(0, pair);
  heap.root(1, key);
  heap.collect();
  heap.collector.memory.bits.clear_mark(value.address); // as if the pair had not been released
  EXPECT_NE(heap.collector.verify(*heap.mutator, true).find("an ephemeron's value"), std::string::npos);
}

TEST_P(EphemeronModes, BreakAKeyThatIsNotCleared) {
  const ObjectRef key = heap.make(heap.pair);
  const ObjectRef pair = make(key, {});
  heap.root(0, pair);
  heap.collect();
  ASSERT_EQ(at(pair, kKey), 0u);
  TestHeap::poke(pair, kKey, key.address);
  EXPECT_NE(heap.collector.verify(*heap.mutator, true).find("the object of an ephemeron"), std::string::npos);
}

// The snapshot: two old pairs whose keys only weak loads know when the mark starts.
class EphemeronSnapshotTest : public EphemeronsTest {
protected:
  EphemeronSnapshotTest() {
    key = heap.make(heap.pair);
    value = heap.make(heap.pair);
    pair = make(key, value);
    heap.root(0, pair);
    heap.root(1, key);
    heap.collect();
    heap.root(1, {});
    cycle.begin();
  }
  void keep(Address word) { // where the marker does not look
    const ObjectRef fresh = heap.make(heap.pair);
    heap.root(1, fresh);
    heap.store(fresh, 8, {word});
  }
  ObjectRef key, value, pair;
};

TEST_F(EphemeronSnapshotTest, AKeyThatWasLoadedKeepsTheValue) {
  cycle.mark();
  keep(cycle.weak_load(pair.address + kKey));
  cycle.end_marking();
  EXPECT_EQ(cycle.finish(), "");
  EXPECT_EQ(at(pair, kKey), key.address);
  EXPECT_EQ(at(pair, kValue), value.address);
  EXPECT_FALSE(is_freed(value));
  EXPECT_EQ(heap.collector.verify(*heap.mutator, true), "");
}

TEST_F(EphemeronSnapshotTest, AValueThatWasLoadedLivesAndItsKeyDoesNot) {
  cycle.mark();
  keep(cycle.weak_load(pair.address + kValue));
  cycle.end_marking();
  EXPECT_EQ(cycle.finish(), "");
  EXPECT_EQ(at(pair, kKey), 0u);
  heap.collect(); // at the latest then: something was born beside it while marking [heap.mixed.4]
  EXPECT_TRUE(is_freed(key));
  EXPECT_FALSE(is_freed(value));
  EXPECT_EQ(heap.collector.verify(*heap.mutator, true), "");
}

TEST_F(EphemeronSnapshotTest, AnotherKeyTakesTheValueOver) { // [eph.key.1]
  cycle.mark();
  const ObjectRef fresh = heap.make(heap.pair);
  heap.root(1, fresh);
  heap.store(pair, kKey, fresh);
  cycle.end_marking();
  EXPECT_EQ(cycle.finish(), "");
  EXPECT_EQ(at(pair, kKey), fresh.address);
  EXPECT_EQ(at(pair, kValue), value.address);
  EXPECT_FALSE(is_freed(value));
  EXPECT_EQ(heap.collector.verify(*heap.mutator, true), "");
}

TEST_F(EphemeronSnapshotTest, BreakAKeyThatIsOverwrittenWithoutALog) { // [eph.key.1]
  cycle.mark();
  const ObjectRef fresh = heap.make(heap.pair);
  heap.root(1, fresh);
  TestHeap::poke(pair, kKey, fresh.address);
  cycle.end_marking();
  EXPECT_EQ(cycle.finish(), "");
  EXPECT_EQ(at(pair, kValue), 0u) << "the value is lost, which its program would notice; nothing dangles";
  EXPECT_EQ(heap.collector.verify(*heap.mutator, true), "");
}

TEST_F(EphemeronSnapshotTest, LoadsAnswerByLivenessWhileClearing) { // [weak.load.1]
  cycle.end_marking();
  EXPECT_EQ(at(pair, kKey), key.address) << "the stop clears nothing [weak.bound.1]";
  EXPECT_EQ(cycle.weak_load(pair.address + kKey), 0u);
  EXPECT_EQ(cycle.weak_load(pair.address + kValue), 0u);
  EXPECT_EQ(at(pair, kValue), value.address) << "a load stores nothing";
  EXPECT_EQ(cycle.finish(), "");
  EXPECT_EQ(at(pair, kKey), 0u);
  EXPECT_EQ(at(pair, kValue), 0u);
}

TEST_F(EphemeronSnapshotTest, WhatIsStoredWhileClearingStays) { // [eph.clear.1]
  cycle.end_marking();
  const ObjectRef fresh = heap.make(heap.pair);
  heap.root(1, fresh);
  heap.store(pair, kValue, fresh);
  heap.store(pair, kKey, fresh);
  EXPECT_EQ(cycle.finish(), "");
  EXPECT_EQ(at(pair, kKey), fresh.address);
  EXPECT_EQ(at(pair, kValue), fresh.address);
  EXPECT_EQ(heap.collector.verify(*heap.mutator, true), "");
}

// The links of a chain: each key is the object of the link before, all pairs lie in one table. In the order in which they
// are met, and against it.
class EphemeronChain : public ::testing::TestWithParam<bool> {};
INSTANTIATE_TEST_SUITE_P(Orders, EphemeronChain, ::testing::Bool());

TEST_P(EphemeronChain, AMillionLinksAreLinear) {
  constexpr std::size_t kLinks = 1000000;
  const auto mark_ns = [](std::size_t links) {
    TestHeap heap(quiet_config(256 * kMiB));
    const SteppedCycle cycle(heap);
    const LayoutId node = heap.layout(fixed_layout("ephemeron", kBytes, pair_slots()));
    const LayoutId cell = heap.layout(fixed_layout("cell", 16, {{8, ECHO_SLOT_STRONG}}));
    std::vector<ObjectRef> keys(links + 1);
    for (ObjectRef& key : keys) {
      key = heap.make(cell);
    }
    ObjectRef list;
    for (std::size_t i = 0; i < links; ++i) {
      const std::size_t link = GetParam() ? i : links - 1 - i;
      const ObjectRef pair = heap.make(node);
      heap.store(pair, kKey, keys[link]);
      heap.store(pair, kValue, keys[link + 1]);
      heap.store(pair, kNext, list);
      list = pair;
    }
    heap.root(0, list);
    heap.root(1, keys[0]);
    const auto collect = [&] {
      cycle.begin();
      const std::uint64_t start = os::thread_cpu_ns(); // whoever else runs on the machine
      while (heap.collector.mark_slice(4096) == Collector::MarkState::More) {
      }
      const std::uint64_t took = os::thread_cpu_ns() - start;
      EXPECT_TRUE(cycle.end());
      EXPECT_EQ(cycle.finish(), "");
      return took;
    };
    const std::uint64_t took = collect();
    for (const ObjectRef key : keys) {
      EXPECT_TRUE(heap.collector.memory.bits.is_marked(key.address));
      if (::testing::Test::HasFailure()) {
        break;
      }
    }
    EXPECT_LE(heap.statistics().units_at_mark_end, 64u + 80u) << "[weak.bound.1]";
    heap.root(1, {});
    collect();
    EXPECT_EQ(heap.statistics().ephemerons_cleared, links);
    return took;
  };
  const std::uint64_t tenth = mark_ns(kLinks / 10), whole = mark_ns(kLinks);
  RecordProperty("ns_per_link", static_cast<int>(whole / kLinks));
  EXPECT_LT(whole, 60 * std::max<std::uint64_t>(tenth, 5000000)) << "a quadratic one takes 100 times as long";
}

// A million pairs wait for one key, which becomes marked only at the end: the stop does not follow them all.
TEST(Ephemerons, AMillionPairsOfOneKeyAddNothingToTheStop) {
  constexpr std::size_t kPairs = 1000000;
  TestHeap heap(quiet_config(256 * kMiB));
  const SteppedCycle cycle(heap);
  const LayoutId node = heap.layout(fixed_layout("ephemeron", kBytes, pair_slots()));
  const ObjectRef key = heap.make(heap.pair);
  heap.root(1, key);
  for (std::size_t i = 0; i < kPairs; ++i) {
    const ObjectRef pair = heap.make(node);
    heap.store(pair, kNext, as_object(heap.roots[0]));
    heap.root(0, pair);
    heap.store(pair, kKey, key);
    heap.store(pair, kValue, heap.make(heap.pair));
  }
  const ObjectRef last = as_object(heap.roots[0]);
  heap.root(1, {});
  cycle.begin();
  while (heap.collector.mark_slice(4096) == Collector::MarkState::More) {
  }
  const Address loaded = cycle.weak_load(last.address + kKey);
  heap.root(1, {loaded}); // read at the start only
  EXPECT_FALSE(cycle.end()) << "it followed a million values in the stop";
  cycle.end_marking();
  EXPECT_LE(heap.statistics().units_at_mark_end, 64u + 80u);
  EXPECT_EQ(cycle.finish(), "");
  EXPECT_EQ(heap.statistics().ephemerons_cleared, 0u);
  EXPECT_EQ(heap.statistics().objects_marked, 2 * kPairs + 1);
}

} // namespace
} // namespace echo
