// SPDX-License-Identifier: MIT
//
// Purpose     Allocation and checked frees by one thread: every size, every misuse, levels, trimming, accounts.
#include "heap/native/resident.h"

#include "tests/native/pool_fixture.h"

#include <chrono>
#include <cstring>
#include <map>
#include <set>

namespace echo::native::test {
namespace {

std::byte* bytes_at(void* p) {
  return static_cast<std::byte*>(p);
}

// [native.cell.1] [native.run.1] Sizes of any magnitude are real: every byte is written and read back.
TEST_F(PoolTest, EverySizeIsWritableAlignedAndApart) {
  struct Object {
    std::byte* p;
    std::size_t bytes;
    unsigned char pattern;
  };
  std::vector<Object> objects;
  std::vector<std::size_t> sizes;
  for (std::size_t bytes = 1; bytes <= 1100; ++bytes) {
    sizes.push_back(bytes);
  }
  for (const std::size_t bytes : {2048u, 4095u, 4096u, 4097u, 10000u, 65536u, 1000000u, 1048576u, 1048577u,
                                  2097152u, 2097153u, 7000000u}) {
    sizes.push_back(bytes);
    sizes.push_back(bytes);
  }
  for (const std::size_t bytes : sizes) {
    auto* const p = static_cast<std::byte*>(pool->allocate(bytes));
    ASSERT_NE(p, nullptr) << bytes;
    const std::size_t rounded = Pool::rounded_bytes(bytes);
    ASSERT_EQ(reinterpret_cast<Address>(p) % (rounded & (~rounded + 1)) % 4096, 0u) << bytes;
    ASSERT_GE(pool->usable_bytes(p), bytes);
    const auto pattern = static_cast<unsigned char>(objects.size() * 7 + 1);
    std::memset(p, pattern, bytes);
    objects.push_back({p, bytes, pattern});
  }
  for (const Object& o : objects) {
    for (std::size_t i = 0; i < o.bytes; ++i) {
      ASSERT_EQ(o.p[i], std::byte{o.pattern}) << o.bytes << " at " << i;
    }
    ASSERT_EQ(pool->free(o.p, o.bytes), FreeResult::Done) << o.bytes;
  }
  const PoolCounters counters = pool->counters();
  EXPECT_EQ(counters.allocations, objects.size());
  EXPECT_EQ(counters.frees, objects.size());
  EXPECT_EQ(counters.live_bytes, 0u);
}

TEST_F(PoolTest, HundredThousandObjectsAreDistinct) {
  std::set<void*> seen;
  std::vector<void*> objects;
  for (int i = 0; i < 100000; ++i) {
    void* const p = pool->allocate(128);
    ASSERT_NE(p, nullptr);
    ASSERT_TRUE(seen.insert(p).second) << "the same pointer twice";
    objects.push_back(p);
  }
  EXPECT_STREQ(pool->check(), "");
  for (void* const p : objects) {
    ASSERT_EQ(pool->free(p, 128), FreeResult::Done);
  }
  for (void* const p : objects) {
    ASSERT_NE(pool->free(p, 128), FreeResult::Done) << "each a second time";
  }
  EXPECT_EQ(pool->counters().frees, 100000u);
}

// [native.pool.1] [native.free.1]
TEST_F(PoolTest, MisuseOfCells) {
  auto* const p = static_cast<std::byte*>(pool->allocate(64));
  void* const neighbour = pool->allocate(64);
  int on_stack = 0;
  EXPECT_EQ(pool->free(nullptr, 64), FreeResult::Null);
  EXPECT_EQ(pool->free(&on_stack, 64), FreeResult::Foreign);
  EXPECT_EQ(pool->free(reinterpret_cast<void*>(8), 64), FreeResult::Foreign);
  EXPECT_EQ(pool->free(reinterpret_cast<void*>(~std::uintptr_t{0}), 64), FreeResult::Foreign);
  EXPECT_EQ(pool->free(p + 1, 64), FreeResult::NotAStart);
  EXPECT_EQ(pool->free(p + 8, 64), FreeResult::NotAStart);
  EXPECT_EQ(pool->free(p, 32), FreeResult::WrongSize);
  EXPECT_EQ(pool->free(p, 65), FreeResult::WrongSize);
  EXPECT_EQ(pool->free(p, 0), FreeResult::WrongSize);
  EXPECT_EQ(pool->free(p, 5000), FreeResult::WrongSize);
  EXPECT_EQ(pool->free(p, ~std::size_t{0}), FreeResult::WrongSize);
  const std::size_t unused = 1000; // a cell of the slab that was never handed out
  EXPECT_EQ(pool->free(p + unused * 64, 64), FreeResult::AlreadyFree);
  EXPECT_EQ(pool->counters().frees, 0u);
  EXPECT_EQ(pool->usable_bytes(p), 64u) << "and the object still lives";
  EXPECT_EQ(pool->free(p, 57), FreeResult::Done) << "57 and 64 bytes are one cell";
  EXPECT_EQ(pool->free(p, 64), FreeResult::AlreadyFree);
  EXPECT_EQ(pool->free(p, 32), FreeResult::AlreadyFree);
  EXPECT_EQ(pool->free(neighbour, 64), FreeResult::Done);
  // The cell comes back once, not twice.
  EXPECT_NE(pool->allocate(64), pool->allocate(64));
}

TEST_F(PoolTest, MisuseOfPageRuns) {
  auto* const p = static_cast<std::byte*>(pool->allocate(10000)); // three pages
  auto* const large = static_cast<std::byte*>(pool->allocate(3 << 20));
  EXPECT_EQ(pool->free(p + 1, 10000), FreeResult::NotAStart);
  EXPECT_EQ(pool->free(p + 4096, 10000), FreeResult::NotAStart);
  EXPECT_EQ(pool->free(p, 4096), FreeResult::WrongSize);
  EXPECT_EQ(pool->free(p, 64), FreeResult::WrongSize);
  EXPECT_EQ(pool->free(p, ~std::size_t{0}), FreeResult::WrongSize);
  EXPECT_EQ(pool->free(p + 3 * 4096, 4096), FreeResult::AlreadyFree);
  EXPECT_EQ(pool->free(large + 4096, 3 << 20), FreeResult::NotAStart);
  EXPECT_EQ(pool->free(large, 3 << 19), FreeResult::WrongSize);
  EXPECT_EQ(pool->free(p, 12288), FreeResult::Done) << "the same number of pages";
  EXPECT_EQ(pool->free(p, 10000), FreeResult::AlreadyFree);
  EXPECT_EQ(pool->free(large, 3 << 20), FreeResult::Done);
  EXPECT_EQ(pool->free(large, 3 << 20), FreeResult::AlreadyFree);
}

TEST_F(PoolTest, AnotherPoolsObjectsAreForeign) {
  Pool* const other = Pool::create(*space, {});
  ASSERT_NE(other, nullptr);
  for (const std::size_t bytes : {64u, 5000u, 3000000u}) {
    void* const p = other->allocate(bytes);
    EXPECT_EQ(pool->free(p, bytes), FreeResult::Foreign) << bytes;
    EXPECT_EQ(pool->free(p, 64), FreeResult::Foreign) << bytes;
    EXPECT_EQ(pool->usable_bytes(p), 0u);
    EXPECT_EQ(other->free(p, bytes), FreeResult::Done) << bytes;
  }
  Pool::destroy(other);
}

TEST_F(PoolTest, SizesNoMachineHas) {
  EXPECT_EQ(pool->allocate(~std::size_t{0}), nullptr);
  EXPECT_EQ(pool->allocate(std::size_t{1} << 63), nullptr);
  EXPECT_EQ(pool->allocate(std::size_t{1} << 47), nullptr);
  EXPECT_NE(pool->allocate(8), nullptr);
}

TEST_F(PoolTest, RunsOutOfMemoryAndRecovers) {
  open(1, {}, {.reserve_bytes = std::size_t{4} << 20, .pages = PageKind::Base});
  std::vector<void*> objects;
  while (void* const p = pool->allocate(1024)) {
    objects.push_back(p);
  }
  EXPECT_EQ(objects.size(), (std::size_t{4} << 20) / 1024) << "every cell of the reservation";
  EXPECT_EQ(pool->allocate(100000), nullptr);
  EXPECT_EQ(pool->counters().allocations, objects.size());
  for (void* const p : objects) {
    ASSERT_EQ(pool->free(p, 1024), FreeResult::Done);
  }
  pool->trim();
  EXPECT_NE(pool->allocate(1 << 21), nullptr) << "slabs became pages";
}

// A model of the pool: a map of what lives. [native.live.1]
TEST_F(PoolTest, RandomUseAgreesWithAModel) {
  SCOPED_TRACE(seed_message());
  Random random(test_seed());
  std::map<void*, std::pair<std::size_t, unsigned char>> live;
  std::vector<void*> dead;
  const auto pick = [&] {
    auto it = live.begin();
    std::advance(it, static_cast<std::ptrdiff_t>(random.below(std::min<std::size_t>(live.size(), 50))));
    return it;
  };
  for (int step = 0; step < 60000; ++step) {
    const std::size_t what = random.below(100);
    if (what < 50 || live.empty()) {
      const std::size_t bytes = random.chance(97) ? random.between(1, 1024) : random.between(1025, 100000);
      auto* const p = static_cast<unsigned char*>(pool->allocate(bytes));
      ASSERT_NE(p, nullptr);
      const auto next = live.upper_bound(p);
      ASSERT_TRUE(next == live.end() || bytes_at(p) + bytes <= next->first) << "overlaps the next";
      ASSERT_TRUE(next == live.begin() ||
                  bytes_at(std::prev(next)->first) + std::prev(next)->second.first <= bytes_at(p))
          << "overlaps the one before";
      p[0] = p[bytes - 1] = static_cast<unsigned char>(step);
      live[p] = {bytes, static_cast<unsigned char>(step)};
    } else if (what < 95) {
      const auto it = pick();
      const auto [bytes, mark] = it->second;
      auto* const p = static_cast<unsigned char*>(it->first);
      ASSERT_EQ(p[0], mark);
      ASSERT_EQ(p[bytes - 1], mark);
      ASSERT_EQ(pool->free(p, bytes), FreeResult::Done);
      dead.push_back(p);
      live.erase(it);
    } else if (what < 97) {
      const auto it = pick();
      ASSERT_NE(pool->free(bytes_at(it->first) + 1, it->second.first), FreeResult::Done);
      ASSERT_NE(pool->free(it->first, it->second.first > 1024 ? 8 : 2000), FreeResult::Done);
    } else if (what < 99 && !dead.empty()) {
      void* const p = dead[random.below(dead.size())];
      if (!live.contains(p)) {
        ASSERT_NE(pool->free(p, random.between(1, 2000)), FreeResult::Done);
      }
    } else {
      pool->trim();
      pool->release_free_pages(static_cast<std::uint32_t>(random.below(100)));
    }
    if (step % 5000 == 0) {
      ASSERT_STREQ(pool->check(), "");
      const PoolCounters counters = pool->counters();
      ASSERT_EQ(counters.allocations - counters.frees, live.size());
    }
  }
  for (const auto& [p, object] : live) {
    ASSERT_EQ(pool->free(p, object.first), FreeResult::Done);
  }
  EXPECT_EQ(pool->counters().live_bytes, 0u);
}

// --- levels --------------------------------------------------------------------------------------------------

// [native.cache.1] L1 is a stack.
TEST_F(PoolTest, TheLastCellFreedIsTheNextAllocated) {
  void* const a = pool->allocate(96);
  void* const b = pool->allocate(96);
  pool->free(a, 96);
  pool->free(b, 96);
  EXPECT_EQ(pool->allocate(96), b);
  EXPECT_EQ(pool->allocate(96), a);
}

TEST_F(PoolTest, BatchesGrowInABurstAndPairsNeedNone) {
  ClassCache* const cache = pool->this_threads_cache(cell_for(128));
  ASSERT_NE(cache, nullptr);
  EXPECT_EQ(cache->policy().batch(), 16u);
  std::vector<void*> objects;
  objects.reserve(2000);
  for (int i = 0; i < 2000; ++i) {
    objects.push_back(pool->allocate(128));
  }
  EXPECT_EQ(cache->policy().batch(), kMaxCached);
  const std::uint64_t refills = pool->counters().refills;
  EXPECT_LE(refills, 2000 / kMaxCached + 5);
  for (int i = 0; i < 100000; ++i) { // in pairs: L1 alone
    pool->free(objects.back(), 128);
    objects.back() = pool->allocate(128);
  }
  EXPECT_EQ(pool->counters().refills, refills);
  EXPECT_LE(cache->cached(), cache->limit());
}

TEST_F(PoolTest, AnIdleClassLeavesL1AndAHotOneStays) { // [native.hot.1]
  const Cell hot = cell_for(64);
  std::vector<void*> objects;
  for (const std::size_t bytes : {64u, 512u}) {
    objects.clear();
    for (int i = 0; i < 300; ++i) {
      objects.push_back(pool->allocate(bytes));
    }
    for (void* const p : objects) {
      pool->free(p, bytes);
    }
  }
  ClassCache* const idle = pool->this_threads_cache(cell_for(512));
  EXPECT_GT(idle->cached(), 0u);
  const auto start = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() - start < std::chrono::milliseconds(500)) {
    for (int i = 0; i < 10000; ++i) {
      pool->free(pool->allocate(64), 64);
    }
  }
  EXPECT_EQ(idle->cached(), 0u) << "512 B was not used for several windows";
  EXPECT_GT(pool->this_threads_cache(hot)->cached(), 0u);
  EXPECT_GT(pool->counters().class_rate[3], kHotPerSecond);
  EXPECT_EQ(pool->counters().class_rate[9], 0u);
}

TEST_F(PoolTest, EmptySlabsGoBackToTheSpace) {
  std::vector<void*> objects;
  objects.reserve(100000);
  for (int i = 0; i < 100000; ++i) {
    objects.push_back(pool->allocate(128));
  }
  const std::size_t full = pool->counters().committed_bytes;
  EXPECT_GE(full, 100000u * 128);
  EXPECT_LT(static_cast<double>(full), 100000.0 * 128 * 1.05) << "fragmentation under 5 %";
  for (void* const p : objects) {
    pool->free(p, 128);
  }
  EXPECT_LE(pool->counters().committed_bytes, (kMaxKeep + 2) * kSlabBytes)
      << "and the slab of the cell that waits to be handed out first";
  pool->trim();
  EXPECT_EQ(pool->counters().committed_bytes, 0u);
}

TEST_F(PoolTest, FreePagesOfSparseSlabsGoBack) {
  std::vector<void*> objects;
  for (int i = 0; i < 10000; ++i) {
    objects.push_back(pool->allocate(1024));
    std::memset(objects.back(), 1, 1024);
  }
  std::vector<void*> kept;
  for (std::size_t i = 0; i < objects.size(); ++i) {
    if (i % 64 == 0) {
      kept.push_back(objects[i]);
    } else {
      ASSERT_EQ(pool->free(objects[i], 1024), FreeResult::Done);
    }
  }
  pool->trim();
  EXPECT_EQ(pool->release_free_pages(99), 0u) << "no slab is 99 % free";
  const std::size_t bytes = pool->release_free_pages(50);
  EXPECT_GE(bytes, kept.size() * (kSlabBytes - kPageBytes) * 95 / 100);
  EXPECT_EQ(pool->release_free_pages(50), 0u) << "no byte is counted twice";
  for (void* const p : kept) {
    EXPECT_EQ(bytes_at(p)[1023], std::byte{1}) << "what lives is untouched";
  }
  void* const again = pool->allocate(1024);
  std::memset(again, 2, 1024);
}

TEST_F(PoolTest, RunsGrowAndShrinkInPlace) {
  auto* const p = static_cast<std::byte*>(pool->allocate(8192));
  std::uint32_t number = 7;
  ASSERT_TRUE(pool->get_note(p, &number));
  EXPECT_EQ(number, 0u);
  ASSERT_TRUE(pool->set_note(p, 42));
  EXPECT_TRUE(pool->resize(p, 20000));
  EXPECT_EQ(pool->usable_bytes(p), 20480u);
  EXPECT_TRUE(pool->get_note(p, &number));
  EXPECT_EQ(number, 42u);
  void* const neighbour = pool->allocate(4096);
  EXPECT_EQ(neighbour, p + 20480);
  EXPECT_FALSE(pool->resize(p, 20481)) << "a neighbour is in the way";
  EXPECT_TRUE(pool->resize(p, 4096));
  EXPECT_EQ(pool->allocate(16384), p + 4096) << "the pages given up are free";
  EXPECT_FALSE(pool->resize(p + 4096 * 5, 0));
  EXPECT_FALSE(pool->set_note(&number, 1));
  EXPECT_STREQ(pool->check(), "");
}

TEST_F(PoolTest, DestroyingAPoolFreesEverythingInIt) { // [native.pool.2]
  const std::size_t before = space->counters().committed_bytes;
  Pool* const other = Pool::create(*space, {});
  for (int i = 0; i < 10000; ++i) {
    ASSERT_NE(other->allocate(100), nullptr);
  }
  ASSERT_NE(other->allocate(10 << 20), nullptr);
  Pool::destroy(other);
  EXPECT_STREQ(space->check(), "");
  EXPECT_EQ(space->counters().free_resident_bytes, space->counters().committed_bytes - before);
  // Its slot is reused, and no thread's table still names its caches. [native.thread.3]
  Pool* const next = Pool::create(*space, {});
  EXPECT_NE(next->allocate(100), nullptr);
  EXPECT_EQ(next->counters().allocations, 1u);
  Pool::destroy(next);
}

TEST_F(PoolTest, PoolsOfOneSize) {
  for (const std::size_t bytes : {1u, 100u, 1024u, 1025u, 50000u}) {
    Pool* const one = Pool::create(*space, {.only_size = bytes});
    void* const p = one->allocate_object();
    std::memset(p, 1, bytes);
    EXPECT_EQ(one->free_object(bytes_at(p) + 1), FreeResult::NotAStart) << bytes;
    EXPECT_EQ(one->free_object(p), FreeResult::Done) << bytes;
    EXPECT_EQ(one->free_object(p), FreeResult::AlreadyFree) << bytes;
    EXPECT_STREQ(one->check(), "");
    Pool::destroy(one);
  }
}

// The checks see what they are for: breaking the records on purpose.
TEST_F(PoolTest, CheckFiresWhenBitsAreBroken) {
  void* const p = pool->allocate(64);
  SlabEntry& entry = space->table()[(reinterpret_cast<Address>(p) - space->base()) / kSlabBytes];
  SlabRecord& record = *entry.record.load();
  BitWord& live = space->live_of(record.slab)[0];
  const std::uint64_t good = live.load();
  live.store(good | std::uint64_t{1} << 3); // a cell in L1 called live
  EXPECT_NE(std::string(pool->check()).find("native.cache.1"), std::string::npos);
  live.store(good);
  BitWord& behind = space->live_of(record.slab)[kSlabBytes / 64 / 64];
  behind.store(1); // of no cell of 64 bytes
  EXPECT_NE(std::string(pool->check()).find("native.live.1"), std::string::npos);
  behind.store(0);
  BitWord& remote = space->remote_of(record.slab)[0];
  remote.store(1);
  EXPECT_NE(std::string(pool->check()).find("native.remote.1"), std::string::npos);
  remote.store(0);
  const std::uintptr_t owner = entry.owner.load();
  entry.owner.store(0);
  EXPECT_NE(std::string(pool->check()).find("native.owner.1"), std::string::npos);
  entry.owner.store(owner);
  EXPECT_STREQ(pool->check(), "");
}

} // namespace
} // namespace echo::native::test
