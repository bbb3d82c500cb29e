// SPDX-License-Identifier: MIT
//
// suite_finalizers.cpp - finalizable objects: when they are due, what stays alive with them, who gets them.
#include "patterns.h"
#include "recipe_machine.h"
#include "workers.h"

#include <algorithm>
#include <iterator>
#include <mutex>
#include <vector>

namespace conformance {

namespace {

std::string poisoned(const Plugin& p) {
  return p.options_with("max_heap=64m", {"poison=on", "verify=on"});
}

// [header][left][weak][number][pattern ...]
struct Finals {
  static constexpr std::uint64_t kLeft = 1, kWeak = 2, kNumber = 3, kFirst = 4, kWords = 7;

  const Mutator* mutator;
  echo_layout_id layout;

  explicit Finals(const Mutator& m) : mutator(&m) {
    const bool weak = m.heap().plugin().has(ECHO_FEATURE_WEAK);
    static const echo_slot slots[] = {{kLeft * 8, ECHO_SLOT_STRONG}, {kWeak * 8, ECHO_SLOT_WEAK}};
    layout = m.heap().add({sizeof(echo_layout), ECHO_LAYOUT_FIXED, "final", kWords * 8, 0, 0,
                           ECHO_LAYOUT_FINALIZABLE, weak ? 2u : 1u, slots});
  }
  echo_ref make(std::uint64_t number) const {
    const echo_ref object = mutator->allocate(layout);
    word(object, kNumber) = number;
    fill(object, kFirst, kWords, number);
    return object;
  }
};

// The next one that is due, or null.
echo_ref next(const Mutator& m) {
  echo_ref object = nullptr;
  EXPECT_STATUS(m.api().finalizer_next(m.get(), &object), ECHO_OK, "finalizer_next");
  return object;
}

std::uint64_t take(const Mutator& m) {
  const echo_ref object = next(m);
  EXPECT(object != nullptr, "nothing is due");
  const std::uint64_t number = word(object, Finals::kNumber);
  EXPECT(has_pattern(object, Finals::kFirst, Finals::kWords, number), "what is due was overwritten");
  return number;
}

struct FinalFixture : FeatureFixture {
  const Finals finals;
  explicit FinalFixture(const Context& context)
      : FeatureFixture(context, poisoned, ECHO_FEATURE_FINALIZERS), finals(f.mutator) {}
  std::uint64_t due() const { return f.plugin.api().finalizers_due(f.heap.get()); }
  // Nothing that the program does keeps it.
  void drop(std::uint64_t number, std::uint64_t child) const {
    Scope inner(f.mutator);
    const echo_handle object = f.mutator.root(finals.make(number));
    const echo_ref node = nodes.make(child);
    f.mutator.store(f.mutator.get(object), Finals::kLeft, node);
    inner.close();
  }
};

void due_once(Context& context) {
  FinalFixture t(context);
  const echo_handle object = t.f.mutator.root(t.finals.make(1));
  t.f.mutator.collect();
  EXPECT(next(t.f.mutator) == nullptr && t.due() == 0, "an object with a handle is due");
  t.f.mutator.set(object, nullptr);
  t.f.mutator.collect();
  EXPECT_EQ(t.due(), 1u, "objects that are due");
  t.f.mutator.collect();
  EXPECT_EQ(t.due(), 1u, "objects that are due, a collection later");
  EXPECT_EQ(take(t.f.mutator), 1u, "the object that is due");
  for (int turn = 0; turn < 3; ++turn) {
    EXPECT(next(t.f.mutator) == nullptr && t.due() == 0, "an object is due twice");
    t.f.mutator.collect();
  }
  EXPECT_EQ(t.f.heap.statistics().live_bytes, 0u, "live_bytes after the object was taken and dropped");
}

void they_keep_what_they_reach(Context& context) {
  FinalFixture t(context);
  constexpr std::uint64_t kObjects = 3000;
  for (std::uint64_t i = 0; i < kObjects; ++i)
    t.drop(i, i);
  for (int turn = 0; turn < 3; ++turn) {
    t.f.mutator.collect();
    churn(t.f.mutator, 4 << 20, context.random);
  }
  t.f.mutator.verify();
  EXPECT_EQ(t.due(), kObjects, "objects that are due");
  const echo_handle taken = t.f.mutator.root(nullptr);
  for (std::uint64_t i = 0; i < kObjects; ++i) {
    t.f.mutator.set(taken, next(t.f.mutator));
    if (i % 500 == 0)
      t.f.mutator.collect();
    t.nodes.expect(Nodes::child(t.f.mutator.get(taken), Finals::kLeft),
                   word(t.f.mutator.get(taken), Finals::kNumber), "what an object that is due refers to");
  }
  EXPECT(next(t.f.mutator) == nullptr, "more is due than was dropped");
}

void in_order_and_in_circles(Context& context) {
  FinalFixture t(context);
  const echo_handle later = t.f.mutator.root(t.finals.make(100));
  {
    Scope inner(t.f.mutator);
    std::vector<echo_handle> ring;
    for (std::uint64_t i = 0; i < 50; ++i)
      ring.push_back(t.f.mutator.root(t.finals.make(i)));
    for (std::uint64_t i = 0; i < ring.size(); ++i)
      t.f.mutator.store(t.f.mutator.get(ring[i]), Finals::kLeft,
                        t.f.mutator.get(ring[(i * 7 + 3) % ring.size()]));
    inner.close();
  }
  t.f.mutator.collect();
  t.f.mutator.set(later, nullptr);
  (void)t.finals.make(101);
  t.f.mutator.collect();
  EXPECT_EQ(t.due(), 52u, "objects that are due: those of a ring are due together");
  for (std::uint64_t i = 0; i < 50; ++i)
    EXPECT_EQ(take(t.f.mutator), i, "the order of an earlier collection");
  EXPECT_EQ(take(t.f.mutator), 100u, "the order of a later collection");
  EXPECT_EQ(take(t.f.mutator), 101u, "the order of a later collection");
}

void weak_slots_are_null_before(Context& context) {
  FinalFixture t(context);
  t.f.plugin.skip_without(ECHO_FEATURE_WEAK);
  const auto weak = [&](echo_ref object) {
    return t.f.plugin.api().weak_load(t.f.mutator.get(), object, Finals::kWeak * 8);
  };
  const echo_handle holder = t.f.mutator.root(t.finals.make(0));
  {
    Scope inner(t.f.mutator);
    const echo_handle object = t.f.mutator.root(t.finals.make(1)), child = t.f.mutator.root(t.finals.make(2));
    t.f.mutator.store(t.f.mutator.get(holder), Finals::kWeak, t.f.mutator.get(object));
    t.f.mutator.store(t.f.mutator.get(object), Finals::kLeft, t.f.mutator.get(child));
    t.f.mutator.store(t.f.mutator.get(child), Finals::kWeak, t.f.mutator.get(object));
    const echo_ref node = t.nodes.make(5);
    t.f.mutator.store(t.f.mutator.get(object), Finals::kWeak, node);
    inner.close();
  }
  t.f.mutator.collect();
  EXPECT(weak(t.f.mutator.get(holder)) == nullptr, "a weak slot shows an object that is due");
  churn(t.f.mutator, 2 << 20, context.random);
  const echo_handle object = t.f.mutator.root(next(t.f.mutator));
  EXPECT_EQ(word(t.f.mutator.get(object), Finals::kNumber), 1u, "the object that is due");
  EXPECT(weak(t.f.mutator.get(object)) == nullptr, "a weak slot of an object that is due shows a dead one");
  const echo_ref child = Nodes::child(t.f.mutator.get(object), Finals::kLeft);
  EXPECT(weak(child) == t.f.mutator.get(object),
         "a weak slot does not show what lives because of the same object");
}

void the_resurrected_are_objects_like_any(Context& context) {
  FinalFixture t(context);
  t.drop(1, 2);
  t.f.mutator.collect();
  const echo_handle object = t.f.mutator.root(next(t.f.mutator));
  for (int turn = 0; turn < 3; ++turn) {
    t.f.mutator.collect();
    churn(t.f.mutator, 2 << 20, context.random);
    t.nodes.expect(Nodes::child(t.f.mutator.get(object), Finals::kLeft), 2,
                   "what a resurrected object refers to");
  }
  t.f.mutator.set(object, nullptr);
  t.f.mutator.collect();
  EXPECT(next(t.f.mutator) == nullptr, "an object that was resurrected is due again");
}

void large_objects_and_arrays(Context& context) {
  FinalFixture t(context);
  const echo_layout_id layout = t.f.heap.add({sizeof(echo_layout), ECHO_LAYOUT_RAW_ARRAY, "final words", 16,
                                              8, 0, ECHO_LAYOUT_FINALIZABLE, 0, nullptr});
  for (const std::uint64_t length : {1u, 100u, 5000u, 100000u})
    word(t.f.mutator.allocate(layout, length), 2) = length;
  t.f.mutator.collect();
  for (const std::uint64_t length : {1u, 100u, 5000u, 100000u}) {
    const echo_ref object = next(t.f.mutator);
    EXPECT(object != nullptr && word(object, 2) == length, "an array of " + show(length) + " elements");
    EXPECT_EQ(t.f.plugin.api().array_length(t.f.heap.get(), object), length, "array_length");
  }
  t.f.mutator.collect();
  EXPECT_EQ(t.f.heap.statistics().large_objects, 0u, "large objects after all were taken");
}

// Several threads allocate, collect and take: each object goes to one of them, once; a thread's own come in order.
void threads_share_the_queue(Context& context) {
  FinalFixture t(context);
  constexpr std::uint64_t kThreads = 3, kEach = 3000;
  std::mutex mutex;
  std::vector<std::uint64_t> taken;
  Workers workers(t.f.heap);
  for (std::uint64_t w = 0; w < kThreads; ++w)
    workers.start([&, w](const Mutator& m) {
      const Finals finals(m);
      std::vector<std::uint64_t> mine;
      for (std::uint64_t i = 0; i < kEach; ++i) {
        (void)finals.make(w * kEach + i);
        if (i % 1000 == 999)
          m.collect();
        if (m.api().finalizers_due(m.heap().get()) == 0)
          continue;
        if (const echo_ref object = next(m); object != nullptr)
          mine.push_back(word(object, Finals::kNumber));
      }
      for (std::uint64_t other = 0; other < kThreads; ++other) {
        std::vector<std::uint64_t> of_other;
        std::copy_if(mine.begin(), mine.end(), std::back_inserter(of_other),
                     [&](std::uint64_t number) { return number / kEach == other; });
        EXPECT(std::is_sorted(of_other.begin(), of_other.end()), "objects of one thread come out of order");
      }
      const std::lock_guard<std::mutex> lock(mutex);
      taken.insert(taken.end(), mine.begin(), mine.end());
    });
  workers.join_from(t.f.mutator);
  t.f.mutator.collect();
  while (const echo_ref object = next(t.f.mutator))
    taken.push_back(word(object, Finals::kNumber));
  std::sort(taken.begin(), taken.end());
  EXPECT_EQ(taken.size(), kThreads * kEach, "objects that were taken");
  for (std::uint64_t i = 0; i < taken.size(); ++i)
    EXPECT_EQ(taken[i], i, "an object was taken twice, or never");
}

void both_ways_of_allocation(Context& context) {
  FinalFixture t(context);
  for (const std::uint32_t set : {ECHO_RECIPES_FASTEST, ECHO_RECIPES_PORTABLE}) {
    const RecipeMachine machine(t.f.mutator, set);
    const echo_ref object = machine.recipes().allocate_cold(t.f.mutator.get(), t.finals.layout, 0);
    EXPECT(object != nullptr, "the cold path of allocation has no memory");
    word(object, Finals::kNumber) = set;
    fill(object, Finals::kFirst, Finals::kWords, set);
  }
  t.f.mutator.collect();
  for (const std::uint32_t set : {ECHO_RECIPES_FASTEST, ECHO_RECIPES_PORTABLE})
    EXPECT_EQ(take(t.f.mutator), set, "the object that the cold path of a recipe allocated");
}

void destroyed_heaps_owe_nothing(Context& context) {
  FinalFixture t(context);
  for (int turn = 0; turn < 20; ++turn) {
    Heap other(t.f.plugin, "max_heap=16m");
    {
      const Mutator mutator(other);
      const Finals finals(mutator);
      for (std::uint64_t i = 0; i < 2000; ++i) {
        (void)finals.make(i);
        if (i == 1000)
          mutator.collect();
      }
      EXPECT(next(mutator) != nullptr, "nothing is due");
    }
    other.destroy(); // some are due, some are not
  }
}

void misuse_is_noticed(Context& context) {
  FinalFixture t(context);
  const echo_heap_api& api = t.f.plugin.api();
  echo_ref object = nullptr;
  EXPECT_STATUS(api.finalizer_next(nullptr, &object), ECHO_INVALID_ARGUMENT, "finalizer_next of no thread");
  EXPECT_STATUS(api.finalizer_next(t.f.mutator.get(), nullptr), ECHO_INVALID_ARGUMENT,
                "finalizer_next to nowhere");
  EXPECT_EQ(api.finalizers_due(nullptr), 0u, "finalizers_due of no heap");
  EXPECT_STATUS(api.enter_native(t.f.mutator.get()), ECHO_OK, "enter_native");
  EXPECT_STATUS(api.finalizer_next(t.f.mutator.get(), &object), ECHO_WRONG_STATE,
                "finalizer_next of a native thread");
  EXPECT_STATUS(api.leave_native(t.f.mutator.get()), ECHO_OK, "leave_native");
  Workers workers(t.f.heap);
  workers.start_bare([&] {
    echo_ref out = nullptr;
    EXPECT_STATUS(api.finalizer_next(t.f.mutator.get(), &out), ECHO_WRONG_THREAD,
                  "finalizer_next of another thread");
  });
  workers.join_from(t.f.mutator);
  EXPECT(next(t.f.mutator) == nullptr, "something is due in an empty heap");
}

} // namespace

Suite finalizers_suite() {
  return {
      "finalizers",
      "finalizable objects: when they are due, what stays alive with them, who gets them",
      {
          {"due_once", "an object is due once, after it was last reached", "[abi.final.1]", due_once},
          {"they_keep_what_they_reach", "until it is taken an object keeps all that it reaches",
           "[abi.final.2]", they_keep_what_they_reach},
          {"in_order_and_in_circles",
           "objects that reach each other are due together, in the order of their birth", "[abi.final.3]",
           in_order_and_in_circles},
          {"weak_slots_are_null_before", "weak slots show no object that is due", "[abi.final.4]",
           weak_slots_are_null_before},
          {"the_resurrected_are_objects_like_any",
           "what was taken lives while it is reached, and is not due again", "[abi.final.1] [abi.final.2]",
           the_resurrected_are_objects_like_any},
          {"large_objects_and_arrays", "finalizable objects have any kind and size", "[abi.final.1]",
           large_objects_and_arrays},
          {"threads_share_the_queue", "each object goes to one thread, once", "[abi.final.1] [abi.final.3]",
           threads_share_the_queue},
          {"both_ways_of_allocation", "the recipe's cold path allocates finalizable objects as the call does",
           "[abi.final.5]", both_ways_of_allocation},
          {"destroyed_heaps_owe_nothing", "a heap is destroyed whatever is due or not", "[abi.final.6]",
           destroyed_heaps_owe_nothing},
          {"misuse_is_noticed", "wrong thread, wrong state and null are errors",
           "[abi.error.1] [abi.state.1]", misuse_is_noticed},
      }};
}

} // namespace conformance
