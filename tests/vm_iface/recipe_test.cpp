// SPDX-License-Identifier: MIT
//
// Purpose     The recipes executed as data: objects, stores, polls and anchors made by them are the heap's
// own.
#include "tests/vm_iface/recipe_interpreter.h"

#include "tests/vm_iface/heap_fixture.h"

#include <atomic>

namespace echo {
namespace {

using test::HeapFixture;
using test::RecipeInterpreter;

class RecipeAbi : public HeapFixture {
protected:
  explicit RecipeAbi(const char* with_options = "max_heap=16m,trigger=1m,reserve=1")
      : HeapFixture(with_options) {}
  void SetUp() override {
    HeapFixture::SetUp();
    ASSERT_EQ(echo_get_recipes(heap, ECHO_RECIPES_FASTEST, &recipes), ECHO_OK);
    for (const auto& [info, id] : {std::pair{&pair_info, pair}, {&bytes_info, bytes}}) {
      info->size = sizeof *info;
      ASSERT_EQ(echo_layout_get(heap, id, info), ECHO_OK);
    }
  }
  const echo_recipes* recipes = nullptr;
  echo_layout_info pair_info{}, bytes_info{};
};

TEST_F(RecipeAbi, SetsAndErrors) {
  const echo_recipes* portable = nullptr;
  EXPECT_EQ(echo_get_recipes(heap, ECHO_RECIPES_PORTABLE, &portable), ECHO_OK);
  EXPECT_EQ(portable->version, recipes->version);
  EXPECT_EQ(recipes->size, sizeof(echo_recipes));
  const echo_recipes* again = nullptr;
  EXPECT_EQ(echo_get_recipes(heap, ECHO_RECIPES_FASTEST, &again), ECHO_OK);
  EXPECT_EQ(again, recipes) << "static for the heap's life [abi.recipe.1]";
  EXPECT_EQ(echo_get_recipes(heap, 2, &again), ECHO_INVALID_ARGUMENT);
  EXPECT_EQ(echo_get_recipes(nullptr, 0, &again), ECHO_INVALID_ARGUMENT);
  EXPECT_EQ(echo_get_recipes(heap, 0, nullptr), ECHO_INVALID_ARGUMENT);
}

TEST_F(RecipeAbi, AllocatesInlineAndCountsExactly) { // [alloc.inline.1]
  RecipeInterpreter vm(*recipes, thread);
  echo_ref root = nullptr;
  ASSERT_EQ(echo_roots_add(heap, &root, 1, &why), ECHO_OK);
  std::uint64_t inline_allocations = 0;
  std::uint64_t i = 0;
  // Collections run beside the program, which may be far ahead before the first of them gets a processor.
  const auto enough = [&] { return i % 10000 == 0 && i >= 200000 && statistics().collections_full > 3; };
  for (; !enough() && i < 100000000; ++i) {
    inline_allocations += vm.would_allocate_inline(48) ? 1 : 0;
    const echo_ref object =
        i % 2 == 0 ? vm.allocate(pair_info, 24, 0, false) : vm.allocate(bytes_info, 48, 32, true);
    ASSERT_NE(object, nullptr);
    ASSERT_EQ(echo_object_layout(heap, object), i % 2 == 0 ? pair : bytes);
    ASSERT_EQ(reinterpret_cast<std::uint64_t*>(object)[2], 0u);
    if (i % 2 == 0) {
      vm.store(object, 8, i % 1000 == 0 ? nullptr : root);
      root = object;
    }
    vm.poll();
  }
  EXPECT_GT(inline_allocations, i / 100 * 99);
  EXPECT_EQ(statistics().objects_allocated, i);
  EXPECT_GT(statistics().collections_full, 3u);
  EXPECT_EQ(echo_verify(thread, 1, &why), ECHO_OK) << why.message;
  ASSERT_EQ(echo_roots_remove(heap, &root, &why), ECHO_OK);
}

TEST_F(RecipeAbi, MixesWithTheColdPath) {
  RecipeInterpreter vm(*recipes, thread);
  std::uintptr_t last = 0;
  for (int i = 0; i < 1000; ++i) {
    const auto object =
        reinterpret_cast<std::uintptr_t>(i % 3 == 0 ? make(pair) : vm.allocate(pair_info, 24, 0, false));
    EXPECT_NE(object, last);
    last = object;
  }
  EXPECT_EQ(statistics().objects_allocated, 1000u);
  EXPECT_EQ(statistics().bytes_allocated, 24000u) << "nothing is counted twice";
}

TEST_F(RecipeAbi, APollLetsAStopHappen) {
  RecipeInterpreter vm(*recipes, thread);
  std::atomic<bool> done{false};
  std::thread other([&] {
    echo_thread* mine = nullptr;
    echo_error error{};
    ASSERT_EQ(echo_attach(heap, &mine, &error), ECHO_OK);
    for (int i = 0; i < 20; ++i) {
      EXPECT_EQ(echo_collect(mine, ECHO_COLLECT_FULL, &error), ECHO_OK);
    }
    EXPECT_EQ(echo_detach(mine, &error), ECHO_OK);
    done = true;
  });
  while (!done.load()) {
    vm.poll();
  }
  other.join();
  EXPECT_EQ(statistics().collections_full, 20u);
  EXPECT_GT(statistics().poll_cold, 0u);
  EXPECT_GE(statistics().pause_us.count, 20u);
}

TEST_F(RecipeAbi, TheAnchorIsWhereTheWalkBegins) {
  struct Seen {
    echo_frame_cursor cursor{};
    echo_thread* thread = nullptr;
    echo_ref slot = nullptr;
  } seen;
  seen.slot = make(bytes, 100);
  echo_frame_source source{sizeof source, 0, &seen,
                           [](void* context, echo_thread* t, echo_frame_cursor* cursor, std::uint32_t,
                              std::uint32_t* visited, echo_visit_slot_fn visit, void* visitor, echo_error*) {
                             auto* s = static_cast<Seen*>(context);
                             s->cursor = *cursor;
                             s->thread = t;
                             visit(visitor, &s->slot, nullptr);
                             cursor->pc = 0;
                             *visited = 1;
                             return ECHO_OK;
                           }};
  ASSERT_EQ(echo_frame_source_set(heap, &source, &why), ECHO_OK);
  RecipeInterpreter vm(*recipes, thread);
  vm.publish_anchor(111, 222, 333);
  ASSERT_EQ(echo_collect(thread, ECHO_COLLECT_FULL, &why), ECHO_OK);
  EXPECT_EQ(seen.cursor.sp, 111u);
  EXPECT_EQ(seen.cursor.fp, 222u);
  EXPECT_EQ(seen.cursor.pc, 333u);
  EXPECT_EQ(seen.thread, thread);
  EXPECT_EQ(statistics().live_bytes, 120u);
  vm.publish_anchor(0, 0, 0);
}

class AuditedRecipeAbi : public RecipeAbi {
protected:
  AuditedRecipeAbi() : RecipeAbi("max_heap=16m,trigger=16m,reserve=1,stress_barriers=on") {}
};

TEST_F(AuditedRecipeAbi, TheStoreRecipeSatisfiesTheAudit) { // [abi.recipe.3]
  RecipeInterpreter vm(*recipes, thread);
  echo_ref root = make(pair);
  ASSERT_EQ(echo_roots_add(heap, &root, 1, &why), ECHO_OK);
  for (int i = 0; i < 5; ++i) {
    ASSERT_EQ(echo_collect(thread, ECHO_COLLECT_FULL, &why), ECHO_OK) << why.message;
    vm.store(root, 8, make(pair));
    vm.store(root, 16, root);
  }
  EXPECT_EQ(statistics().barrier_cold, 10u);
  // A compiler that leaves the barrier out is found.
  ASSERT_EQ(echo_collect(thread, ECHO_COLLECT_FULL, &why), ECHO_OK) << why.message;
  reinterpret_cast<echo_ref*>(root)[1] = nullptr;
  EXPECT_EQ(echo_collect(thread, ECHO_COLLECT_FULL, &why), ECHO_HEAP_CORRUPT);
  EXPECT_EQ(
      std::string(why.message).find("a store went round the barrier: offset 8 of an object of layout 'pair'"),
      0u);
  ASSERT_EQ(echo_roots_remove(heap, &root, &why), ECHO_OK);
}

class StressedRecipeAbi : public RecipeAbi {
protected:
  StressedRecipeAbi() : RecipeAbi("max_heap=16m,reserve=1,stress_collect=1,poison=on,verify=on") {}
};

TEST_F(StressedRecipeAbi, EveryAllocationTakesTheColdPath) {
  RecipeInterpreter vm(*recipes, thread);
  for (std::uint64_t i = 1; i <= 20; ++i) {
    EXPECT_FALSE(vm.would_allocate_inline(24));
    ASSERT_NE(vm.allocate(pair_info, 24, 0, false), nullptr);
    EXPECT_EQ(statistics().collections_by_cause[ECHO_CAUSE_stress], i);
  }
}

} // namespace
} // namespace echo
