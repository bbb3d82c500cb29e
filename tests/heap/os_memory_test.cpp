// SPDX-License-Identifier: MIT
//
// Purpose     What the rest of the heap relies on from the operating system.
#include "heap/os_memory.h"

#include "heap/words.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <fstream>
#include <string>
#include <sys/mman.h>

namespace echo {
namespace {

TEST(OsMemory, AlignsAndRefusesNonsense) { // [heap.pages.3]
  void* at = os::reserve(kChunkBytes, kChunkBytes);
  ASSERT_NE(at, nullptr);
  EXPECT_TRUE(is_aligned(reinterpret_cast<Address>(at), kChunkBytes));
  os::release(at, kChunkBytes);
  EXPECT_EQ(os::reserve(0, kPageBytes), nullptr);
  EXPECT_EQ(os::reserve(kPageBytes + 1, kPageBytes), nullptr);
  EXPECT_EQ(os::reserve(SIZE_MAX & ~(kPageBytes - 1), kChunkBytes), nullptr) << "the sum wraps";
  EXPECT_EQ(os::reserve(std::size_t{1} << 60, kPageBytes), nullptr) << "no such address space";
}

TEST(OsMemory, DiscardedPagesReadZero) {
  auto* words = static_cast<std::uint64_t*>(os::map_zeroed(kSlabBytes, kPageBytes));
  ASSERT_NE(words, nullptr);
  for (std::size_t i = 0; i < kSlabBytes / 8; ++i) {
    ASSERT_EQ(words[i], 0u);
    words[i] = i + 1;
  }
  EXPECT_TRUE(os::discard(words + kPageBytes / 8, kPageBytes));
  EXPECT_EQ(words[0], 1u);
  EXPECT_EQ(words[kPageBytes / 8], 0u);
  EXPECT_EQ(words[2 * kPageBytes / 8 - 1], 0u);
  EXPECT_EQ(words[2 * kPageBytes / 8], 2 * kPageBytes / 8 + 1);
  os::release(words, kSlabBytes);
}

// [heap.pages.1] [heap.pages.2] as the kernel sees it.
std::string permissions_at(const void* address) {
  std::ifstream maps("/proc/self/maps");
  std::string line;
  while (std::getline(maps, line)) {
    unsigned long low = 0;
    unsigned long high = 0;
    char permissions[8] = {};
    if (std::sscanf(line.c_str(), "%lx-%lx %7s", &low, &high, permissions) == 3 &&
        reinterpret_cast<Address>(address) >= low && reinterpret_cast<Address>(address) < high) {
      return permissions;
    }
  }
  return "";
}

TEST(OsMemory, TouchedPagesAreThere) { // [stop.near.1]
  constexpr std::size_t kPages = 8;
  auto* const at = static_cast<unsigned char*>(os::map_zeroed(kPages * kPageBytes, kPageBytes));
  ASSERT_NE(at, nullptr);
  const auto count_there = [at] {
    std::array<unsigned char, kPages> there{};
    EXPECT_EQ(::mincore(at, kPages * kPageBytes, there.data()), 0);
    return std::count_if(there.begin(), there.end(), [](unsigned char page) { return (page & 1) != 0; });
  };
  EXPECT_EQ(count_there(), 0);
  os::touch(at + kPageBytes, 0);
  EXPECT_EQ(count_there(), 0);
  os::touch(at + kPageBytes - 1, 3 * kPageBytes); // begins in the first, ends in the fourth
  EXPECT_EQ(count_there(), 4);
  os::touch(at, kPages * kPageBytes);
  EXPECT_EQ(count_there(), static_cast<std::ptrdiff_t>(kPages));
  EXPECT_TRUE(std::all_of(at, at + kPages * kPageBytes, [](unsigned char byte) { return byte == 0; }));
  os::release(at, kPages * kPageBytes);
  os::touch_own_image(); // what it reads is mapped
}

TEST(OsMemory, ReservedIsUnreadableAndNothingIsExecutable) {
  auto* at = static_cast<char*>(os::reserve(2 * kSlabBytes, kSlabBytes));
  ASSERT_NE(at, nullptr);
  EXPECT_EQ(permissions_at(at), "---p");
  EXPECT_TRUE(os::commit(at, kSlabBytes));
  EXPECT_EQ(permissions_at(at), "rw-p");
  EXPECT_EQ(permissions_at(at + kSlabBytes), "---p");
  std::memset(at, 1, kSlabBytes);
  os::release(at, 2 * kSlabBytes);
}

TEST(OsMemory, ClocksAdvance) {
  const std::uint64_t wall = os::monotonic_ns();
  const std::uint64_t cpu = os::thread_cpu_ns();
  while (os::thread_cpu_ns() - cpu < 1000) {
  }
  EXPECT_GT(os::monotonic_ns(), wall);
  EXPECT_GT(os::thread_cpu_ns(), cpu);
}

} // namespace
} // namespace echo
