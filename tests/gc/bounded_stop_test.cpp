// SPDX-License-Identifier: MIT
//
// Purpose     What a program may do to make a stop long - many handles, many blocked threads, deep stacks, full logs, a large
//             heap - adds nothing to the work that is done while a thread is held. Work is counted, not timed. [stop.budget.1]
#include "tests/gc/polled_frames.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace echo {
namespace {

using test::TestHeap;

constexpr std::uint64_t kThread = 16, kFrame = 4;
// Of a heap with one thread and 64 root words.
constexpr std::uint64_t kLeast = kThread + 64 / 8;

struct Largest {
  explicit Largest(TestHeap& heap) {
    const echo_statistics s = heap.statistics();
    start = s.units_at_mark_start;
    end = s.units_at_mark_end;
    frames = s.units_of_frames;
  }
  std::uint64_t start = 0, end = 0, frames = 0;
};

TEST(BoundedStop, OfOneThread) {
  TestHeap heap(test::quiet_config());
  heap.collect();
  const Largest largest(heap);
  EXPECT_EQ(largest.start, kLeast);
  EXPECT_LE(largest.end, kThread + 64) << "the thread, and 128 edges at most";
  EXPECT_EQ(largest.frames, 0u);
}

TEST(BoundedStop, AMillionHandlesAddNothing) { // [handles.trace.1]
  TestHeap heap(test::quiet_config());
  echo_scope scope = 0;
  echo_handle handle = nullptr;
  ObjectRef replaced;
  ASSERT_EQ(heap.mutator->handles.open(&scope), ECHO_OK);
  const ObjectRef object = heap.make(heap.pair);
  for (int i = 0; i < 1000000; ++i) {
    ASSERT_EQ(heap.mutator->handles.make(i == 777777 ? heap.make(heap.pair) : object, &handle, &replaced),
              ECHO_OK);
  }
  heap.collect();
  EXPECT_EQ(heap.statistics().objects_marked, 2u) << "they are traced all the same";
  EXPECT_EQ(Largest(heap).start, kLeast);
  EXPECT_LE(Largest(heap).end, kThread + 64);
}

TEST(BoundedStop, ThreadsThatDoNotRunAddNothing) { // [stop.active.1]
  constexpr int kThreads = 200;
  TestHeap heap(test::quiet_config());
  std::atomic<int> blocked{0};
  std::atomic<bool> done{false};
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      Mutator* m = nullptr;
      std::string why;
      ASSERT_EQ(heap.collector.attach(&m, &why), ECHO_OK) << why;
      ASSERT_TRUE(heap.collector.allocate(*m, heap.pair, 0)); // has memory of its own
      heap.collector.safepoints.enter_native(*m, ThreadState::Blocked);
      ++blocked;
      while (!done) {
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
      }
      heap.collector.detach(m);
    });
  }
  while (blocked != kThreads) {
    std::this_thread::yield();
  }
  heap.stopped([](const std::vector<Mutator*>&) {}); // after this stop they are not active
  heap.collect();
  heap.collect();
  EXPECT_EQ(Largest(heap).start, kLeast) << "what they had was taken outside the stop";
  EXPECT_LE(Largest(heap).end, kThread + 64);
  EXPECT_EQ(heap.statistics().objects_allocated, kThreads);
  done = true;
  for (std::thread& thread : threads) {
    thread.join();
  }
}

