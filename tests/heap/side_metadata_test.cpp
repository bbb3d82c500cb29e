// SPDX-License-Identifier: MIT
//
// Purpose     The mark bitmap against a vector of bools: nothing set that was not asked for, nothing missing.
#include "heap/side_metadata.h"

#include "tests/heap/seed.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <sys/mman.h>
#include <vector>

namespace echo {
namespace {

constexpr Address kBase = Address{1} << 40; // never dereferenced
constexpr std::size_t kBytes = 4 * kSlabBytes;
constexpr std::size_t kGranules = kBytes / kGranule;

class SideMetadataTest : public ::testing::Test {
protected:
  void SetUp() override { ASSERT_TRUE(bits.open(kBase, kChunkBytes)); }
  static Address at(std::size_t granule) { return kBase + granule * kGranule; }
  // What the marker does with an object that it accepts.
  bool mark(std::size_t granule) const {
    const bool first = bits.mark(at(granule));
    if (first) {
      bits.note_start(at(granule));
    }
    return first;
  }
  std::vector<bool> marked() const {
    std::vector<bool> all;
    for (std::size_t g = 0; g < kGranules; ++g) {
      all.push_back(bits.is_marked(at(g)));
    }
    return all;
  }
  SideMetadata bits;
};

TEST_F(SideMetadataTest, StartsClear) { // [heap.meta.1]
  EXPECT_EQ(marked(), std::vector<bool>(kGranules, false));
}

// [heap.meta.2] Starts at even and odd granules, at least two granules apart [heap.cell.1].
TEST_F(SideMetadataTest, MarksEqualAVectorOfBools) {
  SCOPED_TRACE(test::seed_message());
  test::Random random(test::test_seed());
  std::vector<bool> starts(kGranules, false);
  for (std::size_t g = random.below(2); g < kGranules; g += random.between(2, 9)) {
    starts[g] = true;
  }
  std::vector<bool> expected(kGranules, false);
  for (std::size_t i = 0; i < 4 * kGranules; ++i) {
    const std::size_t g = random.below(kGranules);
    if (starts[g]) {
      ASSERT_EQ(mark(g), !expected[g]) << "true exactly the first time";
      expected[g] = true;
    }
  }
  EXPECT_EQ(marked(), expected);
  for (std::size_t g = 0; g < kGranules; ++g) {
    if (starts[g] && random.chance(50)) {
      bits.clear_mark(at(g));
      expected[g] = false;
    }
  }
  EXPECT_EQ(marked(), expected);
}

TEST_F(SideMetadataTest, TheTwoGranulesOfACellAreToldApart) {
  EXPECT_TRUE(mark(5));
  EXPECT_TRUE(bits.is_marked(at(5)));
  EXPECT_FALSE(bits.is_marked(at(4))) << "same cell, another start";
  bits.clear_mark(at(5));
  EXPECT_TRUE(mark(4));
  EXPECT_TRUE(bits.is_marked(at(4))) << "nothing is left of the other start";
  EXPECT_FALSE(bits.is_marked(at(5)));
}

TEST_F(SideMetadataTest, ClearingASlabLeavesItsNeighbours) {
  std::vector<bool> expected(kGranules, false);
  for (std::size_t g = 1; g < kGranules; g += 3) {
    mark(g);
    expected[g] = true;
  }
  EXPECT_EQ(marked(), expected);
  bits.clear_slab(kBase + kSlabBytes);
  std::fill_n(expected.begin() + kGranulesPerSlab, kGranulesPerSlab, false);
  EXPECT_EQ(marked(), expected);
  for (std::size_t w = 0; w < SideMetadata::kWordsPerSlab; ++w) {
    EXPECT_EQ(bits.slab_marks(kBase + kSlabBytes)[w], 0u);
    EXPECT_EQ(bits.slab_odd(kBase + kSlabBytes)[w], 0u);
  }
}

TEST_F(SideMetadataTest, CostsOneSixtyFourthOfTheHeap) {
  EXPECT_EQ(SideMetadata::bytes_for(kChunkBytes), kChunkBytes / 64);
}

// Pages of a mapping that are there.
std::size_t resident(const void* from, std::size_t bytes) {
  const std::size_t pages = bytes / kPageBytes;
  std::vector<unsigned char> there(pages);
  EXPECT_EQ(::mincore(const_cast<void*>(from), bytes, there.data()), 0);
  return static_cast<std::size_t>(
      std::count_if(there.begin(), there.end(), [](unsigned char c) { return (c & 1) != 0; }));
}

// [heap.meta.4] Steps bring in what a heap of that size needs, once, and change no bit; a heap that grows gets the rest.
TEST(SideMetadataPages, AreBroughtInAheadOfTheMark) {
  constexpr std::size_t kHeap = std::size_t{1} << 30;
  constexpr std::size_t kPerMiB = MarkBits::bytes_for(std::size_t{1} << 20) / 2; // of each bitmap
  for (const auto pages : {SideMetadata::LargePages::Never, SideMetadata::LargePages::AsBroughtIn}) {
    SideMetadata bits;
    ASSERT_TRUE(bits.open(kBase, kHeap, pages));
    (void)bits.mark(kBase);
    const auto* first = bits.slab_marks(kBase);
    ASSERT_LE(resident(first, kChunkBytes), 1u) << "nothing but what was touched";
    EXPECT_FALSE(bits.is_brought_in(std::size_t{16} << 20));
    EXPECT_TRUE(bits.bring_in_step(std::size_t{16} << 20, true));
    EXPECT_FALSE(bits.bring_in_step(std::size_t{16} << 20, true)) << "nothing is missing";
    EXPECT_TRUE(bits.is_brought_in(std::size_t{16} << 20));
    EXPECT_TRUE(bits.is_marked(kBase));
    if (const std::size_t found = resident(first, kChunkBytes);
        found > 1) { // a kernel before 5.14 brings in nothing
      EXPECT_EQ(found, (pages == SideMetadata::LargePages::Never ? 16 * kPerMiB : kChunkBytes) / kPageBytes);
      const auto* previous = bits.previous().slab_marks(kBase);
      EXPECT_EQ(resident(previous, kChunkBytes), found) << "those of the next mark too";
    }
    std::size_t steps = 0;
    while (bits.bring_in_step(kHeap, false)) {
      ++steps;
    }
    // 8 MiB of each bitmap, 2 MiB at a time; the first is there, or was begun.
    EXPECT_EQ(steps, pages == SideMetadata::LargePages::Never ? 4u : 3u);
    EXPECT_TRUE(bits.is_brought_in(kHeap));
    EXPECT_FALSE(bits.is_marked(kBase + kGranule * 2));
  }
}

} // namespace
} // namespace echo
