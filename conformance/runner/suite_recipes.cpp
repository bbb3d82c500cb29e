// SPDX-License-Identifier: MIT
//
// suite_recipes.cpp - the fast paths as data, followed to the letter by an interpreter.
#include "patterns.h"
#include "recipe_machine.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <vector>

namespace conformance {

namespace {

constexpr std::uint32_t kSets[] = {ECHO_RECIPES_FASTEST, ECHO_RECIPES_PORTABLE};

void recipes_are_complete(Context& context) {
  Fixture f(context);
  for (const std::uint32_t set : kSets) {
    const echo_recipes& r = RecipeMachine::read(f.mutator, set);
    EXPECT(r.size >= sizeof(echo_recipes), "the set is smaller than its version has it");
    EXPECT_EQ(r.version, 1u, "version");
    for (const std::uint32_t offset : {r.cursor_offset, r.limit_offset, r.poll_offset, r.anchor_sp_offset,
                                       r.anchor_fp_offset, r.anchor_pc_offset})
      EXPECT(offset % 8 == 0 && offset <= 120,
             "a word at offset " + show(offset) + " is not in two cache lines");
    EXPECT(r.phase_offset < 128, "the phase byte is not in two cache lines");
    EXPECT(r.granule >= 8 && r.granule <= 64 && (r.granule & (r.granule - 1)) == 0,
           "granule " + show(r.granule));
    EXPECT(r.max_inline_bytes >= 64, "max_inline_bytes " + show(r.max_inline_bytes));
    EXPECT_EQ(r.header_offset, 0u, "header_offset");
    EXPECT_EQ(r.length_offset, 8u, "length_offset");
    EXPECT(r.zero_from >= 8 && r.zero_from % 8 == 0, "zero_from " + show(r.zero_from));
    EXPECT(r.store_kind == ECHO_STORE_NONE || r.store_kind == ECHO_STORE_PHASE_TEST, "store_kind");
    EXPECT(r.allocate_cold != nullptr && r.store_cold != nullptr && r.poll_cold != nullptr,
           "a cold path is null");
    if (f.plugin.has(ECHO_FEATURE_STORE_BARRIER) && set == ECHO_RECIPES_PORTABLE)
      EXPECT(r.store_kind != ECHO_STORE_NONE, "STORE_BARRIER is set, but the portable store recipe is NONE");
  }
}

void recipes_are_constant(Context& context) {
  Fixture f(context, "max_heap=32m");
  std::vector<echo_recipes> before;
  for (const std::uint32_t set : kSets)
    before.push_back(RecipeMachine::read(f.mutator, set));
  churn(f.mutator, 8 << 20, context.random);
  for (const std::uint32_t set : kSets)
    EXPECT(std::memcmp(&RecipeMachine::read(f.mutator, set), &before[set], sizeof(echo_recipes)) == 0,
           "recipe set " + show(set) + " has changed");
}

void block_is_stable(Context& context) {
  Fixture f(context, "max_heap=32m");
  int mine = 0;
  f.plugin.api().set_vm_word(f.mutator.get(), &mine);
  churn(f.mutator, 8 << 20, context.random);
  EXPECT(f.plugin.api().vm_word(f.mutator.get()) == &mine, "the VM's word of the thread block has changed");
  EXPECT(f.plugin.api().heap_of(f.mutator.get()) == f.heap.get(), "heap_of");
}

// Objects made by the recipe are objects like all others.
void inline_allocation(Context& context) {
  Fixture f(context, "max_heap=64m");
  Scope scope(f.mutator);
  for (const std::uint32_t set : kSets) {
    RecipeMachine machine(f.mutator, set);
    const Nodes nodes(f.mutator);
    const echo_layout_id small = f.heap.fixed("small", 16, {});
    const echo_handle head = f.mutator.root(nullptr);
    constexpr std::uint64_t kCount = 20000;
    for (std::uint64_t i = kCount; i > 0; --i) {
      const echo_ref leaf = machine.allocate(small);
      EXPECT_EQ(f.plugin.api().object_layout(f.heap.get(), leaf), small, "layout of an object made inline");
      fill(leaf, 1, 2, i);
      const echo_ref node = machine.allocate(nodes.layout);
      EXPECT(is_zero(node, 8, Nodes::kBytes), "an object made inline is not zero");
      fill(node, Nodes::kFirst, Nodes::kWords, i - 1);
      machine.store(&word(node, Nodes::kRight), f.mutator.get(head));
      f.mutator.set(head, node);
      machine.poll();
    }
    nodes.expect_list(head, kCount, "objects made by recipe set " + show(set));
    if (f.plugin.has(ECHO_FEATURE_COLLECTS)) {
      f.mutator.collect();
      nodes.expect_list(head, kCount, "objects made by recipe set " + show(set) + ", after a collection");
    }
    f.mutator.verify();
  }
}

void cold_allocation(Context& context) {
  Fixture f(context, "max_heap=64m");
  RecipeMachine machine(f.mutator, ECHO_RECIPES_FASTEST);
  const echo_layout_id words = f.heap.raw_array("words", 8);
  for (const std::uint64_t length : {0, 1, 100, 100000}) {
    const echo_ref array = machine.recipes().allocate_cold(f.mutator.get(), words, length);
    EXPECT(array != nullptr, "allocate_cold gave null");
    EXPECT_EQ(f.plugin.api().array_length(f.heap.get(), array), length, "length");
    EXPECT(is_zero(array, 16, 16 + length * 8), "an array of the cold path is not zero");
  }
  EXPECT(machine.recipes().allocate_cold(f.mutator.get(), words, UINT64_MAX) == nullptr, "2^64 - 1 words");
  EXPECT_STATUS(f.mutator.last_error(), ECHO_INVALID_ARGUMENT, "the error of it");
  EXPECT(machine.recipes().allocate_cold(f.mutator.get(), 0, 0) == nullptr, "layout 0");
  EXPECT_STATUS(f.mutator.last_error(), ECHO_UNKNOWN_LAYOUT, "the error of it");
}

// In a loop that allocates only through the recipe, collections must come, and memory be reused.
void inline_allocation_collects(Context& context) {
  Fixture f(context, "max_heap=2m");
  f.plugin.require(ECHO_FEATURE_COLLECTS);
  Scope scope(f.mutator);
  RecipeMachine machine(f.mutator, ECHO_RECIPES_FASTEST);
  const Nodes nodes(f.mutator);
  const echo_handle kept = nodes.list(1000);
  for (std::uint64_t bytes = 0; bytes < 50 * (std::uint64_t{2} << 20); bytes += Nodes::kBytes) {
    fill(machine.allocate(nodes.layout), Nodes::kFirst, Nodes::kWords, 1);
    machine.poll();
  }
  nodes.expect_list(kept, 1000, "the live list");
}

// Every store through the recipe while the heap keeps its barrier on and checks it.
void stores_by_recipe(Context& context) {
  Plugin plugin(context.plugin_path);
  plugin.skip_without(ECHO_FEATURE_STORE_BARRIER);
  const Heap heap(plugin,
                  plugin.options_with("max_heap=64m", {"stress_barriers=on", "verify=on", "poison=on"}));
  const Mutator mutator(heap);
  Scope scope(mutator);
  RecipeMachine machine(mutator, ECHO_RECIPES_FASTEST);
  const Nodes nodes(mutator);
  constexpr std::uint64_t kCount = 500;
  const echo_handle table = mutator.root(mutator.allocate(heap.ref_array(), kCount));
  for (std::uint64_t i = 0; i < kCount; ++i)
    machine.store(&word(mutator.get(table), 2 + i), nodes.make(i));
  for (int step = 0; step < 30000; ++step) {
    const std::uint64_t from = context.random.below(kCount);
    const auto a = reinterpret_cast<echo_ref>(word(mutator.get(table), 2 + from));
    const auto b = reinterpret_cast<echo_ref>(word(mutator.get(table), 2 + context.random.below(kCount)));
    machine.store(&word(a, Nodes::kLeft), b);
    machine.store(&word(b, Nodes::kRight), context.random.chance(3) ? nullptr : a);
    if (context.random.chance(4))
      machine.store(&word(mutator.get(table), 2 + from), nodes.make(from));
    machine.poll();
    if (step % 5000 == 0)
      mutator.collect();
  }
  mutator.collect();
  for (std::uint64_t i = 0; i < kCount; ++i)
    nodes.expect(reinterpret_cast<echo_ref>(word(mutator.get(table), 2 + i)), i, "entry " + show(i));
  mutator.verify();
}

// Copies, moves, fills and exchanges of array elements by the inline functions, against a model, on a heap that checks its
// barrier; collections come at polls in the middle of long copies.
void bulk_by_recipe(Context& context) {
  Plugin plugin(context.plugin_path);
  plugin.skip_without(ECHO_FEATURE_STORE_BARRIER);
  const Heap heap(plugin,
                  plugin.options_with("max_heap=64m", {"stress_barriers=on", "verify=on", "poison=on"}));
  const Mutator mutator(heap);
  Scope scope(mutator);
  RecipeMachine machine(mutator, ECHO_RECIPES_FASTEST);
  const Nodes nodes(mutator);
  constexpr std::uint64_t kLength = 1500;
  constexpr std::size_t kArrays = 3;
  std::array<echo_ref, kArrays + 1> roots{}; // the last: what is stored
  echo_error why = untouched_error();
  EXPECT_STATUS(plugin.api().roots_add(heap.get(), roots.data(), roots.size(), &why), ECHO_OK, "roots_add");
  std::array<std::vector<std::uint64_t>, kArrays> model; // number of the node, 0: null
  for (std::size_t a = 0; a < kArrays; ++a) {
    model[a].assign(kLength, 0);
    roots[a] = mutator.allocate(heap.ref_array(), kLength);
  }
  std::uint64_t made = 0;
  for (int step = 0; step < 600; ++step) {
    const std::size_t to = context.random.below(kArrays);
    const std::size_t from = context.random.below(kArrays);
    const std::uint64_t count = context.random.below(kLength);
    const std::uint64_t to_index = context.random.below(kLength - count);
    const std::uint64_t from_index = context.random.below(kLength - count);
    switch (context.random.below(3)) {
    case 0: {
      const std::vector<std::uint64_t> source = model[from];
      machine.array_copy(roots[to], to_index, roots[from], from_index, count);
      std::copy_n(source.begin() + static_cast<std::ptrdiff_t>(from_index), count,
                  model[to].begin() + static_cast<std::ptrdiff_t>(to_index));
      break;
    }
    case 1:
      roots[kArrays] = nodes.make(++made);
      machine.array_fill(roots[to], to_index, count, roots[kArrays]);
      std::fill_n(model[to].begin() + static_cast<std::ptrdiff_t>(to_index), count, made);
      break;
    default:
      for (std::uint64_t i = 0; i < 100; ++i) {
        const std::uint64_t at = context.random.below(kLength);
        const echo_ref node = nodes.make(++made);
        const echo_ref old = machine.exchange(&word(roots[to], 2 + at), node);
        EXPECT((old == nullptr) == (model[to][at] == 0), "an exchange returned what was not there");
        if (old != nullptr)
          nodes.expect(old, model[to][at], "what an exchange returned");
        model[to][at] = made;
      }
    }
    if (step % 50 == 0)
      mutator.collect();
  }
  mutator.collect();
  for (std::size_t a = 0; a < kArrays; ++a)
    for (std::uint64_t i = 0; i < kLength; ++i) {
      const auto node = reinterpret_cast<echo_ref>(word(roots[a], 2 + i));
      EXPECT((node == nullptr) == (model[a][i] == 0), "element " + show(i) + " is not what was stored last");
      if (node != nullptr)
        nodes.expect(node, model[a][i], "element " + show(i));
    }
  mutator.verify();
  EXPECT_STATUS(plugin.api().roots_remove(heap.get(), roots.data(), &why), ECHO_OK, "roots_remove");
}

} // namespace

Suite recipes_suite() {
  return {
      "recipes",
      "the fast paths as data, followed to the letter by an interpreter",
      {
          {"recipes_are_complete", "both sets are filled, and every offset is in the first two cache lines",
           "[abi.recipe.1] [abi.recipe.4]", recipes_are_complete},
          {"recipes_are_constant", "a set never changes", "[abi.recipe.1]", recipes_are_constant},
          {"block_is_stable", "the thread block and the VM's word in it stay", "[abi.thread.1]",
           block_is_stable},
          {"inline_allocation", "objects bumped by the recipe are objects like all others",
           "[abi.recipe.1] [abi.alloc.1]", inline_allocation},
          {"cold_allocation", "the cold path allocates everything, and null has a code",
           "[abi.recipe.2] [abi.alloc.3]", cold_allocation},
          {"inline_allocation_collects", "a loop of inline allocations reuses memory without being asked",
           "[abi.collect.1]", inline_allocation_collects},
          {"stores_by_recipe", "stores by the recipe keep what a checking heap requires (random)",
           "[abi.recipe.3] [abi.collect.2]", stores_by_recipe},
          {"bulk_by_recipe", "copies, moves, fills and exchanges of elements keep the same (random)",
           "[abi.recipe.3] [abi.inline.2] [abi.inline.3]", bulk_by_recipe},
      }};
}

} // namespace conformance
