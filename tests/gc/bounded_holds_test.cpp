// SPDX-License-Identifier: MIT
//
// Purpose     Programs that try to make a hold long, in both modes beside the program: whatever they do, no hold does more units
//             of work than the cap of its kind, which depends on the number of threads that ran alone. Work is counted, not
//             timed. [stop.budget.1]
#include "tests/gc/polled_frames.h"
#include "tests/gc/stepped_cycle.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <thread>

namespace echo {
namespace {

using test::as_object;
using test::kMiB;
using test::SteppedCycle;
using test::TestHeap;

constexpr std::size_t kMany = 1000000;

void expect_caps(TestHeap& heap, std::uint64_t threads) {
  const echo_statistics s = heap.statistics();
  EXPECT_EQ(s.holds_over_cap, 0u);
  EXPECT_LE(s.units_at_mark_start, cap_of(Hold::mark_start).of(threads));
  EXPECT_LE(s.units_at_mark_end, cap_of(Hold::mark_end).of(threads));
  EXPECT_LE(s.units_of_frames, cap_of(Hold::frames).of(0));
  EXPECT_LE(s.units_of_assists, cap_of(Hold::assist).of(0));
}

// A cycle, with `program` run between any two of its steps, and at least `least` times.
class BoundedHolds : public ::testing::TestWithParam<MarkMode> {
protected:
  static Config config(std::size_t max_heap = 64 * kMiB) {
    Config c = test::quiet_config(max_heap);
    c.mode = GetParam();
    return c;
  }
  static void run_beside(TestHeap& heap, const std::function<void()>& program, int least = 1) {
    Collector& c = heap.collector;
    if (GetParam() == MarkMode::Incremental) {
      const std::uint64_t seen = c.cycles();
      ASSERT_TRUE(c.begin_collection(*heap.mutator));
      for (; c.cycles() == seen || least > 0; --least) {
        program();
        c.poll(*heap.mutator);
        (void)c.idle_step(*heap.mutator, 300);
      }
    } else {
      const SteppedCycle cycle(heap);
      cycle.begin();
      for (bool ended = false; !ended; --least) {
        program();
        c.poll(*heap.mutator);
        if (c.mark_slice(512) != Collector::MarkState::More && least <= 0) {
          ended = cycle.end();
        }
      }
      EXPECT_EQ(cycle.finish(), "");
    }
    heap.keep_quiet();
  }
  static void nothing() {}
};

INSTANTIATE_TEST_SUITE_P(, BoundedHolds, ::testing::Values(MarkMode::Concurrent, MarkMode::Incremental),
                         [](const auto& which) {
                           return std::string(which.param == MarkMode::Incremental ? "incremental"
                                                                                   : "concurrent");
                         });

TEST_P(BoundedHolds, OfAMillionHandles) { // [handles.trace.1] [handles.persistent.4]
  TestHeap heap(config());
  echo_scope scope = 0;
  echo_handle handle = nullptr;
  echo_persistent persistent = nullptr;
  ObjectRef replaced;
  std::string why;
  ASSERT_EQ(heap.mutator->handles.open(&scope), ECHO_OK);
  const ObjectRef object = heap.make(heap.pair);
  for (std::size_t i = 0; i < kMany; ++i) {
    ASSERT_EQ(heap.mutator->handles.make(object, &handle, &replaced), ECHO_OK);
  }
  for (std::size_t i = 0; i < kMany / 4; ++i) {
    ASSERT_EQ(heap.collector.roots.persistent.make(object, &persistent, &why), ECHO_OK) << why;
  }
  run_beside(heap, nothing);
  EXPECT_EQ(heap.statistics().objects_marked, 1u);
  expect_caps(heap, 1);
}

TEST_P(BoundedHolds, OfAThousandBlockedThreads) { // [stop.active.1] [stop.rest.1]
  constexpr int kThreads = 1000;
  TestHeap heap(config());
  std::atomic<int> blocked{0};
  std::atomic<bool> done{false};
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&] {
      Mutator* m = nullptr;
      std::string why;
      ASSERT_EQ(heap.collector.attach(&m, &why), ECHO_OK) << why;
      ASSERT_TRUE(heap.collector.allocate(*m, heap.pair, 0));
      heap.collector.safepoints.enter_native(*m, ThreadState::Blocked);
      ++blocked;
      done.wait(false);
      heap.collector.detach(m);
    });
  }
  while (blocked != kThreads) {
    std::this_thread::yield();
  }
  heap.stopped([](const std::vector<Mutator*>&) {}); // after this stop they are not active
  for (int round = 0; round < 2; ++round) {
    if (GetParam() == MarkMode::Incremental) {
      run_beside(heap, nothing);
    } else {
      heap.collect(); // the heap's own thread takes what they had, beside the program
    }
  }
  expect_caps(heap, 1);
  done = true;
  done.notify_all();
  for (std::thread& thread : threads) {
    thread.join();
  }
}

