// SPDX-License-Identifier: MIT
//
// Purpose     Weak slots against a model, and faults planted in them. [weak.clear.1] [weak.note.1] [weak.load.1]
#include "tests/gc/test_heap.h"

#include <random>
#include <unordered_set>

namespace echo {
namespace {

using test::as_object;
using test::fixed_layout;
using test::quiet_config;
using test::TestHeap;

constexpr std::size_t kLeft = 8, kRight = 16, kWeak = 24, kBytes = 32;

class WeakSlotsTest : public ::testing::Test {
protected:
  WeakSlotsTest() : node(heap.layout(fixed_layout("node", kBytes, slots()))) {}
  static std::vector<echo_slot> slots() {
    return {{kLeft, ECHO_SLOT_STRONG}, {kRight, ECHO_SLOT_STRONG}, {kWeak, ECHO_SLOT_WEAK}};
  }
  static Address at(Address object, std::size_t offset) { return load_slot(object + offset); }
  std::unordered_set<Address> reachable() const {
    std::unordered_set<Address> seen;
    std::vector<Address> work;
    const auto reach = [&](Address object) {
      if (object != 0 && seen.insert(object).second) {
        work.push_back(object);
      }
    };
    for (const echo_ref root : heap.roots) {
      reach(as_object(root).address);
    }
    while (!work.empty()) {
      const Address object = work.back();
      work.pop_back();
      reach(at(object, kLeft));
      reach(at(object, kRight));
    }
    return seen;
  }

  TestHeap heap{quiet_config()};
  LayoutId node;
};

// Random graphs: after a collection a weak slot of a reachable object holds what it held if that is reachable, else null.
TEST_F(WeakSlotsTest, AgreeWithAModel) {
  const std::uint32_t seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(seed);
  std::vector<ObjectRef> known;
  std::size_t kept = 0, cleared = 0;
  for (int round = 0; round < 20; ++round) {
    for (int i = 0; i < 500; ++i) {
      known.push_back(heap.make(node));
    }
    const auto any = [&] { return known[random() % known.size()]; };
    for (const ObjectRef object : known) {
      for (const std::size_t offset : {kLeft, kRight, kWeak}) {
        if (random() % 4 != 0) {
          heap.store(object, offset, random() % 8 == 0 ? ObjectRef{} : any());
        }
      }
    }
    for (std::size_t i = 0; i < 8; ++i) {
      heap.root(i, random() % 4 == 0 ? ObjectRef{} : any());
    }
    const std::unordered_set<Address> alive = reachable();
    std::vector<std::pair<Address, Address>> expected; // object, its weak slot
    for (const Address object : alive) {
      const Address target = at(object, kWeak);
      expected.emplace_back(object, alive.contains(target) ? target : 0);
      (expected.back().second != 0 ? kept : cleared) += target != 0 ? 1 : 0;
    }
    heap.collect();
    for (const auto& [object, target] : expected) {
      ASSERT_EQ(at(object, kWeak), target);
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

TEST_F(WeakSlotsTest, AShownDeadObjectIsFound) {
  const ObjectRef holder = heap.make(node);
  const ObjectRef dead = heap.make(node);
  heap.root(0, holder);
  heap.store(holder, kWeak, dead);
  heap.collect();
  ASSERT_EQ(TestHeap::peek(holder, kWeak), 0u);
  ASSERT_EQ(heap.collector.verify(*heap.mutator, true), "");
  TestHeap::poke(holder, kWeak, dead.address); // as if it had not been cleared
  EXPECT_NE(heap.collector.verify(*heap.mutator, true).find("the weak slot's object"), std::string::npos);
}

// While the collector listens to all a load logs what it returns, and a load of null nothing.
TEST_F(WeakSlotsTest, LoadsAreLogged) {
  const ObjectRef holder = heap.make(node);
  const ObjectRef target = heap.make(node);
  heap.mutator->phase = kBarrierAudit;
  const auto load = [&] {
    return weak_load_barrier_cold(*heap.mutator, heap.mutator->barrier, heap.collector.barriers,
                                  holder.address + kWeak);
  };
  EXPECT_EQ(load(), 0u);
  TestHeap::poke(holder, kWeak, target.address);
  EXPECT_EQ(load(), target.address);
  heap.mutator->phase = kBarrierIdle;
  heap.mutator->barrier.log.flush(heap.collector.barriers.sink);
  const std::vector<DeletionRecord> records = heap.collector.barriers.sink.take();
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].old_value, target.address);
}

} // namespace
} // namespace echo
