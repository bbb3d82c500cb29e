// SPDX-License-Identifier: MIT
//
// Purpose     Chunks and slabs: nodes, refusals, huge pages, the way back to the system.
#include "heap/native/native_space.h"
#include "heap/native/resident.h"

#include "tests/heap/seed.h"
#include "tests/native/fake_topology.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <optional>
#include <set>

namespace echo::native {
namespace {

using test::FakeTopology;
constexpr std::size_t kMiB = std::size_t{1} << 20;

class NativeSpaceTest : public ::testing::Test {
protected:
  void open(unsigned nodes, SpaceConfig config = {.reserve_bytes = 64 * kMiB}) {
    FakeTopology::here = 0;
    topology.emplace(nodes);
    space.emplace(*topology);
    ASSERT_TRUE(space->open(config));
  }
  SlabIndex take(unsigned node, std::uint8_t* where = nullptr) {
    SlabIndex slab{};
    std::uint8_t on = 0;
    EXPECT_TRUE(space->take_slab(node, 0, &slab, &on));
    if (where != nullptr) {
      *where = on;
    }
    return slab;
  }
  void touch(SlabIndex slab) { std::memset(reinterpret_cast<void*>(space->slab_start(slab)), 1, kSlabBytes); }
  std::size_t resident(SlabIndex slab) {
    return resident_bytes(reinterpret_cast<void*>(space->slab_start(slab)), kSlabBytes);
  }