TEST(BoundedStop, DeepStacksAreVisitedInSlices) { // [roots.frames.2] [roots.frames.4]
  constexpr std::size_t kDepth = 100000;
  TestHeap heap(test::quiet_config());
  test::PolledFrames frames;
  echo_frame_source source = frames.source();
  std::string why;
  ASSERT_EQ(heap.collector.roots.frames.set(&source, &why), ECHO_OK) << why;
  for (std::size_t i = 0; i < kDepth; ++i) {
    frames.slots.push_back(test::as_root(heap.make(heap.pair)));
    frames.publish(*heap.mutator);
  }
  heap.collect(); // the thread waits: its frames are visited beside it
  EXPECT_EQ(heap.statistics().objects_marked, kDepth);
  EXPECT_LE(frames.most_at_once, 64u);
  // Now it runs: it visits them itself.
  heap.collector.prepare_cycle(ECHO_CAUSE_requested);
  heap.stopped([&](const std::vector<Mutator*>& m) { heap.collector.begin_mark(m, true); });
  bool ended = false;
  while (!ended) {
    heap.collector.poll(*heap.mutator);
    while (heap.collector.mark_slice(4096) == Collector::MarkState::More) {
    }
    heap.stopped([&](const std::vector<Mutator*>& m) { ended = heap.collector.end_mark(m); });
  }
  heap.collector.finish_cycle();
  EXPECT_EQ(heap.statistics().objects_marked, 2 * kDepth);
  EXPECT_EQ(Largest(heap).start, kLeast + Watermark::kFramesAtStop * (kFrame) + Watermark::kFramesAtStop / 8);
  EXPECT_LE(Largest(heap).frames, 128 * kFrame);
  EXPECT_LE(frames.most_at_once, 128u);
  frames.slots.clear();
  frames.publish(*heap.mutator);
}

TEST(BoundedStop, FullLogsAndALargeHeapAddLittle) { // [mark.log.1]
  TestHeap heap(test::quiet_config());
  constexpr std::size_t kCount = 100000;
  const ObjectRef array = heap.root_pairs(kCount);
  for (int round = 0; round < 3; ++round) {
    heap.collector.prepare_cycle(ECHO_CAUSE_requested);
    heap.stopped([&](const std::vector<Mutator*>& m) { heap.collector.begin_mark(m, true); });
    for (std::size_t i = 0; i < kCount; ++i) { // every store is a deletion
      heap.store(array, 16 + 8 * i, heap.make(heap.pair));
    }
    bool ended = false;
    while (!ended) {
      while (heap.collector.mark_slice(4096) == Collector::MarkState::More) {
      }
      heap.stopped([&](const std::vector<Mutator*>& m) { ended = heap.collector.end_mark(m); });
    }
    heap.collector.finish_cycle();
  }
  EXPECT_GT(heap.statistics().log_entries, kCount);
  EXPECT_LE(Largest(heap).start, kLeast + DeletionLog::kRecords / 8);
  EXPECT_LE(Largest(heap).end, kThread + 64 + DeletionLog::kRecords / 8);
}

// However often objects are overwritten that are marked already, the stop that ends the mark takes no record of them.
TEST(BoundedStop, RecordsOfMarkedObjectsDoNotWaitForTheEnd) { // [bar.sift.1]
  TestHeap heap(test::quiet_config());
  constexpr std::size_t kCount = DeletionLog::kUnsifted - 1;
  const ObjectRef array = heap.root_pairs(kCount);
  heap.collector.prepare_cycle(ECHO_CAUSE_requested);
  heap.stopped([&](const std::vector<Mutator*>& m) { heap.collector.begin_mark(m, true); });
  while (heap.collector.mark_slice(4096) == Collector::MarkState::More) {
  }
  for (std::size_t i = 0; i < kCount; ++i) {
    heap.store(array, 16 + 8 * i, {});
  }
  EXPECT_EQ(heap.mutator->barrier.log.size(), kCount) << "not sifted yet";
  bool ended = false;
  heap.stopped([&](const std::vector<Mutator*>& m) { ended = heap.collector.end_mark(m); });
  EXPECT_TRUE(ended);
  heap.collector.finish_cycle();
  EXPECT_EQ(heap.statistics().log_entries, 0u);
  EXPECT_EQ(Largest(heap).end, kThread + kCount / 8) << "they are counted all the same";
}

} // namespace
} // namespace echo
