// SPDX-License-Identifier: MIT
//
// Purpose     The snapshot at the beginning, step by step: the mark is held between its stops while the test does to the
//             heap what a program might do, and then everything that was reachable when it started, or was born since,
//             must still be there. Each rule that keeps it so is also broken on purpose, and the verifier at the end of
//             the mark must say so.
#include "tests/gc/polled_frames.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <thread>

namespace echo {
namespace {

using test::as_object;
using test::TestHeap;
using test::watched;

// A mark whose driver is the test.
class SnapshotTest : public ::testing::Test {
protected:
  SnapshotTest() : heap(watched()) {
    holder = heap.make(heap.pair);
    victim = heap.make(heap.pair);
    heap.root(0, holder);
    heap.store(holder, 8, victim);
    heap.collect(); // both are old by their usual name
  }
  void begin() {
    heap.collector.prepare_cycle(ECHO_CAUSE_requested);
    heap.stopped([this](const std::vector<Mutator*>& m) { heap.collector.begin_mark(m, true); });
  }
  void mark() {
    while (heap.collector.mark_slice(1) == Collector::MarkState::More) {
    }
  }
  bool end() {
    bool ended = false;
    heap.stopped([&](const std::vector<Mutator*>& m) { ended = heap.collector.end_mark(m); });
    return ended;
  }
  // To the end of the cycle: "" or why nothing was freed.
  std::string finish() {
    do {
      heap.collector.poll(*heap.mutator); // visits frames, if some wait
      mark();
    } while (!end());
    heap.collector.finish_cycle();
    std::string why;
    (void)heap.collector.failure(&why);
    return why;
  }
  bool is_marked(ObjectRef object) { return heap.collector.memory.bits.is_marked(object.address); }
  bool is_born_black(ObjectRef object) {
    const SlabTable& slabs = heap.collector.memory.pool.slabs();
    const SlabKind kind = slabs.kind_of_word(object.address);
    return kind == slabs.fresh_kind() || slabs.is_mixed(kind);
  }
  // Of another thread, which attaches now, does `body` and detaches.
  void on_another_thread(const std::function<void(Mutator&)>& body) {
    heap.collector.safepoints.enter_native(*heap.mutator, ThreadState::Blocked);
    std::thread([&] {
      Mutator* m = nullptr;
      std::string why;
      ASSERT_EQ(heap.collector.attach(&m, &why), ECHO_OK) << why;
      body(*m);
      heap.collector.detach(m);
    }).join();
    heap.collector.safepoints.leave_native(*heap.mutator);
  }
  // The only reference to the victim leaves the snapshot's graph and comes back where the marker does not look.
  ObjectRef hide_in_a_fresh_object(Mutator& m) {
    const ObjectRef fresh = heap.collector.allocate(m, heap.pair, 0);
    heap.root(1, fresh); // root words are read at the start only
    store_reference(m, m.barrier, heap.collector.barriers, fresh.address + 8, {TestHeap::peek(holder, 8)});
    store_reference(m, m.barrier, heap.collector.barriers, holder.address + 8, {});
    return fresh;
  }

