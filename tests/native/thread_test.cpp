// SPDX-License-Identifier: MIT
//
// Purpose     Several threads: frees by others, their misuse, threads that end, nodes, fork.
#include "tests/native/pool_fixture.h"

#include <atomic>
#include <cstring>
#include <pthread.h>
#include <set>
#include <sys/wait.h>
#include <unistd.h>

namespace echo::native::test {
namespace {

TEST_F(PoolTest, AnotherThreadFreesAndTheOwnerUsesTheCellsAgain) {
  std::vector<void*> objects; // all the cells of five slabs
  std::set<void*> first;
  for (int i = 0; i < 5120; ++i) {
    objects.push_back(pool->allocate(64));
    first.insert(objects.back());
  }
  Worker worker;
  worker.run([&] {
    for (void* const p : objects) {
      ASSERT_EQ(pool->free(p, 64), FreeResult::Done);
      ASSERT_EQ(pool->free(p, 64), FreeResult::AlreadyFree) << "again, by the same thread";
    }
  });
  for (void* const p : objects) {
    ASSERT_EQ(pool->free(p, 64), FreeResult::AlreadyFree) << "again, by the owner";
  }
  EXPECT_EQ(pool->counters().frees, 5120u);
  EXPECT_STREQ(pool->check(), "");
  const std::size_t committed = pool->counters().committed_bytes;
  std::set<void*> second;
  for (int i = 0; i < 5120; ++i) {
    void* const p = pool->allocate(64);
    ASSERT_TRUE(second.insert(p).second);
  }
  EXPECT_EQ(first, second) << "the same cells";
  EXPECT_EQ(pool->counters().committed_bytes, committed);
}

TEST_F(PoolTest, MisuseByAnotherThread) {
  auto* const p = static_cast<std::byte*>(pool->allocate(128));
  void* const gone = pool->allocate(128);
  ASSERT_EQ(pool->free(gone, 128), FreeResult::Done);
  Worker worker;
  worker.run([&] {
    EXPECT_EQ(pool->free(gone, 128), FreeResult::AlreadyFree) << "freed by its owner, in the owner's cache";
    EXPECT_EQ(pool->free(p + 8, 128), FreeResult::NotAStart);
    EXPECT_EQ(pool->free(p, 64), FreeResult::WrongSize);
    EXPECT_EQ(pool->free(p, 4096), FreeResult::WrongSize);
    EXPECT_EQ(pool->free(p, 128), FreeResult::Done);
  });
  EXPECT_EQ(pool->free(p, 128), FreeResult::AlreadyFree);
  EXPECT_EQ(pool->counters().frees, 2u);
}

// [native.last.2] A cell that was freed and handed out again needs no look at its slab to be freed, unless another thread did.
class CellHandedOutLast : public PoolTest {
protected:
  void SetUp() override {
    PoolTest::SetUp();
    other = pool->allocate(128);
    last = hand_out();
  }
  void* hand_out() {
    void* const p = pool->allocate(128);
    EXPECT_EQ(pool->free(p, 128), FreeResult::Done);
    EXPECT_EQ(pool->allocate(128), p);
    return p;
  }
  OwnerTag tag() const {
    const std::size_t slab = (reinterpret_cast<Address>(last) - space->base()) / kSlabBytes;
    return ClassCache::tag_of(space->table()[slab].owner.load());
  }
  void* other = nullptr; // in the same slab
  void* last = nullptr;
};

TEST_F(CellHandedOutLast, FreedByAnotherThreadIsFree) {
  Worker worker;
  worker.run([&] { EXPECT_EQ(pool->free(last, 128), FreeResult::Done); });
  EXPECT_EQ(pool->free(last, 128), FreeResult::AlreadyFree);
  EXPECT_EQ(pool->usable_bytes(last), 0u);
  EXPECT_STREQ(pool->check(), "");
}

TEST_F(CellHandedOutLast, FreedByAnotherThreadThatHasFreedItsNeighbourIsFree) {
  Worker worker;
  worker.run([&] {
    EXPECT_EQ(pool->free(other, 128), FreeResult::Done);
    EXPECT_EQ(tag(), OwnerTag::Requested);
    EXPECT_EQ(pool->free(last, 128), FreeResult::Done);
  });
  EXPECT_EQ(pool->free(last, 128), FreeResult::AlreadyFree);
  EXPECT_NE(pool->allocate(128), nullptr);
  EXPECT_EQ(tag(), OwnerTag::Shared);
  EXPECT_STREQ(pool->check(), "");
}

TEST_F(CellHandedOutLast, FreedByItsOwnerIsFreeForOthers) {
  Worker worker;
  worker.run([&] { EXPECT_EQ(pool->free(other, 128), FreeResult::Done); });
  ASSERT_EQ(tag(), OwnerTag::Requested);
  EXPECT_EQ(pool->free(last, 128), FreeResult::Done)
      << "before it has noticed that others free cells of its slab";
  EXPECT_EQ(pool->free(last, 128), FreeResult::AlreadyFree);
  worker.run([&] {
    EXPECT_EQ(pool->free(last, 128), FreeResult::AlreadyFree);
    EXPECT_EQ(pool->usable_bytes(last), 0u);
  });
  std::set<void*> cells;
  for (int i = 0; i < 512; ++i) {
    EXPECT_TRUE(cells.insert(pool->allocate(128)).second);
  }
  EXPECT_TRUE(cells.contains(last));
  EXPECT_STREQ(pool->check(), "");
}

TEST_F(CellHandedOutLast, OfAnAdoptedCacheIsFreedOnce) {
  void* of_gone = nullptr;
  {
    Worker gone;
    gone.run([&] { of_gone = hand_out(); });
  }
  Worker heir; // has the cache of the thread that is gone
  heir.run([&] {
    EXPECT_EQ(pool->free(of_gone, 128), FreeResult::Done);
    EXPECT_EQ(pool->free(of_gone, 128), FreeResult::AlreadyFree);
  });
  EXPECT_EQ(pool->free(of_gone, 128), FreeResult::AlreadyFree);
  EXPECT_STREQ(pool->check(), "");
}

TEST_F(CellHandedOutLast, IsNotWhatLiesBesideIt) {
  auto* const bytes = static_cast<std::byte*>(last);
  EXPECT_EQ(pool->free(bytes + 1, 128), FreeResult::NotAStart);
  EXPECT_EQ(pool->free(bytes + 2, 128), FreeResult::NotAStart);
  EXPECT_NE(pool->free(bytes - 1, 128), FreeResult::Done);
  EXPECT_NE(pool->free(nullptr, 128), FreeResult::Done);
  EXPECT_EQ(pool->free(last, 64), FreeResult::WrongSize);
  EXPECT_EQ(pool->free(last, 128), FreeResult::Done);
  EXPECT_NE(pool->free(nullptr, 128), FreeResult::Done);
  EXPECT_STREQ(pool->check(), "");
}

// Cells that are set aside to be handed out next are free, whatever their live bits say. [native.word.1]
class ReservedCells : public PoolTest {
protected:
  void SetUp() override {
    PoolTest::SetUp();
    while (cache()->policy().batch() < kMaxCached ||
           cache()->cached() < 8) { // words are reserved by large batches only
      mine.push_back(pool->allocate(64));
    }
    void* const before = pool->allocate(64);
    mine.push_back(before);
    next = static_cast<std::byte*>(before) + 64;
    ASSERT_GE(cache()->cached(), 4u);
  }
  ClassCache* cache() { return pool->this_threads_cache(cell_for(64)); }
  // Of what is handed out from now on: each cell once, `next` first, and all can be freed.
  void expect_the_rest() {
    std::set<void*> cells(mine.begin(), mine.end());
    EXPECT_EQ(cells.size(), mine.size());
    for (int i = 0; i < 2000; ++i) {
      void* const p = pool->allocate(64);
      EXPECT_TRUE(i != 0 || p == next);
      EXPECT_TRUE(cells.insert(p).second) << "handed out twice";
    }
    for (void* const p : cells) {
      EXPECT_EQ(pool->free(p, 64), FreeResult::Done);
    }
    const PoolCounters counters = pool->counters();
    EXPECT_EQ(counters.frees, counters.allocations);
    pool->trim();
    EXPECT_EQ(pool->counters().committed_bytes, 0u);
  }
  std::vector<void*> mine;
  void* next = nullptr;
};

TEST_F(ReservedCells, AreFreeToTheirOwner) {
  EXPECT_EQ(pool->usable_bytes(next), 0u);
  EXPECT_EQ(pool->free(next, 64), FreeResult::AlreadyFree);
  expect_the_rest();
}

TEST_F(ReservedCells, AreFreeToOthers) {
  Worker worker;
  worker.run([&] {
    EXPECT_EQ(pool->usable_bytes(next), 0u);
    EXPECT_EQ(pool->free(next, 64), FreeResult::AlreadyFree);
    EXPECT_EQ(pool->usable_bytes(mine.back()), 64u);
    EXPECT_EQ(pool->free(mine.back(), 64), FreeResult::Done) << "a neighbour in the same word";
    EXPECT_EQ(pool->free(next, 64), FreeResult::AlreadyFree) << "while that is not noticed";
  });
  mine.pop_back();
  void* const p = pool->allocate(64); // notices: what was reserved goes back, and comes again
  mine.push_back(p);
  EXPECT_STREQ(pool->check(), "");
  std::set<void*> cells(mine.begin(), mine.end());
  for (int i = 0; i < 2000; ++i) {
    EXPECT_TRUE(cells.insert(pool->allocate(64)).second) << "handed out twice";
  }
  for (void* const cell : cells) {
    EXPECT_EQ(pool->free(cell, 64), FreeResult::Done);
  }
  EXPECT_EQ(pool->counters().frees, pool->counters().allocations);
}

TEST_F(ReservedCells, ThatWereFreedBeforeAreNotFreedAgain) {
  // A whole word of the program's cells is freed: more than L1 holds, so it lies in its slab, and is reserved again.
  std::vector<void*> many;
  for (int i = 0; i < 4096; ++i) {
    many.push_back(pool->allocate(64));
  }
  for (void* const p : many) {
    EXPECT_EQ(pool->free(p, 64), FreeResult::Done);
  }
  std::set<void*> out;
  for (std::uint32_t i = 0; i < cache()->limit() + 40; ++i) {
    out.insert(pool->allocate(64));
  }
  Worker worker;
  int refused = 0;
  worker.run([&] {
    for (void* const p : many) {
      if (!out.contains(p)) {
        EXPECT_EQ(pool->free(p, 64), FreeResult::AlreadyFree);
        ++refused;
      }
    }
  });
  EXPECT_GT(refused, 1000);
  for (void* const p : many) {
    if (!out.contains(p)) {
      EXPECT_EQ(pool->free(p, 64), FreeResult::AlreadyFree);
    }
  }
  EXPECT_STREQ(pool->check(), "");
}

TEST_F(ReservedCells, GoBackWhenTheCacheIsTrimmed) {
  const std::uint64_t frees = pool->counters().frees;
  pool->trim();
  EXPECT_EQ(cache()->cached(), 0u);
  EXPECT_EQ(pool->counters().frees, frees) << "which is no free";
  EXPECT_EQ(pool->free(next, 64), FreeResult::AlreadyFree);
  expect_the_rest();
}

TEST_F(ReservedCells, OfAThreadThatIsGoneServeOthers) {
  void* theirs = nullptr;
  {
    Worker gone;
    gone.run([&] {
      for (int i = 0; i < 3000; ++i) {
        theirs = pool->allocate(64);
      }
    });
  }
  Worker heir;
  heir.run([&] {
    EXPECT_EQ(pool->free(static_cast<std::byte*>(theirs) + 64, 64), FreeResult::AlreadyFree);
    EXPECT_EQ(pool->allocate(64), static_cast<std::byte*>(theirs) + 64);
  });
  EXPECT_STREQ(pool->check(), "");
}

// Words are reserved and given back, and no cell of them is ever handed out: another thread finds none that can be freed.
TEST(ReservedWord, SeenByAnotherThread) { // [native.word.2]
  BitWord words[2] = {};
  ReservedWord reserved;
  ReservedWord::Shown shown;
  std::atomic<bool> done{false};
  std::uint64_t handed_out = 0;
  std::atomic<std::uint64_t> live{0};
  std::thread other([&] {
    for (std::uint64_t i = 0; !done; ++i) {
      const BitWord& word = words[i % 2];
      const std::uint64_t bit = ClassCache::bit(static_cast<std::uint32_t>(i / 2));
      live += (word.load() & bit) != 0 ? 1 : 0;
      handed_out += reserved.is_handed_out(shown, &word, bit) ? 1 : 0;
    }
  });
  for (int i = 0; i < 1'000'000 || live < 1000; ++i) {
    reserved.open(shown, &words[i % 2], 0, ~std::uint64_t{0});
    reserved.close(shown);
  }
  done = true;
  other.join();
  EXPECT_EQ(handed_out, 0u);
}

TEST(ReservedWord, HandsOutEachCellOnceInTheirOrder) { // [native.word.1]
  BitWord word = 0b0110'0001;
  ReservedWord reserved;
  ReservedWord::Shown shown;
  EXPECT_EQ(reserved.take(16), nullptr);
  reserved.open(shown, &word, 0x1000, 0b1001'0110);
  EXPECT_EQ(word.load(), 0b1111'0111u);
  EXPECT_EQ(reserved.left(), 4u);
  EXPECT_TRUE(reserved.has(&word, 1));
  EXPECT_FALSE(reserved.has(&word, 0)) << "not free before";
  EXPECT_FALSE(reserved.has(&word + 1, 1)) << "of another word";
  EXPECT_EQ(reserved.take(16), reinterpret_cast<void*>(0x1010));
  EXPECT_FALSE(reserved.has(&word, 1));
  EXPECT_TRUE(reserved.is_handed_out(shown, &word, 2));
  EXPECT_TRUE(reserved.is_handed_out(shown, &word, 1)) << "before";
  EXPECT_FALSE(reserved.is_handed_out(shown, &word, 4));
  EXPECT_EQ(reserved.take(16), reinterpret_cast<void*>(0x1020));
  reserved.close(shown);
  EXPECT_EQ(word.load(), 0b0110'0111u) << "what was not handed out is free again";
  EXPECT_FALSE(reserved.is_handed_out(shown, &word, 0x80));
  EXPECT_TRUE(reserved.is_handed_out(shown, &word, 4));
  EXPECT_EQ(reserved.take(16), nullptr);
}

// The bias of a slab: withdrawn by the first foreign free, noticed by the owner, given back when nobody else frees.
TEST_F(PoolTest, TagsOfASlab) { // [native.owner.2] [native.free.3]
  ClassCache* const cache = pool->this_threads_cache(cell_for(1024));
  std::vector<void*> objects;
  objects.reserve(64);
  for (int i = 0; i < 64; ++i) {
    objects.push_back(pool->allocate(1024));
  }
  SlabEntry& entry = space->table()[(reinterpret_cast<Address>(objects[0]) - space->base()) / kSlabBytes];
  const auto tag = [&] { return ClassCache::tag_of(entry.owner.load()); };
  EXPECT_EQ(tag(), OwnerTag::Biased);
  Worker worker;
  worker.run([&] { pool->free(objects[0], 1024); });
  EXPECT_EQ(tag(), OwnerTag::Requested);
  EXPECT_EQ(pool->free(objects[0], 1024), FreeResult::AlreadyFree);
  EXPECT_EQ(pool->free(objects[1], 1024), FreeResult::Done) << "the owner, with the lock";
  void* const again = pool->allocate(1024);
  EXPECT_EQ(tag(), OwnerTag::Shared) << "noticed before a cell was handed out";
  objects[1] = again;
  EXPECT_EQ(pool->free(objects[2], 1024), FreeResult::Done);
  EXPECT_EQ(pool->free(objects[2], 1024), FreeResult::AlreadyFree);
  // Taken from again and again without a foreign free in between: biased again.
  for (int round = 0; round < 5; ++round) {
    cache->trim(16);
    objects.push_back(pool->allocate(1024));
    pool->free(objects.back(), 1024);
    objects.pop_back();
  }
  EXPECT_EQ(tag(), OwnerTag::Biased);
  EXPECT_STREQ(pool->check(), "");
}

// [native.owner.2] One thread fills slabs, another empties them: the bias, which each cycle would withdraw, does not come
// back when the owner finds a slab used up.
TEST_F(PoolTest, SlabsThatAreEmptiedByOthersStayShared) {
  std::vector<void*> objects(256);
  Worker worker;
  std::size_t biased = 0;
  for (int round = 0; round < 20; ++round) {
    for (void*& p : objects) {
      p = pool->allocate(1024);
    }
    for (void* const p : objects) {
      const SlabEntry& entry = space->table()[(reinterpret_cast<Address>(p) - space->base()) / kSlabBytes];
      biased += round > 1 && ClassCache::tag_of(entry.owner.load()) == OwnerTag::Biased ? 1 : 0;
    }
    worker.run([&] {
      for (void* const p : objects) {
        pool->free(p, 1024);
      }
    });
  }
  EXPECT_EQ(biased, 0u) << "of 18 rounds of 256 objects";
  EXPECT_STREQ(pool->check(), "");
}

// Many threads race to free the same objects: each is freed once as far as the allocator is concerned.
TEST_F(PoolTest, RacingDoubleFreesLeaveEachCellFreeOnce) {
  constexpr int kObjects = 2000;
  constexpr int kRounds = 10;
  std::uint64_t successes = 0;
  for (int round = 0; round < kRounds; ++round) {
    std::vector<void*> objects;
    objects.reserve(kObjects);
    for (int i = 0; i < kObjects; ++i) {
      objects.push_back(pool->allocate(48));
    }
    std::atomic<int> ready{0};
    std::atomic<std::uint64_t> freed{0};
    const auto race = [&](bool backwards) {
      ++ready;
      while (ready < 3) {
        std::this_thread::yield();
      }
      std::uint64_t mine = 0;
      for (int i = 0; i < kObjects; ++i) {
        mine += pool->free(objects[static_cast<std::size_t>(backwards ? kObjects - 1 - i : i)], 48) ==
                        FreeResult::Done
                    ? 1
                    : 0;
      }
      freed += mine;
    };
    std::thread one(race, false);
    std::thread two(race, true);
    race(false);
    one.join();
    two.join();
    successes += freed;
    ASSERT_GE(freed.load(), std::uint64_t{kObjects});
    std::set<void*> again;
    std::vector<void*> taken;
    for (int i = 0; i < kObjects; ++i) {
      void* const p = pool->allocate(48);
      ASSERT_TRUE(again.insert(p).second) << "a cell was free twice";
      taken.push_back(p);
    }
    for (void* const p : taken) {
      ASSERT_EQ(pool->free(p, 48), FreeResult::Done) << "a live cell was taken away";
    }
    ASSERT_STREQ(pool->check(), "");
  }
  // Only the first foreign free of a slab may coincide with its owner's; the counters say how often that was.
  const PoolCounters counters = pool->counters();
  EXPECT_EQ(successes, std::uint64_t{kObjects} * kRounds + counters.late_double_frees);
  EXPECT_EQ(counters.allocations, counters.frees);
}

// [native.pool.3]
TEST_F(PoolTest, FourThreadsPassObjectsAround) {
  constexpr int kThreads = 4;
  constexpr std::size_t kSlots = 512;
  std::vector<std::atomic<void*>> slots(kSlots);
  std::atomic<std::uint64_t> allocated{0};
  std::atomic<std::uint64_t> freed{0};
  std::atomic<int> broken{0};
  const auto size_of = [](std::size_t slot) { return 8 + slot % 128 * 8 + (slot % 16 == 0 ? 2000 : 0); };
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      Random random(test_seed() + static_cast<std::uint64_t>(t));
      std::uint64_t a = 0;
      std::uint64_t f = 0;
      for (int i = 0; i < 50000; ++i) {
        const std::size_t slot = random.below(kSlots);
        void* mine = nullptr;
        if (random.chance(60)) {
          mine = pool->allocate(size_of(slot));
          if (mine == nullptr) {
            ++broken;
            continue;
          }
          std::memset(mine, static_cast<int>(slot), size_of(slot));
          ++a;
        }
        if (void* const old = slots[slot].exchange(mine); old != nullptr) {
          const auto* const bytes = static_cast<const unsigned char*>(old);
          broken += bytes[0] != static_cast<unsigned char>(slot) ||
                            bytes[size_of(slot) - 1] != static_cast<unsigned char>(slot)
                        ? 1
                        : 0;
          broken += pool->free(old, size_of(slot)) != FreeResult::Done ? 1 : 0;
          ++f;
        }
      }
      allocated += a;
      freed += f;
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(broken, 0);
  EXPECT_EQ(pool->counters().allocations, allocated.load());
  EXPECT_EQ(pool->counters().frees, freed.load());
  EXPECT_STREQ(pool->check(), "");
  for (std::size_t slot = 0; slot < kSlots; ++slot) {
    if (void* const p = slots[slot]; p != nullptr) {
      EXPECT_EQ(pool->free(p, size_of(slot)), FreeResult::Done);
    }
  }
  pool->trim();
  EXPECT_EQ(pool->counters().live_bytes, 0u);
  EXPECT_STREQ(pool->check(), "");
}

// [native.thread.1]
TEST_F(PoolTest, TheMemoryOfAThreadThatIsGoneServesOthers) {
  std::vector<void*> left;
  {
    Worker worker;
    worker.run([&] {
      std::vector<void*> objects;
      objects.reserve(20000);
      for (int i = 0; i < 20000; ++i) {
        objects.push_back(pool->allocate(64));
      }
      for (std::size_t i = 0; i < objects.size(); ++i) {
        if (i % 4 == 0) {
          left.push_back(objects[i]);
        } else {
          pool->free(objects[i], 64);
        }
      }
    });
  }
  const std::size_t committed = pool->counters().committed_bytes;
  for (void* const p : left) {
    ASSERT_EQ(pool->usable_bytes(p), 64u) << "objects outlive their thread";
  }
  for (int i = 0; i < 15000; ++i) {
    ASSERT_NE(pool->allocate(64), nullptr);
  }
  EXPECT_LE(pool->counters().committed_bytes, committed + kSlabBytes);
  for (void* const p : left) {
    ASSERT_EQ(pool->free(p, 64), FreeResult::Done);
    ASSERT_EQ(pool->free(p, 64), FreeResult::AlreadyFree);
  }
  EXPECT_EQ(pool->counters().allocations - pool->counters().frees, 15000u);
}

TEST_F(PoolTest, ManyThreadsOneAfterTheOtherShareOneCache) {
  void* const mine = pool->allocate(32);
  std::size_t committed = 0;
  for (int i = 0; i < 100; ++i) {
    std::thread([&] { pool->free(pool->allocate(32), 32); }).join();
    committed = pool->counters().committed_bytes;
  }
  EXPECT_LE(committed, 3 * kSlabBytes);
  pool->free(mine, 32);
}

// A key of the test's own, whose handler allocates and frees after the registry's has run. [native.thread.2]
struct LateUser {
  Pool* pool = nullptr;
  void* to_free = nullptr;
  std::atomic<int> calls{0};
  std::atomic<bool> good{true};
};
pthread_key_t late_key;
void use_late(void* value) {
  auto* const user = static_cast<LateUser*>(value);
  if (user->calls++ == 0) {
    pthread_setspecific(late_key, user); // once more, after every other handler
    return;
  }
  void* const p = user->pool->allocate(40);
  user->good = p != nullptr && user->pool->free(p, 40) == FreeResult::Done &&
               user->pool->free(p, 40) == FreeResult::AlreadyFree &&
               user->pool->free(user->to_free, 40) == FreeResult::Done;
}

TEST_F(PoolTest, ThreadsMayAllocateAndFreeInTheirLastHandlers) {
  ASSERT_EQ(pthread_key_create(&late_key, use_late), 0);
  LateUser user;
  user.pool = pool;
  user.to_free = pool->allocate(40);
  std::thread([&] {
    pool->free(pool->allocate(40), 40);
    pthread_setspecific(late_key, &user);
  }).join();
  EXPECT_EQ(user.calls, 2);
  EXPECT_TRUE(user.good);
  pthread_key_delete(late_key);
  EXPECT_EQ(pool->counters().allocations, pool->counters().frees);
}

TEST_F(PoolTest, SlabsMigrateBetweenNodes) {
  open(4);
  {
    Worker worker;
    worker.run([&] {
      FakeTopology::here = 3;
      std::vector<void*> objects;
      objects.reserve(4000);
      for (int i = 0; i < 4000; ++i) {
        objects.push_back(pool->allocate(128));
      }
      for (std::size_t i = 0; i < objects.size(); i += 2) {
        pool->free(objects[i], 128);
      }
    });
  }
  EXPECT_EQ(space->counters().remote_slabs, 0u);
  EXPECT_EQ(space->counters().migrated_slabs, 0u);
  // Two threads at once: one takes over the idle cache, the other its slabs.
  Worker first;
  Worker second;
  first.run([&] {
    FakeTopology::here = 3;
    pool->allocate(8);
  });
  first.run([&] { pool->free(pool->allocate(128), 128); });
  first.end(); // idle again
  second.run([&] {
    FakeTopology::here = 1;
    pool->allocate(8);
  });
  Worker third;
  third.run([&] {
    FakeTopology::here = 0;
    pool->allocate(8);
  });
  second.end(); // the cache with the slabs of node 3 is idle, the third thread has one of its own
  third.run([&] {
    for (int i = 0; i < 1000; ++i) {
      ASSERT_NE(pool->allocate(128), nullptr);
    }
  });
  EXPECT_GT(space->counters().migrated_slabs, 0u);
  EXPECT_STREQ(pool->check(), "");
}

TEST_F(PoolTest, TrimReachesOtherThreadsAtTheirNextSlowPath) {
  Worker worker;
  std::vector<void*> objects;
  worker.run([&] {
    for (int i = 0; i < 50000; ++i) {
      objects.push_back(pool->allocate(128));
    }
    for (void* const p : objects) {
      pool->free(p, 128);
    }
  });
  const std::size_t held = pool->counters().committed_bytes;
  EXPECT_GT(held, 0u);
  pool->trim();
  EXPECT_EQ(pool->counters().committed_bytes, held) << "caches of running threads are their own";
  worker.run([&] {
    for (int i = 0; i < 5000; ++i) { // over one look at the clock
      pool->free(pool->allocate(8), 8);
    }
  });
  EXPECT_LE(pool->counters().committed_bytes, 2 * kSlabBytes);
}

// [native.thread.4]
TEST_F(PoolTest, TheChildOfAForkCanUseThePool) {
  std::vector<void*> objects;
  objects.reserve(1000);
  for (int i = 0; i < 1000; ++i) {
    objects.push_back(pool->allocate(64));
  }
  std::atomic<bool> stop{false};
  std::thread noise([&] { // holds locks at the moment of the fork, now and then
    while (!stop) {
      void* const p = pool->allocate(3000);
      for (int i = 0; i < 300; ++i) {
        pool->free(pool->allocate(256), 256);
      }
      pool->free(p, 3000);
      pool->trim();
    }
  });
  for (int round = 0; round < 20; ++round) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      ::alarm(20);
      bool good = true;
      for (void* const p : objects) {
        good = good && pool->free(p, 64) == FreeResult::Done;
      }
      for (int i = 0; i < 1000; ++i) {
        good = good && pool->allocate(512) != nullptr && pool->allocate(5000) != nullptr;
      }
      std::thread([&] { good = good && pool->allocate(100) != nullptr; }).join();
      ::_exit(good ? 0 : 1);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "round " << round << ", status " << status;
  }
  stop = true;
  noise.join();
}

} // namespace
} // namespace echo::native::test
