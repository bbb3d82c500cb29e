// SPDX-License-Identifier: MIT
//
// Purpose     objects_allocated is exact at any moment: small, large, aligned, inline and cold, over
//             collections and detached threads; and it never runs backwards while others collect.
#include "gc/census.h"

#include "tests/gc/object_graph.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace echo {
namespace {

using test::quiet_config;
using test::TestHeap;

// What compiled code does. [alloc.inline.1]
ObjectRef allocate_inline(Mutator& m, LayoutId layout, std::size_t bytes) {
  if (m.limit - m.cursor < bytes) {
    return m.collector.allocate(m, layout, 0);
  }
  const ObjectRef object{m.cursor};
  m.cursor += bytes;
  store_header(object.address, HeaderWord::born(layout));
  std::memset(reinterpret_cast<void*>(object.address + 8), 0, bytes - 8);
  return object;
}

TEST(Census, CountsExactly) { // [census.walk.1]
  SCOPED_TRACE(test::seed_message());
  test::Random random(test::test_seed());
  Config config = quiet_config();
  config.initial_trigger = 2 * test::kMiB;
  TestHeap heap(config);
  test::ObjectGraph graph(heap, random); // for its layouts: fillers come from the aligned one
  std::uint64_t expected = 0;
  std::uint64_t bytes = 0;
  // Collections run beside the program, which may be far ahead before the first of them gets a processor.
  const auto enough = [&](int i) {
    return i >= 50000 && i % 997 == 0 && heap.statistics().collections_full > 5;
  };
  for (int i = 0; !enough(i) && i < 50000000; ++i) {
    if (random.chance(50)) {
      ASSERT_TRUE(allocate_inline(*heap.mutator, heap.pair, 24));
      bytes += 24;
    } else {
      bytes += graph.nodes[graph.add()].bytes;
      graph.nodes.clear();
    }
    ++expected;
    if (i % 997 == 0) {
      ASSERT_EQ(heap.statistics().objects_allocated, expected);
      ASSERT_GE(heap.statistics().bytes_allocated, bytes) << "fillers count as bytes";
      ASSERT_LE(heap.statistics().bytes_allocated, bytes + bytes / 5);
    }
  }
  EXPECT_EQ(heap.statistics().objects_allocated, expected);
  EXPECT_GT(heap.statistics().collections_full, 5u);
  heap.collector.detach(heap.mutator);
  heap.mutator = nullptr;
  EXPECT_EQ(heap.statistics().objects_allocated, expected) << "seen from outside, after the thread is gone";
}

TEST(Census, BytesAreExactWithoutFillers) {
  TestHeap heap(quiet_config());
  for (int i = 0; i < 1000; ++i) {
    (void)heap.make(heap.pair);
    (void)heap.make(heap.bytes, 3);
  }
  (void)heap.make(heap.bytes, 50000);
  const echo_statistics s = heap.statistics();
  EXPECT_EQ(s.objects_allocated, 2001u);
  EXPECT_EQ(s.bytes_allocated, 1000u * (24 + 24) + 50016);
}

TEST(Census, SwitchedOffCountsBytesAndLargeObjectsOnly) {
  Config config = quiet_config();
  config.census = false;
  TestHeap heap(config);
  (void)heap.make(heap.pair);
  (void)heap.make(heap.bytes, 50000);
  heap.collect();
  EXPECT_EQ(heap.statistics().objects_allocated, 1u);
  EXPECT_EQ(heap.statistics().bytes_allocated, 24u + 50016);
}

TEST(Census, WalksStopAtAWordThatIsNoHeader) {
  TestHeap heap(quiet_config());
  const ObjectRef a = heap.make(heap.pair);
  const ObjectRef b = heap.make(heap.pair);
  const ObjectRef c = heap.make(heap.pair);
  ASSERT_EQ(c.address, a.address + 48);
  const Census census(heap.collector.memory.layouts);
  const std::vector<RetiredSpan> spans{{a.address, c.address + 24}};
  EXPECT_EQ(census.count(spans), 3u);
  TestHeap::poke(b, 0, kPoisonWord);
  EXPECT_EQ(census.count(spans), 1u);
  TestHeap::poke(b, 0, kFillerLayout); // a filler of no size would hold the walk for ever
  EXPECT_EQ(census.count(spans), 1u);
  std::vector<Address> seen;
  census.for_each(spans[0], [&](ObjectRef o) { seen.push_back(o.address); });
  EXPECT_EQ(seen, std::vector<Address>{a.address});
  TestHeap::poke(b, 0, HeaderWord::filler(3).bits);
  EXPECT_EQ(census.count(spans), 2u) << "fillers are no objects";
  TestHeap::poke(b, 0, HeaderWord::born(heap.pair).bits | std::uint64_t{0xFF} << 32); // the VM's bits
  EXPECT_EQ(census.count(spans), 3u);
}

// An overwritten length neither hangs the walk nor leads it out of its span.
TEST(Census, WalksStopAtALengthThatDoesNotFit) {
  TestHeap heap(quiet_config());
  const ObjectRef a = heap.make(heap.bytes, 8);
  const ObjectRef b = heap.make(heap.bytes, 8);
  const Census census(heap.collector.memory.layouts);
  const std::vector<RetiredSpan> spans{{a.address, b.address + 24}};
  EXPECT_EQ(census.count(spans), 2u);
  for (const std::uint64_t length :
       {~std::uint64_t{0} - 15, ~std::uint64_t{0} - 23, std::uint64_t{9}, std::uint64_t{1} << 62}) {
    TestHeap::poke(b, 8, length);
    EXPECT_EQ(census.count(spans), 1u) << length;
    std::size_t seen = 0;
    census.for_each(spans[0], [&](ObjectRef) { ++seen; });
    EXPECT_EQ(seen, 1u) << length;
  }
}

// A native thread and one that is not attached read statistics while another allocates and collects.
TEST(Census, NeverRunsBackwardsForWatchers) {
  Config config = quiet_config();
  config.initial_trigger = test::kMiB;
  TestHeap heap(config);
  std::atomic<bool> done{false};
  std::atomic<int> backwards{0};
  std::atomic<std::uint64_t> readings{0};
  const auto watch = [&] {
    echo_statistics before{};
    heap.collector.statistics(&before);
    while (!done.load()) {
      echo_statistics now{};
      heap.collector.statistics(&now);
      backwards += now.objects_allocated < before.objects_allocated ||
                           now.bytes_allocated < before.bytes_allocated ||
                           now.collections_full < before.collections_full
                       ? 1
                       : 0;
      before = now;
      ++readings;
    }
  };
  std::thread stranger(watch);
  std::atomic<std::uint64_t> by_native{0};
  std::thread native([&] { // attached, with a span of its own
    Mutator* m = nullptr;
    std::string why;
    ASSERT_EQ(heap.collector.attach(&m, &why), ECHO_OK) << why;
    while (!done.load()) {
      for (int i = 0; i < 10; ++i) {
        ASSERT_TRUE(allocate_inline(*m, heap.pair, 24));
        ++by_native;
      }
      heap.collector.safepoints.enter_native(*m, ThreadState::Native);
      echo_statistics before{};
      heap.collector.statistics(&before);
      for (int i = 0; i < 20; ++i) {
        echo_statistics now{};
        heap.collector.statistics(&now);
        backwards +=
            now.objects_allocated < before.objects_allocated || now.bytes_allocated < before.bytes_allocated;
        before = now;
      }
      heap.collector.safepoints.leave_native(*m);
    }
    heap.collector.detach(m);
  });
  std::uint64_t mine = 0;
  while (heap.collector.cycles() < 100 || readings.load() < 1000 || by_native.load() < 1000) {
    ASSERT_TRUE(allocate_inline(*heap.mutator, heap.pair, 24));
    ++mine;
    if (heap.mutator->poll_word.load(std::memory_order_relaxed) == 0) {
      heap.collector.safepoints.poll(*heap.mutator);
    }
  }
  done = true;
  heap.collector.safepoints.enter_native(*heap.mutator, ThreadState::Blocked);
  stranger.join();
  native.join();
  heap.collector.safepoints.leave_native(*heap.mutator);
  EXPECT_EQ(backwards.load(), 0);
  EXPECT_EQ(heap.statistics().objects_allocated, mine + by_native.load());
}

} // namespace
} // namespace echo
