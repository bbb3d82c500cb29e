// SPDX-License-Identifier: MIT
//
// Purpose     The recipes say where the words of a real thread block are.
#include "barriers/recipe_data.h"

#include "heap/thread_block.h"
#include "heap/words.h"

#include <gtest/gtest.h>

#include <set>

namespace echo {
namespace {

TEST(RecipeData, OffsetsAreThoseOfTheBlock) { // [abi.recipe.1]
  const echo_recipes r = make_recipes({}, 4096);
  ThreadBlock block;
  const auto* base = reinterpret_cast<const char*>(&block);
  EXPECT_EQ(base + r.cursor_offset, reinterpret_cast<const char*>(&block.cursor));
  EXPECT_EQ(base + r.limit_offset, reinterpret_cast<const char*>(&block.limit));
  EXPECT_EQ(base + r.poll_offset, reinterpret_cast<const char*>(&block.poll_word));
  EXPECT_EQ(base + r.phase_offset, reinterpret_cast<const char*>(&block.phase));
  EXPECT_EQ(base + r.anchor_sp_offset, reinterpret_cast<const char*>(&block.anchor_sp));
  EXPECT_EQ(base + r.anchor_fp_offset, reinterpret_cast<const char*>(&block.anchor_fp));
  EXPECT_EQ(base + r.anchor_pc_offset, reinterpret_cast<const char*>(&block.anchor_pc));
}

TEST(RecipeData, EverythingIsInTwoCacheLinesAndDistinct) { // [abi.recipe.4]
  const echo_recipes r = make_recipes({}, 4096);
  std::set<std::uint32_t> offsets;
  for (const std::uint32_t offset : {r.cursor_offset, r.limit_offset, r.poll_offset, r.phase_offset,
                                     r.anchor_sp_offset, r.anchor_fp_offset, r.anchor_pc_offset}) {
    EXPECT_LE(offset + 8, 2 * kCacheLine);
    EXPECT_TRUE(offsets.insert(offset).second);
  }
}

TEST(RecipeData, ConstantsOfTheHeap) {
  const ColdPaths cold{[](echo_thread*, echo_layout_id, std::uint64_t) -> echo_ref { return nullptr; },
                       [](echo_thread*, echo_ref*, echo_ref) {}, [](echo_thread*) {}};
  const echo_recipes r = make_recipes(cold, 4096);
  EXPECT_EQ(r.size, sizeof(echo_recipes));
  EXPECT_EQ(r.version, 1u);
  EXPECT_EQ(r.granule, kGranule);
  EXPECT_EQ(r.max_inline_bytes, 4096u);
  EXPECT_EQ(r.header_offset, 0u);
  EXPECT_EQ(r.length_offset, 8u);
  EXPECT_EQ(r.zero_from, 8u);
  EXPECT_EQ(r.store_kind, unsigned{ECHO_STORE_PHASE_TEST});
  EXPECT_EQ(r.allocate_cold, cold.allocate);
  EXPECT_EQ(r.store_cold, cold.store);
  EXPECT_EQ(r.poll_cold, cold.poll);
}

} // namespace
} // namespace echo
