// SPDX-License-Identifier: MIT
//
// Purpose     A heap with next to nothing alive is collected within one stop; what does not fit the stop is left to the heap's own
//             thread; nothing that is alive is lost either way, and no hold is over its cap. [cycle.once.1] [cycle.once.2]
#include "tests/gc/test_heap.h"

#include <atomic>
#include <thread>

namespace echo {
namespace {

using test::as_object;
using test::kMiB;
using test::TestHeap;

constexpr std::size_t kNext = 8, kNumber = 16;

Config small_trigger() {
  Config config;
  config.max_heap = 64 * kMiB;
  config.initial_trigger = kMiB;
  config.reserve_bytes = 1;
  config.census = false;
  return config;
}

class AtOnce : public ::testing::Test {
protected:
  explicit AtOnce(const Config& config = small_trigger(), std::size_t root_words = 64)
      : heap(config, root_words) {
    node = heap.layout(test::fixed_layout("node", 24, {{kNext, ECHO_SLOT_STRONG}}));
  }
  // A list of numbered nodes in a root word.
  void keep(std::size_t root, std::uint64_t count) {
    heap.root(root, {});
    for (std::uint64_t i = 0; i < count; ++i) {
      const ObjectRef made = heap.make(node);
      TestHeap::poke(made, kNumber, i);
      heap.store(made, kNext, as_object(heap.roots[root]));
      heap.root(root, made);
    }
  }
  void expect_kept(std::size_t root, std::uint64_t count) {
    ObjectRef at = as_object(heap.roots[root]);
    for (std::uint64_t i = count; i > 0; --i, at = {TestHeap::peek(at, kNext)}) {
      ASSERT_TRUE(at);
      ASSERT_EQ(TestHeap::peek(at, kNumber), i - 1);
    }
    EXPECT_FALSE(at);
  }
  void waste(std::size_t mebibytes) {
    for (std::size_t bytes = 0; bytes < mebibytes * kMiB; bytes += 1016) {
      TestHeap::poke(heap.make(heap.bytes, 1000), 16, ~std::uint64_t{0}); // shows in what was freed too early
    }
  }
  // Of the cycle before, which the next mark will use.
  void expect_clear_bits() {
    heap.collect();
    heap.collector.memory.pool.set_trigger(kMiB);
    const Memory& memory = heap.collector.memory;
    const Address base = heap.collector.memory.pool.slabs().base();
    const std::size_t bytes = std::size_t{heap.collector.memory.pool.slab_high_water()} * kSlabBytes;
    std::size_t set = 0;
    for (Address slab = base; slab < base + bytes; slab += kSlabBytes) {
      for (std::size_t i = 0; i < MarkBits::kWordsPerSlab; ++i) {
        set +=
            memory.bits.previous().slab_marks(slab)[i] != 0 || memory.bits.previous().slab_odd(slab)[i] != 0
                ? 1
                : 0;
      }
    }
    EXPECT_EQ(set, 0u);
  }
  struct Seen {
    std::uint64_t cycles, starts, ends;
  };
  Seen seen() {
    const echo_statistics s = heap.statistics();
    return {s.collections_full, s.pause_by_cause_us[ECHO_CAUSE_mark_start].count,
            s.pause_by_cause_us[ECHO_CAUSE_mark_end].count};
  }
  // Wastes memory, and what that led to.
  Seen seen_while_wasting(std::size_t mebibytes) {
    const Seen before = seen();
    waste(mebibytes);
    const Seen after = seen();
    return {after.cycles - before.cycles, after.starts - before.starts, after.ends - before.ends};
  }
  // Until the last mark that ran beside the program has told that little is alive.
  void warm_up() {
    heap.collect();
    waste(4);
  }

