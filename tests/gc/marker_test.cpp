// SPDX-License-Identifier: MIT
//
// Purpose     The marker against a naive traversal of the same graph: exactly the reachable objects are
//             marked, counted and kept; and the shapes that are special to it: slices, long lists, many
//             roots, words that are no references.
#include "tests/gc/object_graph.h"

#include <gtest/gtest.h>

namespace echo {
namespace {

using test::ObjectGraph;
using test::quiet_config;
using test::Random;
using test::TestHeap;

// [mark.colour.1] [heap.meta.2] [roots.all.1]
void mark_random_graphs(Config config, int rounds, std::size_t most_nodes) {
  SCOPED_TRACE(test::seed_message());
  Random random(test::test_seed());
  for (int round = 0; round < rounds; ++round) {
    TestHeap heap(config);
    ObjectGraph graph(heap, random);
    const std::size_t count = random.between(1, most_nodes);
    for (std::size_t i = 0; i < count; ++i) {
      (void)graph.add();
    }
    graph.connect_randomly(static_cast<unsigned>(random.below(60)));
    std::vector<std::size_t> roots;
    for (std::size_t i = random.below(heap.roots.size()); i > 0; --i) {
      roots.push_back(random.below(count));
      heap.root(i, graph.nodes[roots.back()].ref);
    }
    const std::vector<bool> expected = graph.reachable(roots);
    std::uint64_t objects = 0;
    std::uint64_t bytes = 0;
    for (std::size_t n = 0; n < count; ++n) {
      objects += expected[n] ? 1 : 0;
      bytes += expected[n] ? graph.nodes[n].bytes : 0;
    }
    for (int again = 0; again < 2; ++again) { // and the second mark finds the same
      const echo_statistics before = heap.statistics();
      heap.collect();
      const echo_statistics after = heap.statistics();
      ASSERT_EQ(after.objects_marked - before.objects_marked, objects) << "round " << round;
      if (config.seconds_first && objects != 0) { // a root at least was an edge
        ASSERT_GT(after.edges_of_seconds, before.edges_of_seconds);
      }
      ASSERT_EQ(after.bytes_marked - before.bytes_marked, bytes);
      ASSERT_EQ(after.live_bytes, bytes) << "[stats.live.1]";
      for (std::size_t n = 0; n < count; ++n) {
        ASSERT_EQ(heap.collector.memory.bits.is_marked(graph.nodes[n].ref.address), expected[n])
            << "node " << n << " of round " << round;
        ASSERT_TRUE(!expected[n] || graph.intact(n));
      }
      ASSERT_EQ(heap.verify_after_mark(), "");
    }
  }
}

// Bytes of a region: the whole heap is one (0), or each has a few objects. Threads that mark, and whether the one that leads
// leaves to the others what they can do. [mark.parallel.1] [mark.parallel.2]
struct Way {
  const char* name;
  std::size_t region;
  std::size_t markers;
  bool seconds_first;
  MarkMode mode;
};
constexpr Way kWays[] = {
    {"One", 0, 1, false, MarkMode::Concurrent},
    {"8192", std::size_t{8} << 10, 1, false, MarkMode::Concurrent},
    {"2097152", kChunkBytes, 1, false, MarkMode::Concurrent},
    {"TwoMarkers", 0, 2, false, MarkMode::Concurrent},
    {"TwoMarkersSecondFirst", 0, 2, true, MarkMode::Stw},
    {"ThreeMarkersSecondsFirst", std::size_t{64} << 10, 3, true, MarkMode::Concurrent},
    {"ThreeMarkersAndSmallRegions", std::size_t{8} << 10, 3, true, MarkMode::Stw}, // of a slab at least
    {"FourMarkersInOneStop", std::size_t{64} << 10, 4, false, MarkMode::Stw},
};
class Marker : public ::testing::TestWithParam<Way> {
protected:
  static Config config() {
    Config c = quiet_config();
    c.mark_region = GetParam().region;
    c.markers = GetParam().markers;
    c.seconds_first = GetParam().seconds_first;
    c.mode = GetParam().mode;
    return c;
  }
};
INSTANTIATE_TEST_SUITE_P(Regions, Marker, ::testing::ValuesIn(kWays),
                         [](const auto& way) { return std::string(way.param.name); });

TEST_P(Marker, RandomGraphs) {
  mark_random_graphs(config(), GetParam().markers == 1 ? 60 : 20, 1500);
}

TEST_P(Marker, RandomGraphsPoisonedAndVerified) {
  Config config = Marker::config();
  config.poison = true;
  config.verify = true;
  mark_random_graphs(config, GetParam().markers == 1 ? 20 : 8, 600);
}

TEST_P(Marker, ALongListNeedsNoStack) {
  TestHeap heap(config());
  constexpr std::size_t kLength = 500000;
  for (std::size_t i = 0; i < kLength; ++i) {
    const ObjectRef cell = heap.make(heap.pair);
    heap.store(cell, 8, test::as_object(heap.roots[0]));
    heap.root(0, cell);
  }
  heap.collect();
  EXPECT_EQ(heap.statistics().objects_marked, kLength);
}

TEST_P(Marker, ArraysAreScannedToTheLastElement) { // slices
  for (const std::uint64_t length : {1u, 255u, 256u, 257u, 511u, 512u, 513u, 100000u}) {
    TestHeap heap(config());
    heap.root(0, heap.make(heap.refs, length));
    const ObjectRef array = test::as_object(heap.roots[0]);
    for (std::uint64_t i = 0; i < length; ++i) {
      heap.store(array, 16 + 8 * i, heap.make(heap.pair));
    }
    heap.collect();
    EXPECT_EQ(heap.statistics().objects_marked, length + 1) << length;
    for (std::uint64_t i = 0; i < length; ++i) {
      ASSERT_TRUE(heap.collector.memory.bits.is_marked(TestHeap::peek(array, 16 + 8 * i))) << i;
    }
  }
}

TEST_P(Marker, ArraysOfArraysOfArrays) { // slices waiting under slices
  TestHeap heap(config());
  constexpr std::uint64_t kOuter = 1000;
  const ObjectRef outer = heap.make(heap.refs, kOuter);
  heap.root(0, outer);
  for (std::uint64_t i = 0; i < kOuter; ++i) {
    const ObjectRef inner = heap.make(heap.refs, 600);
    heap.store(outer, 16 + 8 * i, inner);
    for (const std::uint64_t j : {0u, 300u, 599u}) {
      heap.store(inner, 16 + 8 * j, heap.make(heap.pair));
    }
  }
  heap.collect();
  EXPECT_EQ(heap.statistics().objects_marked, 1 + kOuter * 4);
}

TEST_P(Marker, AsManyRootsAsThereMayBe) { // more than a batch
  TestHeap heap(config(), GlobalRoots::kMaxWords);
  for (std::size_t i = 0; i < heap.roots.size(); ++i) {
    heap.root(i, heap.make(heap.pair));
  }
  heap.collect();
  EXPECT_EQ(heap.statistics().objects_marked, GlobalRoots::kMaxWords);
}

TEST_P(Marker, HandlesAndWordsAndFramesAreRoots) {
  TestHeap heap(config());
  echo_scope scope = 0;
  echo_handle handle = nullptr;
  ASSERT_EQ(heap.mutator->handles.open(&scope), ECHO_OK);
  ObjectRef replaced;
  ASSERT_EQ(heap.mutator->handles.make(heap.make(heap.pair), &handle, &replaced), ECHO_OK);
  heap.root(3, heap.make(heap.pair));
  (void)heap.make(heap.pair); // nobody's
  heap.collect();
  EXPECT_EQ(heap.statistics().objects_marked, 2u);
  ASSERT_EQ(heap.mutator->handles.close(scope), ECHO_OK);
  heap.collect();
  EXPECT_EQ(heap.statistics().objects_marked, 3u) << "one more this time: the handle's scope is closed";
}

TEST_P(Marker, TheSameObjectThroughManyEdgesCountsOnce) {
  TestHeap heap(config());
  const ObjectRef shared = heap.make(heap.pair);
  const ObjectRef array = heap.make(heap.refs, 5000);
  heap.root(0, array);
  for (std::uint64_t i = 0; i < 5000; ++i) {
    heap.store(array, 16 + 8 * i, shared);
  }
  heap.store(shared, 8, array); // and a cycle
  heap.store(shared, 16, shared);
  heap.collect();
  EXPECT_EQ(heap.statistics().objects_marked, 2u);
  EXPECT_EQ(heap.statistics().live_bytes, 24u + 16 + 40000);
}

// Whoever pushes the root that is one too many marks a little for it, not all. [mark.roots.1] [mark.bound.1]
TEST(MarkerTest, RootsBeyondTheBoundCostLittleEach) {
  constexpr std::size_t kObjects = 200'000, kBound = std::size_t{1} << 21, kBeyond = 1000;
  TestHeap heap(quiet_config());
  for (std::size_t i = 0; i < kObjects; ++i) {
    const ObjectRef made = heap.make(heap.pair);
    heap.store(made, 8, test::as_object(heap.roots[0]));
    heap.root(0, made);
  }
  heap.collect();
  Memory& memory = heap.collector.memory;
  ::echo::Marker marker(memory);
  ASSERT_TRUE(marker.open(heap.collector.config));
  memory.prepare_cycle();
  memory.begin_cycle();
  marker.reset(false);
  EXPECT_EQ(marker.room_for_roots(), kBound);
  for (std::size_t i = 0; i < kBound; ++i) {
    marker.push_root(test::as_object(heap.roots[0]));
  }
  EXPECT_EQ(marker.objects(), 0u);
  EXPECT_EQ(marker.room_for_roots(), 0u) << "logs wait from here on";
  for (std::size_t i = 0; i < kBeyond; ++i) {
    marker.push_root(test::as_object(heap.roots[0]));
  }
  EXPECT_LE(marker.objects(), 2 * kBeyond);
  marker.drain();
  EXPECT_EQ(marker.objects(), kObjects);
  EXPECT_EQ(marker.room_for_roots(), kBound);
}

} // namespace
} // namespace echo
