// SPDX-License-Identifier: MIT
//
// Purpose     The pool: limit, trigger, lowest first, reuse, giving back; and that check() sees each broken
//             state that can be made from outside.
#include "heap/slab_pool.h"

#include "tests/heap/seed.h"
#include "tests/native/fake_topology.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <map>
#include <memory>
#include <set>
#include <sys/mman.h>
#include <thread>

namespace echo {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

Config config_of(std::size_t limit, std::size_t trigger) {
  Config config;
  config.max_heap = limit;
  config.initial_trigger = trigger;
  config.reserve_bytes = 1; // the least: twice the limit and three chunks
  return config;
}

class SlabPoolTest : public ::testing::Test {
protected:
  void SetUp() override { ASSERT_TRUE(pool.open(config_of(4 * kMiB, kMiB))); }
  SlabIndex take(Urgency urgency = Urgency::Forced) {
    SlabIndex slab;
    EXPECT_EQ(pool.take_slab(urgency, &slab), Grant::Ok);
    return slab;
  }
  SlabPool pool;
};

// [heap.pool.1]
TEST_F(SlabPoolTest, TriggerThenLimit) {
  SlabIndex slab;
  for (std::size_t i = 0; i < kMiB / kSlabBytes; ++i) {
    ASSERT_EQ(pool.take_slab(Urgency::Normal, &slab), Grant::Ok);
    EXPECT_EQ(slab.number, i) << "lowest address first";
  }
  EXPECT_EQ(pool.take_slab(Urgency::Normal, &slab), Grant::OverTrigger);
  EXPECT_EQ(pool.used_bytes(), kMiB) << "a refusal takes nothing";
  for (std::size_t i = 0; i < 3 * kMiB / kSlabBytes; ++i) {
    ASSERT_EQ(pool.take_slab(Urgency::Forced, &slab), Grant::Ok);
  }
  EXPECT_EQ(pool.take_slab(Urgency::Forced, &slab), Grant::OverLimit);
  EXPECT_EQ(pool.take_slab(Urgency::Normal, &slab), Grant::OverLimit);
  EXPECT_EQ(pool.used_bytes(), pool.limit());
  EXPECT_EQ(pool.committed_bytes(), 4 * kMiB);
  EXPECT_STREQ(pool.check(), "");
  pool.put_slab({5});
  EXPECT_EQ(take().number, 5u) << "what was put back is taken again";
  EXPECT_STREQ(pool.check(), "");
}

TEST_F(SlabPoolTest, ChargesCountAgainstBothBounds) {
  EXPECT_EQ(pool.charge(kMiB, Urgency::Normal), Grant::Ok);
  EXPECT_EQ(pool.charge(1, Urgency::Normal), Grant::OverTrigger);
  EXPECT_EQ(pool.charge(3 * kMiB, Urgency::Forced), Grant::Ok);
  EXPECT_EQ(pool.charge(1, Urgency::Forced), Grant::OverLimit);
  EXPECT_EQ(pool.charge(SIZE_MAX, Urgency::Forced), Grant::OverLimit) << "no sum wraps";
  SlabIndex slab;
  EXPECT_EQ(pool.take_slab(Urgency::Forced, &slab), Grant::OverLimit);
  pool.uncharge(4 * kMiB);
  EXPECT_EQ(pool.used_bytes(), 0u);
}

TEST_F(SlabPoolTest, TheTriggerNeverPassesTheLimit) {
  pool.set_trigger(SIZE_MAX);
  EXPECT_EQ(pool.trigger(), pool.limit());
  EXPECT_EQ(pool.charge(4 * kMiB, Urgency::Normal), Grant::Ok);
}

TEST_F(SlabPoolTest, ChunksAreNeighboursAndSayWhetherTheyAreZero) {
  (void)take();
  Address at = 0;
  bool zeroed = false;
  ASSERT_EQ(pool.take_chunks(3, &at, &zeroed), Grant::Ok);
  EXPECT_EQ(at, pool.slabs().base() + kChunkBytes) << "the first chunk has a slab in use";
  EXPECT_TRUE(zeroed);
  std::memset(reinterpret_cast<void*>(at), 0xFF, 3 * kChunkBytes); // committed, all of it
  EXPECT_STREQ(pool.check(), "");
  pool.put_chunks(at, 3);
  EXPECT_STREQ(pool.check(), "");
  Address again = 0;
  ASSERT_EQ(pool.take_chunks(2, &again, &zeroed), Grant::Ok);
  EXPECT_EQ(again, at);
  EXPECT_FALSE(zeroed) << "it was written to";
}

TEST_F(SlabPoolTest, TheReservationEnds) {
  Address at = 0;
  bool zeroed = false;
  EXPECT_EQ(pool.slabs().bytes(), 2 * 4 * kMiB + 3 * kChunkBytes);
  EXPECT_EQ(pool.take_chunks(8, &at, &zeroed), Grant::Fragmented);
  EXPECT_EQ(pool.take_chunks(SIZE_MAX, &at, &zeroed), Grant::Fragmented);
  EXPECT_EQ(pool.take_chunks(7, &at, &zeroed), Grant::Ok);
  SlabIndex slab;
  EXPECT_EQ(pool.take_slab(Urgency::Forced, &slab), Grant::Fragmented);
  EXPECT_EQ(pool.used_bytes(), 0u) << "a refusal is not accounted";
  pool.put_chunks(at, 7);
  EXPECT_EQ(pool.take_slab(Urgency::Forced, &slab), Grant::Ok);
  EXPECT_STREQ(pool.check(), "");
}

TEST_F(SlabPoolTest, GivesEmptyChunksBackHighestFirst) {
  std::vector<SlabIndex> slabs;
  for (int i = 0; i < 64; ++i) {
    slabs.push_back(take());
    std::memset(reinterpret_cast<void*>(pool.slabs().address_of(slabs.back())), 0xFF, kSlabBytes);
  }
  EXPECT_FALSE(pool.return_one_chunk(0)) << "nothing is empty";
  for (const SlabIndex slab : slabs) {
    pool.put_slab(slab);
  }
  EXPECT_TRUE(pool.return_one_chunk(kChunkBytes));
  EXPECT_FALSE(pool.return_one_chunk(kChunkBytes)) << "this much is kept";
  EXPECT_EQ(pool.returned_bytes(), kChunkBytes);
  EXPECT_EQ(pool.committed_bytes(), kChunkBytes);
  EXPECT_EQ(pool.peak_committed_bytes(), 2 * kChunkBytes);
  EXPECT_STREQ(pool.check(), "");
  EXPECT_EQ(take().number, 0u) << "the lower chunk was kept";
  Address at = 0;
  bool zeroed = false;
  ASSERT_EQ(pool.take_chunks(1, &at, &zeroed), Grant::Ok);
  EXPECT_EQ(at, pool.slabs().base() + kChunkBytes);
  EXPECT_TRUE(zeroed);
  EXPECT_EQ(*reinterpret_cast<const std::uint64_t*>(at), 0u) << "the claim is true";
  EXPECT_EQ(pool.returned_bytes(), 0u) << "in use again";
  EXPECT_EQ(pool.committed_bytes(), 2 * kChunkBytes);
  EXPECT_STREQ(pool.check(), "");
}

// --- nodes [heap.node.1]

class NodesTest : public ::testing::Test {
protected:
  void open(unsigned nodes, std::size_t limit = 16 * kMiB) {
    native::test::FakeTopology::here = 0;
    machine = std::make_unique<native::test::FakeTopology>(nodes);
    pool.use_topology(*machine);
    ASSERT_TRUE(pool.open(config_of(limit, limit)));
  }
  SlabIndex take(unsigned node) {
    native::test::FakeTopology::here = node;
    SlabIndex slab;
    EXPECT_EQ(pool.take_slab(Urgency::Forced, &slab), Grant::Ok);
    return slab;
  }
  std::unique_ptr<native::test::FakeTopology> machine;
  SlabPool pool;
};

TEST_F(NodesTest, LocalFirstOnFourNodes) {
  open(4);
  std::vector<SlabIndex> slabs;
  for (unsigned round = 0; round < 8; ++round) {
    for (unsigned node = 0; node < 4; ++node) {
      slabs.push_back(take(node));
      EXPECT_EQ(pool.node_of(slabs.back()), node);
    }
  }
  EXPECT_EQ(machine->bindings.size(), 4u) << "one chunk a node";
  EXPECT_EQ(pool.node_counters().local_slabs, 32u);
  EXPECT_EQ(pool.node_counters().remote_slabs, 0u);
  EXPECT_EQ(pool.node_counters().migrated_slabs, 0u);
  for (const SlabIndex slab : slabs) {
    pool.put_slab(slab);
  }
  EXPECT_EQ(pool.node_of(take(3)), 3u) << "not the lowest, but the own";
  EXPECT_STREQ(pool.check(), "");
}

TEST_F(NodesTest, AnotherNodesMemoryWhenThereIsNoOther) {
  open(6, 2 * kMiB); // the reservation holds five chunks
  std::vector<SlabIndex> slabs;
  for (unsigned node = 0; node < 5; ++node) {
    slabs.push_back(take(node));
  }
  const SlabIndex far = take(5);
  EXPECT_NE(pool.node_of(far), 5u);
  EXPECT_EQ(pool.node_counters().remote_slabs, 1u);
  pool.put_slab(far);
  native::test::FakeTopology::here = 0;
  for (const SlabIndex slab : slabs) {
    pool.put_slab(slab);
  }
  EXPECT_EQ(take(0).number, 0u);
  EXPECT_EQ(pool.node_counters().migrated_slabs, 0u) << "its last owner was of this node";
  pool.put_slab(SlabIndex{0});
  (void)take(5);
  EXPECT_EQ(pool.node_counters().migrated_slabs, 1u);
  EXPECT_STREQ(pool.check(), "");
}

TEST_F(NodesTest, RefusedBindingIsCountedAndHarmless) {
  open(4);
  machine->refuse_bind = true;
  const SlabIndex slab = take(2);
  *reinterpret_cast<std::uint64_t*>(pool.slabs().address_of(slab)) = 1;
  EXPECT_EQ(pool.node_counters().bind_refusals, 1u);
  EXPECT_STREQ(pool.check(), "");
}

TEST_F(NodesTest, OneNodeAsksAndBindsNothing) {
  open(1);
  (void)take(0);
  EXPECT_EQ(pool.node_count(), 1u);
  EXPECT_TRUE(machine->bindings.empty());
  EXPECT_EQ(pool.node_counters().local_slabs, 0u);
}

// What comes back from the system may go to another node.
TEST_F(NodesTest, ReturnedChunksAreBoundAnew) {
  open(2);
  const SlabIndex slab = take(0);
  pool.put_slab(slab);
  ASSERT_TRUE(pool.return_one_chunk(0));
  EXPECT_EQ(take(1).number, slab.number);
  EXPECT_EQ(pool.node_of(slab), 1u);
  ASSERT_EQ(machine->bindings.size(), 2u);
  EXPECT_EQ(machine->bindings[1].node, 1u);
  EXPECT_EQ(pool.node_counters().migrated_slabs, 1u);
}

// A program that is idle. [service.idle.1]
TEST_F(SlabPoolTest, GivesEmptySlabsOfBegunChunksBackAndTakesThemAgain) {
  Config config = config_of(16 * kMiB, 16 * kMiB);
  config.populate = 0;
  config.huge_pages = false;
  SlabPool idle;
  ASSERT_TRUE(idle.open(config));
  std::vector<SlabIndex> slabs(128);
  for (SlabIndex& slab : slabs) {
    ASSERT_EQ(idle.take_slab(Urgency::Forced, &slab), Grant::Ok);
    std::memset(reinterpret_cast<void*>(idle.slabs().address_of(slab)), 0xFF, kSlabBytes);
  }
  EXPECT_EQ(idle.handed_out(), 128 * kSlabBytes);
  const auto resident = [&] {
    std::vector<unsigned char> pages(8 * kMiB / kPageBytes);
    EXPECT_EQ(::mincore(reinterpret_cast<void*>(idle.slabs().base()), 8 * kMiB, pages.data()), 0);
    return kPageBytes * static_cast<std::size_t>(std::count_if(pages.begin(), pages.end(),
                                                               [](unsigned char p) { return (p & 1) != 0; }));
  };
  EXPECT_EQ(resident(), 8 * kMiB);
  for (std::size_t i = 0; i < slabs.size(); ++i) {
    if (i % 4 != 0) {
      idle.put_slab(slabs[i]);
    }
  }
  std::size_t chunk = SIZE_MAX;
  int steps = 0;
  while (idle.return_free_slabs(&chunk)) {
    ++steps;
    EXPECT_STREQ(idle.check(), "");
  }
  EXPECT_EQ(steps, 4) << "a chunk at a time";
  EXPECT_EQ(idle.committed_bytes(), 2 * kMiB);
  EXPECT_EQ(idle.returned_bytes(), 6 * kMiB);
  EXPECT_EQ(resident(), 2 * kMiB) << "the operating system agrees";
  SlabIndex again;
  ASSERT_EQ(idle.take_slab(Urgency::Forced, &again), Grant::Ok);
  EXPECT_EQ(again.number, 1u);
  EXPECT_EQ(*reinterpret_cast<std::uint64_t*>(idle.slabs().address_of(again)), 0u);
  EXPECT_EQ(idle.committed_bytes(), 2 * kMiB + kSlabBytes);
  EXPECT_EQ(*reinterpret_cast<std::uint64_t*>(idle.slabs().address_of(slabs[4])), ~std::uint64_t{0});
  for (std::size_t i = 0; i < slabs.size(); i += 4) {
    idle.put_slab(slabs[i]);
  }
  idle.put_slab(again);
  while (idle.return_one_chunk(0)) {
  }
  EXPECT_EQ(idle.committed_bytes(), 0u) << "nothing is counted twice";
  EXPECT_EQ(idle.returned_bytes(), 8 * kMiB);
  EXPECT_EQ(idle.peak_committed_bytes(), 8 * kMiB);
  EXPECT_STREQ(idle.check(), "");
}

// --- memory populated ahead [heap.ahead.1]

class AheadTest : public ::testing::Test {
protected:
  void open(std::size_t limit, std::size_t trigger, std::size_t populate, std::size_t keep_free = 0) {
    Config config = config_of(limit, trigger);
    config.populate = populate;
    config.keep_free = keep_free;
    config.huge_pages = false; // residency is then exact
    ASSERT_TRUE(pool.open(config));
  }
  std::size_t steps() {
    std::size_t count = 0;
    for (std::uint64_t before = pool.populated_bytes(); pool.populate_step();
         before = pool.populated_bytes()) {
      EXPECT_LE(pool.populated_bytes() - before, kChunkBytes) << "a step is bounded";
      ++count;
    }
    return count;
  }
  std::size_t resident(std::size_t bytes) {
    std::vector<unsigned char> pages(bytes / kPageBytes);
    EXPECT_EQ(::mincore(reinterpret_cast<void*>(pool.slabs().base()), bytes, pages.data()), 0);
    return kPageBytes * static_cast<std::size_t>(std::count_if(pages.begin(), pages.end(),
                                                               [](unsigned char p) { return (p & 1) != 0; }));
  }
  SlabIndex take() {
    SlabIndex slab;
    EXPECT_EQ(pool.take_slab(Urgency::Forced, &slab), Grant::Ok);
    return slab;
  }
  SlabPool pool;
};

TEST_F(AheadTest, TheNextSlabsAreThereBeforeTheyAreHandedOut) {
  open(64 * kMiB, 64 * kMiB, 8 * kMiB);
  EXPECT_TRUE(pool.is_behind());
  if (!pool.populate_step()) {
    GTEST_SKIP() << "this kernel cannot populate (before Linux 5.14)";
  }
  EXPECT_EQ(steps(), 3u) << "four chunks in all";
  EXPECT_FALSE(pool.is_behind());
  EXPECT_EQ(resident(8 * kMiB), 8 * kMiB);
  for (int i = 0; i < 128; ++i) {
    (void)take();
    EXPECT_EQ(pool.is_behind(), i >= 64) << "half is used up after slab 64; it was " << i;
  }
  EXPECT_EQ(pool.late_slabs(), 0u);
  (void)take();
  EXPECT_EQ(pool.late_slabs(), 1u) << "the program has overtaken";
  EXPECT_EQ(steps(), 8u + 8u)
      << "31 slabs of a begun chunk, four at a time, then whole ones up to twice the target";
  EXPECT_STREQ(pool.check(), "");
}

// [native.topology.1] Refused huge pages cost speed only; a machine that cannot populate is asked once.
TEST(PagesTest, RefusalsLeaveTheHeapAsItWas) {
  for (const bool populates : {true, false}) {
    native::test::FakeTopology machine;
    machine.refuse_huge = true;
    machine.refuse_populate = !populates;
    SlabPool pool;
    pool.use_topology(machine);
    Config config = config_of(16 * kMiB, 16 * kMiB);
    config.populate = 4 * kMiB;
    ASSERT_TRUE(pool.open(config));
    EXPECT_TRUE(pool.is_behind());
    while (pool.populate_step()) {
    }
    EXPECT_FALSE(pool.is_behind()) << "there is nothing more to be had";
    EXPECT_GT(machine.huge_asked, 0u);
    if (!populates) {
      EXPECT_EQ(machine.populate_asked, 1u);
      EXPECT_EQ(pool.populated_bytes(), 0u);
    }
    for (std::size_t i = 0; i < pool.limit() / kSlabBytes; ++i) {
      SlabIndex slab;
      ASSERT_EQ(pool.take_slab(Urgency::Forced, &slab), Grant::Ok);
      *reinterpret_cast<std::uint64_t*>(pool.slabs().address_of(slab)) = i;
    }
    EXPECT_FALSE(populates ? false : pool.populate_step());
    EXPECT_STREQ(pool.check(), "");
  }
}

TEST_F(AheadTest, NotBeyondTheTriggerNorWhatIsKept) {
  open(64 * kMiB, 3 * kMiB, 8 * kMiB);
  (void)steps();
  EXPECT_LE(pool.populated_bytes(), 4 * kMiB) << "whole chunks up to the trigger";
  SlabPool other;
  Config config = config_of(64 * kMiB, 64 * kMiB);
  config.keep_free = 2 * kMiB;
  ASSERT_TRUE(other.open(config));
  while (other.populate_step()) {
  }
  EXPECT_LE(other.populated_bytes(), 2 * kMiB) << "what would go back at once is not brought in";
  SlabPool none;
  config.populate = 0;
  ASSERT_TRUE(none.open(config));
  EXPECT_FALSE(none.populate_step());
  EXPECT_FALSE(none.is_behind());
}

// What is wanted ahead shrinks as the next collection comes nearer: nobody is woken to find nothing to do.
TEST_F(AheadTest, NothingIsMissingWhereTheNextCollectionIsNear) {
  open(64 * kMiB, 4 * kMiB, 8 * kMiB);
  if (!pool.populate_step()) {
    GTEST_SKIP() << "this kernel cannot populate (before Linux 5.14)";
  }
  (void)steps();
  for (int i = 0; i < 64; ++i) {
    SlabIndex slab;
    ASSERT_EQ(pool.take_slab(Urgency::Normal, &slab), Grant::Ok);
    ASSERT_FALSE(pool.is_behind()) << i;
  }
  EXPECT_EQ(pool.late_slabs(), 0u);
}

TEST_F(AheadTest, RecycledMemoryIsThereAlready) {
  open(64 * kMiB, 64 * kMiB, 8 * kMiB);
  if (!pool.populate_step()) {
    GTEST_SKIP() << "this kernel cannot populate (before Linux 5.14)";
  }
  (void)steps();
  std::vector<SlabIndex> slabs;
  for (int i = 0; i < 128; ++i) {
    slabs.push_back(take());
  }
  for (const SlabIndex slab : slabs) {
    pool.put_slab(slab);
  }
  pool.set_trigger(64 * kMiB); // a collection
  EXPECT_FALSE(pool.is_behind());
  EXPECT_EQ(steps(), 0u);
  while (pool.return_one_chunk(0)) {
  }
  pool.set_trigger(64 * kMiB);
  EXPECT_TRUE(pool.is_behind()) << "what went back is not there";
  EXPECT_EQ(steps(), 4u);
}

TEST_F(AheadTest, GrowsFastAndShrinksSlowly) {
  open(512 * kMiB, 512 * kMiB, 2 * kMiB);
  if (!pool.populate_step()) {
    GTEST_SKIP() << "this kernel cannot populate (before Linux 5.14)";
  }
  const auto late_cycle = [&] { // one slab more than is there
    const std::uint64_t before = pool.late_slabs();
    while (pool.late_slabs() == before) {
      (void)take();
    }
    const std::uint64_t populated = pool.populated_bytes();
    (void)steps();
    pool.set_trigger(512 * kMiB);
    return pool.populated_bytes() - populated;
  };
  std::vector<std::uint64_t> brought;
  for (int i = 0; i < 6; ++i) {
    brought.push_back(late_cycle() / kMiB);
  }
  EXPECT_GE(brought.back(), 16u) << "eight times the option";
  EXPECT_LE(brought.back(), 18u) << "and no more, but for the rest of a chunk";
  EXPECT_GE(brought[1], 2 * brought[0] - 2) << "doubled each time";
  const std::uint64_t most = pool.populated_bytes();
  for (int i = 0; i < 3; ++i) {
    pool.set_trigger(512 * kMiB);
  }
  (void)steps();
  EXPECT_EQ(pool.populated_bytes(), most) << "it is there still";
}

TEST_F(AheadTest, LargeMemoryIsBroughtInSlicesUntilItIsFreed) {
  open(64 * kMiB, 64 * kMiB, kMiB);
  if (!pool.populate_step()) {
    GTEST_SKIP() << "this kernel cannot populate (before Linux 5.14)";
  }
  (void)steps();
  Address at = 0;
  bool zeroed = false;
  ASSERT_EQ(pool.take_chunks(4, &at, &zeroed), Grant::Ok);
  EXPECT_TRUE(zeroed) << "populating leaves zero what was zero";
  EXPECT_EQ(*reinterpret_cast<const std::uint64_t*>(at), 0u);
  pool.request_populate(at, 4 * kChunkBytes);
  EXPECT_TRUE(pool.populate_step());
  std::memset(reinterpret_cast<void*>(at), 0x5A, 4 * kChunkBytes); // its owner writes meanwhile
  EXPECT_TRUE(pool.populate_step());
  for (std::size_t i = 0; i < 4 * kChunkBytes; i += kPageBytes) {
    ASSERT_EQ(*reinterpret_cast<const unsigned char*>(at + i), 0x5A) << "populating changed contents";
  }
  pool.put_chunks(at, 4);
  const std::uint64_t before = pool.populated_bytes();
  (void)steps();
  EXPECT_LE(pool.populated_bytes() - before, 2 * kMiB) << "the rest of the request went with its memory";
}

TEST_F(SlabPoolTest, PuttingBackClearsTheTables) {
  const SlabIndex slab = take();
  pool.slabs().set_kind(slab, SlabKind::Old);
  pool.slabs().live_granules(slab) = 77;
  EXPECT_EQ(pool.slabs().use(slab), SlabUse::Owned);
  pool.put_slab(slab);
  EXPECT_EQ(pool.slabs().kind(slab), SlabKind::Free);
  EXPECT_EQ(pool.slabs().use(slab), SlabUse::Empty);
  EXPECT_EQ(pool.slabs().live_granules(slab), 0);
}

TEST_F(SlabPoolTest, WordsOutsideTheReservationAreOfNoKind) { // [heap.kind.2]
  const SlabIndex slab = take();
  pool.slabs().set_kind(slab, SlabKind::Old);
  const Address base = pool.slabs().base();
  EXPECT_EQ(pool.slabs().kind_of_word(base), SlabKind::Old);
  EXPECT_EQ(pool.slabs().kind_of_word(base + kSlabBytes - 1), SlabKind::Old);
  EXPECT_EQ(pool.slabs().kind_of_word(base + kSlabBytes), SlabKind::Free);
  for (const Address a : {Address{0}, base - 1, base + pool.slabs().bytes(), ~Address{0}}) {
    EXPECT_FALSE(pool.slabs().contains(a));
    EXPECT_EQ(pool.slabs().kind_of_word(a), SlabKind::Free);
  }
}

// --- broken on purpose: each state that the tables allow, and the check that sees it

TEST_F(SlabPoolTest, CheckSeesAnEmptySlabWithAKind) {
  (void)take();
  pool.slabs().set_kind({1}, SlabKind::Old);
  EXPECT_STREQ(pool.check(), "[heap.kind.1] an empty slab has a kind");
}

TEST_F(SlabPoolTest, CheckSeesAFreeSlabInUse) {
  (void)take();
  pool.slabs().set_use({1}, SlabUse::Filled);
  EXPECT_STREQ(pool.check(), "[heap.pool.2] free mask and use disagree");
}

TEST_F(SlabPoolTest, CheckSeesATakenSlabThatLooksEmpty) {
  const SlabIndex slab = take();
  pool.slabs().set_use(slab, SlabUse::Empty);
  EXPECT_STREQ(pool.check(), "[heap.pool.2] free mask and use disagree");
}

TEST_F(SlabPoolTest, CheckSeesWrongAccounts) {
  (void)take();
  pool.uncharge(kSlabBytes);
  EXPECT_STREQ(pool.check(), "[heap.pool.1] used bytes are miscounted");
}

using SlabPoolDeathTest = SlabPoolTest;

TEST_F(SlabPoolDeathTest, ASlabIsFreedOnce) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const SlabIndex slab = take();
  pool.put_slab(slab);
  EXPECT_DEATH(pool.put_slab(slab), "\\[heap.pool.2\\] a free slab is freed");
}

