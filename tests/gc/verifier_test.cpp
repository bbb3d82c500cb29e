// SPDX-License-Identifier: MIT
//
// Purpose     The verifier is silent on sound heaps and names each planted fault. [verify.start.1]
//             [verify.mark.1]
#include "tests/gc/object_graph.h"

#include <gtest/gtest.h>

namespace echo {
namespace {

using test::quiet_config;
using test::TestHeap;

class VerifierTest : public ::testing::Test {
protected:
  void SetUp() override {
    first = heap.make(heap.pair);
    second = heap.make(heap.pair);
    dead = heap.make(heap.pair);
    large = heap.make(heap.bytes, 100000);
    heap.root(0, first);
    heap.store(first, 8, second);
    heap.store(first, 16, large);
    heap.collect();
    ASSERT_EQ(heap.verify_after_mark(), "");
    ASSERT_EQ(heap.collector.verify(*heap.mutator, true), "");
  }
  static std::string hex(Address a) {
    char text[32];
    std::snprintf(text, sizeof text, "%#lx", static_cast<unsigned long>(a));
    return text;
  }
  // Where a fault in the slot at `offset` of the first object is reported.
  std::string in_slot(std::size_t offset) const {
    return " (slot " + hex(first.address + offset) + " of an object of layout 'pair')";
  }
  std::string anytime() { return heap.collector.verify(*heap.mutator, true); }
  SideMetadata& bits() { return heap.collector.memory.bits; }

