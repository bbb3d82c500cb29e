// SPDX-License-Identifier: MIT
//
// Purpose     The stacks of grey edges of one marker, in one region and in many, against a list of what was pushed: nothing lost,
//             nothing twice, regions apart. What several markers do with them: parallel_mark_test.cpp.
#include "gc/edge_pool.h"
#include "tests/heap/seed.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>
#include <memory>
#include <set>
#include <vector>

namespace echo {
namespace {

using test::Random;

constexpr Address kBase = Address{1} << 40;
constexpr std::size_t kHeapBytes = std::size_t{1} << 30;

class EdgeStacksTest : public ::testing::Test {
protected:
  void open(std::size_t edges, std::size_t high_water, std::size_t region) {
    const std::size_t bytes = EdgePool::bytes_for(edges, 1);
    memory_.reset(static_cast<char*>(std::aligned_alloc(EdgeStacks::kBlockBytes, bytes)));
    pool.use(memory_.get(), bytes, 0, [](std::size_t) { FAIL() << "there is one marker"; });
    stacks.use(pool.blocks(), kBase, kHeapBytes);
    begin(high_water, region);
  }
  void begin(std::size_t high_water, std::size_t region) {
    stacks.begin(high_water, region);
    pool.begin(stacks);
  }
  EdgePool pool;
  EdgeStacks stacks;

private:
  struct Free {
    void operator()(char* p) const { std::free(p); }
  };
  std::unique_ptr<char, Free> memory_;
};

// [mark.edge.1]
template <class Edges> void drops_what_is_not_in_the_heap(Edges edges, EdgeStacks& stacks, EdgePool& pool) {
  for (const Address word : {Address{0}, Address{8}, kBase - 8, kBase + kHeapBytes, ~Address{0}}) {
    edges.push(word);
  }
  edges.finish();
  EXPECT_TRUE(stacks.is_empty());
  EXPECT_EQ(pool.blocks().touched_bytes(), 0u) << "[mark.edge.2]";
  edges.push(kBase);
  edges.push(0);
  EXPECT_TRUE(!edges.is_empty() || edges.next_region());
  EXPECT_EQ(edges.pop(), kBase);
  EXPECT_TRUE(edges.is_empty());
}

TEST_F(EdgeStacksTest, OneDropsWhatIsNotInTheHeap) {
  open(1000, kHeapBytes, kHeapBytes);
  ASSERT_TRUE(stacks.has_one_region());
  drops_what_is_not_in_the_heap(EdgeStacks::One(stacks), stacks, pool);
}

TEST_F(EdgeStacksTest, ManyRegionsDropWhatIsNotInTheHeap) {
  open(1000, kHeapBytes, kChunkBytes);
  ASSERT_FALSE(stacks.has_one_region());
  drops_what_is_not_in_the_heap(SharedEdges(stacks, pool), stacks, pool);
}

// Pushes and pops at random, in bursts that cross blocks; the bound on blocks is used to the last one.
template <class Edges> void keeps_what_is_pushed(Edges edges, EdgeStacks& stacks, std::size_t most) {
  SCOPED_TRACE(test::seed_message());
  Random random(test::test_seed());
  std::multiset<Address> expected;
  for (int burst = 0; burst < 300; ++burst) {
    for (std::size_t n = random.below(3 * EdgeStacks::kBlockEdges); n > 0 && expected.size() < most; --n) {
      const Address word = kBase + random.below(kHeapBytes);
      edges.push(word);
      expected.insert(word);
    }
    for (std::size_t n = random.below(3 * EdgeStacks::kBlockEdges); n > 0 && !expected.empty(); --n) {
      if (edges.is_empty()) {
        ASSERT_TRUE(edges.next_region()) << expected.size() << " edges are lost";
      }
      const auto it = expected.find(edges.pop());
      ASSERT_NE(it, expected.end()) << "an edge nobody pushed";
      expected.erase(it);
    }
  }
  while (!expected.empty()) {
    ASSERT_TRUE(!edges.is_empty() || edges.next_region());
    const auto it = expected.find(edges.pop());
    ASSERT_NE(it, expected.end());
    expected.erase(it);
  }
  edges.finish();
  EXPECT_TRUE(stacks.is_empty());
}

TEST_F(EdgeStacksTest, OneKeepsWhatIsPushed) {
  open(20000, kHeapBytes, kHeapBytes);
  keeps_what_is_pushed(EdgeStacks::One(stacks), stacks, 20000);
}

TEST_F(EdgeStacksTest, ManyRegionsKeepWhatIsPushed) {
  open(20000, kHeapBytes, std::size_t{16} << 20);
  keeps_what_is_pushed(SharedEdges(stacks, pool), stacks, 20000);
}

TEST_F(EdgeStacksTest, ARegionGivesItsOwnEdgesOnly) {
  open(10000, kHeapBytes, std::size_t{64} << 20);
  SharedEdges edges(stacks, pool);
  std::map<std::size_t, std::size_t> pushed;
  Random random(test::test_seed());
  for (int i = 0; i < 5000; ++i) {
    const std::size_t offset = random.below(kHeapBytes);
    edges.push(kBase + offset);
    ++pushed[offset >> 26];
  }
  for (std::size_t regions = pushed.size(); regions > 0; --regions) {
    ASSERT_TRUE(!edges.is_empty() || edges.next_region());
    const std::size_t region = (edges.pop() - kBase) >> 26;
    for (std::size_t left = pushed[region] - 1; left > 0; --left) {
      ASSERT_FALSE(edges.is_empty());
      ASSERT_EQ((edges.pop() - kBase) >> 26, region);
    }
    ASSERT_TRUE(edges.is_empty());
  }
  EXPECT_FALSE(edges.next_region());
}

// [mark.edge.1] Words above the objects are wrong: they are not followed, and the last one is told.
TEST_F(EdgeStacksTest, WordsAboveTheObjectsAreRemembered) {
  for (const std::size_t region : {kHeapBytes, kChunkBytes}) {
    open(1000, std::size_t{8} << 20, region);
    EXPECT_EQ(stacks.wild(), 0u);
    SharedEdges edges(stacks, pool);
    edges.push(kBase + (std::size_t{8} << 20));
    edges.push(kBase + kHeapBytes - 8);
    edges.push(kBase + kHeapBytes);
    edges.push(0);
    edges.finish();
    EXPECT_TRUE(stacks.is_empty());
    EXPECT_EQ(stacks.wild(), kBase + kHeapBytes - 8);
  }
  begin(std::size_t{8} << 20, 0);
  EXPECT_EQ(stacks.wild(), 0u);
  EdgeStacks::One edges(stacks);
  edges.push(kBase + (std::size_t{8} << 20));
  edges.finish();
  EXPECT_EQ(stacks.wild(), kBase + (std::size_t{8} << 20));
}

TEST_F(EdgeStacksTest, SmallHeapsAreOneRegionAndLargeOnesNotTooMany) {
  open(kHeapBytes / kSlabBytes, 0, 0);
  EXPECT_TRUE(stacks.has_one_region());
  begin(EdgeStacks::kOneRegionBytes, 0);
  EXPECT_TRUE(stacks.has_one_region());
  begin(EdgeStacks::kOneRegionBytes + kChunkBytes, 0);
  EXPECT_FALSE(stacks.has_one_region());
  for (const std::size_t region : {std::size_t{0}, std::size_t{1}, kChunkBytes}) {
    begin(kHeapBytes, region);
    SharedEdges edges(stacks, pool);
    for (std::size_t offset = 0; offset < kHeapBytes; offset += kSlabBytes) {
      edges.push(kBase + offset); // a region beyond the table would be written here
    }
    std::size_t found = 0;
    while (!edges.is_empty() || edges.next_region()) {
      (void)edges.pop();
      ++found;
    }
    EXPECT_EQ(found, kHeapBytes / kSlabBytes);
  }
}

} // namespace
} // namespace echo