TEST_F(SlabPoolDeathTest, AChunkIsFreedOnce) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  Address at = 0;
  bool zeroed = false;
  ASSERT_EQ(pool.take_chunks(1, &at, &zeroed), Grant::Ok);
  pool.put_chunks(at, 1);
  EXPECT_DEATH(pool.put_chunks(at, 1), "\\[heap.pool.2\\] a chunk with free slabs is freed");
}

// --- property

// Random requests against a model; committed memory of a chunk keeps its bytes unless the chunk was given
// back.
TEST(SlabPoolProperty, AgreesWithAModel) {
  SCOPED_TRACE(test::seed_message());
  test::Random random(test::test_seed());
  SlabPool pool;
  ASSERT_TRUE(pool.open(config_of(16 * kMiB, 16 * kMiB)));
  std::set<std::uint32_t> slabs;
  std::map<Address, std::size_t> runs; // chunks taken as a run
  std::size_t charged = 0;
  for (int step = 0; step < 20000; ++step) {
    const std::size_t used = slabs.size() * kSlabBytes + charged;
    switch (random.below(7)) {
    case 0:
    case 1: {
      SlabIndex slab;
      const Grant grant = pool.take_slab(Urgency::Forced, &slab);
      if (grant == Grant::Ok) {
        ASSERT_LE(used + kSlabBytes, pool.limit());
        ASSERT_TRUE(slabs.insert(slab.number).second) << "handed out twice";
        const Address a = pool.slabs().address_of(slab);
        for (const auto& [start, count] : runs) {
          ASSERT_FALSE(a >= start && a < start + count * kChunkBytes) << "inside a run of chunks";
        }
        *reinterpret_cast<std::uint64_t*>(a) = step + 1; // [heap.pool.3] committed
      } else if (grant == Grant::OverLimit) {
        ASSERT_GT(used + kSlabBytes, pool.limit());
      }
      break;
    }
    case 2:
      if (!slabs.empty()) {
        auto it = slabs.lower_bound(static_cast<std::uint32_t>(random.below(pool.slab_high_water())));
        it = it == slabs.end() ? slabs.begin() : it;
        pool.put_slab({*it});
        slabs.erase(it);
      }
      break;
    case 3: {
      const std::size_t count = random.between(1, 3);
      Address at = 0;
      bool zeroed = false;
      if (pool.charge(count * kChunkBytes, Urgency::Forced) != Grant::Ok) {
        break;
      }
      if (pool.take_chunks(count, &at, &zeroed) != Grant::Ok) {
        pool.uncharge(count * kChunkBytes);
        break;
      }
      charged += count * kChunkBytes;
      for (std::size_t word = 0; word < count * kChunkBytes / 8; word += 512) {
        auto* p = reinterpret_cast<std::uint64_t*>(at) + word;
        ASSERT_TRUE(!zeroed || *p == 0) << "zeroed claims are true";
        *p = ~std::uint64_t{0};
      }
      for (const std::uint32_t s : slabs) {
        const Address a = pool.slabs().address_of({s});
        ASSERT_FALSE(a >= at && a < at + count * kChunkBytes) << "a run over a slab in use";
      }
      ASSERT_TRUE(runs.emplace(at, count).second);
      break;
    }
    case 4:
      if (!runs.empty()) {
        const auto it = std::next(runs.begin(), static_cast<std::ptrdiff_t>(random.below(runs.size())));
        pool.put_chunks(it->first, it->second);
        pool.uncharge(it->second * kChunkBytes);
        charged -= it->second * kChunkBytes;
        runs.erase(it);
      }
      break;
    case 5: {
      const std::size_t committed = pool.committed_bytes();
      const std::size_t returned = pool.returned_bytes();
      std::size_t chunk = SIZE_MAX;
      while (pool.return_free_slabs(&chunk)) {
      }
      ASSERT_EQ(committed - pool.committed_bytes(), pool.returned_bytes() - returned);
      ASSERT_GE(pool.committed_bytes(), slabs.size() * kSlabBytes) << "what is in use stays";
      for (const std::uint32_t s : slabs) {
        ASSERT_NE(*reinterpret_cast<std::uint64_t*>(pool.slabs().address_of({s})), 0u)
            << "and keeps its bytes";
      }
      break;
    }
    default:
      (void)pool.return_one_chunk(random.below(8) * kChunkBytes);
      break;
    }
    ASSERT_EQ(pool.used_bytes(), slabs.size() * kSlabBytes + charged);
    ASSERT_STREQ(pool.check(), "") << "step " << step;
  }
}

