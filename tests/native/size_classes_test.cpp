// SPDX-License-Identifier: MIT
//
// Purpose     The table of cells and the policy of batches.
#include "heap/native/cache_policy.h"
#include "heap/native/size_classes.h"

#include "tests/heap/seed.h"

#include <gtest/gtest.h>

namespace echo::native {
namespace {

// [native.cell.1]
TEST(SizeClasses, EverySizeHasTheSmallestCellThatHoldsIt) {
  for (std::size_t bytes = 1; bytes <= kMaxCellBytes; ++bytes) {
    const Cell cell = cell_for(bytes);
    ASSERT_GE(shape_of(cell).bytes, bytes);
    if (cell.number > 0) {
      ASSERT_LT(kCellBytes[cell.number - 1u], bytes) << bytes;
    }
    // Its class: the first of the twelve that holds the cell.
    const std::uint8_t size_class = shape_of(cell).size_class;
    ASSERT_GE(kClassBytes[size_class], bytes);
    if (size_class > 0) {
      ASSERT_LT(kClassBytes[size_class - 1u], shape_of(cell).bytes);
    }
  }
}

TEST(SizeClasses, TheTwelveClassesAreCells) {
  for (const std::uint16_t bytes : kClassBytes) {
    EXPECT_EQ(shape_of(cell_for(bytes)).bytes, bytes);
  }
}

// [native.cell.2] against plain division, for every offset of a slab and every cell.
TEST(SizeClasses, CellIndexAgreesWithDivision) {
  for (const CellShape& shape : kShapes) {
    for (std::uint32_t offset = 0; offset < kSlabBytes; ++offset) {
      const CellIndex at = cell_at(offset, shape.magic);
      ASSERT_EQ(at.index, offset / shape.bytes) << shape.bytes << " " << offset;
      ASSERT_EQ(at.is_start, offset % shape.bytes == 0) << shape.bytes << " " << offset;
    }
  }
}

// The mix of docs/native-memory.md: 60 % 16-48 B, 30 % 48-128 B, 10 % 128-1024 B.
TEST(SizeClasses, InternalFragmentationOfAMixIsUnderFivePercent) {
  SCOPED_TRACE(test::seed_message());
  test::Random random(test::test_seed());
  double asked = 0;
  double taken = 0;
  double twelve = 0;
  for (int i = 0; i < 200000; ++i) {
    const std::size_t kind = random.below(10);
    const std::size_t bytes = 8 * (kind < 6   ? random.between(2, 6)
                                   : kind < 9 ? random.between(6, 16)
                                              : random.between(16, 128));
    asked += static_cast<double>(bytes);
    taken += shape_of(cell_for(bytes)).bytes;
    twelve += kClassBytes[shape_of(cell_for(bytes)).size_class];
  }
  EXPECT_LT((taken - asked) / taken, 0.05);
  EXPECT_GT((twelve - asked) / twelve, 0.10) << "twelve cell sizes alone would do";
}

// Three access patterns: a burst grows in a few steps, silence shrinks over many, steady use stays put.
TEST(CachePolicy, GrowsFastAndShrinksSlowly) {
  CachePolicy policy({.l1 = 32, .l2 = 128, .batch = 16}, 512);
  EXPECT_EQ(policy.batch(), 16u);
  EXPECT_EQ(policy.limit(), 32u);
  int grown_in = 0;
  while (policy.batch() < kMaxCached) {
    policy.on_refill();
    ++grown_in;
  }
  EXPECT_LE(grown_in, 4);
  EXPECT_EQ(policy.limit(), kMaxCached);

  policy.on_window(1'000'000, kWindowNs); // still bursting: the window had refills
  EXPECT_EQ(policy.batch(), kMaxCached);

  int shrunk_in = 0;
  while (policy.batch() > 16) {
    const std::uint32_t before = policy.batch();
    policy.on_window(1'000'000, kWindowNs);
    ASSERT_LT(policy.batch(), before);
    ASSERT_GE(policy.batch(), before - before / 8 - 1) << "a step is an eighth";
    ++shrunk_in;
  }
  EXPECT_GE(shrunk_in, 3 * grown_in);
  EXPECT_EQ(policy.batch(), 16u);
  EXPECT_EQ(policy.limit(), 32u);
}

TEST(CachePolicy, KeepsMoreSlabsWhileSlabsAreTaken) {
  CachePolicy policy({.l1 = 32, .l2 = 128, .batch = 16}, 512);
  EXPECT_EQ(policy.keep(), 1u);
  for (int i = 0; i < 7; ++i) {
    policy.on_slab();
  }
  EXPECT_EQ(policy.keep(), kMaxKeep);
  policy.on_window(0, kWindowNs); // slabs were taken in it
  EXPECT_EQ(policy.keep(), kMaxKeep);
  policy.on_window(0, kWindowNs);
  EXPECT_EQ(policy.keep(), kMaxKeep - kMaxKeep / 8 - 1);
}

// [native.hot.1]
TEST(CachePolicy, HotIsMoreThanAThousandUsesPerSecond) {
  CachePolicy policy({}, 512);
  policy.on_window(101, kWindowNs);
  EXPECT_EQ(policy.rate(), 1010u);
  EXPECT_TRUE(policy.hot());
  policy.on_window(100, kWindowNs);
  EXPECT_FALSE(policy.hot());
  policy.on_window(0, kWindowNs);
  EXPECT_FALSE(policy.hot());
}

TEST(CachePolicy, HintsOutOfRangeAreBroughtIntoIt) {
  const CachePolicy none({.l1 = 0, .l2 = 0, .batch = 0}, 64);
  EXPECT_EQ(none.batch(), 1u);
  EXPECT_EQ(none.limit(), 1u);
  EXPECT_EQ(none.keep(), 1u);
  const CachePolicy much({.l1 = ~0u, .l2 = ~0u, .batch = ~0u}, 64);
  EXPECT_EQ(much.batch(), kMaxCached);
  EXPECT_EQ(much.keep(), kMaxLeastKeep);
}

} // namespace
} // namespace echo::native
