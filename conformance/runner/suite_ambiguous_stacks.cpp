// SPDX-License-Identifier: MIT
//
// suite_ambiguous_stacks.cpp - words on the stacks and in the registers of threads, and programs that know nothing of the heap.
#include "ambiguous_scene.h"
#include "one_place.h"
#include "workers.h"

#include <atomic>

namespace conformance {

namespace {

std::string stressed(const Plugin& p) {
  return p.options_with("max_heap=32m", {"poison=on", "stress_collect=1"});
}

// What a thread does with an object that is nowhere but on its stack or in a register.
struct Holding {
  const Scene* scene;
  const Mutator* mutator;
  const char* way;
  Hidden object;
  std::string wrong;
};
constexpr std::uint64_t kHeldBytes = 96;

[[gnu::noinline]] void make_held(Holding& h) {
  h.object = Hidden(address_of(h.scene->make(*h.mutator, kHeldBytes, 77)) + 50);
}
// Another thread collects; this one arrives as `way` says.
void wait_for_collection(Holding& h, const Heap& heap) {
  const std::string way = h.way;
  const echo_heap_api& api = heap.api();
  const std::uint64_t before = heap.statistics().collections_full;
  std::atomic<bool> collected{false};
  Workers workers(heap);
  if (way == "native")
    EXPECT_STATUS(api.enter_native(h.mutator->get()), ECHO_OK, "enter_native");
  workers.start([&](const Mutator& other) {
    other.collect();
    collected = true;
  });
  while (!collected)
    if (way == "poll")
      api.poll(h.mutator->get());
    else
      std::this_thread::yield();
  if (way == "native")
    EXPECT_STATUS(api.leave_native(h.mutator->get()), ECHO_OK, "leave_native");
  workers.join_from(*h.mutator);
  EXPECT(heap.statistics().collections_full > before, "nobody collected");
}
void hold(void* argument) {
  Holding& h = *static_cast<Holding*>(argument);
  scrub_stack();
  try {
    const std::string way = h.way;
    if (way == "collect")
      h.mutator->collect();
    else if (way == "allocate")
      for (int i = 0; i < 800; ++i)
        (void)h.mutator->allocate(h.scene->bytes, 200000);
    else
      wait_for_collection(h, h.scene->heap);
  } catch (const Failed& failed) {
    h.wrong = failed.why;
  }
}

template <typename Hold> void hold_everywhere(const Scene& s, const Mutator& m, const Hold& in_one_place) {
  for (const char* way : {"collect", "allocate", "poll", "native"}) {
    Holding h{&s, &m, way, {}, ""};
    make_held(h);
    scrub_stack();
    in_one_place(h);
    EXPECT(h.wrong.empty(), h.wrong);
    Scene::expect(object_at(h.object.reveal() - 50), kHeldBytes, 77,
                  std::string("an object held over '") + way + "'");
  }
}

// The whole test on the thread that began, then on two others at once.
template <typename Hold> void hold_on_threads(Context& context, const Hold& in_one_place) {
  Scene s(context);
  s.stack(true);
  hold_everywhere(s, s.mutator, in_one_place);
  s.stack(false);
  Workers workers(s.heap);
  for (int t = 0; t < 2; ++t)
    workers.start([&](const Mutator& m) {
      Scene::stack(m, true);
      hold_everywhere(s, m, in_one_place);
    });
  workers.join_from(s.mutator);
}

void stacks_keep_alive(Context& context) {
#if defined(__x86_64__)
  hold_on_threads(context, [](Holding& h) {
    EXPECT_EQ(echo_one_place_with_stack(h.object.complement(), hold, &h), h.object.complement(),
              "complement of a word on the stack");
  });
#else
  throw Skipped{"written for x86-64"};
#endif
}

void registers_keep_alive(Context& context) {
#if defined(__x86_64__)
#define ECHO_HOLD(reg)                                                                                       \
  hold_on_threads(context, [](Holding& h) {                                                                  \
    EXPECT_EQ(echo_one_place_with_##reg(h.object.complement(), hold, &h), h.object.complement(),             \
              "complement of " #reg);                                                                        \
  });
  ECHO_ONE_PLACE_REGISTERS(ECHO_HOLD)
#undef ECHO_HOLD
#else
  throw Skipped{"written for x86-64"};
#endif
}

// A thread that is native may move a word from its stack to a register.
void native_threads_move_words(Context& context) {
#if defined(__x86_64__)
  Scene s(context);
  s.stack(true);
  Holding h{&s, &s.mutator, "native", {}, ""};
  make_held(h);
  scrub_stack();
  const auto enter = [](void* argument) {
    const Mutator& m = *static_cast<Holding*>(argument)->mutator;
    EXPECT_STATUS(m.api().enter_native(m.get()), ECHO_OK, "enter_native");
  };
  const auto leave = [](void* argument) {
    Holding& held = *static_cast<Holding*>(argument);
    const Mutator& m = *held.mutator;
    scrub_stack();
    Workers workers(held.scene->heap);
    workers.start([](const Mutator& other) { other.collect(); });
    workers.join();
    held.wrong = noted_failure();
    EXPECT_STATUS(m.api().leave_native(m.get()), ECHO_OK, "leave_native");
  };
  EXPECT_EQ(echo_one_place_and_move(h.object.complement(), enter, leave, &h), h.object.complement(),
            "complement of a word that was moved");
  EXPECT(h.wrong.empty(), h.wrong);
  Scene::expect(object_at(h.object.reveal() - 50), kHeldBytes, 77, "an object whose word was moved");
#else
  throw Skipped{"written for x86-64"};
#endif
}

std::uint64_t deep(const Scene& s, std::uint64_t depth) { // NOLINT(misc-no-recursion)
  volatile std::uintptr_t held = address_of(s.make(40, depth)) + 20;
  std::uint64_t sum = 1;
  if (depth == 0)
    s.mutator.collect();
  else
    sum += deep(s, depth - 1);
  Scene::expect(object_at(held - 20), 40, depth, "a local variable at depth " + show(depth));
  return sum;
}
void deep_stacks(Context& context) {
  Scene s(context);
  s.stack(true);
  EXPECT_EQ(deep(s, 10000), std::uint64_t{10001}, "frames");
}

void stacks_are_declared(Context& context) {
  Scene s(context);
  std::vector<echo_ref> none;
  const auto volatile_words = [&] {
    volatile std::uintptr_t held[64];
    for (std::size_t i = 0; i < 64; ++i)
      held[i] = address_of(s.make(8, i));
    return s.survivors() + (held[63] & 0);
  };
  EXPECT_EQ(volatile_words(), std::uint64_t{0}, "live_bytes of objects on a stack that is not ambiguous");
  s.stack(true);
  EXPECT(volatile_words() >= 64 * (kHeader + 8), "an ambiguous stack lost something");
  s.stack(false);
  EXPECT_EQ(volatile_words(), std::uint64_t{0}, "live_bytes after the stack ceased to be ambiguous");
}

// A program that knows nothing of the heap: pointers to payloads, in locals and in memory without a layout.
struct Tree {
  Tree *left, *right;
  std::uint64_t key;
};
Tree* payload(const Scene& s) {
  return reinterpret_cast<Tree*>(bytes_of(s.mutator.allocate(s.unknown, sizeof(Tree))) + kHeader);
}
Tree* grow(const Scene& s, std::uint64_t depth, std::uint64_t key) { // NOLINT(misc-no-recursion)
  Tree* tree = payload(s);
  tree->key = key;
  if (depth > 0) {
    tree->left = grow(s, depth - 1, key * 2);
    tree->right = grow(s, depth - 1, key * 2 + 1);
  }
  return tree;
}
std::uint64_t count(const Tree* tree, std::uint64_t key) { // NOLINT(misc-no-recursion)
  EXPECT_EQ(tree->key, key, "key of a tree");
  return tree->left == nullptr ? 1 : 1 + count(tree->left, key * 2) + count(tree->right, key * 2 + 1);
}
void grow_and_count(const Scene& s, std::uint64_t depth, int trees) {
  s.stack(true);
  const Tree* kept = grow(s, depth, 1);
  for (int i = 0; i < trees; ++i)
    EXPECT_EQ(count(grow(s, depth, 3), 3), (std::uint64_t{2} << depth) - 1, "nodes of a tree");
  EXPECT_EQ(count(kept, 1), (std::uint64_t{2} << depth) - 1, "nodes of the tree that was kept");
}
void unknowing_program(Context& context) {
  Scene s(context, [](const Plugin& p) { return p.options_with("max_heap=16m", {"poison=on"}); });
  grow_and_count(s, 12, 400); // 131 MB
  EXPECT(s.heap.statistics().collections_full > 5, "131 MB in a heap of 16 MiB, and hardly a collection");
  s.mutator.verify();
}
void unknowing_program_under_stress(Context& context) {
  Scene s(context, stressed);
  grow_and_count(s, 5, 12);
}

} // namespace

std::vector<Test> ambiguous_stack_tests() {
  return {
      {"stacks_keep_alive", "a word on the stack, over every way of coming to rest, on any thread",
       "[roots.ambiguous.3]", stacks_keep_alive},
      {"registers_keep_alive", "the same for each callee-saved register", "[roots.ambiguous.3]",
       registers_keep_alive, 120},
      {"native_threads_move_words", "what a thread held when it entered native counts until it leaves",
       "[stack.rest.1]", native_threads_move_words},
      {"deep_stacks", "local variables of 10001 frames", "[roots.ambiguous.3]", deep_stacks},
      {"stacks_are_declared", "a stack is read only while it is declared", "[roots.ambiguous.3]",
       stacks_are_declared},
      {"unknowing_program", "trees in plain C++, 131 MB in a heap of 16 MiB",
       "[roots.ambiguous.3] [abi.collect.1]", unknowing_program},
      {"unknowing_program_under_stress", "the same with a collection at every allocation",
       "[roots.ambiguous.3] [abi.collect.2]", unknowing_program_under_stress},
  };
}

} // namespace conformance