  TestHeap heap{quiet_config()};
  ObjectRef first, second, dead, large;
};

TEST_F(VerifierTest, SilentAfterMoreAllocation) {
  for (int i = 0; i < 5000; ++i) {
    const ObjectRef cell = heap.make(heap.pair);
    heap.store(cell, 8, test::as_object(heap.roots[1]));
    heap.root(1, cell);
  }
  heap.root(2, heap.make(heap.refs, 10000));
  EXPECT_EQ(anytime(), "");
}

TEST_F(VerifierTest, ClearedMarkBit) {
  bits().clear_mark(second.address);
  EXPECT_EQ(heap.verify_after_mark(),
            "the reference " + hex(second.address) +
                " is not the start of an object that survived the last mark or was allocated since" +
                in_slot(8));
}

TEST_F(VerifierTest, ClearedMarkBitOfALargeObject) {
  bits().clear_mark(large.address);
  EXPECT_EQ(heap.verify_after_mark(), "reachable but not marked: " + hex(large.address));
}

TEST_F(VerifierTest, ExtraMarkBit) {
  // As if the collector had kept a dead object.
  ASSERT_TRUE(bits().mark(dead.address));
  bits().note_start(dead.address);
  SlabTable& slabs = heap.collector.memory.pool.slabs();
  std::uint16_t& live = slabs.live_granules(slabs.index_of(dead.address));
  live = static_cast<std::uint16_t>(live + heap.size_of(dead) / kGranule);
  EXPECT_EQ(heap.verify_after_mark(), "objects are marked that no root reaches");
}

TEST_F(VerifierTest, WrongLiveCount) {
  const SlabIndex slab = heap.collector.memory.pool.slabs().index_of(first.address);
  ++heap.collector.memory.pool.slabs().live_granules(slab);
  EXPECT_EQ(heap.verify_after_mark(), "the live count disagrees with the marked objects of the slab at " +
                                          hex(heap.collector.memory.pool.slabs().address_of(slab)));
}

TEST_F(VerifierTest, BrokenStructure) {
  heap.collector.memory.pool.slabs().set_kind({kSlabsPerChunk - 1},
                                              SlabKind::Old); // of the small chunk: empty
  EXPECT_EQ(heap.collector.verify(*heap.mutator, false), "[heap.kind.1] an empty slab has a kind");
}

TEST_F(VerifierTest, DanglingReferenceIntoAFreeSlab) {
  const Address nothing = heap.collector.memory.pool.slabs().base() + 8 * kChunkBytes;
  TestHeap::poke(first, 8, nothing);
  EXPECT_EQ(anytime(),
            "the reference " + hex(nothing) + " points into memory that holds no object" + in_slot(8));
}

TEST_F(VerifierTest, DanglingReferenceToADeadObject) {
  TestHeap::poke(first, 8, dead.address); // its header is still there: only the start sets know
  EXPECT_EQ(anytime(),
            "the reference " + hex(dead.address) +
                " is not the start of an object that survived the last mark or was allocated since" +
                in_slot(8));
}

TEST_F(VerifierTest, DanglingRoot) {
  heap.root(7, dead);
  EXPECT_EQ(anytime(),
            "the root " + hex(dead.address) +
                " is not the start of an object that survived the last mark or was allocated since");
}

TEST_F(VerifierTest, InteriorReference) {
  const ObjectRef array = heap.make(heap.bytes, 64);
  heap.root(1, array);
  TestHeap::poke(first, 8, array.address + 24);
  EXPECT_EQ(anytime(),
            "the reference " + hex(array.address + 24) + " points at no object header" + in_slot(8));
  TestHeap::poke(array, 24, heap.pair.number); // now it looks like a header
  EXPECT_EQ(anytime(),
            "the reference " + hex(array.address + 24) +
                " is not the start of an object that survived the last mark or was allocated since" +
                in_slot(8));
}

TEST_F(VerifierTest,
       InteriorReferenceInTheCellOfASurvivor) { // the mark bit is one per 16 bytes [heap.cell.1]
  const Address other_granule = second.address ^ 8;
  const ObjectRef before{other_granule < second.address ? other_granule : 0};
  const ObjectRef inside{other_granule > second.address ? other_granule : 0};
  const ObjectRef wrong = before ? before : inside;
  const std::uint64_t was = TestHeap::peek(wrong, 0);
  TestHeap::poke(wrong, 0, heap.pair.number);
  TestHeap::poke(first, 8, wrong.address);
  EXPECT_EQ(anytime(),
            "the reference " + hex(wrong.address) +
                " is not the start of an object that survived the last mark or was allocated since" +
                in_slot(8));
  TestHeap::poke(wrong, 0, was);
}

TEST_F(VerifierTest, InteriorReferenceOfALargeObject) {
  TestHeap::poke(large, 4096, heap.pair.number);
  TestHeap::poke(first, 8, large.address + 4096);
  EXPECT_EQ(anytime(), "the reference " + hex(large.address + 4096) + " is not the start of a large object" +
                           in_slot(8));
}

TEST_F(VerifierTest, MisalignedReference) {
  TestHeap::poke(first, 8, second.address + 2);
  EXPECT_EQ(anytime(),
            "the reference " + hex(second.address + 2) + " is not aligned to 8 bytes" + in_slot(8));
}

TEST_F(VerifierTest, ObjectThatLeavesItsSlab) {
  const ObjectRef array = heap.make(heap.bytes, 64);
  heap.store(first, 8, array);
  heap.collect();
  TestHeap::poke(array, 8, 100000);
  EXPECT_EQ(anytime(),
            "the reference " + hex(array.address) + " names an object that leaves its slab" + in_slot(8));
  for (const std::uint64_t length :
       {~std::uint64_t{0} - 64, ~std::uint64_t{0} - 15, std::uint64_t{1} << 63}) {
    TestHeap::poke(array, 8, length); // no sum wraps, no walk hangs
    EXPECT_EQ(anytime(),
              "the reference " + hex(array.address) + " names an object that leaves its slab" + in_slot(8));
  }
}

TEST_F(VerifierTest, ObjectThatLeavesItsPages) {
  TestHeap::poke(large, 8, 110000);
  EXPECT_EQ(anytime(),
            "the reference " + hex(large.address) + " names an object that leaves its pages" + in_slot(16));
}

// With verify=on the same faults end a collection before anything is freed.
TEST(VerifyingCollector, FindsTheFaultBeforeFreeing) {
  Config config = quiet_config();
  config.verify = true;
  TestHeap heap(config);
  const ObjectRef holder = heap.make(heap.pair);
  const ObjectRef array = heap.make(heap.bytes, 64);
  heap.root(0, holder);
  heap.root(1, array);
  TestHeap::poke(array, 24, heap.pair.number);
  TestHeap::poke(holder, 8, array.address + 24); // only the verifier can tell
  std::string why;
  EXPECT_EQ(heap.collect(&why), ECHO_HEAP_CORRUPT);
  EXPECT_NE(why.find("is not the start of an object"), std::string::npos) << why;
}

TEST(VerifyingCollector, RandomGraphsStaySound) {
  SCOPED_TRACE(test::seed_message());
  test::Random random(test::test_seed());
  Config config = quiet_config();
  config.verify = true;
  config.poison = true;
  TestHeap heap(config);
  test::ObjectGraph graph(heap, random);
  for (int cycle = 0; cycle < 10; ++cycle) {
    const std::size_t from = graph.nodes.size();
    for (int i = 0; i < 200; ++i) {
      heap.root(0, graph.nodes.empty() ? ObjectRef{} : graph.nodes[graph.nodes.size() - 1].ref);
      (void)graph.add();
    }
    for (std::size_t r = 0; r < 8; ++r) {
      heap.root(r, graph.nodes[random.between(from, graph.nodes.size() - 1)].ref);
    }
    std::string why;
    ASSERT_EQ(heap.collect(&why), ECHO_OK) << why;
    ASSERT_EQ(heap.collector.verify(*heap.mutator, true), "");
  }
}

} // namespace
} // namespace echo