  TestHeap heap;
  ObjectRef holder, victim;
};

TEST_F(SnapshotTest, WhatIsReachableIsMarkedAndTheRestIsFreed) {
  heap.store(holder, 8, {});
  begin();
  EXPECT_FALSE(is_marked(holder)) << "M was clear: [heap.meta.1]";
  EXPECT_EQ(finish(), "");
  EXPECT_TRUE(is_marked(holder));
  EXPECT_EQ(TestHeap::peek(victim, 0), kPoisonWord);
}

TEST_F(SnapshotTest, ADeletedReferenceIsLogged) { // [bar.cold.1]
  begin();
  const ObjectRef fresh = hide_in_a_fresh_object(*heap.mutator);
  EXPECT_EQ(finish(), "");
  EXPECT_TRUE(is_marked(victim));
  EXPECT_EQ(TestHeap::peek(fresh, 8), victim.address);
}

TEST_F(SnapshotTest, BreakTheBarrierOff) {
  begin();
  heap.mutator->phase = kBarrierIdle;
  hide_in_a_fresh_object(*heap.mutator);
  EXPECT_NE(finish().find("is not the start of an object that survived the last mark"), std::string::npos);
  EXPECT_NE(TestHeap::peek(victim, 0), kPoisonWord) << "and nothing is freed [cycle.free.1]";
}

TEST_F(SnapshotTest, BreakNoFlushAtTheEnd) { // [mark.end.1]
  begin();
  hide_in_a_fresh_object(*heap.mutator);
  mark();
  DeletionSink nowhere;
  heap.mutator->barrier.log.flush(nowhere); // as if the stop at the end forgot it
  EXPECT_NE(finish().find("is not the start of an object"), std::string::npos);
}

TEST_F(SnapshotTest, LogsOfThreadsThatDetachAreTaken) { // [thread.1]
  begin();
  on_another_thread([this](Mutator& m) { hide_in_a_fresh_object(m); });
  EXPECT_EQ(finish(), "");
  EXPECT_TRUE(is_marked(victim));
}

TEST_F(SnapshotTest, BreakALogLostAtDetach) {
  begin();
  on_another_thread([this](Mutator& m) {
    hide_in_a_fresh_object(m);
    DeletionSink nowhere;
    m.barrier.log.flush(nowhere);
  });
  EXPECT_NE(finish().find("is not the start of an object"), std::string::npos);
}

TEST_F(SnapshotTest, BreakAttachWithOldPhaseWords) { // [thread.1]
  begin();
  on_another_thread([this](Mutator& m) {
    EXPECT_EQ(m.phase, kBarrierMarking) << "attach copies the phase";
    m.phase = kBarrierIdle;
    hide_in_a_fresh_object(m);
  });
  EXPECT_NE(finish().find("is not the start of an object"), std::string::npos);
}

// [mark.colour.1]: objects born while marking are black; the marker never looks into them. [mark.colour.2]
TEST_F(SnapshotTest, ObjectsBornSinceAreKeptWhole) {
  begin();
  ObjectRef list;
  for (int i = 0; i < 10000; ++i) {
    const ObjectRef cell = heap.make(heap.pair);
    heap.store(cell, 8, list);
    list = cell;
  }
  heap.root(2, list);
  const ObjectRef dead = heap.make(heap.pair);
  const ObjectRef large = heap.make(heap.refs, 9000);
  heap.store(large, 16, list);
  heap.root(3, large);
  heap.store(holder, 16, large); // an edge from an old object, which the marker meets
  const echo_statistics before = heap.statistics();
  EXPECT_EQ(finish(), "");
  const SlabTable& slabs = heap.collector.memory.pool.slabs();
  EXPECT_EQ(slabs.kind_of_word(list.address), slabs.fresh_kind());
  EXPECT_FALSE(is_marked(list)) << "no bit in a fresh slab";
  EXPECT_TRUE(is_marked(large)) << "a large object is born marked [heap.meta.3]";
  EXPECT_NE(TestHeap::peek(dead, 0), kPoisonWord) << "born since the start: kept [sweep.hold.1]";
  EXPECT_EQ(heap.statistics().objects_marked, before.objects_marked + 2) << "holder and victim";
  EXPECT_EQ(heap.collector.verify(*heap.mutator, true), "");
  heap.collect();
  EXPECT_EQ(TestHeap::peek(dead, 0), kPoisonWord) << "the next mark frees it";
  EXPECT_TRUE(is_marked(list)) << "and marks the others";
  EXPECT_EQ(heap.collector.verify(*heap.mutator, true), "");
}

// While marking slabs are opened with the fresh or, if something lives in them, with the mixed kind. [mark.colour.1]
TEST_F(SnapshotTest, NobodyIsBornWhite) {
  for (int i = 0; i < 5000; ++i) {
    const ObjectRef made = heap.make(heap.pair);
    if (i % 100 == 0) {
      heap.store(made, 16, {reinterpret_cast<Address>(heap.roots[3])});
      heap.root(3, made);
    }
  }
  heap.collect(); // leaves holes
  (void)heap.make(heap.pair);
  begin();
  for (int i = 0; i < 5000; ++i) {
    ASSERT_TRUE(is_born_black(heap.make(heap.pair)));
  }
  mark();
  for (int i = 0; i < 5000; ++i) {
    ASSERT_TRUE(is_born_black(heap.make(heap.pair)));
  }
  EXPECT_EQ(finish(), "");
}

// What was fresh or mixed in one cycle is old in the next, without anybody walking over it. [heap.fresh.1] [heap.mixed.1]
TEST_F(SnapshotTest, FreshIsOldAfterTheSwap) {
  const SlabTable& slabs = heap.collector.memory.pool.slabs();
  for (int cycle = 0; cycle < 5; ++cycle) {
    begin();
    const ObjectRef born = heap.make(heap.pair);
    EXPECT_TRUE(is_born_black(born));
    EXPECT_EQ(finish(), "");
    heap.root(4, born);
    begin();
    EXPECT_TRUE(slabs.is_old(slabs.kind_of_word(born.address)));
    EXPECT_EQ(finish(), "");
    EXPECT_EQ(slabs.kind_of_word(born.address), SlabKind::Old);
    EXPECT_TRUE(is_marked(born));
  }
}

// A mark that finds more to do in its end stop goes on. [mark.end.1]
TEST_F(SnapshotTest, TheEndWaitsForWhatWasLogged) {
  ObjectRef list;
  for (int i = 0; i < 5000; ++i) {
    const ObjectRef cell = heap.make(heap.pair);
    heap.store(cell, 8, list);
    list = cell;
  }
  heap.store(holder, 16, list);
  begin();
  EXPECT_FALSE(end()) << "nothing was marked yet";
  mark();
  EXPECT_TRUE(end());
  heap.collector.finish_cycle();
  EXPECT_EQ(heap.collector.verify(*heap.mutator, true), "");
}

// Every entry of a log that overflows its buffer many times is taken. [bar.log.1]
TEST_F(SnapshotTest, ALongLog) {
  constexpr std::size_t kCount = 20000;
  const ObjectRef array = heap.make(heap.refs, kCount);
  heap.root(1, array);
  for (std::size_t i = 0; i < kCount; ++i) {
    heap.store(array, 16 + 8 * i, heap.make(heap.pair));
  }
  begin();
  const ObjectRef copy = heap.make(heap.refs, kCount);
  heap.root(2, copy);
  for (std::size_t i = 0; i < kCount; ++i) {
    heap.store(copy, 16 + 8 * i, {TestHeap::peek(array, 16 + 8 * i)});
    heap.store(array, 16 + 8 * i, {});
  }
  EXPECT_GT(heap.collector.barriers.sink.waiting(), kCount / DeletionLog::kRecords - 2);
  EXPECT_EQ(finish(), "");
  for (std::size_t i = 0; i < kCount; ++i) {
    ASSERT_TRUE(is_marked({TestHeap::peek(copy, 16 + 8 * i)})) << i;
  }
}

// While marking, integers that replace references and tagged words that are none are no references. [bar.cold.1]
TEST_F(SnapshotTest, TaggedWordsAreNoReferences) {
  const LayoutId tagged = heap.layout(test::fixed_layout("tagged", 16, {{8, ECHO_SLOT_TAGGED}}));
  const ObjectRef object = heap.make(tagged);
  heap.root(1, object);
  heap.store(object, 8, {victim.address + 3});
  begin();
  heap.store(object, 8, {victim.address + 5});
  heap.store(object, 8, {7});
  EXPECT_EQ(heap.mutator->barrier.cold_calls, 2u);
  EXPECT_EQ(finish(), "");
  EXPECT_EQ(heap.statistics().log_entries, 0u);
}

// --- roots that are traced beside the program

TEST_F(SnapshotTest, HandlesAreTracedBesideTheProgram) { // [handles.trace.1]
  heap.store(holder, 8, {});
  echo_scope scope = 0;
  echo_handle handle = nullptr;
  ObjectRef replaced;
  ASSERT_EQ(heap.mutator->handles.open(&scope), ECHO_OK);
  ASSERT_EQ(heap.mutator->handles.make(victim, &handle, &replaced), ECHO_OK);
  begin();
  ASSERT_EQ(heap.mutator->handles.close(scope), ECHO_OK) << "it was there when the mark started";
  EXPECT_EQ(finish(), "");
  EXPECT_TRUE(is_marked(victim));
  begin();
  EXPECT_EQ(finish(), "");
  EXPECT_FALSE(is_marked(victim));
}

// They need no barrier: what they held in the stop is in the snapshot, though it is marked later.
TEST_F(SnapshotTest, RootWordsAreCopiedInTheStop) { // [roots.copy.1]
  heap.store(holder, 8, {});
  heap.root(1, victim);
  begin();
  EXPECT_FALSE(is_marked(victim)) << "it is marked beside the program";
  heap.root(0, {});
  heap.root(1, {});
  EXPECT_FALSE(end()) << "the copies wait";
  EXPECT_EQ(finish(), "");
  EXPECT_TRUE(is_marked(victim));
  EXPECT_TRUE(is_marked(holder));
  begin();
  EXPECT_EQ(finish(), "");
  EXPECT_FALSE(is_marked(victim));
  EXPECT_FALSE(is_marked(holder));
}

TEST_F(SnapshotTest, AHandleThatIsWrittenOverIsLogged) {
  heap.store(holder, 8, {});
  echo_scope scope = 0;
  echo_handle handle = nullptr;
  ObjectRef replaced;
  ASSERT_EQ(heap.mutator->handles.open(&scope), ECHO_OK);
  ASSERT_EQ(heap.mutator->handles.make(victim, &handle, &replaced), ECHO_OK);
  begin();
  const ObjectRef fresh = heap.make(heap.pair);
  heap.root(1, fresh);
  heap.store(fresh, 8, victim);
  ASSERT_TRUE(heap.mutator->handles.set(handle, {}, &replaced));
  EXPECT_EQ(replaced, victim);
  log_leaving_root(*heap.mutator, heap.mutator->barrier, heap.collector.barriers, replaced);
  EXPECT_EQ(finish(), "");
  EXPECT_TRUE(is_marked(victim));
  ASSERT_EQ(heap.mutator->handles.close(scope), ECHO_OK);
}

TEST_F(SnapshotTest, BreakAHandleWrittenOverWithoutItsLog) {
  heap.store(holder, 8, {});
  echo_scope scope = 0;
  echo_handle handle = nullptr;
  ObjectRef replaced;
  ASSERT_EQ(heap.mutator->handles.open(&scope), ECHO_OK);
  ASSERT_EQ(heap.mutator->handles.make(victim, &handle, &replaced), ECHO_OK);
  begin();
  const ObjectRef fresh = heap.make(heap.pair);
  heap.root(1, fresh);
  heap.store(fresh, 8, victim);
  ASSERT_TRUE(heap.mutator->handles.set(handle, {}, &replaced));
  EXPECT_NE(finish().find("is not the start of an object"), std::string::npos);
  ASSERT_EQ(heap.mutator->handles.close(scope), ECHO_OK);
}

// The handles of a thread that goes while they wait. [thread.1]
TEST_F(SnapshotTest, HandlesOfThreadsThatDetachAreTraced) {
  constexpr int kCount = 5000;
  heap.store(holder, 8, {});
  const ObjectRef array = heap.make(heap.refs, kCount);
  for (std::size_t i = 0; i < kCount; ++i) {
    heap.store(array, 16 + 8 * i, heap.make(heap.pair));
  }
  heap.root(1, array);
  std::atomic<int> step{0};
  std::vector<ObjectRef> objects;
  heap.collector.safepoints.enter_native(*heap.mutator, ThreadState::Blocked);
  std::thread other([&] {
    Mutator* m = nullptr;
    std::string why;
    ASSERT_EQ(heap.collector.attach(&m, &why), ECHO_OK) << why;
    echo_scope scope = 0;
    echo_handle handle = nullptr;
    ObjectRef replaced;
    ASSERT_EQ(m->handles.open(&scope), ECHO_OK);
    for (std::size_t i = 0; i < kCount; ++i) {
      objects.emplace_back(ObjectRef{TestHeap::peek(array, 16 + 8 * i)});
      ASSERT_EQ(m->handles.make(objects.back(), &handle, &replaced), ECHO_OK);
      heap.roots[1] = nullptr;
    }
    step = 1;
    while (step != 2) {
      heap.collector.poll(*m);
    }
    ASSERT_EQ(m->handles.close(scope), ECHO_OK);
    heap.collector.detach(m);
  });
  while (step != 1) {
    std::this_thread::yield();
  }
  heap.collector.prepare_cycle(ECHO_CAUSE_requested);
  struct Begin final : StopWork {
    explicit Begin(Collector& c) : collector(c) {}
    Collector& collector;
    void run(const std::vector<Mutator*>& m) override { collector.begin_mark(m, true); }
  } work(heap.collector);
  heap.collector.safepoints.stop(nullptr, work);
  step = 2;
  other.join();
  heap.collector.safepoints.leave_native(*heap.mutator);
  EXPECT_EQ(finish(), "");
  for (const ObjectRef object : objects) {
    ASSERT_TRUE(is_marked(object));
  }
}

class FramesTest : public SnapshotTest {
protected:
  static constexpr std::size_t kDepth = 10000;
  FramesTest() {
    echo_frame_source source = frames.source();
    std::string why;
    EXPECT_EQ(heap.collector.roots.frames.set(&source, &why), ECHO_OK) << why;
    for (std::size_t i = 0; i < kDepth; ++i) {
      frames.slots.push_back(test::as_root(heap.make(heap.pair)));
      frames.publish(*heap.mutator);
    }
    heap.collect();
    frames.visits = frames.most_at_once = 0;
  }
  // The return of the youngest frame, with its poll.
  ObjectRef pop() { return frames.pop(*heap.mutator); }
  test::PolledFrames frames;
};

TEST_F(FramesTest, AStopVisitsOnlyTheYoungest) { // [roots.frames.2]
  begin();
  // The verifier has walked all of them twice, to see whether it can and to verify.
  EXPECT_EQ(frames.visits, 2 * kDepth + Watermark::kFramesAtStop);
  EXPECT_EQ(finish(), "");
}

TEST_F(FramesTest, AThreadVisitsItsFramesBeforeItComesToThem) { // [roots.frames.4]
  begin();
  ObjectRef list;
  while (!frames.slots.empty()) { // what was in frames goes where nobody looks
    const ObjectRef object = pop();
    const ObjectRef fresh = heap.make(heap.pair);
    heap.store(fresh, 8, list);
    heap.store(fresh, 16, object);
    list = fresh;
    heap.root(5, list);
  }
  EXPECT_EQ(finish(), "");
  for (ObjectRef o = list; o; o = {TestHeap::peek(o, 8)}) {
    ASSERT_TRUE(is_marked({TestHeap::peek(o, 16)}));
  }
}

TEST_F(FramesTest, BreakAReturnWithoutItsPoll) { // [roots.frames.1]
  begin();
  const ObjectRef fresh = heap.make(heap.pair); // polls
  frames.slots.resize(100);
  frames.publish(*heap.mutator);
  heap.root(5, fresh);
  heap.mutator->poll_word.store(kPollIdle);
  for (int i = 0; i < 50; ++i) {
    const ObjectRef object = as_object(frames.slots.back());
    heap.store(fresh, 8, object);
    frames.slots.pop_back();
    frames.publish(*heap.mutator);
  }
  EXPECT_NE(finish().find("is not the start of an object"), std::string::npos);
}

TEST_F(FramesTest, FramesOfANativeThreadAreVisitedBesideIt) {
  std::vector<Address> held;
  for (const echo_ref slot : frames.slots) {
    held.push_back(reinterpret_cast<Address>(slot));
  }
  heap.collect();
  for (const Address address : held) {
    ASSERT_TRUE(is_marked({address}));
  }
}

// A weak slot of the snapshot is the only way to an object when the mark starts.
class WeakSnapshotTest : public SnapshotTest {
protected:
  WeakSnapshotTest() {
    node = heap.layout(test::fixed_layout("weak", 24, {{8, ECHO_SLOT_STRONG}, {16, ECHO_SLOT_WEAK}}));
    weak = heap.make(node);
    heap.store(holder, 8, weak);
    target = heap.make(node);
    heap.root(2, target);
    heap.store(weak, 16, target);
    heap.collect();
    heap.root(2, {});
    begin();
  }
  // The program obtains the target, and keeps it where the marker does not look.
  ObjectRef keep(Address word) {
    const ObjectRef fresh = heap.collector.allocate(*heap.mutator, heap.pair, 0);
    heap.root(1, fresh);
    store_reference(*heap.mutator, heap.mutator->barrier, heap.collector.barriers, fresh.address + 8, {word});
    return fresh;
  }
  LayoutId node;
  ObjectRef weak, target;
};

TEST_F(WeakSnapshotTest, ADeadTargetIsClearedAtTheEnd) { // [weak.clear.1]
  EXPECT_EQ(finish(), "");
  EXPECT_EQ(TestHeap::peek(weak, 16), 0u);
  EXPECT_EQ(TestHeap::peek(target, 0), kPoisonWord);
}

TEST_F(WeakSnapshotTest, WhatAWeakLoadReturnsLives) { // [weak.load.1]
  const Address loaded = weak_load_barrier_cold(*heap.mutator, heap.mutator->barrier, heap.collector.barriers,
                                                weak.address + 16);
  ASSERT_EQ(loaded, target.address);
  keep(loaded);
  EXPECT_EQ(finish(), "");
  EXPECT_EQ(TestHeap::peek(weak, 16), target.address);
  EXPECT_TRUE(is_marked(target));
}

TEST_F(WeakSnapshotTest, BreakAWeakLoadWithoutItsLog) {
  keep(TestHeap::peek(weak, 16));
  EXPECT_NE(finish().find("is not the start of an object that survived the last mark"), std::string::npos);
}

TEST_F(WeakSnapshotTest, AWeakSlotOfAnObjectBornSinceKeepsWhatItHolds) { // [weak.note.1]
  const Address loaded = weak_load_barrier_cold(*heap.mutator, heap.mutator->barrier, heap.collector.barriers,
                                                weak.address + 16);
  const ObjectRef fresh = heap.collector.allocate(*heap.mutator, node, 0);
  heap.root(1, fresh);
  store_reference(*heap.mutator, heap.mutator->barrier, heap.collector.barriers, fresh.address + 16,
                  {loaded});
  EXPECT_EQ(finish(), "");
  EXPECT_EQ(TestHeap::peek(fresh, 16), target.address) << "alive until the next mark";
  heap.collect();
  EXPECT_EQ(TestHeap::peek(fresh, 16), 0u);
}

} // namespace
} // namespace echo