  std::optional<FakeTopology> topology;
  std::optional<NativeSpace> space;
};

// [native.space.1]
TEST_F(NativeSpaceTest, HandsEachSlabOutOnce) {
  open(1);
  std::set<std::uint32_t> seen;
  SlabIndex slab{};
  std::uint8_t node = 0;
  while (space->take_slab(0, static_cast<unsigned>(seen.size()), &slab, &node)) {
    ASSERT_TRUE(seen.insert(slab.number).second);
    std::memset(reinterpret_cast<void*>(space->slab_start(slab)), 1, 8); // usable
  }
  EXPECT_EQ(seen.size(), 64 * kMiB / kSlabBytes) << "all of the reservation, then no more";
  for (const std::uint32_t number : seen) {
    space->put_slab({number});
  }
  EXPECT_STREQ(space->check(), "");
  EXPECT_TRUE(space->take_slab(0, 0, &slab, &node));
}

// [native.space.3]
TEST_F(NativeSpaceTest, LocalFirstOnFourNodes) {
  open(4);
  std::uint8_t where = 0;
  for (unsigned node = 0; node < 4; ++node) {
    take(node, &where);
    EXPECT_EQ(where, node);
  }
  EXPECT_EQ(topology->bindings.size(), 4u) << "one chunk bound per node";
  for (unsigned i = 0; i < 4; ++i) {
    EXPECT_EQ(topology->bindings[i].node, i);
    EXPECT_EQ(topology->bindings[i].bytes, kChunkBytes);
  }
  EXPECT_EQ(space->counters().local_slabs, 4u);
  EXPECT_EQ(space->counters().remote_slabs, 0u);
  EXPECT_STREQ(space->check(), "");
}

TEST_F(NativeSpaceTest, AnotherNodesMemoryWhenTheOwnIsGone) {
  open(4, {.reserve_bytes = 4 * kMiB}); // two chunks
  take(0);
  take(1);
  std::uint8_t where = 0;
  std::map<unsigned, int> from;
  for (std::size_t i = 2; i < 2 * kSlabsPerChunk; ++i) {
    take(3, &where);
    ++from[where];
  }
  EXPECT_EQ(from[0] + from[1], static_cast<int>(2 * kSlabsPerChunk) - 2);
  EXPECT_EQ(space->counters().remote_slabs, 2 * kSlabsPerChunk - 2);
  SlabIndex slab{};
  EXPECT_FALSE(space->take_slab(3, 0, &slab, &where));
}

TEST_F(NativeSpaceTest, AFreeChunkOfAnotherNodeIsUsedAtLast) {
  open(2, {.reserve_bytes = 2 * kMiB});
  space->put_slab(take(0));
  std::uint8_t where = 9;
  take(1, &where);
  EXPECT_EQ(where, 0) << "its memory lies on node 0";
  EXPECT_EQ(space->counters().remote_slabs, 1u);
}

// [native.space.5]
TEST_F(NativeSpaceTest, RefusedBindingIsCountedAndHarmless) {
  FakeTopology::here = 0;
  topology.emplace(4);
  topology->refuse_bind = true;
  space.emplace(*topology);
  ASSERT_TRUE(space->open({.reserve_bytes = 64 * kMiB}));
  touch(take(2));
  EXPECT_EQ(space->counters().bind_refusals, 1u);
}

TEST_F(NativeSpaceTest, RefusedHugePagesAreCountedAndHarmless) {
  open(1);
  topology->refuse_huge = true;
  touch(take(0));
  EXPECT_EQ(space->counters().huge_refusals, 1u);
  EXPECT_EQ(topology->huge_asked, 1u);
}

TEST_F(NativeSpaceTest, BasePagesAskForNoHugeOnes) {
  open(1, {.reserve_bytes = 64 * kMiB, .pages = PageKind::Base});
  touch(take(0));
  EXPECT_EQ(topology->huge_asked, 0u);
  EXPECT_EQ(topology->base_asked, 1u);
}

TEST_F(NativeSpaceTest, GiganticPagesServeWholeGigabytes) {
  open(1, {.reserve_bytes = std::size_t{2} << 30, .pages = PageKind::Gigantic});
  const SlabIndex slab = take(0);
  touch(slab);
  EXPECT_EQ(space->counters().gigantic_pages, 1u);
  EXPECT_EQ(space->counters().committed_bytes, std::size_t{1} << 30);
  EXPECT_EQ(space->base() % (std::size_t{1} << 30), 0u);
  space->put_slab(slab);
  EXPECT_EQ(space->return_all(~std::uint64_t{0}), 0u) << "part of a gigantic page cannot go back";
  EXPECT_EQ(resident(slab), kSlabBytes);
  EXPECT_STREQ(space->check(), "");
}

TEST_F(NativeSpaceTest, RefusedGiganticPagesFallBack) {
  FakeTopology::here = 0;
  topology.emplace(1);
  topology->refuse_gigantic = true;
  space.emplace(*topology);
  ASSERT_TRUE(space->open({.reserve_bytes = std::size_t{1} << 30, .pages = PageKind::Gigantic}));
  touch(take(0));
  EXPECT_EQ(space->counters().gigantic_pages, 0u);
  EXPECT_GE(space->counters().huge_refusals, 1u);
  EXPECT_EQ(topology->huge_asked, 1u) << "then transparent huge pages are asked for";
}

TEST(SystemTopology, AnswersAreUsable) { // [native.topology.1]
  Topology& machine = system_topology();
  EXPECT_GE(machine.node_count(), 1u);
  EXPECT_LT(machine.current_node(), machine.node_count());
  if (!machine.has_numa()) {
    EXPECT_EQ(machine.node_count(), 1u);
  }
  NativeSpace space(machine);
  ASSERT_TRUE(space.open({.reserve_bytes = std::size_t{1} << 30, .pages = PageKind::Gigantic}));
  SlabIndex slab{};
  std::uint8_t node = 0;
  ASSERT_TRUE(space.take_slab(machine.current_node(), 0, &slab, &node)) << "with 1 GiB pages or without";
  std::memset(reinterpret_cast<void*>(space.slab_start(slab)), 1, kSlabBytes);
}

// [native.space.4]
TEST_F(NativeSpaceTest, MemoryGoesBackInStepsOfOneChunk) {
  open(1, {.reserve_bytes = 64 * kMiB, .pages = PageKind::Base});
  std::vector<SlabIndex> slabs;
  for (std::size_t i = 0; i < 4 * kSlabsPerChunk; ++i) {
    slabs.push_back(take(0));
    touch(slabs.back());
  }
  for (const SlabIndex slab : slabs) {
    space->put_slab(slab);
  }
  EXPECT_EQ(space->counters().free_resident_bytes, 4 * kChunkBytes);
  EXPECT_EQ(space->return_step(3 * kChunkBytes), kChunkBytes);
  EXPECT_EQ(space->return_step(3 * kChunkBytes), 0u) << "keeps what it was told to keep";
  EXPECT_EQ(space->return_all(0), kChunkBytes) << "the deadline has passed: one step, and no more";
  EXPECT_EQ(space->return_all(~std::uint64_t{0}), 2 * kChunkBytes);
  EXPECT_EQ(space->counters().returned_bytes, 4 * kChunkBytes);
  for (const SlabIndex slab : slabs) {
    EXPECT_EQ(resident(slab), 0u);
  }
  EXPECT_STREQ(space->check(), "");
  touch(take(0)); // and can be used again
}

// [native.space.6] With windows that end at each step: what a program takes again and again stays.
TEST_F(NativeSpaceTest, OnlyWhatStayedFreeGoesBackByItself) {
  open(1, {.reserve_bytes = 64 * kMiB, .keep_bytes = kChunkBytes, .window_ns = 0, .pages = PageKind::Base});
  std::vector<SlabIndex> slabs;
  const auto fill_and_empty = [&](std::size_t chunks) {
    slabs.clear();
    for (std::size_t i = 0; i < chunks * kSlabsPerChunk; ++i) {
      slabs.push_back(take(0));
      touch(slabs.back());
    }
    for (const SlabIndex slab : slabs) {
      space->put_slab(slab);
    }
  };
  for (int i = 0; i < 4; ++i) {
    fill_and_empty(6);
    space->settle();
    EXPECT_EQ(space->counters().returned_bytes, 0u) << "all of it was in use since the step before";
  }
  for (std::size_t gone = 0; gone < 8; ++gone) {
    space->settle();
    EXPECT_EQ(space->counters().returned_bytes, std::min<std::size_t>(gone + 1, 5) * kChunkBytes)
        << "one chunk a step, but for what is kept";
  }
  fill_and_empty(3);
  EXPECT_STREQ(space->check(), "");
}

TEST_F(NativeSpaceTest, FreeSlabsOfUsedChunksGoBackAndCountWhatWasThere) {
  open(1, {.reserve_bytes = 64 * kMiB, .pages = PageKind::Base});
  const SlabIndex kept = take(0);
  const SlabIndex full = take(0);
  const SlabIndex page = take(0);
  const SlabIndex none = take(0);
  touch(kept);
  touch(full);
  std::memset(reinterpret_cast<void*>(space->slab_start(page)), 1, 1);
  space->put_slab(full);
  space->put_slab(page);
  space->put_slab(none);
  EXPECT_EQ(space->return_all(~std::uint64_t{0}), kSlabBytes + kPageBytes);
  EXPECT_EQ(space->return_all(~std::uint64_t{0}), 0u) << "no byte is counted twice";
  EXPECT_EQ(resident(kept), kSlabBytes) << "a slab in use keeps its memory";
  EXPECT_STREQ(space->check(), "");
}

TEST_F(NativeSpaceTest, ChunksNextToEachOther) {
  open(1, {.reserve_bytes = 64 * kMiB, .pages = PageKind::Base});
  int owner = 0;
  Address first = 0;
  Address second = 0;
  Address hole = 0;
  ASSERT_TRUE(space->take_chunks(3, 0, &owner, &first));
  ASSERT_TRUE(space->take_chunks(1, 0, &owner, &hole));
  ASSERT_TRUE(space->take_chunks(5, 0, &owner, &second));
  std::memset(reinterpret_cast<void*>(second), 1, 5 * kChunkBytes);
  EXPECT_EQ(space->chunk_owner(second + 4 * kChunkBytes), &owner);
  space->put_chunks(first, 3);
  EXPECT_EQ(space->chunk_owner(first), nullptr);
  space->put_chunks(hole, 1);
  Address again = 0;
  ASSERT_TRUE(space->take_chunks(4, 0, &owner, &again));
  EXPECT_EQ(again, first) << "the four free ones";
  EXPECT_FALSE(space->take_chunks(33, 0, &owner, &again)) << "more than the reservation";
  ASSERT_TRUE(space->take_chunks(23, 0, &owner, &again));
  EXPECT_FALSE(space->take_chunks(1, 0, &owner, &again));
  EXPECT_STREQ(space->check(), "");
}

TEST_F(NativeSpaceTest, ATinyAddressSpaceStillOpens) {
  open(1, {.reserve_bytes = std::size_t{1} << 62});
  EXPECT_GT(space->slab_count(), 0u);
  touch(take(0));
}

} // namespace
} // namespace echo::native
