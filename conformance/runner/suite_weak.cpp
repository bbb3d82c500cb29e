// SPDX-License-Identifier: MIT
//
// suite_weak.cpp - weak slots: what they keep, what they show, and when they become null.
#include "patterns.h"
#include "recipe_machine.h"
#include "workers.h"

#include <atomic>
#include <vector>

namespace conformance {

namespace {

std::string poisoned(const Plugin& p) {
  return p.options_with("max_heap=32m", {"poison=on", "verify=on"});
}

// [header][weak][strong][key]
struct Holders {
  static constexpr std::uint64_t kWeak = 1, kStrong = 2, kKey = 3, kBytes = 32;

  const Mutator* mutator;
  echo_layout_id layout;

  explicit Holders(const Mutator& m) : mutator(&m) {
    static const echo_slot slots[] = {{kWeak * 8, ECHO_SLOT_WEAK}, {kStrong * 8, ECHO_SLOT_STRONG}};
    layout = m.heap().add({sizeof(echo_layout), ECHO_LAYOUT_FIXED, "holder", kBytes, 0, 0, 0, 2, slots});
  }
  echo_handle make() const { return mutator->root(mutator->allocate(layout)); }
  echo_ref weak(echo_handle holder) const {
    return mutator->api().weak_load(mutator->get(), mutator->get(holder), kWeak * 8);
  }
  void point(echo_handle holder, echo_handle target, std::uint64_t which = kWeak) const {
    mutator->store(mutator->get(holder), which, mutator->get(target));
  }
};

struct WeakFixture : FeatureFixture {
  const Holders holders;
  explicit WeakFixture(const Context& context)
      : FeatureFixture(context, poisoned, ECHO_FEATURE_WEAK), holders(f.mutator) {}
};

void the_dead_are_cleared(Context& context) {
  WeakFixture w(context);
  std::vector<echo_handle> holders, kept;
  for (std::uint64_t i = 0; i < 3000; ++i) {
    holders.push_back(w.holders.make());
    Scope inner(w.f.mutator);
    const echo_handle target = w.f.mutator.root(w.nodes.make(i));
    w.holders.point(holders.back(), target);
    inner.close();
    if (i % 3 == 0)
      kept.push_back(w.f.mutator.root(w.holders.weak(holders.back())));
  }
  for (int turn = 0; turn < 3; ++turn) {
    w.f.mutator.collect();
    churn(w.f.mutator, 4 << 20, context.random);
    for (std::uint64_t i = 0; i < holders.size(); ++i)
      if (i % 3 == 0)
        w.nodes.expect(w.holders.weak(holders[i]), i, "a weak slot whose object has a handle, " + show(i));
      else
        EXPECT(w.holders.weak(holders[i]) == nullptr, "weak slot " + show(i) + " shows a dead object");
  }
  w.f.mutator.verify();
}

void they_keep_nothing_alive(Context& context) {
  WeakFixture w(context);
  const echo_handle first = w.holders.make(), second = w.holders.make();
  w.holders.point(first, second);
  w.holders.point(second, first);
  {
    Scope inner(w.f.mutator);
    const echo_handle target = w.f.mutator.root(w.nodes.make(1));
    w.holders.point(first, target);
    inner.close();
  }
  w.f.mutator.collect();
  EXPECT_EQ(w.f.heap.statistics().live_bytes, 2 * Holders::kBytes, "live_bytes of two holders");
  EXPECT(w.holders.weak(first) == nullptr && w.holders.weak(second) == w.f.mutator.get(first),
         "of two weak slots the one with the dead object is null");
}

void strong_paths_count(Context& context) {
  WeakFixture w(context);
  const echo_handle weak = w.holders.make(), strong = w.holders.make();
  {
    Scope inner(w.f.mutator);
    const echo_handle target = w.f.mutator.root(w.nodes.make(7));
    w.holders.point(weak, target);
    w.holders.point(strong, target, Holders::kStrong);
    inner.close();
  }
  w.f.mutator.collect();
  w.nodes.expect(w.holders.weak(weak), 7, "a weak slot whose object another one holds");
  w.f.mutator.store(w.f.mutator.get(strong), Holders::kStrong, nullptr);
  w.f.mutator.collect();
  EXPECT(w.holders.weak(weak) == nullptr, "a weak slot shows an object that nothing holds any more");
}

void large_objects_and_far_slots(Context& context) {
  WeakFixture w(context);
  static const echo_slot slots[] = {{8, ECHO_SLOT_STRONG}, {40000, ECHO_SLOT_WEAK}, {90000, ECHO_SLOT_WEAK}};
  const echo_layout_id layout =
      w.f.heap.add({sizeof(echo_layout), ECHO_LAYOUT_FIXED, "far", 100000, 0, 0, 0, 3, slots});
  const echo_layout_id words = w.f.heap.raw_array("words", 8);
  const echo_handle holder = w.f.mutator.root(w.f.mutator.allocate(layout));
  const echo_handle kept = w.f.mutator.root(w.f.mutator.allocate(words, 50000));
  {
    Scope inner(w.f.mutator);
    const echo_handle lost = w.f.mutator.root(w.f.mutator.allocate(words, 50000));
    w.f.mutator.store(w.f.mutator.get(holder), 40000 / 8, w.f.mutator.get(lost));
    w.f.mutator.store(w.f.mutator.get(holder), 90000 / 8, w.f.mutator.get(kept));
    inner.close();
  }
  w.f.mutator.collect();
  const auto load = [&](std::uint64_t offset) {
    return w.f.plugin.api().weak_load(w.f.mutator.get(), w.f.mutator.get(holder), offset);
  };
  EXPECT(load(40000) == nullptr, "a far weak slot shows a large object that is dead");
  EXPECT(load(90000) == w.f.mutator.get(kept), "a far weak slot lost a large object that is alive");
  w.f.mutator.verify();
}

// A weak load gives a reference that a handle can hold, also of an object that only weak slots knew until then.
void loads_revive(Context& context) {
  WeakFixture w(context);
  const echo_handle holder = w.holders.make();
  {
    Scope inner(w.f.mutator);
    w.holders.point(holder, w.f.mutator.root(w.nodes.make(9)));
    inner.close();
  }
  const echo_handle revived = w.f.mutator.root(w.holders.weak(holder));
  for (int turn = 0; turn < 2; ++turn) {
    w.f.mutator.collect();
    churn(w.f.mutator, 2 << 20, context.random);
    w.nodes.expect(w.f.mutator.get(revived), 9, "an object that was loaded from a weak slot");
    EXPECT(w.holders.weak(holder) == w.f.mutator.get(revived), "the weak slot shows it no longer");
  }
}

void recipe_and_call_agree(Context& context) {
  WeakFixture w(context);
  for (const std::uint32_t set : {ECHO_RECIPES_FASTEST, ECHO_RECIPES_PORTABLE}) {
    const RecipeMachine machine(w.f.mutator, set);
    EXPECT(machine.recipes().weak_load_cold != nullptr, "the feature is there and its cold path is not");
    const echo_handle holder = w.holders.make(), target = w.f.mutator.root(w.nodes.make(4));
    w.holders.point(holder, target);
    w.f.mutator.collect();
    auto* const slot = &word(w.f.mutator.get(holder), Holders::kWeak);
    EXPECT(machine.weak_load(slot) == w.f.mutator.get(target), "the recipe loads another object");
    EXPECT(machine.recipes().weak_load_cold(w.f.mutator.get(), reinterpret_cast<echo_ref*>(slot)) ==
               w.f.mutator.get(target),
           "the cold path loads another object");
    machine.store(slot, nullptr);
    EXPECT(machine.weak_load(slot) == nullptr, "null is loaded as an object");
  }
}

// A table in which each key has one object, as [abi.intern.1] describes: buckets of blocks, a block of weak slots.
class InterningTable {
public:
  explicit InterningTable(const WeakFixture& w) : m_(w.f.mutator), nodes_(w.nodes) {
    static constexpr echo_slot slots[] = {{8, ECHO_SLOT_STRONG}, {16, ECHO_SLOT_WEAK}, {24, ECHO_SLOT_WEAK},
                                          {32, ECHO_SLOT_WEAK},  {40, ECHO_SLOT_WEAK}, {48, ECHO_SLOT_WEAK}};
    block_ = m_.heap().add({sizeof(echo_layout), ECHO_LAYOUT_FIXED, "bucket", 56, 0, 0, 0, 6, slots});
    buckets_ = m_.root(m_.allocate(m_.heap().ref_array(), kBuckets));
  }
  // The object of this key; made if there is none.
  echo_ref intern(std::uint64_t key) {
    if (const echo_ref found = find(key); found != nullptr)
      return found;
    Scope scope(m_);
    const echo_handle made = m_.root(nodes_.make(key)); // slots may become free meanwhile
    if (!put(key, m_.get(made))) {
      const echo_ref block = m_.allocate(block_);
      m_.store(block, kNext, bucket(key));
      m_.array_store(m_.get(buckets_), key % kBuckets, block);
      ++blocks;
      EXPECT(put(key, m_.get(made)), "a new block has no free slot");
    }
    const echo_ref object = m_.get(made);
    scope.close();
    return object;
  }
  echo_ref find(std::uint64_t key) const {
    for (echo_ref block = bucket(key); block != nullptr; block = Nodes::child(block, kNext))
      for (std::uint64_t slot = kFirst; slot < kEnd; ++slot)
        if (const echo_ref object = load(block, slot);
            object != nullptr && word(object, Nodes::kFirst) == pattern(key, Nodes::kFirst))
          return object;
    return nullptr;
  }
  std::uint64_t blocks = 0;

private:
  static constexpr std::uint64_t kBuckets = 64, kNext = 1, kFirst = 2, kEnd = 7;
  echo_ref load(echo_ref block, std::uint64_t slot) const {
    return m_.api().weak_load(m_.get(), block, slot * 8);
  }
  echo_ref bucket(std::uint64_t key) const {
    return reinterpret_cast<echo_ref>(word(m_.get(buckets_), 2 + key % kBuckets));
  }
  bool put(std::uint64_t key, echo_ref object) const {
    for (echo_ref block = bucket(key); block != nullptr; block = Nodes::child(block, kNext))
      for (std::uint64_t slot = kFirst; slot < kEnd; ++slot)
        if (load(block, slot) == nullptr) {
          m_.store(block, slot, object);
          return true;
        }
    return false;
  }
  const Mutator& m_;
  const Nodes& nodes_;
  echo_layout_id block_ = 0;
  echo_handle buckets_ = nullptr;
};

void interning_tables(Context& context) {
  WeakFixture w(context);
  InterningTable table(w);
  constexpr std::uint64_t kKeys = 1000;
  std::vector<echo_handle> held;
  for (std::uint64_t key = 0; key < kKeys; ++key) {
    const echo_handle object = w.f.mutator.root(table.intern(key));
    EXPECT(table.intern(key) == w.f.mutator.get(object), "key " + show(key) + " has two objects");
    held.push_back(object);
  }
  const std::uint64_t blocks = table.blocks;
  for (std::uint64_t turn = 0; turn < 10; ++turn) {
    for (std::uint64_t key = 0; key < kKeys; ++key)
      if (key % 10 != turn)
        w.f.mutator.set(held[key], nullptr);
    w.f.mutator.collect();
    churn(w.f.mutator, 1 << 20, context.random);
    for (std::uint64_t key = 0; key < kKeys; ++key) {
      const echo_ref found = table.find(key);
      EXPECT(found == w.f.mutator.get(held[key]),
             "after a collection the table shows something else for " + show(key));
      if (found != nullptr)
        w.nodes.expect(found, key, "an interned object, key " + show(key));
    }
    for (std::uint64_t key = 0; key < kKeys; ++key)
      w.f.mutator.set(held[key], table.intern(key));
  }
  EXPECT_EQ(table.blocks, blocks, "blocks of the table: slots of the dead are used again");
  w.f.mutator.verify();
}

// Loads, drops and stores while another thread collects.
void collections_beside_the_program(Context& context) {
  WeakFixture w(context);
  constexpr std::uint64_t kHolders = 200;
  std::vector<echo_handle> holders, held;
  std::vector<std::uint64_t> keys(kHolders);
  for (std::uint64_t i = 0; i < kHolders; ++i) {
    holders.push_back(w.holders.make());
    held.push_back(w.f.mutator.root(nullptr));
  }
  std::atomic<bool> over{false};
  Workers workers(w.f.heap);
  workers.start([&](const Mutator& m) {
    for (int turn = 0; turn < 40; ++turn)
      m.collect();
    over = true;
  });
  for (std::uint64_t made = 0; !over;) {
    const std::uint64_t i = context.random.below(kHolders);
    const echo_ref shown = w.holders.weak(holders[i]);
    EXPECT(w.f.mutator.get(held[i]) == nullptr || shown == w.f.mutator.get(held[i]),
           "a weak slot does not show an object that has a handle");
    if (shown != nullptr)
      w.nodes.expect(shown, keys[i], "an object that a weak slot shows");
    switch (context.random.below(4)) {
    case 0:
      w.f.mutator.set(held[i], nullptr);
      break;
    case 1:
      w.f.mutator.set(held[i], shown); // what was loaded is alive
      break;
    case 2:
      if (shown == nullptr) {
        keys[i] = ++made;
        w.f.mutator.set(held[i], w.nodes.make(made));
        w.holders.point(holders[i], held[i]);
      }
      break;
    default:
      w.f.plugin.api().poll(w.f.mutator.get());
      break;
    }
  }
  workers.join_from(w.f.mutator);
  w.f.mutator.verify();
}

void misuse_is_noticed(Context& context) {
  WeakFixture w(context);
  const echo_heap_api& api = w.f.plugin.api();
  const echo_handle holder = w.holders.make();
  for (const std::uint64_t offset : {std::uint64_t{0}, std::uint64_t{9}, Holders::kStrong * 8,
                                     Holders::kKey * 8, std::uint64_t{4096}, ~std::uint64_t{0}}) {
    EXPECT(api.weak_load(w.f.mutator.get(), w.f.mutator.get(holder), offset) == nullptr,
           "a weak load at offset " + show(offset));
    EXPECT_STATUS(w.f.mutator.last_error(), ECHO_INVALID_ARGUMENT, "a weak load at offset " + show(offset));
  }
  EXPECT(api.weak_load(w.f.mutator.get(), nullptr, 8) == nullptr, "a weak load from null");
  EXPECT_STATUS(w.f.mutator.last_error(), ECHO_INVALID_ARGUMENT, "a weak load from null");
}

} // namespace

Suite weak_suite() {
  return {
      "weak",
      "weak slots: what they keep, what they show, and when they become null",
      {
          {"the_dead_are_cleared", "a weak slot shows its object while it is alive, and null afterwards",
           "[weak.clear.1]", the_dead_are_cleared},
          {"they_keep_nothing_alive", "objects that only weak slots know are freed", "[weak.clear.1]",
           they_keep_nothing_alive},
          {"strong_paths_count", "any strong path keeps what a weak slot shows", "[weak.clear.1]",
           strong_paths_count},
          {"large_objects_and_far_slots", "weak slots of and to large objects work as any",
           "[weak.clear.1] [abi.layout.1]", large_objects_and_far_slots},
          {"loads_revive", "what a weak load returned is alive from then on", "[weak.load.1]", loads_revive},
          {"recipe_and_call_agree", "the recipe's weak load and its cold path load the same",
           "[abi.recipe.1] [weak.load.1]", recipe_and_call_agree},
          {"interning_tables", "a table of weak slots has one object for each key, while somebody has it",
           "[abi.intern.1] [weak.clear.1]", interning_tables},
          {"collections_beside_the_program", "weak slots show what is alive while another thread collects",
           "[weak.load.1] [weak.clear.1]", collections_beside_the_program},
          {"misuse_is_noticed", "a weak load of what is no weak slot is INVALID_ARGUMENT", "[abi.error.1]",
           misuse_is_noticed},
      }};
}

} // namespace conformance