// Frames that were there when the mark started, and frames that come and go while it runs.
TEST_P(BoundedHolds, OfDeepStacksOldAndNew) { // [roots.frames.2] [roots.frames.4]
  constexpr std::size_t kDepth = 100000;
  TestHeap heap(config());
  test::PolledFrames frames;
  echo_frame_source source = frames.source();
  std::string why;
  ASSERT_EQ(heap.collector.roots.frames.set(&source, &why), ECHO_OK) << why;
  const auto push = [&](std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      frames.slots.push_back(test::as_root(heap.make(heap.pair)));
      frames.publish(*heap.mutator);
    }
  };
  push(kDepth);
  for (int round = 0; round < 2; ++round) {
    std::size_t step = 0;
    run_beside(
        heap,
        [&] {
          if (++step % 3 == 0) { // unwinds far at once: an exception passes frames that no poll has visited
            frames.slots.resize(frames.slots.size() / 8 * 7);
            frames.publish(*heap.mutator);
            heap.collector.poll(*heap.mutator);
          } else if (step < 200) {
            push(3000);
            for (int i = 0; i < 1000; ++i) {
              (void)frames.pop(*heap.mutator);
            }
          }
        },
        20);
    push(kDepth);
  }
  expect_caps(heap, 1);
  EXPECT_LE(frames.most_at_once, 128u);
  EXPECT_GT(heap.statistics().units_of_frames, 0u);
  frames.slots.clear();
  frames.publish(*heap.mutator);
}

// Every reference of a long array is overwritten, again and again: the deletion logs run over while it is marked.
TEST_P(BoundedHolds, OfAnArrayThatIsFilledWhileItIsMarked) { // [mark.log.1] [mark.log.2]
  constexpr std::size_t kCount = 200000;
  TestHeap heap(config(256 * kMiB));
  const ObjectRef array = heap.root_pairs(kCount);
  for (int round = 0; round < 2; ++round) {
    std::size_t at = 0;
    run_beside(
        heap,
        [&] {
          const std::size_t burst = at < 4 * kCount ? 40000 : 10;
          for (std::size_t i = 0; i < burst; ++i, ++at) {
            heap.store(array, 16 + 8 * (at * 7919 % kCount), i % 16 == 0 ? heap.make(heap.pair) : array);
          }
        },
        5);
  }
  expect_caps(heap, 1);
  EXPECT_GT(heap.statistics().log_entries, 10 * DeletionLog::kRecords);
}

// Threads delete as fast as they can beside whoever marks.
TEST_P(BoundedHolds, OfThreadsThatOverflowTheLogs) { // [mark.log.2]
  constexpr std::size_t kCount = 30000;
  constexpr int kThreads = 3;
  Config with_trigger = config(64 * kMiB);
  with_trigger.initial_trigger = 4 * kMiB;
  TestHeap heap(with_trigger);
  std::vector<std::thread> threads;
  heap.collector.safepoints.enter_native(*heap.mutator, ThreadState::Blocked);
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      Mutator* m = nullptr;
      std::string why;
      echo_scope scope = 0;
      echo_handle handle = nullptr;
      ObjectRef replaced;
      ASSERT_EQ(heap.collector.attach(&m, &why), ECHO_OK) << why;
      ASSERT_EQ(m->handles.open(&scope), ECHO_OK);
      ASSERT_EQ(m->handles.make(heap.collector.allocate(*m, heap.refs, kCount), &handle, &replaced), ECHO_OK);
      ObjectRef array;
      ASSERT_TRUE(m->handles.get(handle, &array)); // objects do not move
      for (std::size_t i = 0; i < 20 * kCount || heap.collector.cycles() <= 2; ++i) {
        const ObjectRef fresh = heap.collector.allocate(*m, heap.pair, 0);
        ASSERT_TRUE(fresh) << m->last_error.message;
        store_reference(*m, m->barrier, heap.collector.barriers, array.address + 16 + 8 * (i * 7919 % kCount),
                        fresh);
      }
      ASSERT_EQ(m->handles.close(scope), ECHO_OK);
      heap.collector.detach(m);
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  heap.collector.safepoints.leave_native(*heap.mutator);
  EXPECT_GT(heap.collector.cycles(), 2u);
  expect_caps(heap, kThreads + 1);
}

