// SPDX-License-Identifier: MIT
//
// Purpose     The drawing of the header word, as bit patterns.
#include "heap/object_header.h"
#include "heap/thread_block.h"

#include <gtest/gtest.h>

namespace echo {
namespace {

TEST(ObjectHeader, BirthIsTheLayoutAlone) { // [heap.header.1]
  EXPECT_EQ(HeaderWord::born({1}).bits, 1u);
  EXPECT_EQ(HeaderWord::born({kMaxLayouts}).bits, 0x100000u);
  EXPECT_EQ(HeaderWord::born({kMaxLayouts}).layout_number(), kMaxLayouts);
  EXPECT_FALSE(HeaderWord::born({kMaxLayouts}).is_filler());
}

TEST(ObjectHeader, TheLayoutIsReadUnderFlagsAndVmBits) {
  const std::uint64_t all_flags = kHeaderForwarded | kHeaderPinned | kHeaderHashed | kHeaderHashMoved;
  EXPECT_EQ(all_flags, 0x0F000000u) << "flags are bits 24 to 31";
  const HeaderWord header{0xABCDEF'99'0F'012345ull};
  EXPECT_EQ(header.layout_number(), 0x012345u);
}

TEST(ObjectHeader, FillersCarryTheirSize) { // [heap.header.4]
  for (const std::size_t granules : {std::size_t{1}, std::size_t{7}, kGranulesPerSlab}) {
    const HeaderWord filler = HeaderWord::filler(granules);
    EXPECT_TRUE(filler.is_filler());
    EXPECT_EQ(filler.filler_granules(), granules);
    EXPECT_EQ(filler.bits >> 40, granules) << "bits 40 to 63";
    EXPECT_EQ((filler.bits >> 24) & 0xFFFF, 0u) << "no flags, no VM bits";
  }
}

TEST(ObjectHeader, PoisonIsNothingLegal) { // [heap.header.3]
  const HeaderWord poison{kPoisonWord};
  EXPECT_GT(poison.layout_number(), kMaxLayouts);
  EXPECT_FALSE(poison.is_filler());
  EXPECT_FALSE(is_aligned(kPoisonWord, kGranule)) << "not a reference: unaligned";
  EXPECT_GT(kPoisonWord >> 47, 0u) << "not an address of user space";
  EXPECT_FALSE(TaggedWord{kPoisonWord}.is_reference());
}

TEST(ObjectHeader, WordsInMemory) {
  std::uint64_t object[2] = {0, 42};
  store_header(reinterpret_cast<Address>(object), HeaderWord::born({9}));
  EXPECT_EQ(object[0], 9u);
  EXPECT_EQ(object[1], 42u);
  EXPECT_EQ(load_header({reinterpret_cast<Address>(object)}).layout_number(), 9u);
  EXPECT_EQ(load_length({reinterpret_cast<Address>(object)}), 42u);
}

TEST(ThreadBlockDrawing, EverythingEmittedCodeUsesIsInTwoCacheLines) {
  EXPECT_EQ(sizeof(ThreadBlock), 128u);
  EXPECT_LT(offsetof(ThreadBlock, phase), 64u) << "the hot words are in the first line";
  EXPECT_EQ(offsetof(ThreadBlock, self), 88u);
  EXPECT_EQ(offsetof(ThreadBlock, vm_word), 96u);
  EXPECT_EQ(offsetof(ThreadBlock, heap), 104u);
  const ThreadBlock block;
  EXPECT_EQ(block.poll_word.load(), kPollIdle);
  EXPECT_EQ(block.trap_size, 0u); // [heap.block.3]
  EXPECT_EQ(block.young_size, 0u);
  EXPECT_EQ(block.limit, 0u) << "the first allocation goes to the cold path";
}

TEST(Words, CheckedArithmetic) {
  std::uint64_t out = 0;
  EXPECT_TRUE(checked_add(UINT64_MAX - 1, 1, &out));
  EXPECT_EQ(out, UINT64_MAX);
  EXPECT_FALSE(checked_add(UINT64_MAX, 1, &out));
  EXPECT_TRUE(checked_multiply(UINT64_MAX / 2, 2, &out));
  EXPECT_FALSE(checked_multiply(UINT64_MAX / 2 + 1, 2, &out));
  EXPECT_EQ(round_up(0, 64), 0u);
  EXPECT_EQ(round_up(1, 64), 64u);
  EXPECT_EQ(round_up(64, 64), 64u);
}

} // namespace
} // namespace echo
