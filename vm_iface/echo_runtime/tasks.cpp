// SPDX-License-Identifier: MIT
//
// Purpose     Futures, tasks and the scheduler.
// Drawing     future  [tag][state][value][task]                         task: while it waits in the queue
//             task    [next][previous][entry][arguments][future]
// Invariants  [runtime.task.1] Tasks run one at a time, each to its end on the stack of whoever waits. The queue is in order of
//             spawning; one that awaits inside a task runs the awaited future's own task first, so that the depth of the stack
//             is that of the awaits and not the number of tasks. [runtime.future.1] The first to resolve a future wins.
//             [runtime.future.2] A task that ends without having resolved its future resolves it with NULL.
//             [runtime.wait.1] Who waits for what no task is left to bring fails.
#include "tasks.h"

#include "functions.h"

namespace echo::runtime {
namespace {

constexpr std::uint64_t kFutureTag = 0xEC40'4675'7400'0000;
// Deeper, a yield runs nothing: tasks that all yield would nest as deep as there are tasks.
constexpr std::uint32_t kYieldDepth = 32;

enum class FutureState : std::uint64_t { Open = 0, Resolved = 1 };

struct Task;

struct Future {
  std::uint64_t tag;
  FutureState state;
  void* value;
  Task* task;
};

struct Task {
  Task* next;
  Task* previous;
  void (*entry)(void*);
  void* arguments;
  Future* future;
};

Future& future_of(const echo_runtime& runtime, const char* function, void* future) {
  if (future == nullptr) {
    fail(&runtime, function, ECHO_INVALID_ARGUMENT, "the future is null");
  }
  auto* const found = as_if<Future>(future);
  if (found == nullptr || found->tag != kFutureTag) {
    fail(&runtime, function, ECHO_INVALID_ARGUMENT, "the object at %p is no future", future);
  }
  return *found;
}

void resolve(echo_runtime& runtime, Future& future, void* value) {
  if (future.state == FutureState::Open) {
    runtime.memory.store(&future.value, value);
    put_word(&future.state, static_cast<std::uint64_t>(FutureState::Resolved));
  }
}

void enqueue(echo_runtime& runtime, Task* task) {
  auto* const last = static_cast<Task*>(runtime.roots.last_task);
  if (last == nullptr) {
    runtime.roots.first_task = task;
  } else {
    runtime.memory.store(&last->next, task);
    runtime.memory.store(&task->previous, last);
  }
  runtime.roots.last_task = task;
}

void unlink(echo_runtime& runtime, Task* task) {
  Task *const next = task->next, *const previous = task->previous;
  if (previous == nullptr) {
    runtime.roots.first_task = next;
  } else {
    runtime.memory.store(&previous->next, next);
  }
  if (next == nullptr) {
    runtime.roots.last_task = previous;
  } else {
    runtime.memory.store(&next->previous, previous);
  }
}

void run(echo_runtime& runtime, Task* task) {
  unlink(runtime, task);
  Future* const future = task->future;
  if (future != nullptr) {
    runtime.memory.store(&future->task, nullptr);
  }
  ++runtime.depth;
  if (runtime.options.call != nullptr) {
    runtime.options.call(runtime.options.call_context, task->entry, task->arguments);
  } else {
    task->entry(task->arguments);
  }
  --runtime.depth;
  if (future != nullptr) {
    resolve(runtime, *future, nullptr);
  }
  keep(future);
  keep(task);
}

} // namespace

bool run_oldest(echo_runtime& runtime) {
  auto* const task = static_cast<Task*>(runtime.roots.first_task);
  if (task == nullptr) {
    return false;
  }
  run(runtime, task);
  return true;
}

} // namespace echo::runtime

using namespace echo::runtime;

void run_scheduler() {
  echo_runtime& runtime = here("run_scheduler");
  while (run_oldest(runtime)) {
  }
}

void scheduler_yield() {
  echo_runtime& runtime = here("scheduler_yield");
  if (runtime.depth < kYieldDepth) {
    run_oldest(runtime);
  }
  runtime.memory.api().poll(runtime.memory.thread());
}

void* future_new() {
  echo_runtime& runtime = here("future_new");
  auto* const future = static_cast<Future*>(runtime.memory.words("future_new", sizeof(Future)));
  future->tag = kFutureTag;
  return future;
}

void future_resolve(void* future, void* value) {
  echo_runtime& runtime = here("future_resolve");
  resolve(runtime, future_of(runtime, "future_resolve", future), value);
}

// The count of arguments says nothing: the compiler passes 1 and no arguments.
void* coroutine_spawn(void (*entry)(void*), std::int32_t, void* arguments, void* future) {
  constexpr const char* kFunction = "coroutine_spawn";
  echo_runtime& runtime = here(kFunction);
  if (entry == nullptr) {
    fail(&runtime, kFunction, ECHO_INVALID_ARGUMENT, "the task has no entry function");
  }
  Future* const tied = future == nullptr ? nullptr : &future_of(runtime, kFunction, future);
  if (tied != nullptr && tied->task != nullptr) {
    fail(&runtime, kFunction, ECHO_WRONG_STATE, "the future at %p belongs to another task that waits",
         future);
  }
  auto* const task = static_cast<Task*>(runtime.memory.words(kFunction, sizeof(Task)));
  task->entry = entry;
  runtime.memory.store(&task->arguments, arguments);
  if (tied != nullptr) {
    runtime.memory.store(&task->future, tied);
    runtime.memory.store(&tied->task, task);
  }
  enqueue(runtime, task);
  keep(arguments);
  keep(future);
  return nullptr;
}

void* coroutine_await(void* future) {
  constexpr const char* kFunction = "coroutine_await";
  echo_runtime& runtime = here(kFunction);
  Future& awaited = future_of(runtime, kFunction, future);
  if (runtime.depth != 0 && awaited.state == FutureState::Open && awaited.task != nullptr) {
    run(runtime, awaited.task);
  }
  wait_until(runtime, kFunction, "nobody is left to resolve the future: no task waits for its turn",
             [&] { return awaited.state == FutureState::Resolved; });
  keep(future);
  return awaited.value;
}