TEST_P(BoundedHolds, OfAMillionEphemeronsAndFinalizableObjects) { // [weak.bound.1]
  TestHeap heap(config(512 * kMiB));
  const LayoutId node = heap.layout(test::fixed_layout(
      "ephemeron", 32,
      {{8, ECHO_SLOT_STRONG}, {16, ECHO_SLOT_EPHEMERON_KEY}, {24, ECHO_SLOT_EPHEMERON_VALUE}}));
  echo_layout due = test::fixed_layout("finalizable", 16, {});
  due.flags = ECHO_LAYOUT_FINALIZABLE;
  const LayoutId finalizable = heap.layout(due);
  for (std::size_t i = 0; i < kMany; ++i) {
    const ObjectRef pair = heap.make(node);
    heap.store(pair, 8, as_object(heap.roots[0]));
    heap.root(0, pair);
    const ObjectRef object = heap.make(finalizable);
    heap.store(pair, 16, i % 2 == 0 ? object : pair);
    heap.store(pair, 24, object);
  }
  for (int round = 0; round < 2; ++round) { // the second with what became due in the first in the queue
    run_beside(heap, nothing);
    heap.root(0, {});
  }
  EXPECT_GT(heap.statistics().finalizers_found, 0u);
  expect_caps(heap, 1);
}

// Threads come with roots of their own and go while it is marked: what they leave behind is traced in slices.
TEST_P(BoundedHolds, OfThreadsThatComeAndGo) { // [thread.1] [handles.trace.1]
  constexpr std::size_t kHandles = 3000, kCount = 2000;
  TestHeap heap(config());
  const SteppedCycle other(heap);
  (void)heap.root_pairs(kCount);
  int threads = 0;
  for (int round = 0; round < 2; ++round) {
    run_beside(
        heap,
        [&] {
          if (++threads % 64 > 40) {
            return; // quiet for a while, so that the mark ends
          }
          other.on_another_thread([&](Mutator& m) {
            echo_scope scope = 0;
            echo_handle handle = nullptr;
            ObjectRef replaced;
            ASSERT_EQ(m.handles.open(&scope), ECHO_OK);
            for (std::size_t i = 0; i < kHandles; ++i) {
              ASSERT_EQ(m.handles.make(as_object(heap.roots[0]), &handle, &replaced), ECHO_OK);
            }
            for (std::size_t i = 0; i < kCount; ++i) {
              const ObjectRef fresh = heap.collector.allocate(m, heap.pair, 0);
              store_reference(m, m.barrier, heap.collector.barriers,
                              as_object(heap.roots[0]).address + 16 + 8 * i, fresh);
            }
            ASSERT_EQ(m.handles.close(scope), ECHO_OK);
          });
        },
        30);
  }
  expect_caps(heap, 3);
}

// The most root words that a heap takes, and a log that is full when the mark starts.
TEST_P(BoundedHolds, OfAsManyRootWordsAsThereMayBe) { // [roots.block.1]
  TestHeap heap(config(), GlobalRoots::kMaxWords);
  for (echo_ref& word : heap.roots) {
    word = test::as_root(heap.make(heap.pair));
  }
  std::uint64_t seen = heap.statistics().objects_marked;
  run_beside(heap, nothing);
  EXPECT_EQ(heap.statistics().objects_marked - seen, GlobalRoots::kMaxWords);
  expect_caps(heap, 1);
  EXPECT_GE(heap.statistics().units_at_mark_start, GlobalRoots::kMaxWords / 8);
}

