// SPDX-License-Identifier: MIT
//
// Purpose     Whole collections: garbage is really reused, out of memory is a value and ends when references
//             are dropped, a heap too small for its live set ends soon, memory goes back, heaps do not know
//             each other.
#include "tests/gc/object_graph.h"

#include <gtest/gtest.h>

#include <chrono>
#include <sys/mman.h>
#include <thread>

namespace echo {
namespace {

using test::kMiB;
using test::quiet_config;
using test::TestHeap;

TEST(Cycle, AllocatesFiftyTimesItsLimit) {
  Config config;
  config.max_heap = 4 * kMiB;
  config.initial_trigger = kMiB;
  config.reserve_bytes = 1;
  TestHeap heap(config);
  test::Random random(test::test_seed());
  std::uint64_t bytes = 0;
  while (bytes < 50 * config.max_heap) {
    const ObjectRef object = heap.make(heap.bytes, random.below(random.chance(1) ? 200000 : 500));
    bytes += heap.size_of(object);
    heap.root(random.below(heap.roots.size()), object);
    ASSERT_LE(heap.collector.memory.pool.used_bytes(), config.max_heap);
  }
  const echo_statistics s = heap.statistics();
  EXPECT_GT(s.collections_full, 20u);
  EXPECT_EQ(s.collections_by_cause[ECHO_CAUSE_heap_full] + s.collections_by_cause[ECHO_CAUSE_emergency],
            s.collections_full)
      << "collected only because it allocates";
  EXPECT_LE(s.peak_committed_bytes, 4 * config.max_heap);
}

TEST(Cycle, ThreadsAllocateFiftyTimesTheLimitTogether) {
  Config config;
  config.max_heap = 8 * kMiB;
  config.initial_trigger = kMiB;
  config.reserve_bytes = 1;
  TestHeap heap(config);
  std::vector<std::thread> threads;
  std::vector<std::vector<echo_ref>> roots(3, std::vector<echo_ref>(32));
  std::atomic<int> failures{0};
  for (unsigned t = 0; t < 3; ++t) {
    std::string why;
    ASSERT_EQ(heap.collector.roots.globals.add(roots[t].data(), roots[t].size(), &why), ECHO_OK) << why;
    threads.emplace_back([&, t] {
      Mutator* m = nullptr;
      std::string reason;
      ASSERT_EQ(heap.collector.attach(&m, &reason), ECHO_OK) << reason;
      test::Random random(test::test_seed() + t);
      for (std::uint64_t bytes = 0; bytes < 17 * config.max_heap;) {
        const std::uint64_t length = random.below(random.chance(1) ? 100000 : 500);
        const ObjectRef object = heap.collector.allocate(*m, heap.bytes, length);
        if (!object) {
          ++failures;
          break;
        }
        bytes += length + 16;
        if (length >= 8) {
          TestHeap::poke(object, 16, t);
        }
        const std::size_t where = random.below(32);
        const ObjectRef old = test::as_object(roots[t][where]);
        failures += old && load_length(old) >= 8 && TestHeap::peek(old, 16) != t ? 1 : 0;
        roots[t][where] = test::as_root(object);
      }
      heap.collector.detach(m);
    });
  }
  heap.collector.safepoints.enter_native(*heap.mutator, ThreadState::Blocked);
  for (std::thread& thread : threads) {
    thread.join();
  }
  heap.collector.safepoints.leave_native(*heap.mutator);
  EXPECT_EQ(failures.load(), 0);
  EXPECT_GT(heap.statistics().collections_full, 20u);
}

TEST(Cycle, OutOfMemoryIsAValueAndEndsWithItsCause) { // [cycle.oom.1] [alloc.slow.1]
  TestHeap heap(quiet_config(4 * kMiB));
  const auto fill = [&] {
    std::size_t objects = 0;
    for (;;) {
      const ObjectRef object = heap.try_make(heap.refs, 120);
      if (!object) {
        return objects;
      }
      heap.store(object, 16, test::as_object(heap.roots[0]));
      heap.root(0, object);
      ++objects;
    }
  };
  std::size_t first = 0;
  for (int round = 0; round < 3; ++round) {
    const std::uint64_t before = heap.statistics().collections_full;
    const std::size_t objects = fill();
    const echo_statistics s = heap.statistics();
    EXPECT_GE(objects * 976, heap.collector.config.max_heap * 9 / 10)
        << "nearly all of the limit holds objects";
    EXPECT_EQ(heap.mutator->last_error.code, ECHO_HEAP_LIMIT);
    EXPECT_NE(std::string(heap.mutator->last_error.message).find("heap limit of 4.0 MiB"), std::string::npos);
    EXPECT_GT(s.collections_full, before) << "not without a collection";
    EXPECT_GT(s.collections_by_cause[ECHO_CAUSE_emergency], 0u);
    EXPECT_EQ(heap.mutator->state.load(), ThreadState::Managed);
    // Everything is still there.
    std::size_t length = 0;
    for (ObjectRef o = test::as_object(heap.roots[0]); o; o = {TestHeap::peek(o, 16)}) {
      ++length;
    }
    EXPECT_EQ(length, objects);
    EXPECT_EQ(heap.collector.verify(*heap.mutator, true), "");
    heap.root(0, {});
    EXPECT_TRUE(heap.try_make(heap.refs, 120)) << "dropping references is enough";
    first = round == 0 ? objects : first;
    EXPECT_NEAR(static_cast<double>(objects), static_cast<double>(first), 100.0) << "nothing leaks";
  }
}

TEST(Cycle, AnObjectOverTheLimitIsRefusedAtOnce) {
  TestHeap heap(quiet_config(4 * kMiB));
  EXPECT_FALSE(heap.try_make(heap.bytes, 5 * kMiB));
  EXPECT_EQ(heap.mutator->last_error.code, ECHO_HEAP_LIMIT);
  EXPECT_EQ(std::string(heap.mutator->last_error.message),
            "an object of 5242896 bytes does not fit the heap limit of 4.0 MiB (0.0 MiB in use after a full "
            "collection)");
  EXPECT_EQ(heap.statistics().collections_full, 0u) << "no collection makes room for it";
  EXPECT_TRUE(heap.try_make(heap.bytes, kMiB));
}

TEST(Cycle, BadRequestsAreNamed) {
  TestHeap heap(quiet_config());
  EXPECT_FALSE(heap.try_make({999}));
  EXPECT_EQ(heap.mutator->last_error.code, ECHO_UNKNOWN_LAYOUT);
  EXPECT_STREQ(heap.mutator->last_error.message, "no layout has the number 999");
  EXPECT_FALSE(heap.try_make({0}));
  EXPECT_FALSE(heap.try_make(heap.refs, UINT64_MAX / 8));
  EXPECT_EQ(heap.mutator->last_error.code, ECHO_INVALID_ARGUMENT);
  EXPECT_STREQ(heap.mutator->last_error.message,
               "an array of layout 'refs' with 2305843009213693951 elements overflows the address space");
}

// Thrashing: the live set fills the heap, every collection frees next to nothing. It must end, and soon.
TEST(Cycle, AHeapTooSmallForItsLiveSetEndsSoon) {
  Config config = quiet_config(4 * kMiB);
  config.initial_trigger = kMiB;
  TestHeap heap(config);
  std::uint64_t kept = 0;
  for (;;) { // keeps every object, and makes as much garbage as it keeps
    const ObjectRef object = heap.try_make(heap.pair);
    if (!object || !heap.try_make(heap.pair)) {
      break;
    }
    const ObjectRef again = heap.try_make(heap.pair);
    if (!again) {
      break;
    }
    heap.store(again, 8, test::as_object(heap.roots[0]));
    heap.root(0, again);
    ++kept;
  }
  EXPECT_EQ(heap.mutator->last_error.code, ECHO_HEAP_LIMIT);
  EXPECT_GT(kept * 24, config.max_heap / 2);
  EXPECT_LT(heap.statistics().collections_full, 300u);
  heap.root(0, {});
  for (int i = 0; i < 1000; ++i) {
    ASSERT_TRUE(heap.try_make(heap.pair)) << heap.mutator->last_error.message;
  }
}

TEST(Cycle, PoisonIsVisibleInFreedMemory) { // [heap.header.3]
  Config config = quiet_config();
  config.poison = true;
  TestHeap heap(config);
  const ObjectRef kept = heap.make(heap.bytes, 40);
  const ObjectRef freed = heap.make(heap.bytes, 40);
  const ObjectRef large = heap.make(heap.bytes, 70000);
  heap.root(0, kept);
  heap.collect();
  for (std::size_t offset = 0; offset < 56; offset += 8) {
    EXPECT_EQ(TestHeap::peek(freed, offset), kPoisonWord);
  }
  EXPECT_EQ(TestHeap::peek(large, 0), kPoisonWord);
  EXPECT_EQ(TestHeap::peek(large, 69992), kPoisonWord);
  EXPECT_EQ(TestHeap::peek(kept, 8), 40u);
}

TEST(Cycle, FreshObjectsAreZero) {
  Config config;
  config.max_heap = 4 * kMiB;
  config.initial_trigger = kMiB / 2;
  config.poison = true; // what they are made from is not
  config.reserve_bytes = 1;
  TestHeap heap(config);
  test::Random random(test::test_seed());
  for (int i = 0; i < 20000; ++i) {
    const ObjectRef object = heap.make(heap.bytes, random.below(random.chance(1) ? 100000 : 300));
    const std::size_t bytes = heap.size_of(object);
    for (std::size_t offset = 16; offset < bytes; offset += 8) {
      ASSERT_EQ(TestHeap::peek(object, offset), 0u);
    }
    heap.root(static_cast<std::size_t>(i) % heap.roots.size(), object);
  }
  EXPECT_GT(heap.statistics().collections_full, 3u);
}

TEST(Cycle, StressCollectsAtEveryNthAllocation) {
  for (const std::uint64_t nth : {1u, 7u}) {
    Config config = quiet_config();
    config.stress_collect = nth;
    config.poison = true;
    config.verify = true;
    TestHeap heap(config);
    EXPECT_EQ(heap.mutator->cursor, heap.mutator->limit) << "every allocation takes the cold path";
    ObjectRef list;
    for (std::uint64_t i = 1; i <= 140; ++i) {
      heap.root(0, list);
      const ObjectRef cell = heap.make(heap.pair);
      heap.store(cell, 8, list);
      list = cell;
      ASSERT_EQ(heap.statistics().collections_by_cause[ECHO_CAUSE_stress], i / nth);
    }
    heap.root(0, list);
    EXPECT_EQ(heap.mutator->cursor, heap.mutator->limit);
    int length = 0;
    for (ObjectRef o = list; o; o = {TestHeap::peek(o, 8)}) {
      ++length;
    }
    EXPECT_EQ(length, 140);
  }
}

bool wait_for(const std::function<bool()>& condition) {
  for (int i = 0; i < 2000 && !condition(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return condition();
}

std::size_t resident_bytes(Address from, std::size_t bytes) {
  std::vector<unsigned char> pages(bytes / kPageBytes);
  EXPECT_EQ(::mincore(reinterpret_cast<void*>(from), bytes, pages.data()), 0);
  std::size_t resident = 0;
  for (const unsigned char page : pages) {
    resident += (page & 1) != 0 ? kPageBytes : 0;
  }
  return resident;
}

TEST(Cycle, MemoryIsGivenBack) { // [sweep.os.1]
  Config config = quiet_config();
  config.keep_free = 2 * kMiB;
  config.huge_pages = false;
  TestHeap heap(config);
  const auto fill = [&] {
    for (int i = 0; i < 400; ++i) {
      heap.root(0, heap.make(heap.bytes, 50000));
      const ObjectRef object = heap.make(heap.refs, 4000);
      heap.store(object, 16, test::as_object(heap.roots[1]));
      heap.root(1, object);
    }
  };
  fill();
  const Address base = heap.collector.memory.pool.slabs().base();
  const std::size_t reach = std::size_t{heap.collector.memory.pool.slab_high_water()} * kSlabBytes;
  EXPECT_GT(resident_bytes(base, reach), 10 * kMiB) << "large pages that nobody wrote to are not";
  heap.root(0, {});
  heap.root(1, {});
  heap.collect();
  EXPECT_TRUE(wait_for([&] { return heap.statistics().committed_bytes < 5 * kMiB; }));
  const echo_statistics s = heap.statistics();
  EXPECT_EQ(s.used_bytes, 0u);
  EXPECT_GT(s.bytes_returned, 25 * kMiB);
  EXPECT_GT(s.peak_committed_bytes, 25 * kMiB);
  EXPECT_LT(resident_bytes(base, reach), 5 * kMiB) << "the operating system agrees";
  fill(); // and it can be had again
  EXPECT_EQ(heap.collector.verify(*heap.mutator, true), "");
}

TEST(Cycle, TwoHeapsDoNotKnowEachOther) {
  TestHeap one(quiet_config(4 * kMiB));
  TestHeap two(quiet_config(4 * kMiB));
  const ObjectRef in_one = one.make(one.pair);
  one.root(0, in_one);
  for (int i = 0; i < 3; ++i) {
    one.store(in_one, 8, two.make(two.pair)); // a word outside the reservation: not followed [heap.kind.2]
    while (two.try_make(two.bytes, 100000)) {
      two.root(0, two.make(two.bytes, 10));
      if (two.statistics().collections_full > 3) {
        break;
      }
    }
    one.collect();
    EXPECT_EQ(one.statistics().live_bytes, 24u);
  }
  EXPECT_EQ(one.statistics().collections_full, 3u);
  EXPECT_GT(two.statistics().collections_full, 3u);
  EXPECT_EQ(one.collector.verify(*one.mutator, true), "");
  EXPECT_EQ(two.collector.verify(*two.mutator, true), "");
}

TEST(Cycle, HeapsCollectAtTheSameTimeOnDifferentThreads) {
  std::vector<std::thread> threads;
  threads.reserve(3);
  std::atomic<int> failures{0};
  for (unsigned t = 0; t < 3; ++t) {
    threads.emplace_back([&failures, t] {
      Config config = quiet_config(4 * kMiB);
      config.initial_trigger = kMiB;
      TestHeap heap(config);
      test::Random random(test::test_seed() + t);
      for (int i = 0; i < 60000; ++i) {
        const ObjectRef object = heap.try_make(heap.pair);
        failures += object ? 0 : 1;
        heap.store(object, 8, test::as_object(heap.roots[i % 7]));
        heap.root(random.below(16), object);
        if (i % 100 == 0) {
          heap.root(random.below(16), {});
          heap.root(static_cast<std::size_t>(i / 100 % 7), {});
        }
      }
      failures += heap.collector.verify(*heap.mutator, true).empty() ? 0 : 1;
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(failures.load(), 0);
}

// One thread attached to two heaps; collections of one are not held up by the other.
TEST(Cycle, OneThreadInTwoHeaps) {
  TestHeap one(quiet_config(4 * kMiB));
  TestHeap two(quiet_config(4 * kMiB));
  one.collect();
  two.collect();
  one.collector.safepoints.enter_native(*one.mutator, ThreadState::Native);
  two.collect();
  one.collector.safepoints.leave_native(*one.mutator);
  one.collect();
}

} // namespace
} // namespace echo
