// SPDX-License-Identifier: MIT
//
// Purpose     Words that are no references end a collection with HEAP_CORRUPT and a sentence, and nothing is
//             freed: after it every object, also the unreachable ones, still has its contents. [mark.error.1]
//             [cycle.free.1]
#include "tests/gc/test_heap.h"

#include <gtest/gtest.h>

#include <functional>

namespace echo {
namespace {

using test::quiet_config;
using test::TestHeap;

class Corruption : public ::testing::Test {
protected:
  void SetUp() override {
    victim = heap.make(heap.pair);
    heap.root(0, victim);
    garbage = heap.make(heap.bytes, 100);
    large_garbage = heap.make(heap.bytes, 100000);
    for (const ObjectRef o : {garbage, large_garbage}) {
      TestHeap::poke(o, 16, 0x1122334455667788);
      TestHeap::poke(o, 96, 0x8877665544332211);
    }
  }
  // Collects and expects `sentence` behind the reference `word`.
  void expect_corrupt(std::uint64_t word, const std::string& sentence) {
    const std::size_t used = heap.collector.memory.pool.used_bytes();
    std::string why;
    EXPECT_EQ(heap.collect(&why), ECHO_HEAP_CORRUPT);
    char text[64];
    std::snprintf(text, sizeof text, "the reference %#lx ", static_cast<unsigned long>(word));
    EXPECT_EQ(why, text + sentence);
    for (const ObjectRef o : {garbage, large_garbage}) {
      EXPECT_EQ(TestHeap::peek(o, 16), 0x1122334455667788u) << "freed";
      EXPECT_EQ(TestHeap::peek(o, 96), 0x8877665544332211u) << "freed";
    }
    EXPECT_EQ(heap.collector.memory.pool.used_bytes(), used) << "nothing is given back";
    EXPECT_STREQ(heap.collector.memory.pool.check(), "");
    // New memory does not come from what might be alive.
    for (int i = 0; i < 2000; ++i) {
      const ObjectRef fresh = heap.make(heap.bytes, 100);
      std::fill_n(reinterpret_cast<std::uint64_t*>(fresh.address) + 2, 12, ~std::uint64_t{0});
    }
    EXPECT_EQ(TestHeap::peek(garbage, 16), 0x1122334455667788u) << "handed out again";
    // A corrupt heap stays corrupt, whatever is repaired.
    heap.root(0, {});
    std::string still;
    EXPECT_EQ(heap.collect(&still), ECHO_HEAP_CORRUPT);
    EXPECT_EQ(still, why);
    EXPECT_NE(heap.collector.verify(*heap.mutator, false), "") << "echo_verify says so too";
  }
  TestHeap heap{poisoned()};
  ObjectRef victim, garbage, large_garbage;

