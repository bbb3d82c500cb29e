// SPDX-License-Identifier: MIT
#include "runtime_fixture.h"

#include <algorithm>
#include <limits>

namespace echo::test {
namespace {

constexpr std::int32_t kMost = std::numeric_limits<std::int32_t>::max();

class EchoSlice : public RuntimeFixture {
protected:
  static bool all_zero(const void* block, std::size_t bytes) {
    const auto* const first = static_cast<const char*>(block);
    return std::all_of(first, first + bytes, [](char c) { return c == 0; });
  }
  // Leaves the memory of dead objects full of other bytes.
  void dirty_memory() {
    for (int i = 0; i < 200; ++i) {
      std::memset(::runtime_alloc_slice(1, 1000), 0xFF, 1000);
    }
    collect();
  }
};

// malloc is exported under a name that no optimiser knows.
TEST_F(EchoSlice, malloc) {
  for (const std::int64_t bytes : {24, 0, 1, 8, 25, 5000, 1 << 20}) {
    auto* const block = static_cast<char*>((*noted("malloc", &::echo_runtime_malloc))(bytes));
    ASSERT_NE(block, nullptr);
    EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block) % 8, 0u);
    std::memset(block, 0xAB, static_cast<std::size_t>(bytes));
    EXPECT_NE(block, (*noted("malloc", &::echo_runtime_malloc))(bytes));
  }
  EXPECT_EQ(failure_of([] { (void)::echo_runtime_malloc(-1); }), "malloc: -1 bytes");
  EXPECT_EQ(failure_of([] { (void)::echo_runtime_malloc(std::numeric_limits<std::int64_t>::max()); }),
            "malloc: a block of 9223372036854775807 bytes is over the limit of 2^47");
}

TEST_F(EchoSlice, runtime_alloc_slice) {
  dirty_memory();
  for (const int capacity : {1, 2, 3, 16, 100, 5000}) {
    for (const int element : {1, 3, 8, 24, 32}) {
      auto* const block = CALL(runtime_alloc_slice, capacity, element);
      EXPECT_EQ(reinterpret_cast<std::uintptr_t>(block) % 8, 0u);
      EXPECT_TRUE(all_zero(block, static_cast<std::size_t>(capacity * element)));
      std::memset(block, 0xCD, static_cast<std::size_t>(capacity * element));
    }
  }
  EXPECT_EQ(CALL(runtime_alloc_slice, 0, 8), nullptr);
  EXPECT_EQ(CALL(runtime_alloc_slice, 8, 0), nullptr);
  EXPECT_EQ(CALL(runtime_alloc_slice, -1, -1), nullptr);
  EXPECT_EQ(CALL(runtime_alloc_slice, std::numeric_limits<std::int32_t>::min(), 8), nullptr);
}

// [runtime.block.3]
TEST_F(EchoSlice, ASizeIsComputedInSixtyFourBits) {
  EXPECT_EQ(failure_of([] { ::runtime_alloc_slice(kMost, kMost); }),
            "runtime_alloc_slice: a block of 4611686014132420609 bytes is over the limit of 2^47");
  EXPECT_EQ(failure_of([] {
              ::runtime_realloc_slice(nullptr, 0, kMost, kMost);
            }).find("runtime_realloc_slice: a block of 46116860"),
            0u);
  // In 32 bits this would be 0 bytes.
  EXPECT_EQ(
      failure_of([] { ::runtime_alloc_slice(65536, 65536); }, ECHO_HEAP_LIMIT).find("runtime_alloc_slice: "),
      0u);
}

TEST_F(EchoSlice, runtime_realloc_slice) {
  dirty_memory();
  auto* first = static_cast<std::int64_t*>(::runtime_alloc_slice(16, 8));
  for (int i = 0; i < 16; ++i) {
    first[i] = i + 1;
  }
  auto* const more = static_cast<std::int64_t*>(CALL(runtime_realloc_slice, first, 16, 64, 8));
  for (int i = 0; i < 64; ++i) {
    EXPECT_EQ(more[i], i < 16 ? i + 1 : 0);
  }
  auto* const less = static_cast<std::int64_t*>(CALL(runtime_realloc_slice, more, 64, 3, 8));
  EXPECT_EQ(less[0], 1);
  EXPECT_EQ(less[2], 3);
  EXPECT_TRUE(all_zero(CALL(runtime_realloc_slice, nullptr, 16, 4, 8), 32));
  EXPECT_TRUE(all_zero(CALL(runtime_realloc_slice, less, -5, 4, 8), 32));
  EXPECT_EQ(CALL(runtime_realloc_slice, less, 3, 0, 8), nullptr);
  EXPECT_EQ(CALL(runtime_realloc_slice, less, 3, 4, -8), nullptr);
  EXPECT_NE(
      failure_of([&] { ::runtime_realloc_slice(less, 4, 5, 8); }).find("has 25 bytes, not the 32 to keep"),
      std::string::npos);
  std::int64_t outside[2] = {5, 6};
  EXPECT_EQ(static_cast<std::int64_t*>(CALL(runtime_realloc_slice, outside, 2, 3, 8))[1], 6);
}

// [runtime.block.1]
TEST_F(EchoSlice, PointersInASliceAreTracedAndSurviveGrowing) {
  auto** slice = static_cast<void**>(::runtime_alloc_slice(1, 8));
  for (int size = 1; size <= 64; ++size) {
    slice[size - 1] = ::int_to_string(size);
    slice = static_cast<void**>(::runtime_realloc_slice(slice, size, size + 1, 8));
  }
  collect();
  for (int size = 1; size <= 64; ++size) {
    ASSERT_EQ(bytes_of(slice[size - 1]), std::to_string(size));
  }
}

TEST_F(EchoSlice, PointersAreTracedWhateverTheElementsAre) {
  auto* const slice = ::runtime_alloc_slice(24, 1);
  Text* const words = static_cast<Text*>(slice);
  *words = *static_cast<Text*>(::int_to_string(77));
  collect();
  for (int i = 0; i < 100; ++i) {
    (void)::int_to_string(i);
  }
  EXPECT_EQ(bytes_of(words), "77");
}

// [runtime.block.2] The address is hidden from the compiler's optimiser, and all others are overwritten.
[[gnu::noinline]] std::uintptr_t end_of_new_slice() {
  auto* const slice = static_cast<std::int64_t*>(::runtime_alloc_slice(64, 8));
  std::fill_n(slice, 64, 0x5A5A);
  return reinterpret_cast<std::uintptr_t>(slice + 64);
}
[[gnu::noinline]] void overwrite_stack() {
  volatile char trash[4096];
  std::fill_n(trash, sizeof trash, char{0});
}

TEST_F(EchoSlice, TheAddressBehindTheLastElementKeepsASlice) {
  volatile std::uintptr_t end = end_of_new_slice();
  overwrite_stack();
  collect();
  for (int i = 0; i < 1000; ++i) {
    std::memset(::runtime_alloc_slice(64, 8), 0xEE, 512);
  }
  EXPECT_EQ(reinterpret_cast<std::int64_t*>(end)[-64], 0x5A5A);
  EXPECT_EQ(reinterpret_cast<std::int64_t*>(end)[-1], 0x5A5A);
}

TEST_F(EchoSlice, runtime_free_slice) {
  CALL(runtime_free_slice, nullptr);
  void* const slice = ::runtime_alloc_slice(4, 8);
  CALL(runtime_free_slice, slice);
  collect();
  EXPECT_NE(::runtime_alloc_slice(4, 8), nullptr);
}

} // namespace
} // namespace echo::test
