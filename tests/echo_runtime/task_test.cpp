// SPDX-License-Identifier: MIT
#include "runtime_fixture.h"

namespace echo::test {
namespace {

// Tasks get no argument of their own from the compiler: they talk through globals, and so do these.
std::string trace;
void* shared_future = nullptr;
void* shared_value = nullptr;

void note_a(void*) {
  trace += 'a';
}
void note_b(void*) {
  trace += 'b';
}
void note_argument(void* argument) {
  trace += *static_cast<const char*>(argument);
}
void resolve_shared(void*) {
  trace += 'r';
  ::future_resolve(shared_future, shared_value);
}

class EchoTask : public RuntimeFixture {
protected:
  void SetUp() override {
    RuntimeFixture::SetUp();
    trace.clear();
    ASSERT_EQ(api.ambiguous_range_add(heap, &shared_future, sizeof shared_future, &why), ECHO_OK)
        << why.message;
    ASSERT_EQ(api.ambiguous_range_add(heap, &shared_value, sizeof shared_value, &why), ECHO_OK)
        << why.message;
  }
  void TearDown() override {
    EXPECT_EQ(api.ambiguous_range_remove(heap, &shared_future, &why), ECHO_OK);
    EXPECT_EQ(api.ambiguous_range_remove(heap, &shared_value, &why), ECHO_OK);
    shared_future = shared_value = nullptr;
    RuntimeFixture::TearDown();
  }
};

TEST_F(EchoTask, future_new) {
  void *const one = CALL(future_new), *const other = CALL(future_new);
  EXPECT_NE(one, nullptr);
  EXPECT_NE(one, other);
  ::future_resolve(one, text("one"));
  ::future_resolve(other, text("other"));
  EXPECT_EQ(bytes_of(::coroutine_await(one)), "one");
  EXPECT_EQ(bytes_of(::coroutine_await(other)), "other");
}

// [runtime.future.1]
TEST_F(EchoTask, future_resolve) {
  void* const future = ::future_new();
  CALL(future_resolve, future, text("first"));
  CALL(future_resolve, future, text("second"));
  collect();
  EXPECT_EQ(bytes_of(::coroutine_await(future)), "first");
  EXPECT_EQ(bytes_of(::coroutine_await(future)), "first"); // as often as one likes
  void* const empty = ::future_new();
  CALL(future_resolve, empty, nullptr);
  CALL(future_resolve, empty, text("late"));
  EXPECT_EQ(::coroutine_await(empty), nullptr);
  EXPECT_EQ(failure_of([] { ::future_resolve(nullptr, nullptr); }), "future_resolve: the future is null");
  EXPECT_EQ(failure_of([] { ::future_resolve(text("x"), nullptr); }).find("future_resolve: the object at 0x"),
            0u);
}

TEST_F(EchoTask, coroutine_spawn) {
  char letter = 'x';
  void* const future = ::future_new();
  EXPECT_EQ(CALL(coroutine_spawn, note_argument, 1, &letter, future), nullptr);
  EXPECT_EQ(trace, ""); // it waits for its turn
  CALL(coroutine_spawn, note_a, 1, nullptr, nullptr);
  ::run_scheduler();
  EXPECT_EQ(trace, "xa");
  EXPECT_EQ(::coroutine_await(future), nullptr); // [runtime.future.2]
  EXPECT_EQ(failure_of([] { ::coroutine_spawn(nullptr, 1, nullptr, nullptr); }),
            "coroutine_spawn: the task has no entry function");
  EXPECT_NE(failure_of([] { ::coroutine_spawn(note_a, 1, nullptr, text("no future")); }), "");
  void* const twice = ::future_new();
  ::coroutine_spawn(note_b, 1, nullptr, twice);
  EXPECT_NE(failure_of([&] { ::coroutine_spawn(note_b, 1, nullptr, twice); }, ECHO_WRONG_STATE), "");
}

TEST_F(EchoTask, coroutine_await) {
  void* const future = ::future_new();
  ::coroutine_spawn(note_a, 1, nullptr, nullptr);
  ::coroutine_spawn(note_b, 1, nullptr, future);
  ::coroutine_spawn(note_a, 1, nullptr, nullptr);
  EXPECT_EQ(CALL(coroutine_await, future), nullptr);
  EXPECT_EQ(trace, "ab"); // no more than it took [runtime.task.1]
  shared_future = ::future_new();
  shared_value = text("brought");
  ::coroutine_spawn(resolve_shared, 1, nullptr, nullptr);
  EXPECT_EQ(bytes_of(CALL(coroutine_await, shared_future)), "brought");
  EXPECT_EQ(trace, "abar");
  EXPECT_EQ(failure_of([] { ::coroutine_await(nullptr); }), "coroutine_await: the future is null");
}

// [runtime.wait.1]
TEST_F(EchoTask, AwaitingWhatNobodyResolvesFails) {
  ::coroutine_spawn(note_a, 1, nullptr, nullptr);
  EXPECT_EQ(failure_of([] { ::coroutine_await(::future_new()); }, ECHO_WRONG_STATE),
            "coroutine_await: nobody is left to resolve the future: no task waits for its turn");
  EXPECT_EQ(trace, "a");
}

void await_itself(void*) {
  ::coroutine_await(shared_future);
}

TEST_F(EchoTask, ATaskThatAwaitsItselfFails) {
  shared_future = ::future_new();
  ::coroutine_spawn(await_itself, 1, nullptr, shared_future);
  EXPECT_NE(failure_of([] { ::run_scheduler(); }, ECHO_WRONG_STATE), "");
}

int nested = 0, deepest = 0;

void tree(void* level) {
  deepest = std::max(deepest, ++nested);
  auto* const text_level = static_cast<Text*>(level);
  if (text_level->len > 0) {
    void* futures[2];
    for (void*& future : futures) {
      future = ::future_new();
      void* const less = ::runtime_bytes_to_string(text_level->data, static_cast<int>(text_level->len - 1));
      ::coroutine_spawn(tree, 1, less, future);
    }
    for (void* const future : futures) {
      ::coroutine_await(future);
    }
  }
  trace += '.';
  --nested;
}

// The arguments of tasks live through the queue; awaits nest as deep as the tree, not as wide. [runtime.task.1]
TEST_F(EchoTask, TasksThatAwaitTasksNestAsDeepAsTheirAwaits) {
  nested = deepest = 0;
  const int levels = under_stress() ? 5 : 12;
  void* const root = ::future_new();
  ::coroutine_spawn(tree, 1, text(std::string(static_cast<std::size_t>(levels), 'x')), root);
  ::coroutine_await(root);
  EXPECT_EQ(trace.size(), (std::size_t{2} << levels) - 1);
  EXPECT_EQ(deepest, levels + 1);
}

TEST_F(EchoTask, run_scheduler) {
  CALL(run_scheduler); // nothing to do
  static int left;
  left = 100;
  struct Again {
    static void run(void*) {
      if (--left > 0) {
        ::coroutine_spawn(run, 1, nullptr, nullptr);
      }
    }
  };
  ::coroutine_spawn(Again::run, 1, nullptr, nullptr);
  CALL(run_scheduler);
  EXPECT_EQ(left, 0); // also those that tasks queue
}

TEST_F(EchoTask, scheduler_yield) {
  CALL(scheduler_yield); // nothing to do
  ::coroutine_spawn(note_a, 1, nullptr, nullptr);
  ::coroutine_spawn(note_b, 1, nullptr, nullptr);
  CALL(scheduler_yield);
  EXPECT_EQ(trace, "a");
  CALL(scheduler_yield);
  EXPECT_EQ(trace, "ab");
}

void yielding(void*) {
  deepest = std::max(deepest, ++nested);
  ::scheduler_yield();
  trace += 'y';
  --nested;
}

TEST_F(EchoTask, ManyTasksThatYieldDoNotNestWithoutEnd) {
  nested = deepest = 0;
  for (int i = 0; i < 2000; ++i) {
    ::coroutine_spawn(yielding, 1, nullptr, nullptr);
  }
  ::run_scheduler();
  EXPECT_EQ(trace.size(), 2000u);
  EXPECT_LE(deepest, 33);
}

TEST_F(EchoTask, EachTaskIsCalledAsTheOptionsSay) {
  static std::string calls;
  calls.clear();
  options.call = [](void* context, void (*entry)(void*), void* argument) {
    calls += static_cast<const char*>(context);
    entry(argument);
  };
  options.call_context = const_cast<char*>("!");
  enter_again();
  ::coroutine_spawn(note_a, 1, nullptr, nullptr);
  ::coroutine_spawn(note_b, 1, nullptr, nullptr);
  ::run_scheduler();
  EXPECT_EQ(calls, "!!");
  EXPECT_EQ(trace, "ab");
}

void throwing(void*) {
  ::coroutine_await(nullptr);
}

// After an error the queue is as it was, without the task that raised it.
TEST_F(EchoTask, AnErrorInATaskLeavesTheOthersQueued) {
  ::coroutine_spawn(throwing, 1, nullptr, nullptr);
  ::coroutine_spawn(note_b, 1, nullptr, nullptr);
  EXPECT_NE(failure_of([] { ::run_scheduler(); }), "");
  EXPECT_EQ(echo_runtime_leave(layer, &why), ECHO_OK);
  EXPECT_EQ(echo_runtime_enter(layer, thread, &why), ECHO_OK);
  ::run_scheduler();
  EXPECT_EQ(trace, "b");
}

} // namespace
} // namespace echo::test
