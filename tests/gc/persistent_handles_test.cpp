// SPDX-License-Identifier: MIT
//
// Purpose     Persistent handles: cells against a model, and the snapshot of a mark that runs beside threads which create
//             and destroy them in native state. Where the snapshot is dropped on purpose the verifier must say so.
#include "gc/persistent_handles.h"

#include "tests/gc/test_heap.h"
#include "tests/heap/seed.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <thread>
#include <vector>

namespace echo {
namespace {

using test::TestHeap;

ObjectRef object(std::uint64_t n) {
  return {static_cast<Address>(n * 8)};
}
echo_persistent make(PersistentHandles& handles, ObjectRef o) {
  echo_persistent handle = nullptr;
  std::string why;
  EXPECT_EQ(handles.make(o, &handle, &why), ECHO_OK) << why;
  return handle;
}
Address find(const PersistentHandles& handles, echo_persistent handle) {
  ObjectRef found;
  return handles.get(handle, &found) ? found.address : UINT64_MAX;
}

TEST(PersistentHandles, AgreeWithAModel) { // [handles.persistent.1]
  PersistentHandles handles;
  std::map<echo_persistent, Address> model;
  std::set<echo_persistent> gone;
  std::uint64_t x = test::test_seed();
  std::string why;
  for (int step = 0; step < 200000; ++step) {
    x = x * 6364136223846793005u + 1442695040888963407u;
    const std::uint64_t n = x >> 33;
    if (n % 3 != 0 || model.empty()) {
      const echo_persistent handle = make(handles, object(n));
      EXPECT_TRUE(model.emplace(handle, n * 8).second && gone.count(handle) == 0) << "a handle came twice";
    } else {
      auto it = model.lower_bound(reinterpret_cast<echo_persistent>(x));
      it = it == model.end() ? model.begin() : it;
      ASSERT_EQ(find(handles, it->first), it->second);
      if (n % 2 == 0) {
        ASSERT_EQ(handles.set(it->first, object(n + 1), &why), ECHO_OK);
        it->second = (n + 1) * 8;
      } else {
        ASSERT_EQ(handles.destroy(it->first, &why), ECHO_OK);
        ASSERT_EQ(handles.destroy(it->first, &why), ECHO_HANDLE_MISUSE);
        ASSERT_EQ(find(handles, it->first), UINT64_MAX);
        gone.insert(it->first);
        model.erase(it);
      }
    }
  }
  EXPECT_EQ(handles.count(), model.size());
  std::multiset<Address> held;
  handles.for_each([&](ObjectRef o) { held.insert(o.address); });
  EXPECT_EQ(held.size(), model.size());
  for (const echo_persistent handle : gone) {
    ASSERT_EQ(find(handles, handle), UINT64_MAX);
  }
}

// Whatever the snapshot held is visited, once; what is written beside the trace costs nothing twice. [handles.persistent.4]
TEST(PersistentHandles, TracesItsSnapshot) {
  PersistentHandles handles;
  std::string why;
  std::vector<echo_persistent> made;
  for (std::uint64_t i = 1; i <= 5000; ++i) {
    made.push_back(make(handles, object(i)));
  }
  handles.begin_snapshot();
  std::map<Address, int> visited;
  const auto visit = [&](ObjectRef o) { ++visited[o.address]; };
  EXPECT_TRUE(handles.trace(1000, visit));
  EXPECT_EQ(visited.size(), 1000u) << "a slice is bounded";
  for (std::size_t i = 0; i < made.size(); i += 2) { // traced and untraced ones
    ASSERT_EQ(handles.destroy(made[i], &why), ECHO_OK);
    (void)make(handles, object(100000 + i)); // mostly in the cell that became free
  }
  for (std::size_t i = 1; i < made.size(); i += 2) {
    ASSERT_EQ(handles.set(made[i], object(200000 + i), &why), ECHO_OK);
    ASSERT_EQ(handles.set(made[i], object(300000 + i), &why), ECHO_OK);
  }
  while (handles.trace(64, visit)) {
  }
  for (std::uint64_t i = 1; i <= 5000; ++i) {
    ASSERT_EQ(visited[i * 8], 1) << "object " << i;
  }
  EXPECT_EQ(visited.size(), 5000u) << "only what was in the snapshot";
  EXPECT_FALSE(handles.trace(64, visit));
  ASSERT_EQ(handles.destroy(made[1], &why), ECHO_OK);
  EXPECT_FALSE(handles.trace(64, visit)) << "a traced cell owes nothing";
}

class PersistentSnapshotTest : public ::testing::Test {
protected:
  PersistentSnapshotTest() : heap(config()) {
    victim = heap.make(heap.pair);
    handle = make(heap.collector.roots.persistent, victim);
    heap.collect(); // old by its usual name
    heap.collector.prepare_cycle(ECHO_CAUSE_requested);
    heap.stopped([this](const std::vector<Mutator*>& m) { heap.collector.begin_mark(m, true); });
    // The victim goes where the marker does not look.
    const ObjectRef fresh = heap.make(heap.pair);
    heap.root(1, fresh);
    heap.store(fresh, 8, victim);
  }
  static Config config() {
    Config c = test::quiet_config();
    c.verify = true;
    return c;
  }
  void destroy_natively() {
    heap.collector.safepoints.enter_native(*heap.mutator, ThreadState::Native);
    std::thread([this] {
      std::string why;
      EXPECT_EQ(heap.collector.roots.persistent.destroy(handle, &why), ECHO_OK) << why;
    }).join();
    heap.collector.safepoints.leave_native(*heap.mutator);
  }
  std::string finish() {
    bool ended = false;
    while (!ended) {
      while (heap.collector.mark_slice(16) == Collector::MarkState::More) {
      }
      heap.stopped([&](const std::vector<Mutator*>& m) { ended = heap.collector.end_mark(m); });
    }
    heap.collector.finish_cycle();
    std::string why;
    (void)heap.collector.failure(&why);
    return why;
  }
  TestHeap heap;
  ObjectRef victim;
  echo_persistent handle = nullptr;
};

TEST_F(PersistentSnapshotTest,
       DestroyingBesideTheMarkLosesNothing) { // [handles.persistent.3] [handles.persistent.4]
  destroy_natively();
  EXPECT_EQ(finish(), "");
  EXPECT_TRUE(heap.collector.memory.bits.is_marked(victim.address));
}

TEST_F(PersistentSnapshotTest, ADroppedSnapshotIsNoticed) {
  heap.collector.roots.persistent.end_snapshot(); // planted: nobody traces what was there
  destroy_natively();
  EXPECT_NE(finish().find("is not the start of an object that survived the last mark"), std::string::npos);
}

TEST(Pins, AreCounted) { // [pin.count.1]
  PersistentHandles handles;
  ObjectPins pins(handles);
  std::string why;
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(pins.pin(object(5), &why), ECHO_OK);
  }
  EXPECT_EQ(pins.count(), 1u);
  EXPECT_EQ(handles.count(), 1u);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(handles.count(), 1u);
    EXPECT_EQ(pins.unpin(object(5), &why), ECHO_OK);
  }
  EXPECT_EQ(handles.count(), 0u);
  EXPECT_EQ(pins.unpin(object(5), &why), ECHO_INVALID_ARGUMENT);
}

} // namespace
} // namespace echo
