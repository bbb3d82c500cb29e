// SPDX-License-Identifier: MIT
//
// Purpose     A heap with the calling thread attached and a block of root words: what most tests of the
//             collector need.
#pragma once

#include "gc/collector.h"
#include "tests/heap/layouts.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace echo::test {

constexpr std::size_t kMiB = std::size_t{1} << 20;

// A small heap that collects only when it is told to (its trigger is its limit: TestHeap keeps it there).
inline Config quiet_config(std::size_t max_heap = 64 * kMiB) {
  Config config;
  config.max_heap = max_heap;
  config.initial_trigger = max_heap;
  config.reserve_bytes = 1; // the least that max_heap needs
  return config;
}

// The same, verified in each cycle; what was freed is poisoned.
inline Config watched(MarkMode mode = MarkMode::Concurrent) {
  Config config = quiet_config();
  config.verify = true;
  config.poison = true;
  config.mode = mode;
  return config;
}

inline echo_ref as_root(ObjectRef ref) {
  return reinterpret_cast<echo_ref>(ref.address);
}
inline ObjectRef as_object(echo_ref ref) {
  return {reinterpret_cast<Address>(ref)};
}

class TestHeap {
public:
  explicit TestHeap(const Config& config, std::size_t root_words = 64)
      : collector(config), roots(root_words) {
    std::string why;
    EXPECT_EQ(collector.open(&why), ECHO_OK) << why;
    EXPECT_EQ(collector.attach(&mutator, &why), ECHO_OK) << why;
    EXPECT_EQ(collector.roots.globals.add(roots.data(), roots.size(), &why), ECHO_OK) << why;
    keep_quiet();
    pair = layout(fixed_layout("pair", 24, {{8, ECHO_SLOT_STRONG}, {16, ECHO_SLOT_STRONG}}));
    refs = layout(ref_array_layout("refs"));
    bytes = layout(raw_array_layout("bytes", 1));
  }
  ~TestHeap() {
    EXPECT_EQ(collector.held().over_cap(), 0u) << "[stop.budget.1] a hold did more work than its cap";
    std::string
        why; // a collection in the background may be about to read the words, which go before the heap
    EXPECT_EQ(collector.roots.globals.remove(roots.data(), &why), ECHO_OK) << why;
    if (mutator != nullptr) {
      collector.detach(mutator);
    }
  }
  TestHeap(const TestHeap&) = delete;
  TestHeap& operator=(const TestHeap&) = delete;

  LayoutId layout(const echo_layout& descriptor) {
    LayoutId id;
    std::string why;
    EXPECT_EQ(collector.register_layout(descriptor, &id, &why), ECHO_OK) << why;
    return id;
  }
  // Null with the mutator's error if there is no memory.
  ObjectRef try_make(LayoutId id, std::uint64_t length = 0) {
    return collector.allocate(*mutator, id, length);
  }
  ObjectRef make(LayoutId id, std::uint64_t length = 0) {
    const ObjectRef object = try_make(id, length);
    EXPECT_TRUE(object) << mutator->last_error.message;
    return object;
  }
  std::size_t size_of(ObjectRef object) const { return collector.memory.layouts.object_bytes(object); }
  // Stores with the barrier.
  void store(ObjectRef object, std::size_t offset, ObjectRef value) {
    store_reference(*mutator, mutator->barrier, collector.barriers, object.address + offset, value);
  }
  // Stores round the barrier.
  static void poke(ObjectRef object, std::size_t offset, std::uint64_t word) {
    __atomic_store_n(reinterpret_cast<std::uint64_t*>(object.address + offset), word, __ATOMIC_RELAXED);
  }
  static std::uint64_t peek(ObjectRef object, std::size_t offset) {
    return load_slot(object.address + offset);
  }
  void root(std::size_t i, ObjectRef object) { roots.at(i) = as_root(object); }
  // An array of `count` references in the first root word, each to a pair of its own.
  ObjectRef root_pairs(std::size_t count) {
    const ObjectRef array = make(refs, count);
    root(0, array);
    for (std::size_t i = 0; i < count; ++i) {
      store(array, 16 + 8 * i, make(pair));
    }
    return array;
  }

  echo_status collect(std::string* why) {
    const echo_status status = collector.collect(*mutator, ECHO_CAUSE_requested, why);
    keep_quiet();
    return status;
  }
  void collect() {
    std::string why;
    EXPECT_EQ(collect(&why), ECHO_OK) << why;
  }
  echo_statistics statistics() {
    echo_statistics all{};
    collector.statistics(&all);
    return all;
  }
  // Runs `body(mutators)` with the world stopped.
  template <class Body> void stopped(Body body) {
    struct Work final : StopWork {
      explicit Work(Body& b) : action(b) {}
      Body& action;
      void run(const std::vector<Mutator*>& mutators) override { action(mutators); }
    } work(body);
    EXPECT_TRUE(collector.safepoints.stop(mutator, work));
  }
  std::string verify_after_mark() {
    std::string found;
    stopped([&](const std::vector<Mutator*>& mutators) {
      found = collector.verify_in_stop(mutators, Verifier::Moment::AfterMark, true);
    });
    return found;
  }

  // A collection sets the trigger anew.
  void keep_quiet() {
    if (collector.config.initial_trigger == collector.config.max_heap) {
      collector.memory.pool.set_trigger(collector.config.max_heap);
      collector.memory.supply.set_start(0, 0);
    }
  }

  Collector collector;
  Mutator* mutator = nullptr;
  std::vector<echo_ref> roots;
  LayoutId pair, refs, bytes;
};

} // namespace echo::test