// Objects full of references, all of which wait at once: a slice scans as few of them as its edges pay for.
TEST(BoundedSlices, OfWideObjects) { // [mark.budget.1]
  constexpr std::size_t kCount = 2000, kInFlight = 32;
  constexpr std::uint32_t kSlots = 63;
  std::vector<echo_slot> slots;
  for (std::uint32_t i = 0; i < kSlots; ++i) {
    slots.push_back({8 + 8 * i, ECHO_SLOT_STRONG});
  }
  for (const std::size_t length : {std::size_t{255}, std::size_t{0}}) {
    TestHeap heap(test::quiet_config());
    const LayoutId fixed = heap.layout(test::fixed_layout("wide", 8 + 8 * kSlots, slots));
    const ObjectRef array = heap.make(heap.refs, kCount);
    heap.root(0, array);
    for (std::size_t i = 0; i < kCount; ++i) {
      heap.store(array, 16 + 8 * i, length != 0 ? heap.make(heap.refs, length) : heap.make(fixed));
    }
    const SteppedCycle cycle(heap);
    cycle.begin();
    std::size_t marked = 0;
    while (heap.collector.mark_slice(512) == Collector::MarkState::More) {
      std::size_t now = 0;
      for (std::size_t i = 0; i < kCount; ++i) {
        now += heap.collector.memory.bits.is_marked(TestHeap::peek(array, 16 + 8 * i)) ? 1 : 0;
      }
      EXPECT_LE(now - marked, 512 / ((length != 0 ? length : kSlots) / 8) + kInFlight);
      marked = now;
    }
    EXPECT_GT(marked, kCount / 2);
    cycle.end_marking();
    EXPECT_EQ(cycle.finish(), "");
    EXPECT_EQ(heap.statistics().objects_marked, kCount + 1);
  }
}

// A stop that is to end a mark of which nothing is done yet: handles, frames, logs and edges wait, and stay.
TEST(BoundedStop, OfAMarkThatIsToEndAtOnce) { // [mark.end.1]
  constexpr std::size_t kCount = 20 * DeletionLog::kRecords;
  TestHeap heap(test::quiet_config());
  test::PolledFrames frames;
  echo_frame_source source = frames.source();
  echo_scope scope = 0;
  echo_handle handle = nullptr;
  ObjectRef replaced;
  std::string why;
  ASSERT_EQ(heap.collector.roots.frames.set(&source, &why), ECHO_OK) << why;
  ASSERT_EQ(heap.mutator->handles.open(&scope), ECHO_OK);
  const ObjectRef array = heap.make(heap.refs, kCount);
  heap.root(0, array);
  for (std::size_t i = 0; i < kCount; ++i) {
    heap.store(array, 16 + 8 * i, heap.make(heap.pair));
    ASSERT_EQ(heap.mutator->handles.make(heap.make(heap.pair), &handle, &replaced), ECHO_OK);
    frames.slots.push_back(test::as_root(heap.make(heap.pair)));
  }
  frames.publish(*heap.mutator);
  const SteppedCycle cycle(heap);
  cycle.begin();
  for (std::size_t i = 0; i < kCount; ++i) {
    heap.store(array, 16 + 8 * i, {});
  }
  for (int i = 0; i < 5; ++i) {
    EXPECT_FALSE(cycle.end());
  }
  expect_caps(heap, 1);
  EXPECT_GT(heap.statistics().units_at_mark_end, cap_of(Hold::mark_end).of(1) / 2);
  cycle.end_marking();
  EXPECT_EQ(cycle.finish(), "");
  EXPECT_EQ(heap.statistics().objects_marked, 3 * kCount + 1);
  frames.slots.clear();
  frames.publish(*heap.mutator);
}

// What would be found if a hold did more: the count that every heap of these tests is asked for in the end.
TEST(HeldUnits, SayWhichHoldWasOverItsCap) { // [stop.budget.1]
  HeldUnits held;
  WorkUnits work;
  work.threads = 2;
  work.words = 8 * (cap_of(Hold::mark_end).of(2) - 32);
  held.note(Hold::mark_end, work);
  EXPECT_EQ(held.over_cap(), 0u);
  work.others = 1000000;
  held.note(Hold::mark_end, work);
  EXPECT_EQ(held.over_cap(), 0u) << "what the VM's own code decides";
  work.words += 8;
  held.note(Hold::mark_end, work);
  EXPECT_EQ(held.over_cap(), 1u);
  EXPECT_EQ(held.largest(Hold::mark_end), cap_of(Hold::mark_end).of(2) + 1 + 1000000 / 8);
  EXPECT_EQ(held.largest(Hold::frames), 0u);
}

} // namespace
} // namespace echo
