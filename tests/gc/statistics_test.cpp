// SPDX-License-Identifier: MIT
//
// Purpose     The definitions of echo/statistics.h as identities, on heaps whose contents are known.
#include "heap/os_memory.h"
#include "tests/gc/test_heap.h"

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <numeric>
#include <thread>

namespace echo {
namespace {

using test::kMiB;
using test::quiet_config;
using test::TestHeap;

void expect_identities(const echo_statistics& s) {
  EXPECT_EQ(s.committed_bytes, s.used_bytes + s.reserve_bytes + s.nursery_bytes + s.metadata_bytes)
      << "[stats.committed.1]";
  EXPECT_GE(s.peak_committed_bytes, s.committed_bytes);
  EXPECT_EQ(s.nursery_bytes, 0u);
  EXPECT_EQ(
      std::accumulate(std::begin(s.collections_by_cause), std::end(s.collections_by_cause), std::uint64_t{0}),
      s.collections_full + s.collections_young + s.collections_compact);
  std::uint64_t pauses = 0;
  double sum = 0;
  for (const echo_distribution& d : s.pause_by_cause_us) {
    pauses += d.count;
    sum += d.sum;
  }
  for (const echo_distribution& d : s.pause_by_later_cause_us) {
    pauses += d.count;
    sum += d.sum;
  }
  EXPECT_EQ(pauses, s.pause_us.count);
  std::uint64_t net_pauses = 0;
  for (const echo_distribution& d : s.pause_net_by_cause_us) {
    net_pauses += d.count;
  }
  EXPECT_EQ(net_pauses, s.pause_us.count) << "[pause.net.1]";
  EXPECT_EQ(s.pause_net_us.count, s.pause_us.count);
  EXPECT_LE(s.pause_net_us.sum, s.pause_us.sum);
  EXPECT_EQ(s.holds_over_cap, 0u) << "[stop.budget.1]";
  EXPECT_NEAR(sum, s.pause_us.sum, 1e-6 * s.pause_us.sum + 1e-9);
  for (const echo_distribution& d : {s.pause_us, s.stall_us, s.time_to_safepoint_us}) {
    EXPECT_LE(d.p50, d.p90);
    EXPECT_LE(d.p90, d.p99);
    EXPECT_LE(d.p99, d.p99_9);
    EXPECT_LE(d.p99_9, d.max);
    EXPECT_LE(d.max, d.sum + 1e-9);
  }
  EXPECT_GE(s.fragmentation, 0.0);
  EXPECT_LE(s.fragmentation, 1.0);
  if (s.used_bytes != 0) {
    EXPECT_NEAR(s.fragmentation + s.utilisation, 1.0, 1e-9) << "[stats.frag.1] [stats.util.1]";
  }
  EXPECT_LE(s.object_bytes, s.used_bytes);
}

bool wait_for(const std::function<bool()>& condition) {
  for (int i = 0; i < 2000 && !condition(); ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return condition();
}

TEST(Statistics, OfAFreshHeap) {
  TestHeap heap(quiet_config());
  const echo_statistics s = heap.statistics();
  EXPECT_EQ(s.threads_attached, 1u);
  EXPECT_EQ(s.objects_allocated, 0u);
  EXPECT_EQ(s.collections_full, 0u);
  EXPECT_EQ(s.used_bytes, 0u);
  EXPECT_DOUBLE_EQ(s.fragmentation, 0.0);
  EXPECT_DOUBLE_EQ(s.utilisation, 1.0);
  EXPECT_EQ(s.global_root_words, heap.roots.size());
  expect_identities(s);
}

TEST(Statistics, OfAKnownHeap) {
  TestHeap heap(quiet_config());
  // 1000 pairs live, 3000 dead; one large object live, one dead.
  const ObjectRef array = heap.make(heap.refs, 1000);
  heap.root(0, array);
  for (std::size_t i = 0; i < 4000; ++i) {
    const ObjectRef pair = heap.make(heap.pair);
    if (i % 4 == 0) {
      heap.store(array, 16 + 8 * (i / 4), pair);
    }
  }
  heap.root(1, heap.make(heap.bytes, 100000));
  (void)heap.make(heap.bytes, 100000);
  const std::uint64_t small = 16 + 8000 + 4000 * 24;
  echo_statistics s = heap.statistics();
  EXPECT_EQ(s.bytes_allocated, small + 2 * 100016);
  EXPECT_EQ(s.object_bytes, s.bytes_allocated) << "nothing is known dead yet";
  EXPECT_EQ(s.large_objects, 2u);
  EXPECT_EQ(s.large_bytes, 2 * 25 * kPageBytes);
  EXPECT_EQ(s.used_bytes, 2 * kSlabBytes + s.large_bytes) << "[stats.used.1]";
  EXPECT_NEAR(s.utilisation, static_cast<double>(s.object_bytes) / static_cast<double>(s.used_bytes), 1e-9);
  expect_identities(s);

  heap.collect();
  s = heap.statistics();
  EXPECT_EQ(s.live_bytes, 16u + 8000 + 1000 * 24 + 100016) << "[stats.live.1]";
  EXPECT_EQ(s.object_bytes, s.live_bytes);
  EXPECT_EQ(s.large_objects, 1u);
  EXPECT_EQ(s.used_bytes, 2 * kSlabBytes + 25 * kPageBytes);
  EXPECT_NEAR(s.utilisation, static_cast<double>(s.live_bytes) / static_cast<double>(s.used_bytes), 1e-9)
      << "[stats.util.1]";
  EXPECT_EQ(s.collections_full, 1u);
  EXPECT_EQ(s.collections_by_cause[ECHO_CAUSE_requested], 1u);
  EXPECT_EQ(s.objects_marked, 1002u);
  EXPECT_EQ(s.bytes_marked, s.live_bytes);
  EXPECT_GE(s.pause_us.count, 1u);
  EXPECT_GE(s.time_to_safepoint_us.count, 1u) << "one stop, or that of the start and that of the end";
  EXPECT_GT(s.mark_s, 0.0);
  EXPECT_GT(s.gc_cpu_s, 0.0);
  expect_identities(s);

  (void)heap.make(heap.pair);
  EXPECT_EQ(heap.statistics().object_bytes, s.live_bytes + 24)
      << "allocated since the mark counts as not known dead";
  EXPECT_EQ(heap.statistics().live_bytes, s.live_bytes) << "live is what the last mark found";
}

// What a thread zeroes itself is counted under a cause of its own, slice by slice. [alloc.large.1]
TEST(Statistics, ZeroingOfRecycledLargeMemoryHasItsOwnCause) {
  Config config = quiet_config();
  config.poison = true; // the background thread leaves freed pages alone
  TestHeap heap(config);
  (void)heap.make(heap.bytes, 3 * kMiB);
  EXPECT_EQ(heap.statistics().pause_by_cause_us[ECHO_CAUSE_large_object].count, 0u) << "zero from the system";
  heap.collect();
  const ObjectRef object = heap.make(heap.bytes, 3 * kMiB); // the same memory again
  const echo_statistics s = heap.statistics();
  EXPECT_EQ(s.pause_by_cause_us[ECHO_CAUSE_large_object].count,
            (3 * kMiB + 16 + kSlabBytes - 1) / kSlabBytes);
  for (std::size_t i = 16; i < 3 * kMiB; i += 8) {
    ASSERT_EQ(TestHeap::peek(object, i), 0u);
  }
}

// A large object that the system has just given is brought in by the background thread.
TEST(Statistics, MemoryIsPopulatedAheadOfTheProgram) {
  void* const page = os::map_zeroed(kPageBytes, kPageBytes);
  const bool can_populate = os::populate(page, kPageBytes);
  os::release(page, kPageBytes);
  if (!can_populate) {
    GTEST_SKIP() << "this kernel cannot populate (before Linux 5.14)";
  }
  TestHeap heap(quiet_config());
  for (int i = 0; i < 64; ++i) {
    (void)heap.make(heap.bytes, 32000);
  }
  EXPECT_TRUE(wait_for([&] { return heap.statistics().bytes_populated >= 4 * kMiB; }));
  const std::uint64_t before = heap.statistics().bytes_populated;
  (void)heap.make(heap.bytes, 20 * kMiB);
  EXPECT_TRUE(wait_for([&] { return heap.statistics().bytes_populated >= before + 16 * kMiB; }));
  heap.collect();
  EXPECT_EQ(heap.collector.verify(*heap.mutator, true), "");
}

TEST(Statistics, HoldOverALongRun) {
  Config config = quiet_config(8 * kMiB);
  config.initial_trigger = kMiB;
  TestHeap heap(config);
  for (int i = 0; i < 200000; ++i) {
    const ObjectRef object = heap.make(heap.bytes, static_cast<std::uint64_t>(i % 300));
    heap.root(static_cast<std::size_t>(i * 7 % 64), object);
    if (i % 5000 == 0) {
      (void)heap.make(heap.bytes, 100000);
      expect_identities(heap.statistics());
    }
  }
  EXPECT_GT(heap.statistics().collections_full, 5u);
}

TEST(Statistics, CountHandlesAndColdPaths) {
  TestHeap heap(quiet_config());
  echo_scope scope = 0;
  ASSERT_EQ(heap.mutator->handles.open(&scope), ECHO_OK);
  ObjectRef replaced;
  echo_handle handle = nullptr;
  for (int i = 0; i < 5; ++i) {
    ASSERT_EQ(heap.mutator->handles.make({}, &handle, &replaced), ECHO_OK);
  }
  echo_statistics s = heap.statistics();
  EXPECT_EQ(s.scoped_handles, 5u);
  EXPECT_EQ(s.allocate_cold, 0u);
  (void)heap.make(heap.pair);
  heap.collector.safepoints.poll(*heap.mutator);
  s = heap.statistics();
  EXPECT_EQ(s.allocate_cold, 1u);
  EXPECT_EQ(s.poll_cold, 1u);
}

TEST(Statistics, ColdPathsOfDetachedThreadsStay) {
  TestHeap heap(quiet_config());
  heap.collector.safepoints.enter_native(*heap.mutator, ThreadState::Blocked);
  std::thread([&heap] {
    Mutator* m = nullptr;
    std::string why;
    ASSERT_EQ(heap.collector.attach(&m, &why), ECHO_OK) << why;
    ASSERT_TRUE(heap.collector.allocate(*m, heap.pair, 0));
    heap.collector.detach(m);
  }).join();
  heap.collector.safepoints.leave_native(*heap.mutator);
  EXPECT_EQ(heap.statistics().allocate_cold, 1u);
  EXPECT_EQ(heap.statistics().threads_attached, 1u);
  EXPECT_EQ(heap.statistics().objects_allocated, 1u);
}

} // namespace
} // namespace echo
