// SPDX-License-Identifier: MIT
//
// Purpose     Ambiguous stacks: a reference that is in one callee-saved register or one word of the stack survives every
//             way of coming to rest; stacks that cannot be read end in an error, never in a lost object. [stack.rest.1]
//             [roots.ambiguous.3]
#include "conformance/runner/one_place.h"
#include "conformance/runner/sanitizers.h"
#include "tests/gc/test_heap.h"

#include <algorithm>
#include <atomic>
#include <string_view>
#include <thread>
#include <ucontext.h>
#include <utility>

namespace echo {
namespace {

using conformance::Hidden;
using conformance::scrub_stack;
using test::quiet_config;
using test::TestHeap;

#if defined(__x86_64__)

// The heap whose calls a test makes from assembly.
struct Scene {
  TestHeap heap{config()};
  Hidden object;
  static Config config() {
    Config c = quiet_config();
    c.poison = true;
    return c;
  }
  void on() {
    std::string why;
    ASSERT_EQ(heap.collector.ambiguous_stack(*heap.mutator, true, &why), ECHO_OK) << why;
  }
  [[gnu::noinline]] void make() {
    const ObjectRef made = heap.make(heap.bytes, 100);
    TestHeap::poke(made, 16, 4711);
    object = Hidden(made.address + 33);
  }
  bool lives() const { return TestHeap::peek({object.reveal() - 33}, 16) == 4711; }
  // From another thread, until it is done: this one must come to rest, or be native.
  [[gnu::noinline]] void collect_elsewhere(const std::function<void()>& meanwhile) {
    std::atomic<bool> done{false};
    std::thread other([&] {
      Mutator* m = nullptr;
      std::string why;
      EXPECT_EQ(heap.collector.attach(&m, &why), ECHO_OK);
      EXPECT_EQ(heap.collector.collect(*m, ECHO_CAUSE_requested, &why), ECHO_OK) << why;
      heap.collector.detach(m);
      done = true;
    });
    while (!done.load()) {
      meanwhile();
    }
    other.join();
  }
};

void collects(void* scene) {
  scrub_stack();
  static_cast<Scene*>(scene)->heap.collect();
}
void polls(void* scene) {
  scrub_stack();
  auto& self = *static_cast<Scene*>(scene);
  self.collect_elsewhere([&self] {
    if (self.heap.mutator->poll_word.load() == 0) {
      self.heap.collector.poll(*self.heap.mutator);
    }
  });
}
void allocates(void* scene) {
  scrub_stack();
  auto& self = *static_cast<Scene*>(scene);
  const std::uint64_t before = self.heap.collector.cycles();
  self.heap.collector.memory.pool.set_trigger(std::size_t{2} << 20);
  while (self.heap.collector.cycles() == before) {
    (void)self.heap.make(self.heap.bytes, 200);
  }
}
void goes_native(void* scene) {
  scrub_stack();
  auto& self = *static_cast<Scene*>(scene);
  self.heap.collector.safepoints.enter_native(*self.heap.mutator, ThreadState::Native);
  self.collect_elsewhere([] { std::this_thread::yield(); });
  self.heap.collector.safepoints.leave_native(*self.heap.mutator);
}
void blocks(void* scene) {
  scrub_stack();
  auto& self = *static_cast<Scene*>(scene);
  self.heap.collector.safepoints.enter_native(*self.heap.mutator, ThreadState::Blocked);
  self.collect_elsewhere([] { std::this_thread::yield(); });
  self.heap.collector.safepoints.leave_native(*self.heap.mutator);
}

// Whether every function of this build uses the register for its frame, and so has pushed it.
bool is_frame_pointer(std::string_view name) {
#if defined(__OPTIMIZE__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) &&              \
    !defined(__clang__)
  (void)name;
  return false;
#else
  return name == "rbp";
#endif
}

struct Way {
  const char* name;
  echo_one_place_call call;
};
constexpr Way kWays[] = {{"collects", collects},
                         {"polls", polls},
                         {"allocates", allocates},
                         {"goes_native", goes_native},
                         {"blocks", blocks}};

class ComingToRest : public ::testing::TestWithParam<Way> {
protected:
  using Holder = std::uint64_t (*)(std::uint64_t, echo_one_place_call, void*);
  void check(const char* where, Holder hold) {
    Scene scene;
    scene.on();
    scene.make();
    scrub_stack();
    const std::uint64_t after = hold(scene.object.complement(), GetParam().call, &scene);
    EXPECT_EQ(after, scene.object.complement()) << where << ": never rewritten";
    EXPECT_TRUE(scene.lives()) << where;
    const echo_statistics all = scene.heap.statistics();
    EXPECT_GE(all.pinned_by[ECHO_PIN_register] + all.pinned_by[ECHO_PIN_stack], 1u) << where;
  }
};

TEST_P(ComingToRest, ARegisterHoldsTheOnlyReference){
#define ECHO_TEST_CHECK(reg) check(#reg, echo_one_place_with_##reg);
    ECHO_ONE_PLACE_REGISTERS(ECHO_TEST_CHECK)
#undef ECHO_TEST_CHECK
} TEST_P(ComingToRest, TheStackHoldsTheOnlyReference) {
  check("stack", echo_one_place_with_stack);
}
// The tests above would notice: without an ambiguous stack the object is gone.
TEST_P(ComingToRest, WithoutAnAmbiguousStackItIsLost) {
  Scene scene;
  scene.make();
  scrub_stack();
  (void)echo_one_place_with_rbx(scene.object.complement(), GetParam().call, &scene);
  EXPECT_FALSE(scene.lives());
}
TEST_P(ComingToRest, NoMore) {
  Scene scene;
  scene.on();
  std::string why;
  ASSERT_EQ(scene.heap.collector.ambiguous_stack(*scene.heap.mutator, false, &why), ECHO_OK);
  scene.make();
  scrub_stack();
  (void)echo_one_place_with_stack(scene.object.complement(), GetParam().call, &scene);
  EXPECT_FALSE(scene.lives());
}

INSTANTIATE_TEST_SUITE_P(All, ComingToRest, ::testing::ValuesIn(kWays),
                         [](const auto& way) { return std::string(way.param.name); });

// A function on the way to the wait may have pushed a register, so that the stack tells of it too. Hence the two halves each
// by itself: every register is stored,
TEST(SavedRegistersTest, HoldWhatACalledFunctionPreserves) { // [stack.rest.1]
  if (conformance::kThreadSanitizer) {
    GTEST_SKIP() << "instrumented code between uses these registers, and restores them";
  }
  const Hidden word(0x1234567890abcd);
  const echo_one_place_call save = [](void* saved) { static_cast<SavedRegisters*>(saved)->save(); };
  std::size_t index = 0;
#define ECHO_TEST_SAVED(reg)                                                                                 \
  {                                                                                                          \
    SavedRegisters saved;                                                                                    \
    (void)echo_one_place_with_##reg(word.complement(), save, &saved);                                        \
    EXPECT_TRUE(saved.words[index] == word.reveal() || is_frame_pointer(#reg)) << #reg;                      \
    ++index;                                                                                                 \
  }
  ECHO_ONE_PLACE_REGISTERS(ECHO_TEST_SAVED)
#undef ECHO_TEST_SAVED
  EXPECT_EQ(index, kSavedRegisters);
}

// and what is stored is a root.
TEST(SavedRegistersTest, AreRoots) { // [roots.ambiguous.3]
  struct Seen final : RootVisitor {
    std::vector<std::uint64_t> registers;
    void root(ObjectRef) override {}
    void ambiguous(AmbiguousWord word, echo_pin where) override {
      if (where == ECHO_PIN_register) {
        registers.push_back(word.bits);
      }
    }
  };
  Scene scene;
  scene.on();
  scene.make();
  scene.heap.stopped([&](const std::vector<Mutator*>& mutators) {
    std::string why;
    MachineStack::Words words;
    const Mutator& m = *scene.heap.mutator;
    ASSERT_EQ(m.stack->words(m.state.load(), m.anchor_sp, &words, &why), ECHO_OK) << why;
    ASSERT_EQ(words.registers.size(), kSavedRegisters);
    for (const std::uint64_t& saved : words.registers) {
      auto& word = const_cast<std::uint64_t&>(saved);
      const std::uint64_t before = std::exchange(word, scene.object.reveal());
      Seen seen;
      EXPECT_EQ(scene.heap.collector.roots.ambiguous.enumerate(mutators, seen, &why), ECHO_OK) << why;
      word = before;
      EXPECT_EQ(std::count(seen.registers.begin(), seen.registers.end(), scene.object.reveal()), 1);
    }
  });
}

// A thread that is native may move what it holds: between entering and the stop the word goes from the stack to a register.
TEST(MachineStackTest, WhatANativeThreadHeldWhenItEnteredCounts) {
  Scene scene;
  scene.on();
  scene.make();
  scrub_stack();
  const std::uint64_t after = echo_one_place_and_move(
      scene.object.complement(),
      [](void* s) {
        auto& self = *static_cast<Scene*>(s);
        self.heap.collector.safepoints.enter_native(*self.heap.mutator, ThreadState::Native);
      },
      [](void* s) {
        auto& self = *static_cast<Scene*>(s);
        scrub_stack();
        self.collect_elsewhere([] { std::this_thread::yield(); });
        self.heap.collector.safepoints.leave_native(*self.heap.mutator);
      },
      &scene);
  EXPECT_EQ(after, scene.object.complement());
  EXPECT_TRUE(scene.lives());
}

// The native recipe: the anchor says where the stack ends.
TEST(MachineStackTest, TheNativeRecipeUsesTheAnchor) { // [stack.recipe.1]
  Scene scene;
  scene.on();
  scene.make();
  scrub_stack();
  const auto by_recipe = [](void* s) {
    auto& self = *static_cast<Scene*>(s);
    Mutator& m = *self.heap.mutator;
    m.anchor_sp = reinterpret_cast<std::uint64_t>(__builtin_frame_address(0));
    m.state.exchange(ThreadState::Native);
    self.collect_elsewhere([] { std::this_thread::yield(); });
    m.state.exchange(ThreadState::Managed);
    if (m.poll_word.load() == 0) {
      m.collector.safepoints.leave_native(m);
    }
    m.anchor_sp = 0;
  };
  (void)echo_one_place_with_stack(scene.object.complement(), by_recipe, &scene);
  EXPECT_TRUE(scene.lives());
  // Without an anchor the collection fails, and frees nothing.
  scene.heap.mutator->state.exchange(ThreadState::Native);
  std::thread other([&] {
    Mutator* m = nullptr;
    std::string why;
    EXPECT_EQ(scene.heap.collector.attach(&m, &why), ECHO_OK);
    EXPECT_EQ(scene.heap.collector.collect(*m, ECHO_CAUSE_requested, &why), ECHO_WRONG_STATE);
    EXPECT_EQ(why, "a thread with an ambiguous stack went native and did not publish where its stack ends");
    scene.heap.collector.detach(m);
  });
  other.join();
  scene.heap.collector.safepoints.leave_native(*scene.heap.mutator);
  EXPECT_TRUE(scene.lives());
}

// Threads come and go, deep stacks included.
TEST(MachineStackTest, EveryFrameOfADeepStack) {
  TestHeap heap(quiet_config());
  std::string why;
  struct Deep {
    static std::uint64_t go(TestHeap& h, int depth) { // NOLINT(misc-no-recursion)
      volatile Address held = h.make(h.bytes, 40).address + 20;
      TestHeap::poke({held - 20}, 16, static_cast<std::uint64_t>(depth));
      std::uint64_t sum = 0;
      if (depth == 0) {
        h.collect();
        h.collector.safepoints.enter_native(*h.mutator, ThreadState::Native);
        h.collector.safepoints.leave_native(*h.mutator);
        h.collect();
      } else {
        sum = go(h, depth - 1);
      }
      return sum + (TestHeap::peek({held - 20}, 16) == static_cast<std::uint64_t>(depth) ? 1 : 0);
    }
  };
  ASSERT_EQ(heap.collector.ambiguous_stack(*heap.mutator, true, &why), ECHO_OK) << why;
  EXPECT_EQ(Deep::go(heap, 5000), 5001u);
  std::vector<std::thread> threads;
  heap.collector.safepoints.enter_native(*heap.mutator, ThreadState::Blocked);
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&heap] {
      Mutator* m = nullptr;
      std::string sentence;
      EXPECT_EQ(heap.collector.attach(&m, &sentence), ECHO_OK);
      EXPECT_EQ(heap.collector.ambiguous_stack(*m, true, &sentence), ECHO_OK) << sentence;
      for (int i = 0; i < 50; ++i) {
        volatile Address held = heap.collector.allocate(*m, heap.bytes, 64).address + 79;
        TestHeap::poke({held - 79}, 24, 99);
        EXPECT_EQ(heap.collector.collect(*m, ECHO_CAUSE_requested, &sentence), ECHO_OK) << sentence;
        EXPECT_EQ(TestHeap::peek({held - 79}, 24), 99u);
        EXPECT_EQ(heap.collector.ambiguous_stack(*m, i % 7 != 0, &sentence), ECHO_OK);
        EXPECT_EQ(heap.collector.ambiguous_stack(*m, true, &sentence), ECHO_OK) << "on and on is on";
      }
      heap.collector.detach(m);
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  heap.collector.safepoints.leave_native(*heap.mutator);
}

// A stack that is not the thread's own: refused where it begins, an error where it turns up.
struct Coroutine {
  ucontext_t inside{}, outside{};
  std::vector<char> stack = std::vector<char>(std::size_t{256} << 10);
  std::function<void()> body;
  static Coroutine* current;
  static void enter() { current->body(); }
  void run(std::function<void()> what) {
    body = std::move(what);
    current = this;
    ::getcontext(&inside);
    inside.uc_stack.ss_sp = stack.data();
    inside.uc_stack.ss_size = stack.size();
    inside.uc_link = &outside;
    ::makecontext(&inside, enter, 0);
    ::swapcontext(&outside, &inside);
  }
};
Coroutine* Coroutine::current = nullptr;

TEST(MachineStackTest, AnotherStackIsRefusedOrFailsTheMark) { // [stack.own.1]
  Scene scene;
  Coroutine coroutine;
  coroutine.run([&] {
    std::string why;
    EXPECT_EQ(scene.heap.collector.ambiguous_stack(*scene.heap.mutator, true, &why), ECHO_WRONG_STATE);
    EXPECT_EQ(why, "the thread runs on another stack than its own: of such a stack the bounds are not known");
  });
  scene.on();
  scene.make();
  coroutine.run([&] {
    std::string why;
    EXPECT_EQ(scene.heap.collect(&why), ECHO_WRONG_STATE);
    EXPECT_EQ(why, "a thread with an ambiguous stack came to rest on another stack than its own");
  });
  EXPECT_TRUE(scene.lives());
}

#endif

} // namespace
} // namespace echo
