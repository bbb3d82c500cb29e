// SPDX-License-Identifier: MIT
//
// Purpose     With stress_barriers every store that goes round the barrier is named at the next collection,
//             and no store through it is ever accused. [audit.store.1]
#include "tests/gc/object_graph.h"

#include <gtest/gtest.h>

#include <thread>

namespace echo {
namespace {

using test::TestHeap;

Config audited() {
  Config config = test::quiet_config();
  config.stress_barriers = true;
  return config;
}

class BarrierAuditTest : public ::testing::Test {
protected:
  void SetUp() override {
    holder = heap.make(heap.pair);
    array = heap.make(heap.refs, 300);
    a = heap.make(heap.pair);
    b = heap.make(heap.pair);
    for (const auto& [i, o] : {std::pair{0, holder}, {1, array}, {2, a}, {3, b}}) {
      heap.root(static_cast<std::size_t>(i), o);
    }
    heap.store(holder, 8, a);
    heap.store(array, 16 + 8 * 299, a);
    heap.collect();
  }
  std::string accusation(std::size_t offset, const char* layout, ObjectRef was, ObjectRef now,
                         const char* end) {
    char text[300];
    std::snprintf(
        text, sizeof text,
        "a store went round the barrier: offset %zu of an object of layout '%s' held %#lx at the last stop "
        "and %#lx now, %s",
        offset, layout, static_cast<unsigned long>(was.address), static_cast<unsigned long>(now.address),
        end);
    return text;
  }
  TestHeap heap{audited()};
  ObjectRef holder, array, a, b;
};

TEST_F(BarrierAuditTest, NamesAnUnannouncedStore) {
  TestHeap::poke(holder, 8, b.address);
  std::string why;
  EXPECT_EQ(heap.collect(&why), ECHO_HEAP_CORRUPT);
  EXPECT_EQ(why, accusation(8, "pair", a, b, "and no store was announced"));
}

TEST_F(BarrierAuditTest, NamesAnUnannouncedDeletion) {
  TestHeap::poke(array, 16 + 8 * 299, 0);
  std::string why;
  EXPECT_EQ(heap.collect(&why), ECHO_HEAP_CORRUPT);
  EXPECT_EQ(why, accusation(16 + 8 * 299, "refs", a, {}, "and no store was announced"));
}

TEST_F(BarrierAuditTest, NamesARecordThatCameLater) { // [bar.log.2]
  TestHeap::poke(holder, 8, b.address);
  heap.store(holder, 8, {});
  std::string why;
  EXPECT_EQ(heap.collect(&why), ECHO_HEAP_CORRUPT);
  EXPECT_EQ(why, accusation(8, "pair", a, {}, "and the announced store came later"));
}

TEST_F(BarrierAuditTest, TheColdPathAfterTheStoreIsALateRecord) { // the recipe in the wrong order
  const Address slot = holder.address + 8;
  TestHeap::poke(holder, 8, b.address);
  store_barrier_cold(*heap.mutator, heap.mutator->barrier, heap.collector.barriers, slot);
  std::string why;
  EXPECT_EQ(heap.collect(&why), ECHO_HEAP_CORRUPT);
  EXPECT_EQ(why, accusation(8, "pair", a, b, "and the announced store came later"));
}

TEST_F(BarrierAuditTest, AnnouncedStoresAreFine) {
  for (int i = 0; i < 1000; ++i) { // more than a log buffer
    heap.store(holder, 8, i % 2 == 0 ? b : a);
    heap.store(array, 16 + 8 * static_cast<std::size_t>(i % 300), b);
  }
  heap.collect();
  heap.collect();
}

TEST_F(BarrierAuditTest, InitialisingStoresNeedNoBarrier) {
  const ObjectRef born = heap.make(heap.pair);
  TestHeap::poke(born, 8, a.address); // before it is known to anybody
  heap.store(holder, 16, born);
  heap.collect();
  heap.store(born, 8, b); // now it needs one
  heap.collect();
  TestHeap::poke(born, 8, a.address);
  std::string why;
  EXPECT_EQ(heap.collect(&why), ECHO_HEAP_CORRUPT);
  EXPECT_EQ(why, accusation(8, "pair", b, a, "and no store was announced"));
}

TEST_F(BarrierAuditTest, TaggedSlotsNeedTheBarrierToo) {
  const LayoutId tagged = heap.layout(test::fixed_layout("tagged", 16, {{8, ECHO_SLOT_TAGGED}}));
  const ObjectRef object = heap.make(tagged);
  heap.root(4, object);
  heap.store(object, 8, a);
  heap.collect();
  TestHeap::poke(object, 8, 3); // an integer over a reference is a store
  std::string why;
  EXPECT_EQ(heap.collect(&why), ECHO_HEAP_CORRUPT);
  EXPECT_EQ(why, accusation(8, "tagged", a, {3}, "and no store was announced"));
}

TEST_F(BarrierAuditTest, AmbiguousWordsThatHitAnObjectNeedTheBarrierToo) {
  const LayoutId unknown = heap.layout(test::describe("unknown", ECHO_LAYOUT_AMBIGUOUS, 16, 1));
  std::string why;
  ASSERT_EQ(heap.collector.starts.use(&why), ECHO_OK) << why;
  const ObjectRef object = heap.make(unknown, 24);
  heap.root(4, object);
  heap.store(object, 16, {a.address + 8}); // into an object
  heap.store(object, 24, {7});
  heap.collect();
  TestHeap::poke(object, 24, 8); // a number over a number is nobody's business
  heap.store(object, 16, b);
  heap.collect();
  TestHeap::poke(object, 16, a.address + 16);
  EXPECT_EQ(heap.collect(&why), ECHO_HEAP_CORRUPT);
  EXPECT_EQ(why, accusation(16, "unknown", b, {a.address + 16}, "and no store was announced"));
}

TEST_F(BarrierAuditTest, LogsOfDetachedThreadsCount) {
  std::thread other([this] {
    Mutator* m = nullptr;
    std::string why;
    ASSERT_EQ(heap.collector.attach(&m, &why), ECHO_OK) << why;
    store_reference(*m, m->barrier, heap.collector.barriers, holder.address + 8, b);
    heap.collector.detach(m);
  });
  heap.collector.safepoints.enter_native(*heap.mutator, ThreadState::Blocked);
  other.join();
  heap.collector.safepoints.leave_native(*heap.mutator);
  heap.collect();
}

// Two threads store into one slot between two stops, and the later one hands its log over first.
TEST_F(BarrierAuditTest, LogsOfTwoThreadsHaveNoCommonOrder) {
  heap.store(holder, 8, b); // announces a
  std::thread other([this] {
    Mutator* m = nullptr;
    std::string why;
    ASSERT_EQ(heap.collector.attach(&m, &why), ECHO_OK) << why;
    store_reference(*m, m->barrier, heap.collector.barriers, holder.address + 8, {}); // announces b
    heap.collector.detach(m);
  });
  heap.collector.safepoints.enter_native(*heap.mutator, ThreadState::Blocked);
  other.join();
  heap.collector.safepoints.leave_native(*heap.mutator);
  std::string why;
  EXPECT_EQ(heap.collect(&why), ECHO_OK) << why;
}

TEST(BarrierAudit, OffByDefault) {
  TestHeap heap(test::quiet_config());
  const ObjectRef holder = heap.make(heap.pair);
  heap.root(0, holder);
  heap.collect();
  TestHeap::poke(holder, 8, heap.make(heap.pair).address);
  heap.collect();
  EXPECT_EQ(heap.statistics().log_entries, 0u);
  EXPECT_EQ(heap.statistics().barrier_cold, 0u);
}

// Random mutation through the barrier over many collections is never accused; one store round it always is.
TEST(BarrierAudit, RandomMutation) {
  SCOPED_TRACE(test::seed_message());
  test::Random random(test::test_seed());
  TestHeap heap(audited());
  test::ObjectGraph graph(heap, random);
  for (int i = 0; i < 300; ++i) {
    (void)graph.add();
  }
  const ObjectRef all = heap.make(heap.refs, graph.nodes.size());
  heap.root(0, all);
  for (std::size_t n = 0; n < graph.nodes.size(); ++n) {
    heap.store(all, 16 + 8 * n, graph.nodes[n].ref);
  }
  for (int cycle = 0; cycle < 10; ++cycle) {
    graph.connect_randomly(20);
    std::string why;
    ASSERT_EQ(heap.collect(&why), ECHO_OK) << why;
  }
  const std::size_t victim = random.below(graph.nodes.size());
  TestHeap::poke(all, 16 + 8 * victim, 0);
  std::string why;
  EXPECT_EQ(heap.collect(&why), ECHO_HEAP_CORRUPT);
  EXPECT_NE(why.find("a store went round the barrier: offset " + std::to_string(16 + 8 * victim)),
            std::string::npos);
}

} // namespace
} // namespace echo
