// SPDX-License-Identifier: MIT
//
// Purpose     A program that stops to allocate: the heap collects, if it may, and gives memory back, once; and memory comes back
//             when the program goes on. The clock is the test's.
#include "gc/idle_watch.h"

#include "tests/gc/test_heap.h"

#include <gtest/gtest.h>

#include <chrono>
#include <ctime>
#include <sys/mman.h>
#include <thread>

namespace echo {
namespace {

using test::kMiB;
using test::TestHeap;

constexpr std::uint64_t kIdle = 5'000'000'000; // ns

IdleWatch::Seen seen(std::uint64_t handed_out, std::uint64_t collections = 0, bool is_due = false) {
  IdleWatch::Seen made;
  made.handed_out = handed_out;
  made.collections = collections;
  made.is_due = is_due;
  return made;
}

// [service.idle.1]
TEST(IdleWatch, OnceAfterTheWholeTime) {
  IdleWatch watch(kIdle, false);
  const std::uint64_t t = 77;
  EXPECT_EQ(watch.look(t, seen(0, 0, true)), IdleAction::None);
  EXPECT_EQ(watch.look(t + kIdle - 1, seen(0, 0, true)), IdleAction::None);
  EXPECT_EQ(watch.look(t + kIdle, seen(0, 0, true)), IdleAction::GiveBack) << "it may not collect";
  EXPECT_EQ(watch.look(t + 9 * kIdle, seen(0, 0, true)), IdleAction::None) << "once";
  EXPECT_EQ(watch.look(t + 10 * kIdle, seen(1)), IdleAction::None);
  EXPECT_EQ(watch.look(t + 11 * kIdle - 1, seen(1)), IdleAction::None) << "from its last allocation on";
  EXPECT_EQ(watch.look(t + 11 * kIdle, seen(1)), IdleAction::GiveBack);
}

TEST(IdleWatch, WhoPausesForLessKeepsWhatHeHas) {
  IdleWatch watch(kIdle, true);
  for (std::uint64_t i = 1; i < 100; ++i) {
    EXPECT_EQ(watch.look(i * (kIdle - 1), seen(i, i, true)), IdleAction::None);
  }
}

TEST(IdleWatch, CollectsFirstAndWaitsForTheEnd) {
  IdleWatch watch(kIdle, true);
  EXPECT_EQ(watch.look(1, seen(5, 3, true)), IdleAction::None);
  EXPECT_EQ(watch.look(1 + kIdle, seen(5, 3, true)), IdleAction::Collect);
  EXPECT_EQ(watch.look(2 + kIdle, seen(5, 3, true)), IdleAction::None) << "it is on";
  EXPECT_EQ(watch.look(3 + kIdle, seen(5, 4, false)), IdleAction::GiveBack);
  EXPECT_EQ(watch.look(4 + 9 * kIdle, seen(5, 4, true)), IdleAction::None) << "each once";
  EXPECT_EQ(watch.look(5 + 9 * kIdle, seen(6, 4, false)), IdleAction::None);
  EXPECT_EQ(watch.look(5 + 10 * kIdle, seen(6, 4, false)), IdleAction::GiveBack) << "too little to collect";
}

TEST(IdleWatch, Never) {
  IdleWatch watch(0, true);
  EXPECT_EQ(watch.look(1, seen(0, 0, true)), IdleAction::None);
  EXPECT_EQ(watch.look(UINT64_MAX, seen(0, 0, true)), IdleAction::None);
}

// --- a heap

std::size_t resident_bytes(TestHeap& heap) {
  SlabPool& pool = heap.collector.memory.pool;
  const std::size_t bytes = std::size_t{pool.slab_high_water()} * kSlabBytes;
  std::vector<unsigned char> pages(bytes / kPageBytes);
  EXPECT_EQ(::mincore(reinterpret_cast<void*>(pool.slabs().base()), bytes, pages.data()), 0);
  std::size_t resident = 0;
  for (const unsigned char page : pages) {
    resident += (page & 1) != 0 ? kPageBytes : 0;
  }
  return resident;
}

Config idle_config(MarkMode mode, bool collects) {
  Config config = test::quiet_config(128 * kMiB);
  config.mode = mode;
  config.huge_pages = false; // residency is then exact
  config.populate = 2 * kMiB;
  config.idle_by_hand = true;
  config.idle_collect = collects;
  return config;
}

// Small and large objects, every 16th of the small ones kept.
void allocate(TestHeap& heap, std::size_t bytes) {
  for (std::size_t made = 0; made < bytes; made += 16 * 1024 + 60'000) {
    for (int i = 0; i < 16; ++i) {
      const ObjectRef object = heap.make(heap.bytes, 1000);
      if (i == 0) {
        const ObjectRef link = heap.make(heap.pair);
        heap.store(link, 8, test::as_object(heap.roots[0]));
        heap.store(link, 16, object);
        heap.root(0, link);
      }
    }
    const ObjectRef large = heap.make(heap.bytes, 60'000);
    std::memset(reinterpret_cast<void*>(large.address + 16), 0x5A, 60'000);
  }
}

constexpr std::size_t kAllocated = 24 * kMiB;

class IdleHeap : public TestHeap {
public:
  using TestHeap::TestHeap;
  // Looks at `now`, at rest.
  void look() {
    collector.safepoints.at_rest(*mutator, [this] { collector.look_when_idle(now); });
  }
  void wait_for_cycle(std::uint64_t before) {
    collector.safepoints.at_rest(*mutator, [&] {
      for (int i = 0; i < 4000 && collector.cycles() == before; ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
      }
    });
    ASSERT_GT(collector.cycles(), before);
  }
  std::uint64_t now = 1;
};

TEST(Idle, MemoryGoesBackOnceAndComesAgain) { // [service.idle.1]
  IdleHeap heap(idle_config(MarkMode::Stw, false));
  allocate(heap, kAllocated);
  heap.collect();
  const std::size_t resident = resident_bytes(heap);
  EXPECT_GT(resident, kAllocated - 2 * kMiB) << "less is kept in a cycle, since it is used again";
  heap.look();
  heap.now += kIdle - 1;
  heap.look();
  EXPECT_EQ(heap.statistics().bytes_returned, 0u) << "not yet";
  heap.now += 1;
  heap.look();
  echo_statistics s = heap.statistics();
  EXPECT_GT(s.bytes_returned, 2 * kMiB);
  EXPECT_LT(s.committed_bytes - s.metadata_bytes, resident);
  EXPECT_LE(resident_bytes(heap), s.used_bytes + 2 * kMiB + 2 * kChunkBytes)
      << "what holds objects, what is ahead, and begun chunks";
  EXPECT_LT(resident_bytes(heap), resident / 2);
  EXPECT_STREQ(heap.collector.memory.pool.check(), "");
  // Nobody brings it in again before the program asks for it.
  const std::size_t low = resident_bytes(heap);
  while (heap.collector.memory.pool.populate_step()) {
  }
  EXPECT_LE(resident_bytes(heap), low + 2 * kMiB + 2 * kChunkBytes);
  EXPECT_EQ(heap.collector.verify(*heap.mutator, true), "");
  // The program goes on, in bursts with pauses that are no idleness: what it has it keeps.
  for (int burst = 0; burst < 4; ++burst) {
    allocate(heap, kAllocated / 4);
    heap.look();
    const std::uint64_t returned = heap.statistics().bytes_returned;
    heap.now += kIdle - 1;
    heap.look();
    EXPECT_EQ(heap.statistics().bytes_returned, returned) << "burst " << burst;
  }
  EXPECT_GT(resident_bytes(heap), low + kAllocated / 2);
  EXPECT_EQ(heap.collector.verify(*heap.mutator, true), "");
}

TEST(Idle, CollectsFirstInEachMode) {
  for (const MarkMode mode : {MarkMode::Concurrent, MarkMode::Stw, MarkMode::Incremental}) {
    SCOPED_TRACE(static_cast<int>(mode));
    IdleHeap heap(idle_config(mode, true));
    allocate(heap, kAllocated);
    const std::uint64_t before = heap.collector.cycles();
    const std::size_t resident = resident_bytes(heap);
    heap.look();
    heap.now += kIdle;
    heap.look();
    heap.wait_for_cycle(before);
    heap.now += 1;
    heap.look();
    EXPECT_EQ(heap.collector.cycles(), before + 1);
    EXPECT_LT(resident_bytes(heap), resident / 2);
    heap.now += 9 * kIdle;
    heap.look();
    EXPECT_EQ(heap.collector.cycles(), before + 1) << "nothing was allocated since";
    EXPECT_EQ(heap.collector.verify(*heap.mutator, true), "");
    allocate(heap, 2 * kMiB);
  }
}

TEST(Idle, WithoutTheOptionNothingIsCollected) {
  IdleHeap heap(idle_config(MarkMode::Concurrent, false));
  allocate(heap, kAllocated);
  heap.look();
  heap.now += kIdle;
  heap.look();
  heap.now += kIdle;
  heap.look();
  EXPECT_EQ(heap.collector.cycles(), 0u);
}

// Processor time of the process, but for the calling thread's.
std::uint64_t others_cpu_ns() {
  timespec time{};
  EXPECT_EQ(::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time), 0);
  const auto all =
      static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<std::uint64_t>(time.tv_nsec);
  return all - std::min(all, os::thread_cpu_ns());
}

// A heap that is collected when it is idle: what it counted, and what its threads had, this one having only allocated and
// waited. False: this thread was so slow to allocate that the heap took it for idle, and may have marked for it.
bool collect_idle_heap(MarkMode mode, double* counted, double* had) {
  const std::uint64_t before = others_cpu_ns();
  Config config = idle_config(mode, true);
  config.idle_by_hand = false;
  config.idle_ms = 50;
  config.populate = 0;
  TestHeap heap(config);
  for (int i = 0; i < 1'000'000; ++i) {
    const ObjectRef link = heap.make(heap.pair);
    heap.store(link, 8, test::as_object(heap.roots[0]));
    heap.root(0, link);
  }
  (void)heap.make(heap.bytes, 3 * kMiB); // garbage, whose pages go back in the step behind the collection
  heap.collector.safepoints.enter_native(*heap.mutator, ThreadState::Blocked);
  const bool was_in_time = heap.statistics().time_to_safepoint_us.count == 0;
  for (int i = 0;
       was_in_time && i < 4000 && (heap.collector.cycles() == 0 || heap.statistics().bytes_returned == 0);
       ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  heap.collector.safepoints.leave_native(*heap.mutator);
  EXPECT_TRUE(!was_in_time || heap.statistics().bytes_returned != 0);
  *counted = heap.statistics().gc_cpu_s;
  *had = static_cast<double>(others_cpu_ns() - before) / 1e9;
  return was_in_time;
}

TEST(Idle, ProcessorTimeIsCountedOnce) { // [stats.cpu.1]
  for (const MarkMode mode : {MarkMode::Concurrent, MarkMode::Stw, MarkMode::Incremental}) {
    SCOPED_TRACE(static_cast<int>(mode));
    double counted = 0, had = 0;
    int tries = 1;
    while (!collect_idle_heap(mode, &counted, &had) && tries < 20) {
      ++tries;
    }
    ASSERT_LT(tries, 20);
    EXPECT_GT(counted, 0.0);
    EXPECT_LE(counted, had);
  }
}

} // namespace
} // namespace echo