  static Config poisoned() {
    Config config = quiet_config();
    config.poison = true;
    return config;
  }
};

TEST_F(Corruption, MisalignedReference) {
  const ObjectRef other = heap.make(heap.pair);
  TestHeap::poke(victim, 8, other.address + 4);
  expect_corrupt(other.address + 4, "is not aligned to 8 bytes");
}

// Held by an object that is scanned behind the marking of the one it points beside: M of its cell is set. [mark.error.2]
TEST_F(Corruption, ReferenceBesideTheStartOfAMarkedObject) {
  const ObjectRef holder = heap.make(heap.pair);
  heap.store(victim, 8, holder);
  const std::size_t other_granule = victim.address % MarkBits::kCellBytes == 0 ? 8 : std::size_t{0} - 8;
  for (const std::size_t wrong : {std::size_t{4}, other_granule}) {
    TestHeap::poke(holder, 8, victim.address + wrong);
    const std::string report = heap.collector.verify(*heap.mutator, true);
    EXPECT_NE(report.find("of an object of layout 'pair'"), std::string::npos) << report;
    if (!kDeepChecks) {
      const std::uint64_t marked = heap.statistics().objects_marked;
      heap.collect(); // and nothing is lost by it
      EXPECT_EQ(heap.statistics().objects_marked - marked, 2u);
      heap.root(0, victim);
      TestHeap::poke(holder, 8, 0);
      EXPECT_EQ(heap.collector.verify(*heap.mutator, true), "");
    }
  }
  if (kDeepChecks) {
    expect_corrupt(TestHeap::peek(holder, 8), "points beside the start of a marked object");
  }
}

TEST_F(Corruption, MisalignedRoot) {
  heap.roots[5] = reinterpret_cast<echo_ref>(victim.address + 1);
  expect_corrupt(victim.address + 1, "is not aligned to 8 bytes");
}

TEST_F(Corruption, ReferenceIntoAFreeSlab) {
  const SlabTable& slabs = heap.collector.memory.pool.slabs();
  const Address never = slabs.base() + slabs.bytes() - 4096;
  TestHeap::poke(victim, 16, never);
  expect_corrupt(never, "points into memory that holds no object (freed, or never allocated)");
}

TEST_F(Corruption, ReferenceToAFreedObject) {
  const ObjectRef lost = heap.make(heap.pair);
  heap.collect();                       // frees it
  garbage = heap.make(heap.bytes, 100); // the first ones are gone with it
  large_garbage = heap.make(heap.bytes, 100000);
  for (const ObjectRef o : {garbage, large_garbage}) {
    TestHeap::poke(o, 16, 0x1122334455667788);
    TestHeap::poke(o, 96, 0x8877665544332211);
  }
  TestHeap::poke(victim, 8, lost.address + 64 * 1024 / 2); // far from what was allocated since: poison
  expect_corrupt(lost.address + 64 * 1024 / 2, "points at a freed object: a root was lost before");
}

TEST_F(Corruption, ReferenceBehindTheHeader) {
  const ObjectRef other = heap.make(heap.bytes, 64);
  TestHeap::poke(victim, 8, other.address + 16);
  expect_corrupt(other.address + 16, "points at no object header");
}

TEST_F(Corruption, HeaderOverwritten) {
  const ObjectRef other = heap.make(heap.pair);
  heap.store(victim, 8, other);
  TestHeap::poke(other, 0, 999999);
  expect_corrupt(other.address, "points at no object header");
}

TEST_F(Corruption, LengthOverwrittenSoThatTheObjectLeavesItsSlab) {
  const ObjectRef other = heap.make(heap.bytes, 64);
  // Behind the middle of its slab, so that a small object can leave it.
  ObjectRef late = other;
  while (late.address % kSlabBytes < kSlabBytes - 16384) {
    late = heap.make(heap.bytes, 64);
  }
  heap.store(victim, 8, late);
  TestHeap::poke(late, 8, 30000);
  expect_corrupt(late.address, "points at a header whose object does not fit its slab");
}

TEST_F(Corruption, LengthOverwrittenSoThatASmallObjectLooksLarge) {
  const ObjectRef array = heap.make(heap.refs, 4);
  heap.store(victim, 8, array);
  TestHeap::poke(array, 8, std::uint64_t{1} << 40);
  expect_corrupt(array.address, "points at a header whose object does not fit its slab");
}

TEST_F(Corruption, LengthOfALargeObjectOverwritten) {
  const ObjectRef array = heap.make(heap.refs, 10000);
  heap.store(victim, 8, array);
  TestHeap::poke(array, 8, std::uint64_t{1} << 40);
  expect_corrupt(array.address, "points at a header whose object does not fit its pages");
}

TEST_F(Corruption, ReferenceIntoTheMiddleOfALargeObject) {
  const ObjectRef array = heap.make(heap.bytes, 100000);
  heap.root(1, array);
  TestHeap::poke(array, 4096, heap.pair.number); // what lies there looks like a header
  TestHeap::poke(victim, 8, array.address + 4096);
  expect_corrupt(array.address + 4096, "is not the start of a large object");
}

TEST_F(Corruption, TaggedWordsAreNotFollowed) {
  const LayoutId tagged =
      heap.layout(test::fixed_layout("tagged", 24, {{8, ECHO_SLOT_TAGGED}, {16, ECHO_SLOT_TAGGED}}));
  const ObjectRef object = heap.make(tagged);
  heap.root(1, object);
  TestHeap::poke(object, 8, victim.address + 1); // an integer of the VM
  TestHeap::poke(object, 16, 7);
  heap.collect();
}

TEST_F(Corruption, WordsOutsideTheHeapAreNotFollowed) { // [heap.kind.2]
  TestHeap::poke(victim, 8, heap.collector.memory.pool.slabs().base() - 8);
  TestHeap::poke(victim, 16,
                 heap.collector.memory.pool.slabs().base() + heap.collector.memory.pool.slabs().bytes());
  heap.collect();
}

// Allocation that needs a collection says what is wrong instead of pressing on.
TEST(CorruptHeap, AllocationFailsWithTheReason) {
  Config config = quiet_config(2 * test::kMiB);
  config.initial_trigger = kSlabBytes;
  TestHeap heap(config);
  heap.roots[0] = reinterpret_cast<echo_ref>(Address{1} | heap.make(heap.pair).address);
  ObjectRef last;
  int count = 0;
  do {
    last = heap.try_make(heap.bytes, 4000);
  } while (last && ++count < 1000); // at the latest where the limit is
  EXPECT_FALSE(last);
  EXPECT_EQ(heap.mutator->last_error.code, ECHO_HEAP_CORRUPT);
  EXPECT_NE(std::string(heap.mutator->last_error.message).find("is not aligned to 8 bytes"),
            std::string::npos);
}

} // namespace
} // namespace echo
