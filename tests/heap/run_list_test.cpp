// SPDX-License-Identifier: MIT
//
// Purpose     Run listing against references that look at one granule at a time. [heap.runs.1]
#include "heap/run_list.h"

#include "tests/heap/layouts.h"
#include "tests/heap/seed.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

namespace echo {
namespace {

void set(LiveMap& map, std::size_t granule, bool live) {
  const std::uint64_t bit = std::uint64_t{1} << (granule % 64);
  map[granule / 64] = live ? map[granule / 64] | bit : map[granule / 64] & ~bit;
}
bool get(const LiveMap& map, std::size_t granule) {
  return (map[granule / 64] >> (granule % 64) & 1) != 0;
}

SlabMarks copied(const MarkBits& bits, Address slab) {
  SlabMarks marks;
  marks.copy(bits, slab);
  return marks;
}

std::vector<FreeRun> naive(const LiveMap& map) {
  std::vector<FreeRun> runs;
  for (std::size_t g = 0; g < kGranulesPerSlab; ++g) {
    if (get(map, g)) {
      continue;
    }
    if (g == 0 || get(map, g - 1)) {
      runs.push_back({static_cast<std::uint16_t>(g), 0});
    }
    ++runs.back().granules;
  }
  return runs;
}

::testing::AssertionResult lists_like_naive(const LiveMap& map, RunLister list) {
  std::vector<FreeRun> listed(kMaxRunsPerSlab);
  listed.resize(list(map, listed.data()));
  const std::vector<FreeRun> expected = naive(map);
  if (listed.size() != expected.size()) {
    return ::testing::AssertionFailure() << listed.size() << " runs, expected " << expected.size();
  }
  for (std::size_t i = 0; i < listed.size(); ++i) {
    if (listed[i].first != expected[i].first || listed[i].granules != expected[i].granules) {
      return ::testing::AssertionFailure()
             << "run " << i << " is " << listed[i].first << "+" << listed[i].granules << ", expected "
             << expected[i].first << "+" << expected[i].granules;
    }
  }
  return ::testing::AssertionSuccess();
}

// Each form by itself, whatever start-up would choose.
class RunListTest : public ::testing::TestWithParam<RunListerKind> {
protected:
  void SetUp() override {
    list = run_lister(GetParam());
    if (list == nullptr) {
      GTEST_SKIP() << "this processor has not got the instructions";
    }
  }
  RunLister list = nullptr;
};

TEST_P(RunListTest, EmptySlabIsOneRun) {
  const LiveMap map{};
  std::vector<FreeRun> runs(kMaxRunsPerSlab);
  ASSERT_EQ(list(map, runs.data()), 1u);
  EXPECT_EQ(runs[0].first, 0u);
  EXPECT_EQ(runs[0].granules, kGranulesPerSlab);
}

TEST_P(RunListTest, FullSlabHasNone) {
  LiveMap map{};
  map.fill(~std::uint64_t{0});
  EXPECT_EQ(list(map, nullptr), 0u);
}

// The bound of the caller's array is reached and not passed.
TEST_P(RunListTest, EveryOtherGranule) {
  for (const std::uint64_t pattern : {0x5555555555555555u, 0xAAAAAAAAAAAAAAAAu}) {
    LiveMap map{};
    map.fill(pattern);
    std::vector<FreeRun> runs(kMaxRunsPerSlab);
    EXPECT_EQ(list(map, runs.data()), kMaxRunsPerSlab);
    EXPECT_TRUE(lists_like_naive(map, list));
  }
}

// One hole and one object at each border of words.
TEST_P(RunListTest, Borders) {
  for (const std::size_t border : {64u, 128u, 512u, 4096u, 8064u}) {
    for (const std::size_t length : {1u, 2u, 3u, 62u, 63u, 64u, 65u, 66u, 127u, 128u}) {
      for (std::size_t first = border - 2; first <= border + 2 && first + length <= kGranulesPerSlab;
           ++first) {
        LiveMap object{};
        LiveMap hole{};
        for (std::size_t g = 0; g < kGranulesPerSlab; ++g) {
          const bool inside = g >= first && g < first + length;
          set(object, g, inside);
          set(hole, g, !inside);
        }
        ASSERT_TRUE(lists_like_naive(object, list)) << "object at " << first << "+" << length;
        ASSERT_TRUE(lists_like_naive(hole, list)) << "hole at " << first << "+" << length;
      }
    }
  }
}

TEST_P(RunListTest, RandomMaps) {
  SCOPED_TRACE(test::seed_message());
  test::Random random(test::test_seed());
  for (int round = 0; round < 400; ++round) {
    LiveMap map{};
    const std::size_t longest = std::size_t{1} << random.below(11);
    bool live = random.chance(50);
    for (std::size_t g = 0; g < kGranulesPerSlab;) {
      for (const std::size_t end = std::min(g + random.between(1, longest), kGranulesPerSlab); g < end; ++g) {
        set(map, g, live);
      }
      live = random.chance(10) ? live : !live;
    }
    ASSERT_TRUE(lists_like_naive(map, list)) << "round " << round;
  }
}

std::string kind_name(const ::testing::TestParamInfo<RunListerKind>& info) {
  switch (info.param) {
  case RunListerKind::Scalar:
    return "scalar";
  case RunListerKind::Avx2:
    return "avx2";
  case RunListerKind::Avx512:
    break;
  }
  return "avx512";
}
INSTANTIATE_TEST_SUITE_P(Forms, RunListTest,
                         ::testing::Values(RunListerKind::Scalar, RunListerKind::Avx2, RunListerKind::Avx512),
                         kind_name);

TEST(RunListChoice, IsTheBestThereIs) {
  EXPECT_NE(run_lister(RunListerKind::Scalar), nullptr);
  const RunListerKind best = best_run_lister();
  EXPECT_NE(run_lister(best), nullptr);
  for (const RunListerKind kind : {RunListerKind::Avx2, RunListerKind::Avx512}) {
    EXPECT_TRUE(run_lister(kind) == nullptr || kind <= best) << "a faster form was passed over";
  }
}

// --- live map: from marks and headers

class LiveMapTest : public ::testing::Test {
protected:
  void SetUp() override {
    ASSERT_TRUE(layouts.open());
    std::string why;
    ASSERT_EQ(layouts.add(test::raw_array_layout("bytes", 1), &bytes_layout, &why), ECHO_OK) << why;
    words = std::make_unique<std::uint64_t[]>(2 * kGranulesPerSlab);
    slab = round_up(reinterpret_cast<Address>(words.get()), kSlabBytes);
    ASSERT_TRUE(bits.open(slab, kSlabBytes));
  }
  void object(std::size_t granule, std::size_t granules) const {
    auto* at = reinterpret_cast<std::uint64_t*>(slab) + granule;
    at[0] = bytes_layout.number;
    at[1] = granules * kGranule - 16;
  }
  void mark(std::size_t granule) {
    EXPECT_TRUE(bits.mark(slab + granule * kGranule));
    bits.note_start(slab + granule * kGranule);
  }
  LayoutTable layouts;
  SideMetadata bits;
  LayoutId bytes_layout;
  std::unique_ptr<std::uint64_t[]> words;
  Address slab = 0;
};

TEST_F(LiveMapTest, RandomObjectsCoverExactlyTheirGranules) {
  SCOPED_TRACE(test::seed_message());
  test::Random random(test::test_seed());
  for (int round = 0; round < 200; ++round) {
    bits.clear_slab(slab);
    LiveMap expected{};
    std::vector<Address> marked;
    const std::size_t longest = std::size_t{1} << random.between(1, 13);
    const unsigned survival = static_cast<unsigned>(random.below(101));
    for (std::size_t g = random.below(2); g + 2 <= kGranulesPerSlab;) {
      const std::size_t granules = std::min(random.between(2, longest), kGranulesPerSlab - g);
      object(g, granules);
      if (random.chance(survival)) {
        mark(g);
        marked.push_back(slab + g * kGranule);
        for (std::size_t i = g; i < g + granules; ++i) {
          set(expected, i, true);
        }
      }
      g += granules + random.below(3); // gaps of dead granules
    }
    LiveMap built;
    built.fill(0x1234); // whatever was there before
    build_live_map(slab, copied(bits, slab), layouts, &built);
    ASSERT_EQ(built, expected) << "round " << round;
    std::vector<Address> visited;
    for_each_marked(slab, bits, [&](Address a) { visited.push_back(a); });
    ASSERT_EQ(visited, marked) << "in address order, round " << round;
  }
}

using LiveMapDeathTest = LiveMapTest;

TEST_F(LiveMapDeathTest, AnObjectThatLeavesItsSlabIsSeen) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  object(kGranulesPerSlab - 3, 3);
  mark(kGranulesPerSlab - 3);
  LiveMap map;
  build_live_map(slab, copied(bits, slab), layouts, &map);
  EXPECT_EQ(map.back(), std::uint64_t{7} << 61);
  object(kGranulesPerSlab - 3, 4);
  EXPECT_DEATH(build_live_map(slab, copied(bits, slab), layouts, &map),
               "\\[heap.runs.1\\] an object leaves its slab");
}

} // namespace
} // namespace echo
