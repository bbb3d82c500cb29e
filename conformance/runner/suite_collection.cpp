// SPDX-License-Identifier: MIT
//
// suite_collection.cpp - the two halves of a collector: what is reachable stays as it is, what is not comes
// back.
#include "graph_model.h"
#include "patterns.h"

namespace conformance {

namespace {

constexpr std::uint64_t kLimit = std::uint64_t{16} << 20;
constexpr char kLimitOption[] = "max_heap=16m";

struct Collected : Fixture {
  explicit Collected(const Context& context,
                     std::initializer_list<const char*> wishes = {"poison=on", "verify=on"})
      : Fixture(context, [wishes](const Plugin& p) { return p.options_with(kLimitOption, wishes); }) {
    plugin.require(ECHO_FEATURE_COLLECTS);
  }
};

void garbage_is_reused(Context& context) {
  Collected f(context, {});
  Scope scope(f.mutator);
  const Nodes nodes(f.mutator);
  const echo_handle kept = nodes.list(2000);
  churn(f.mutator, 50 * kLimit, context.random);
  nodes.expect_list(kept, 2000, "the live list");
  EXPECT(f.heap.statistics().bytes_allocated >= 50 * kLimit, "bytes_allocated is below what was allocated");
}

void large_garbage_is_reused(Context& context) {
  Collected f(context, {});
  const echo_layout_id words = f.heap.raw_array("words", 8);
  for (std::uint64_t bytes = 0; bytes < 50 * kLimit;) {
    const std::uint64_t length = context.random.between(8000, 500000);
    const echo_ref array = f.mutator.allocate(words, length);
    EXPECT(is_zero(array, 16, 16 + std::min<std::uint64_t>(length * 8, 4096)), "a large array is not zero");
    EXPECT_EQ(word(array, 1 + length), std::uint64_t{0}, "the last word of a large array");
    word(array, 2) = word(array, 1 + length) = UINT64_MAX;
    bytes += length * 8;
  }
}

void reused_memory_is_zero(Context& context) {
  Collected f(context);
  const echo_layout_id words = f.heap.raw_array("words", 8);
  for (std::uint64_t bytes = 0; bytes < 8 * kLimit;) {
    const std::uint64_t length =
        context.random.chance(500) ? context.random.between(1000, 60000) : context.random.below(80);
    const echo_ref array = f.mutator.allocate(words, length);
    EXPECT(is_zero(array, 16, 16 + length * 8),
           "an array of " + show(length) + " words is not zero after " + show(bytes) + " bytes");
    std::fill_n(&word(array, 2), length, UINT64_MAX);
    bytes += 16 + length * 8;
  }
}

void full_heap_recovers(Context& context) {
  constexpr std::uint64_t kSmall = std::uint64_t{4}
                                   << 20; // a full heap collects often, and each time all of it
  Fixture f(context,
            [](const Plugin& p) { return p.options_with("max_heap=4m", {"poison=on", "verify=on"}); });
  f.plugin.require(ECHO_FEATURE_COLLECTS);
  const Nodes nodes(f.mutator);
  for (int turn = 0; turn < 4; ++turn) {
    Scope scope(f.mutator);
    const echo_handle head = f.mutator.root(nullptr);
    std::uint64_t count = 0;
    for (;; ++count) {
      const echo_ref node = f.mutator.api().allocate(f.mutator.get(), nodes.layout, 0);
      if (node == nullptr)
        break;
      f.mutator.store(node, Nodes::kRight, f.mutator.get(head));
      f.mutator.set(head, node);
    }
    EXPECT_STATUS(f.mutator.last_error(), ECHO_HEAP_LIMIT, "the error of a full heap");
    EXPECT(count * Nodes::kBytes > kSmall / 4,
           "in turn " + show(turn) + " the heap was full after " + show(count) + " nodes");
    f.mutator.set(head, nullptr); // all of it is garbage now
  }
  f.mutator.verify();
}

void holes_are_reused(Context& context) {
  Collected f(context);
  Scope scope(f.mutator);
  const Nodes nodes(f.mutator);
  const std::uint64_t count = kLimit / 2 / Nodes::kBytes;
  const echo_handle table = f.mutator.root(f.mutator.allocate(f.heap.ref_array(), count));
  for (int turn = 0; turn < 6; ++turn) {
    for (std::uint64_t i = 0; i < count; ++i)
      if (word(f.mutator.get(table), 2 + i) == 0) {
        const echo_ref node = nodes.make(i);
        f.mutator.array_store(f.mutator.get(table), i, node);
      }
    f.mutator.collect();
    for (std::uint64_t i = 0; i < count; ++i) {
      nodes.expect(reinterpret_cast<echo_ref>(word(f.mutator.get(table), 2 + i)), i, "entry " + show(i));
      if (!context.random.chance(10))
        f.mutator.array_store(f.mutator.get(table), i, nullptr);
    }
  }
  f.mutator.verify();
}

// Objects of all sizes in holes of all sizes: a hole that is taken for longer than it is ends in a neighbour.
void mixed_holes_are_reused(Context& context) {
  Collected f(context);
  Scope scope(f.mutator);
  const echo_layout_id words = f.heap.raw_array("words", 8);
  constexpr std::uint64_t kCount = 20000, kMost = 40;
  const echo_handle table = f.mutator.root(f.mutator.allocate(f.heap.ref_array(), kCount));
  std::vector<std::uint64_t> lengths(kCount);
  for (int turn = 0; turn < 8; ++turn) {
    for (std::uint64_t i = 0; i < kCount; ++i)
      if (word(f.mutator.get(table), 2 + i) == 0) {
        lengths[i] = context.random.between(1, kMost);
        const echo_ref object = f.mutator.allocate(words, lengths[i]);
        fill(object, 2, 2 + lengths[i], i);
        f.mutator.array_store(f.mutator.get(table), i, object);
      }
    f.mutator.collect();
    for (std::uint64_t i = 0; i < kCount; ++i) {
      const auto object = reinterpret_cast<echo_ref>(word(f.mutator.get(table), 2 + i));
      EXPECT_EQ(f.plugin.api().object_layout(f.heap.get(), object), words,
                "an object whose neighbours were reused: layout of entry " + show(i));
      EXPECT_EQ(word(object, 1), lengths[i],
                "an object whose neighbours were reused: length of entry " + show(i));
      EXPECT(has_pattern(object, 2, 2 + lengths[i], i),
             "an object whose neighbours were reused was overwritten: entry " + show(i));
      if (context.random.chance(2))
        f.mutator.array_store(f.mutator.get(table), i, nullptr);
    }
  }
  f.mutator.verify();
}

void random_graph(Context& context) {
  Collected f(context);
  GraphModel model(f.mutator, context.random, 40, 3000);
  for (int step = 0; step < 60000; ++step) {
    model.step();
    if (step % 6000 == 5999) {
      f.mutator.collect();
      model.expect_equal("after a collection asked for");
    }
  }
  f.mutator.verify();
}

void random_graph_under_stress(Context& context) {
  const Plugin plugin(context.plugin_path);
  plugin.require(ECHO_FEATURE_COLLECTS);
  plugin.skip_without_option("stress_collect");
  const Heap heap(plugin, plugin.options_with("max_heap=64m,stress_collect=1", {"poison=on", "verify=on"}));
  const Mutator mutator(heap);
  GraphModel model(mutator, context.random, 10, 60);
  for (int step = 0; step < 1500; ++step) {
    model.step();
    if (step % 50 == 49)
      model.expect_equal("at step " + show(step));
  }
  EXPECT(heap.statistics().collections_full > 100,
         "stress_collect=1 collected only " + show(heap.statistics().collections_full) + " times");
}

void stress_reaches_inline_allocation(Context& context) {
  const Plugin plugin(context.plugin_path);
  plugin.require(ECHO_FEATURE_COLLECTS);
  plugin.skip_without_option("stress_collect");
  const Heap heap(plugin, "max_heap=64m,stress_collect=7");
  const Mutator mutator(heap);
  const echo_layout_id layout = heap.fixed("small", 16, {});
  for (int i = 0; i < 700; ++i)
    mutator.allocate(layout);
  const std::uint64_t collections = heap.statistics().collections_full;
  EXPECT(collections >= 90 && collections <= 110,
         "700 allocations with stress_collect=7 collected " + show(collections) + " times");
}

void long_lists_are_marked(Context& context) {
  Fixture f(context, [](const Plugin& p) { return p.options_with("max_heap=256m", {"poison=on"}); });
  f.plugin.require(ECHO_FEATURE_COLLECTS);
  Scope scope(f.mutator);
  const Nodes nodes(f.mutator);
  constexpr std::uint64_t kCount = 1000000; // a marker that recurses needs more stack than there is
  const echo_handle head = nodes.list(kCount);
  f.mutator.collect();
  nodes.expect_list(head, kCount, "a list of a million");
}

void wide_arrays_are_marked(Context& context) {
  Fixture f(context, [](const Plugin& p) { return p.options_with("max_heap=256m", {"poison=on"}); });
  f.plugin.require(ECHO_FEATURE_COLLECTS);
  Scope scope(f.mutator);
  const Nodes nodes(f.mutator);
  constexpr std::uint64_t kCount = 300000;
  const echo_handle array = f.mutator.root(f.mutator.allocate(f.heap.ref_array(), kCount));
  for (std::uint64_t i = 0; i < kCount; ++i)
    f.mutator.array_store(f.mutator.get(array), i, nodes.make(i));
  f.mutator.collect();
  churn(f.mutator, 32 << 20, context.random);
  for (std::uint64_t i = 0; i < kCount; ++i)
    nodes.expect(reinterpret_cast<echo_ref>(word(f.mutator.get(array), 2 + i)), i, "element " + show(i));
}

// An object of each layout keeps exactly one node alive, from each place that can hold a reference.
void every_slot_is_traced(Context& context) {
  Collected f(context);
  Scope scope(f.mutator);
  const Nodes nodes(f.mutator);
  struct Place {
    echo_layout_id layout;
    std::uint64_t length, word_index;
    bool element;
  };
  std::vector<Place> places;
  for (const std::uint32_t w : {1u, 2u, 31u, 32u, 61u, 62u, 63u, 64u, 65u, 126u, 127u, 128u, 511u})
    places.push_back({f.heap.fixed(("slot " + show(w)).c_str(), 4096, {w}), 0, w, false});
  const echo_slot tagged{16, ECHO_SLOT_TAGGED};
  places.push_back(
      {f.heap.add({sizeof(echo_layout), ECHO_LAYOUT_FIXED, "tagged", 24, 0, 0, 0, 1, &tagged}), 0, 2, false});
  const echo_slot strong{32, ECHO_SLOT_STRONG};
  places.push_back(
      {f.heap.add({sizeof(echo_layout), ECHO_LAYOUT_MIXED_RAW, "mixed raw", 40, 8, 0, 0, 1, &strong}), 9, 4,
       false});
  const echo_layout_id mixed =
      f.heap.add({sizeof(echo_layout), ECHO_LAYOUT_MIXED_REF, "mixed ref", 40, 8, 0, 0, 1, &strong});
  places.push_back({mixed, 9, 4, false});
  for (const std::uint64_t element : {0, 1, 8})
    places.push_back({mixed, 9, 5 + element, true});
  for (const std::uint64_t element : {0, 1, 63, 64, 4999})
    places.push_back({f.heap.ref_array(), 5000, 2 + element, true});
  places.push_back({f.heap.ref_array(), 200000, 2 + 199999, true}); // large

  std::vector<echo_handle> objects;
  for (std::size_t i = 0; i < places.size(); ++i) {
    const Place& p = places[i];
    objects.push_back(f.mutator.root(f.mutator.allocate(p.layout, p.length)));
    const echo_ref node = nodes.make(i);
    const std::uint64_t first = f.heap.info(p.layout).fixed_bytes / 8;
    if (p.element)
      f.mutator.array_store(f.mutator.get(objects[i]), p.word_index - first, node);
    else
      f.mutator.store(f.mutator.get(objects[i]), p.word_index, node);
  }
  for (int turn = 0; turn < 3; ++turn) {
    f.mutator.collect();
    churn(f.mutator, kLimit / 4, context.random);
    for (std::size_t i = 0; i < places.size(); ++i)
      nodes.expect(reinterpret_cast<echo_ref>(word(f.mutator.get(objects[i]), places[i].word_index)), i,
                   std::string("word ") + show(places[i].word_index) + " of " +
                       f.heap.info(places[i].layout).name);
  }
}

void tags_are_not_references(Context& context) {
  Collected f(context);
  Scope scope(f.mutator);
  const Nodes nodes(f.mutator);
  const echo_slot slot{8, ECHO_SLOT_TAGGED};
  const echo_layout_id layout =
      f.heap.add({sizeof(echo_layout), ECHO_LAYOUT_FIXED, "tagged", 16, 0, 0, 0, 1, &slot});
  std::vector<echo_handle> objects;
  std::vector<std::uint64_t> values;
  for (std::uint64_t i = 0; i < 700; ++i) {
    const std::uint64_t dead = reinterpret_cast<std::uintptr_t>(nodes.make(i));
    const std::uint64_t tag = context.random.between(1, 7);
    values.push_back(context.random.chance(2) ? dead + tag
                                              : (context.random.next() & ~std::uint64_t{7}) + tag);
    objects.push_back(f.mutator.root(f.mutator.allocate(layout)));
    f.mutator.store(f.mutator.get(objects.back()), 1, reinterpret_cast<echo_ref>(values.back()));
  }
  for (int turn = 0; turn < 3; ++turn) {
    f.mutator.collect();
    churn(f.mutator, kLimit / 4, context.random);
    for (std::size_t i = 0; i < objects.size(); ++i)
      EXPECT_EQ(word(f.mutator.get(objects[i]), 1), values[i], "a tagged word");
  }
}

// Raw words that look like references: not followed, not changed, not kept.
void raw_words_are_not_references(Context& context) {
  Collected f(context);
  Scope scope(f.mutator);
  const Nodes nodes(f.mutator);
  constexpr std::uint64_t kCount = 10000;
  const echo_handle words = f.mutator.root(f.mutator.allocate(f.heap.raw_array("words", 8), kCount));
  std::vector<std::uint64_t> values(kCount);
  for (std::uint64_t i = 0; i < kCount; ++i) {
    values[i] = reinterpret_cast<std::uintptr_t>(nodes.make(i)) + context.random.below(3) * 8;
    word(f.mutator.get(words), 2 + i) = values[i];
  }
  f.mutator.collect();
  const std::uint64_t live = f.heap.statistics().live_bytes;
  EXPECT(live < kCount * 8 + kCount * Nodes::kBytes / 2,
         "live_bytes is " + show(live) + ": raw words kept objects alive");
  churn(f.mutator, kLimit, context.random);
  for (std::uint64_t i = 0; i < kCount; ++i)
    EXPECT_EQ(word(f.mutator.get(words), 2 + i), values[i], "a raw word");
}

void cycles_are_garbage(Context& context) {
  Collected f(context);
  const Nodes nodes(f.mutator);
  for (int turn = 0; turn < 400; ++turn) { // 400 rings of 2000 nodes are 45 MB
    Scope scope(f.mutator);
    const echo_handle first = f.mutator.root(nodes.make(0));
    const echo_handle last = f.mutator.root(f.mutator.get(first));
    for (std::uint64_t i = 1; i < 2000; ++i) {
      const echo_ref node = nodes.make(i);
      f.mutator.store(node, Nodes::kLeft, f.mutator.get(last));
      f.mutator.store(f.mutator.get(last), Nodes::kRight, node);
      f.mutator.set(last, node);
    }
    f.mutator.store(f.mutator.get(last), Nodes::kRight, f.mutator.get(first));
    f.mutator.store(f.mutator.get(first), Nodes::kLeft, f.mutator.get(last));
  }
}

void pinned_objects_stay(Context& context) {
  Collected f(context);
  Scope scope(f.mutator);
  const echo_layout_id pinned = f.heap.add(
      {sizeof(echo_layout), ECHO_LAYOUT_FIXED, "pinned", 48, 0, 0, ECHO_LAYOUT_PINNED, 0, nullptr});
  std::vector<std::pair<echo_handle, echo_ref>> objects;
  for (std::uint64_t i = 0; i < 500; ++i) {
    const echo_ref object = f.mutator.allocate(pinned);
    fill(object, 1, 6, i);
    objects.emplace_back(f.mutator.root(object), object);
    churn(f.mutator, 4096, context.random);
  }
  for (const std::uint32_t kind : {ECHO_COLLECT_FULL, ECHO_COLLECT_COMPACT}) {
    if (kind == ECHO_COLLECT_COMPACT && !f.plugin.has(ECHO_FEATURE_MOVES))
      continue;
    f.mutator.collect(kind);
    for (std::uint64_t i = 0; i < objects.size(); ++i) {
      EXPECT(f.mutator.get(objects[i].first) == objects[i].second, "a pinned object has moved");
      EXPECT(has_pattern(objects[i].second, 1, 6, i), "a pinned object was overwritten");
    }
  }
}

void verifier_finds_damage(Context& context) {
  Fixture f(context, "max_heap=32m");
  f.plugin.skip_without(ECHO_FEATURE_VERIFIER);
  Scope scope(f.mutator);
  const Nodes nodes(f.mutator);
  const echo_handle head = nodes.list(100);
  f.mutator.verify();
  const echo_handle victim = f.mutator.root(Nodes::child(f.mutator.get(head), Nodes::kRight));
  const auto expect_found = [&](const std::string& what) {
    echo_error why = untouched_error();
    EXPECT_STATUS(f.plugin.api().verify(f.mutator.get(), 1, &why), ECHO_HEAP_CORRUPT, what);
    expect_error(why, ECHO_HEAP_CORRUPT, what);
  };
  const std::uint64_t header = word(f.mutator.get(victim), 0);
  word(f.mutator.get(victim), 0) = 0xDBDBDBDBDBDBDBDB;
  expect_found("a header that names no layout");
  word(f.mutator.get(victim), 0) = header;
  const std::uint64_t left = word(f.mutator.get(victim), Nodes::kLeft);
  const auto expect_slot_found = [&](std::uint64_t wrong, const std::string& what) {
    word(f.mutator.get(victim), Nodes::kLeft) = wrong;
    expect_found(what);
    word(f.mutator.get(victim), Nodes::kLeft) = left;
  };
  expect_slot_found(reinterpret_cast<std::uintptr_t>(f.mutator.get(head)) + 8,
                    "a slot with an address inside an object");
  const echo_ref dead = nodes.make(1);
  f.mutator.collect();
  f.mutator.verify();
  expect_slot_found(reinterpret_cast<std::uintptr_t>(dead),
                    "a slot with the address of an object that is gone");
  f.mutator.verify();
}

} // namespace

Suite collection_suite() {
  return {
      "collection",
      "what is reachable stays as it is, what is not comes back",
      {
          {"garbage_is_reused", "50 times the heap limit is allocated, small objects of mixed sizes",
           "[abi.collect.1]", garbage_is_reused},
          {"large_garbage_is_reused", "50 times the heap limit is allocated, large objects",
           "[abi.collect.1]", large_garbage_is_reused},
          {"reused_memory_is_zero", "an object in reused memory is zero like any other",
           "[abi.collect.1] [abi.alloc.1]", reused_memory_is_zero},
          {"full_heap_recovers", "a heap that was full goes on when its objects are dropped",
           "[abi.collect.1] [abi.alloc.3]", full_heap_recovers},
          {"holes_are_reused", "memory between survivors is used again", "[abi.collect.1]", holes_are_reused},
          {"random_graph", "a mutated graph equals its model, with poison (random)", "[abi.collect.2]",
           random_graph, 120},
          {"random_graph_under_stress", "the same with a collection at every allocation (random)",
           "[abi.collect.2]", random_graph_under_stress, 120},
          {"stress_is_exact", "stress_collect=N collects at every Nth allocation", "[abi.options.1]",
           stress_reaches_inline_allocation},
          {"long_lists_are_marked", "a list of a million objects survives", "[abi.collect.2]",
           long_lists_are_marked},
          {"wide_arrays_are_marked", "an array of 300 000 references survives", "[abi.collect.2]",
           wide_arrays_are_marked},
          {"every_slot_is_traced", "each place of each kind of layout keeps its object alive",
           "[abi.layout.1] [abi.collect.2]", every_slot_is_traced},
          {"tags_are_not_references", "tagged words with a tag are neither followed nor changed (random)",
           "[abi.layout.1]", tags_are_not_references},
          {"raw_words_are_not_references", "raw words keep nothing alive and do not change",
           "[abi.layout.1] [abi.collect.1]", raw_words_are_not_references},
          {"cycles_are_garbage", "rings that nothing refers to come back", "[abi.collect.1]",
           cycles_are_garbage},
          {"pinned_objects_stay", "objects of pinned layouts keep their address", "[abi.collect.2]",
           pinned_objects_stay},
          {"verifier_finds_damage", "the heap verifier names a damaged header and a wild reference",
           "[abi.collect.3]", verifier_finds_damage},
          {"mixed_holes_are_reused",
           "memory between survivors of all sizes is used again, and no more than that",
           "[abi.collect.1] [abi.alloc.2]", mixed_holes_are_reused},
      }};
}

} // namespace conformance