// The smallest heap in the smallest reservation: a slab and a large object are there even while a chunk is on its way
// back to the system.
TEST(SlabPoolProperty, AReturningChunkIsNotMissed) {
  SlabPool pool;
  ASSERT_TRUE(pool.open(config_of(kMiB, kMiB)));
  std::atomic<int> to_return{1000};
  std::thread giver([&] {
    while (to_return.load() > 0) {
      to_return -= pool.return_one_chunk(0) ? 1 : 0;
    }
  });
  int missed = 0;
  while (to_return.load() > 0) {
    SlabIndex slab;
    Address at = 0;
    bool zeroed = false;
    const bool has_slab = pool.take_slab(Urgency::Forced, &slab) == Grant::Ok;
    const bool has_chunk = pool.take_chunks(1, &at, &zeroed) == Grant::Ok;
    missed += (has_slab ? 0 : 1) + (has_chunk ? 0 : 1);
    if (has_slab) {
      pool.put_slab(slab);
    }
    if (has_chunk) {
      pool.put_chunks(at, 1);
    }
  }
  giver.join();
  EXPECT_EQ(missed, 0);
  EXPECT_STREQ(pool.check(), "");
}

// [heap.pool.2] Threads take and put slabs while another gives chunks back: none belongs to two.
TEST(SlabPoolProperty, ThreadsNeverShareASlab) {
  SlabPool pool;
  ASSERT_TRUE(pool.open(config_of(16 * kMiB, 16 * kMiB)));
  std::vector<std::atomic<int>> owner(pool.slabs().bytes() / kSlabBytes);
  std::atomic<int> shared{0}, broken{0};
  std::atomic<bool> done{false};
  std::thread giver([&] {
    while (!done.load()) {
      (void)pool.return_one_chunk(0);
      std::size_t chunk = SIZE_MAX;
      while (pool.return_free_slabs(&chunk)) {
      }
    }
  });
  std::vector<std::thread> takers;
  for (int t = 1; t <= 3; ++t) {
    takers.emplace_back([&, t] {
      test::Random random(test::test_seed() + static_cast<unsigned>(t));
      std::vector<SlabIndex> mine;
      for (int i = 0; i < 4000; ++i) {
        SlabIndex slab;
        if (i % 16 == 0) {
          broken += *pool.check() != 0 ? 1 : 0;
        }
        if (random.chance(55) && pool.take_slab(Urgency::Forced, &slab) == Grant::Ok) {
          shared += owner[slab.number].exchange(t) != 0;
          *reinterpret_cast<std::uint64_t*>(pool.slabs().address_of(slab)) = static_cast<unsigned>(t);
          mine.push_back(slab);
        } else if (!mine.empty()) {
          slab = mine.back();
          mine.pop_back();
          shared +=
              *reinterpret_cast<std::uint64_t*>(pool.slabs().address_of(slab)) != static_cast<unsigned>(t);
          owner[slab.number] = 0;
          pool.put_slab(slab);
        }
      }
      for (const SlabIndex slab : mine) {
        owner[slab.number] = 0;
        pool.put_slab(slab);
      }
    });
  }
  for (std::thread& taker : takers) {
    taker.join();
  }
  done = true;
  giver.join();
  EXPECT_EQ(broken.load(), 0) << "also with memory on its way back";
  EXPECT_EQ(shared.load(), 0);
  EXPECT_EQ(pool.used_bytes(), 0u);
  EXPECT_STREQ(pool.check(), "");
}

} // namespace
} // namespace echo
