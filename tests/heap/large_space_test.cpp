// SPDX-License-Identifier: MIT
//
// Purpose     The large-object space: pages are shared, never doubly used, truly zero where it says so, swept
//             and given back.
#include "heap/memory.h"

#include "tests/heap/layouts.h"
#include "tests/heap/seed.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <sys/mman.h>

namespace echo {
namespace {

constexpr std::size_t kMiB = std::size_t{1} << 20;

Config small_config() {
  Config config;
  config.max_heap = 32 * kMiB;
  config.initial_trigger = 32 * kMiB;
  config.reserve_bytes = 1;
  return config;
}

class LargeSpaceTest : public ::testing::Test {
protected:
  void SetUp() override {
    ASSERT_TRUE(memory.open());
    std::string why;
    ASSERT_EQ(memory.layouts.add(test::raw_array_layout("bytes", 1), &bytes_layout, &why), ECHO_OK) << why;
  }
  Address reserve(std::size_t bytes, bool* zeroed) {
    Address at = 0;
    EXPECT_EQ(memory.large.reserve(bytes, Urgency::Forced, &at, zeroed), Grant::Ok);
    return at;
  }
  // A complete object: header, length, contents all ones.
  Address make(std::size_t bytes) {
    bool zeroed = false;
    const Address at = reserve(bytes, &zeroed);
    std::memset(reinterpret_cast<void*>(at), 0xFF, bytes);
    store_header(at, HeaderWord::born(bytes_layout));
    *reinterpret_cast<std::uint64_t*>(at + 8) = bytes - 16;
    memory.large.publish(at);
    return at;
  }
  // As if a mark had started just before the objects were marked.
  LargeSpace::Swept sweep(bool poison = false) {
    memory.large.begin_cycle();
    return memory.large.sweep(memory.bits, memory.layouts, poison);
  }