  TestHeap heap;
  LayoutId node;
};

TEST_F(AtOnce, EndsInTheStopInWhichItBegins) {
  keep(0, 100);
  warm_up();
  const Seen all = seen_while_wasting(64);
  EXPECT_GE(all.cycles, 60u) << "one per MiB";
  EXPECT_EQ(all.starts, all.cycles);
  EXPECT_EQ(all.ends, 0u);
  EXPECT_LE(heap.statistics().used_bytes, 2 * kMiB) << "what is freed is used again";
  EXPECT_GE(heap.statistics().units_at_mark_start, 16u + 100 / 2) << "marking is counted";
  expect_kept(0, 100);
}

TEST_F(AtOnce, WhatDoesNotFitIsLeft) {
  warm_up();
  keep(0, 20000); // found by a collection that began at once
  waste(8);
  expect_kept(0, 20000);
  const Seen many = seen_while_wasting(64);
  EXPECT_GT(many.ends, 0u) << "with more alive a stop does not suffice";
  expect_kept(0, 20000);
  heap.root(0, {});
  warm_up();
  EXPECT_EQ(seen_while_wasting(16).ends, 0u) << "with little alive again it does";
  expect_clear_bits();
}

TEST_F(AtOnce, BitsAreClearedWhereverTheyWereSet) { // [heap.meta.1] [heap.meta.5]
  warm_up();
  for (int round = 0; round < 3; ++round) {
    keep(0, 20000);
    heap.root(1, heap.make(heap.bytes, 300000)); // a large one, whose birth is a mark
    waste(20);
    expect_kept(0, 20000);
    expect_clear_bits();
    heap.root(0, {});
    heap.root(1, {});
    waste(20);
    expect_clear_bits();
    (void)heap.make(heap.bytes, 300000); // born, and dead before the next mark
    waste(20);
    expect_clear_bits();
  }
}

TEST_F(AtOnce, HandlesAreTraced) { // [handles.trace.1]
  echo_scope scope = 0;
  ASSERT_EQ(heap.mutator->handles.open(&scope), ECHO_OK);
  std::vector<echo_handle> handles(40);
  for (std::size_t i = 0; i < handles.size(); ++i) {
    ObjectRef replaced;
    const ObjectRef made = heap.make(node);
    TestHeap::poke(made, kNumber, i);
    ASSERT_EQ(heap.mutator->handles.make(made, &handles[i], &replaced), ECHO_OK);
  }
  warm_up();
  const Seen all = seen_while_wasting(32);
  EXPECT_GE(all.cycles, 28u);
  EXPECT_EQ(all.ends, 0u);
  std::uint64_t found = 0;
  heap.mutator->handles.for_each([&](ObjectRef object) {
    EXPECT_EQ(TestHeap::peek(object, kNumber), found);
    ++found;
  });
  EXPECT_EQ(found, handles.size());
}

// A thread that leaves native while the stop works: its roots are traced there, so that the cycle ends all the same.
TEST_F(AtOnce, WhoComesInMeanwhileIsTraced) { // [roots.stop.1]
  struct Other {
    std::atomic<Mutator*> mutator{nullptr};
    std::atomic<bool> is_native{false}, leaves{false}, is_seen{false};
    std::atomic<std::uint64_t> found{0};
  } other;
  std::thread thread([&] {
    Mutator* m = nullptr;
    std::string reason;
    ASSERT_EQ(heap.collector.attach(&m, &reason), ECHO_OK) << reason;
    echo_scope scope = 0;
    ASSERT_EQ(m->handles.open(&scope), ECHO_OK);
    echo_handle handle = nullptr;
    ObjectRef replaced;
    const ObjectRef made = heap.collector.allocate(*m, node, 0);
    TestHeap::poke(made, kNumber, 4711);
    ASSERT_EQ(m->handles.make(made, &handle, &replaced), ECHO_OK);
    heap.collector.safepoints.enter_native(*m, ThreadState::Native);
    other.mutator = m;
    other.is_native = true;
    while (!other.leaves) {
      std::this_thread::yield();
    }
    heap.collector.safepoints.leave_native(*m);
    m->handles.for_each([&](ObjectRef object) { other.found = TestHeap::peek(object, kNumber); });
    heap.collector.detach(m);
  });
  while (!other.is_native) {
    std::this_thread::yield();
  }
  warm_up();
  const auto let_in = [](void* context, echo_visit_ref_fn, void*) {
    auto& o = *static_cast<Other*>(context);
    o.leaves = true;
    while (!o.is_seen) {
      o.is_seen = o.mutator.load()->is_active.load();
    }
  };
  std::string why;
  ASSERT_EQ(heap.collector.roots.callbacks.add(let_in, &other, &why), ECHO_OK) << why;
  const Seen before = seen();
  for (std::size_t bytes = 0; !other.is_seen; bytes += 1016) {
    ASSERT_LT(bytes, 16 * kMiB);
    TestHeap::poke(heap.make(heap.bytes, 1000), 16, ~std::uint64_t{0});
  }
  const Seen after = seen();
  EXPECT_EQ(after.cycles - before.cycles, 1u) << "the cycle is over, not left to the heap's own thread";
  EXPECT_EQ(after.ends, before.ends);
  heap.collector.safepoints.enter_native(*heap.mutator, ThreadState::Blocked);
  thread.join();
  heap.collector.safepoints.leave_native(*heap.mutator);
  EXPECT_EQ(other.found, 4711u);
  EXPECT_EQ(heap.collector.roots.callbacks.remove(let_in, &other, &why), ECHO_OK) << why;
}

TEST_F(AtOnce, FinalizableObjectsAreLeftToTheHeap) { // [weak.final.1]
  echo_layout layout = test::fixed_layout("final", 24, {});
  layout.flags = ECHO_LAYOUT_FINALIZABLE;
  const LayoutId finalizable = heap.layout(layout);
  warm_up();
  (void)heap.make(finalizable);
  waste(16);
  heap.collect(); // ends what the heap's own thread is at
  EXPECT_EQ(heap.collector.roots.finalizers.size(), 1u) << "it is due";
}

class AtOnceCounting : public AtOnce {
protected:
  static Config counting() {
    Config config = small_trigger();
    config.census = true;
    return config;
  }
  AtOnceCounting() : AtOnce(counting()) {}
};

TEST_F(AtOnceCounting, ObjectsAreCountedBesideTheProgram) { // [census.walk.1]
  keep(0, 10);
  warm_up();
  const std::uint64_t before = heap.statistics().objects_allocated;
  const Seen all = seen_while_wasting(32);
  EXPECT_GT(all.cycles, 0u);
  EXPECT_EQ(heap.statistics().objects_allocated - before, (32 * kMiB + 1015) / 1016);
  expect_kept(0, 10);
}

class AtOnceWithManyRoots : public AtOnce {
protected:
  AtOnceWithManyRoots() : AtOnce(small_trigger(), GlobalRoots::kMaxWords) {}
};

TEST_F(AtOnceWithManyRoots, StaysUnderTheCap) { // [stop.budget.1]
  const ObjectRef object = heap.make(node);
  TestHeap::poke(object, kNumber, 77);
  for (std::size_t i = 0; i < heap.roots.size(); ++i) {
    heap.root(i, object);
  }
  warm_up();
  waste(16);
  EXPECT_EQ(heap.statistics().holds_over_cap, 0u);
  EXPECT_EQ(TestHeap::peek(as_object(heap.roots.back()), kNumber), 77u);
}

TEST_F(AtOnce, ThreadsTogether) {
  constexpr unsigned kThreads = 3;
  warm_up();
  const Seen before = seen();
  std::atomic<int> failures{0};
  std::vector<std::vector<echo_ref>> roots(kThreads, std::vector<echo_ref>(32));
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < kThreads; ++t) {
    std::string why;
    ASSERT_EQ(heap.collector.roots.globals.add(roots[t].data(), roots[t].size(), &why), ECHO_OK) << why;
    threads.emplace_back([&, t] {
      Mutator* m = nullptr;
      std::string reason;
      ASSERT_EQ(heap.collector.attach(&m, &reason), ECHO_OK) << reason;
      for (std::uint64_t i = 0; i < 300000; ++i) {
        const ObjectRef made = heap.collector.allocate(*m, node, 0);
        failures += made ? 0 : 1;
        TestHeap::poke(made, kNumber, t);
        const ObjectRef old = as_object(roots[t][i % 32]);
        failures += old && TestHeap::peek(old, kNumber) != t ? 1 : 0;
        roots[t][i % 32] = test::as_root(made);
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
  EXPECT_GT(seen().cycles,
            before.cycles); // how many: whether all of them were over at once depends on the machine
  std::string why;
  for (std::vector<echo_ref>& words : roots) {
    EXPECT_EQ(heap.collector.roots.globals.remove(words.data(), &why), ECHO_OK) << why;
  }
}

} // namespace
} // namespace echo