  Memory memory{small_config()};
  LayoutId bytes_layout;
};

TEST_F(LargeSpaceTest, ObjectsShareAChunk) {
  const Address a = make(40000); // 10 pages
  const Address b = make(kLargeBytes + 8);
  EXPECT_EQ(a, memory.pool.slabs().base());
  EXPECT_EQ(b, a + 10 * kPageBytes) << "pages end to end";
  EXPECT_EQ(memory.large.page_bytes(), 19 * kPageBytes);
  EXPECT_EQ(memory.pool.used_bytes(), 19 * kPageBytes) << "pages are accounted, not chunks";
  EXPECT_EQ(memory.large.object_count(), 2u);
  EXPECT_EQ(memory.pool.slabs().kind_of_word(a), SlabKind::Large);
  EXPECT_STREQ(memory.pool.check(), "");
}

TEST_F(LargeSpaceTest, GapsAreFilledFirst) {
  const Address a = make(20 * kPageBytes);
  const Address b = make(10 * kPageBytes);
  const Address c = make(20 * kPageBytes);
  memory.bits.mark(a);
  memory.bits.mark(c);
  EXPECT_EQ(sweep().objects, 1u);
  EXPECT_EQ(make(10 * kPageBytes), b);
}

TEST_F(LargeSpaceTest, OverHalfAChunkGetsItsOwn) {
  const Address a = make(kChunkBytes / 2 + 8);
  EXPECT_EQ(a % kChunkBytes, 0u);
  EXPECT_EQ(memory.pool.used_bytes(), kChunkBytes) << "charged whole: its tail holds nothing else";
  const Address b = make(2 * kChunkBytes + 8);
  EXPECT_EQ(b, a + kChunkBytes);
  EXPECT_EQ(memory.pool.used_bytes(), 4 * kChunkBytes);
  const Address c = make(kLargeBytes + 8);
  EXPECT_EQ(c, b + 3 * kChunkBytes) << "not in the tail of another's chunk";
  const LargeSpace::Swept swept = sweep();
  EXPECT_EQ(swept.objects, 3u);
  EXPECT_EQ(memory.pool.used_bytes(), 0u);
  EXPECT_STREQ(memory.pool.check(), "");
}

TEST_F(LargeSpaceTest, LimitAndTriggerHold) {
  Address at = 0;
  bool zeroed = false;
  memory.pool.set_trigger(kMiB);
  EXPECT_EQ(memory.large.reserve(kMiB + 1, Urgency::Normal, &at, &zeroed), Grant::OverTrigger);
  EXPECT_EQ(memory.large.reserve(64 * kMiB, Urgency::Forced, &at, &zeroed), Grant::OverLimit);
  EXPECT_EQ(memory.large.reserve((std::uint64_t{1} << 47) - 8, Urgency::Forced, &at, &zeroed),
            Grant::OverLimit);
  EXPECT_EQ(memory.pool.used_bytes(), 0u);
  EXPECT_EQ(memory.large.object_count(), 0u);
}

TEST_F(LargeSpaceTest, AnObjectIsSweptOnlyWhenPublished) { // [heap.large.3]
  bool zeroed = false;
  const Address at = reserve(50000, &zeroed);
  EXPECT_TRUE(memory.large.snapshot().empty());
  EXPECT_EQ(memory.large.find(at), 0u);
  EXPECT_EQ(sweep().objects, 0u) << "being zeroed: not seen";
  EXPECT_EQ(memory.large.object_count(), 1u);
  std::memset(reinterpret_cast<void*>(at), 0, 50000);
  store_header(at, HeaderWord::born(bytes_layout));
  *reinterpret_cast<std::uint64_t*>(at + 8) = 50000 - 16;
  memory.large.publish(at);
  EXPECT_EQ(memory.large.snapshot(), std::vector<Address>{at});
  memory.bits.mark(at);
  const LargeSpace::Swept kept = sweep();
  EXPECT_EQ(kept.live_objects, 1u);
  EXPECT_EQ(kept.live_bytes, 50000u);
  memory.bits.clear_mark(at);
  const LargeSpace::Swept freed = sweep();
  EXPECT_EQ(freed.objects, 1u);
  EXPECT_EQ(freed.bytes, 50000u);
  EXPECT_EQ(memory.large.page_bytes(), 0u);
}

TEST_F(LargeSpaceTest, FindsTheObjectAroundAnAddress) {
  const Address a = make(kLargeBytes + 8);
  const Address b = make(3 * kMiB);
  EXPECT_EQ(memory.large.find(a), a);
  EXPECT_EQ(memory.large.find(a + 1), a);
  EXPECT_EQ(memory.large.find(a + 9 * kPageBytes - 1), a);
  EXPECT_EQ(memory.large.find(a + 9 * kPageBytes), 0u);
  EXPECT_EQ(memory.large.find(a - 1), 0u);
  EXPECT_EQ(memory.large.find(b + 3 * kMiB - 1), b);
  EXPECT_EQ(memory.large.find(b + 3 * kMiB), 0u);
}

TEST_F(LargeSpaceTest, PoisonCoversWhatIsFreed) {
  const Address kept = make(kLargeBytes + 8);
  const Address freed = make(kLargeBytes + 8);
  memory.bits.mark(kept);
  EXPECT_EQ(sweep(true).objects, 1u);
  for (Address a = freed; a < freed + 9 * kPageBytes; a += 8) {
    ASSERT_EQ(*reinterpret_cast<std::uint64_t*>(a), kPoisonWord);
  }
  EXPECT_EQ(*reinterpret_cast<std::uint64_t*>(kept + 16), ~std::uint64_t{0}) << "the neighbour is untouched";
}

TEST_F(LargeSpaceTest, FreePagesGoBackInBoundedSteps) { // [heap.large.4]
  const Address kept = make(kLargeBytes + 8);
  const Address freed = make(40 * kPageBytes);
  memory.bits.mark(kept);
  (void)sweep();
  EXPECT_EQ(memory.large.free_page_bytes(), 40 * kPageBytes);
  int steps = 0;
  while (memory.large.return_free_pages()) {
    ++steps;
  }
  EXPECT_EQ(steps, 3) << "at most 16 pages at a time";
  EXPECT_EQ(memory.large.free_page_bytes(), 0u);
  EXPECT_EQ(*reinterpret_cast<std::uint64_t*>(freed), 0u);
  EXPECT_EQ(*reinterpret_cast<std::uint64_t*>(kept + 16), ~std::uint64_t{0});
  bool zeroed = false;
  EXPECT_EQ(reserve(40 * kPageBytes, &zeroed), freed);
  EXPECT_TRUE(zeroed);
}

// [service.idle.1] What was zeroed for the next owner is there all the same.
TEST_F(LargeSpaceTest, ZeroedPagesGoBackWhenTheProgramIsIdle) {
  const Address kept = make(kLargeBytes + 8);
  const Address freed = make(40 * kPageBytes);
  memory.bits.mark(kept);
  (void)sweep();
  while (memory.large.zero_free_pages()) {
  }
  EXPECT_FALSE(memory.large.return_free_pages()) << "none is dirty";
  const auto resident = [freed] {
    std::array<unsigned char, 40> pages{};
    EXPECT_EQ(::mincore(reinterpret_cast<void*>(freed), 40 * kPageBytes, pages.data()), 0);
    return std::count_if(pages.begin(), pages.end(), [](unsigned char p) { return (p & 1) != 0; });
  };
  EXPECT_EQ(resident(), 40);
  int steps = 0;
  while (memory.large.return_idle_pages()) {
    ++steps;
  }
  EXPECT_EQ(steps, 3) << "at most 16 pages at a time";
  EXPECT_EQ(resident(), 0);
  bool zeroed = false;
  EXPECT_EQ(reserve(40 * kPageBytes, &zeroed), freed);
  EXPECT_TRUE(zeroed);
  EXPECT_FALSE(memory.large.return_idle_pages()) << "in use";
  EXPECT_EQ(*reinterpret_cast<std::uint64_t*>(kept + 16), ~std::uint64_t{0});
}

// [alloc.large.1] What the background thread has zeroed, the next owner need not.
TEST_F(LargeSpaceTest, FreePagesAreZeroedAheadInBoundedSteps) {
  const Address kept = make(kLargeBytes + 8);
  const Address freed = make(40 * kPageBytes);
  memory.bits.mark(kept);
  (void)sweep();
  bool zeroed = true;
  EXPECT_EQ(reserve(8 * kPageBytes, &zeroed), freed);
  EXPECT_FALSE(zeroed) << "not yet";
  int steps = 0;
  while (memory.large.zero_free_pages()) {
    ++steps;
  }
  EXPECT_EQ(steps, 2) << "at most 16 pages at a time";
  EXPECT_EQ(memory.large.free_page_bytes(), 0u) << "none is dirty";
  EXPECT_EQ(*reinterpret_cast<std::uint64_t*>(freed), std::uint64_t{bytes_layout.number})
      << "in use: untouched";
  EXPECT_EQ(*reinterpret_cast<std::uint64_t*>(kept + 16), ~std::uint64_t{0});
  EXPECT_EQ(reserve(32 * kPageBytes, &zeroed), freed + 8 * kPageBytes);
  EXPECT_TRUE(zeroed);
  for (std::size_t i = 0; i < 32 * kPageBytes; i += 8) {
    ASSERT_EQ(*reinterpret_cast<std::uint64_t*>(freed + 8 * kPageBytes + i), 0u) << "the claim is true";
  }
  EXPECT_STREQ(memory.pool.check(), "");
}

using LargeSpaceDeathTest = LargeSpaceTest;

TEST_F(LargeSpaceDeathTest, OnlyReservedPagesArePublished) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const Address at = make(kLargeBytes + 8);
  EXPECT_DEATH(memory.large.publish(at + kPageBytes), "\\[heap.large.3\\] an unknown extent is published");
}

// Random life and death: no two objects overlap, contents last, zero claims are true, accounts are exact.
TEST_F(LargeSpaceTest, PropertyAgainstAShadow) {
  SCOPED_TRACE(test::seed_message());
  test::Random random(test::test_seed());
  std::map<Address, std::pair<std::size_t, std::uint64_t>> shadow; // bytes, contents
  const auto verify_contents = [](Address at, std::size_t bytes, std::uint64_t pattern) {
    for (std::size_t i = 16; i < bytes; i += 512) {
      if (*reinterpret_cast<std::uint64_t*>(at + i) != pattern) {
        return false;
      }
    }
    return true;
  };
  for (int step = 0; step < 3000; ++step) {
    if (random.chance(60)) {
      const std::size_t most = random.chance(10) ? 5 * kMiB : random.chance(30) ? kMiB : 4 * kLargeBytes;
      const std::size_t bytes = round_up(random.between(kLargeBytes + 8, most), 8);
      Address at = 0;
      bool zeroed = false;
      if (memory.large.reserve(bytes, Urgency::Forced, &at, &zeroed) != Grant::Ok) {
        continue;
      }
      const auto next = shadow.lower_bound(at);
      ASSERT_TRUE(next == shadow.end() || at + bytes <= next->first) << "[heap.large.2]";
      ASSERT_TRUE(next == shadow.begin() || std::prev(next)->first + std::prev(next)->second.first <= at)
          << "[heap.large.2]";
      for (std::size_t i = 0; zeroed && i < bytes; i += 8) {
        ASSERT_EQ(*reinterpret_cast<std::uint64_t*>(at + i), 0u) << "a zeroed claim is false at " << i;
      }
      const std::uint64_t pattern = random.next();
      std::fill_n(reinterpret_cast<std::uint64_t*>(at), bytes / 8, pattern);
      store_header(at, HeaderWord::born(bytes_layout));
      *reinterpret_cast<std::uint64_t*>(at + 8) = bytes - 16;
      memory.large.publish(at);
      shadow[at] = {bytes, pattern};
    } else if (random.chance(20)) {
      for (const auto& [at, object] : shadow) {
        memory.bits.clear_mark(at);
      }
      std::size_t dead = 0;
      for (auto it = shadow.begin(); it != shadow.end();) {
        ASSERT_TRUE(verify_contents(it->first, it->second.first, it->second.second));
        if (random.chance(50)) {
          memory.bits.mark(it->first);
          ++it;
        } else {
          ++dead;
          it = shadow.erase(it);
        }
      }
      const LargeSpace::Swept swept = sweep(random.chance(30));
      ASSERT_EQ(swept.objects, dead);
      ASSERT_EQ(swept.live_objects, shadow.size());
    } else if (random.chance(50)) {
      (void)memory.large.return_free_pages();
      (void)memory.pool.return_one_chunk(random.below(4) * kChunkBytes);
    }
    ASSERT_EQ(memory.large.object_count(), shadow.size());
    ASSERT_EQ(memory.large.page_bytes(), memory.pool.used_bytes());
    ASSERT_STREQ(memory.pool.check(), "") << "step " << step;
  }
}

} // namespace
} // namespace echo
