// SPDX-License-Identifier: MIT
//
// suite_fork.cpp - processes that fork: the child's heap, the parent's, and a child that nobody told of.
#include "patterns.h"
#include "sanitizers.h"
#include "workers.h"

#include <atomic>
#include <chrono>
#include <csignal>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace conformance {

namespace {

// Runs `body` in a child and waits; fails with what went wrong in it, which it says on a pipe. A child that hangs is ended.
template <class InChild, class InParent>
void fork_with(InChild in_child, InParent in_parent, const std::string& what) {
  int pipe_ends[2];
  EXPECT(pipe(pipe_ends) == 0, "no pipe");
  const pid_t child = fork();
  EXPECT(child >= 0, "no child");
  if (child == 0) {
    alarm(40);
    std::string failure;
    try {
      in_child();
      failure = noted_failure();
    } catch (const Failed& failed) {
      failure = failed.why;
    }
    const bool written = write(pipe_ends[1], failure.data(), failure.size()) >= 0;
    _exit(failure.empty() && written ? 0 : 1);
  }
  close(pipe_ends[1]);
  in_parent();
  std::string said;
  char part[256];
  for (ssize_t n = 0; (n = read(pipe_ends[0], part, sizeof part)) > 0;)
    said.append(part, static_cast<std::size_t>(n));
  close(pipe_ends[0]);
  int status = 0;
  EXPECT(waitpid(child, &status, 0) == child, "waitpid");
  EXPECT(!(WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM), what + ": the child hangs");
  EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 0, what + ": in the child: " + said);
}

struct ForkFixture {
  ForkFixture(Context& context, const std::string& options) : f(context, options), api(f.plugin.api()) {
    f.plugin.skip_without(ECHO_FEATURE_FORK);
    if (kThreadSanitizer) {
      throw Skipped{"the thread sanitizer does not follow a process that forks"};
    }
  }
  void prepare() const {
    echo_error why = untouched_error();
    const echo_status status = api.fork_prepare(f.mutator.get(), &why);
    EXPECT(status == ECHO_OK, "fork_prepare: " + status_text(status, why));
  }
  void adopt() const {
    echo_error why = untouched_error();
    const echo_status status = api.fork_child(f.mutator.get(), &why);
    EXPECT(status == ECHO_OK, "fork_child: " + status_text(status, why));
  }
  void go_on() const { EXPECT_STATUS(api.fork_parent(f.mutator.get(), nullptr), ECHO_OK, "fork_parent"); }
  Fixture f;
  const echo_heap_api& api;
};

// What any heap must be able to do.
void use(const Mutator& mutator, const Nodes& nodes, echo_handle list, std::uint64_t length, Random& random,
         const std::string& what) {
  nodes.expect_list(list, length, what);
  for (int turn = 0; turn < 2; ++turn) {
    mutator.collect();
    churn(mutator, 8 << 20, random);
    nodes.expect_list(list, length, what + ", after a collection");
  }
  mutator.verify();
  Workers more(mutator.heap());
  more.start([&](const Mutator& m) {
    const Nodes own(m);
    Scope scope(m);
    own.expect_list(own.list(1000), 1000, what + ", on another thread");
    m.collect();
  });
  more.join_from(mutator);
}

void the_child_goes_on(Context& context) {
  ForkFixture t(context, "max_heap=32m");
  const Nodes nodes(t.f.mutator);
  Scope scope(t.f.mutator);
  const echo_handle list = nodes.list(5000);
  for (int turn = 0; turn < 3; ++turn) {
    t.prepare();
    fork_with(
        [&] {
          t.adopt();
          EXPECT_EQ(t.f.heap.statistics().threads_attached, 1u, "threads attached in the child");
          use(t.f.mutator, nodes, list, 5000, context.random, "the child's list");
          scope.close();
          t.f.mutator.detach();
          t.f.heap.destroy();
        },
        [&] {
          t.go_on();
          use(t.f.mutator, nodes, list, 5000, context.random, "the parent's list");
        },
        "a fork");
  }
}

// Other threads allocate, store, sit in native state and destroy handles, and a mark is running, when the fork comes.
void forks_while_marking(Context& context) {
  constexpr std::uint64_t kLong = 80000;
  ForkFixture t(context, "max_heap=64m");
  const Nodes nodes(t.f.mutator);
  Scope scope(t.f.mutator);
  const echo_handle list = nodes.list(kLong); // milliseconds of marking
  std::atomic<bool> done{false};
  Workers workers(t.f.heap);
  for (int w = 0; w < 2; ++w)
    workers.start([&, seed = context.random.next()](const Mutator& m) {
      Random random(seed);
      const Nodes own(m);
      Scope inner(m);
      const echo_handle mine = own.list(2000);
      while (!done.load()) {
        churn(m, 1 << 18, random);
        own.expect_list(mine, 2000, "a worker's list");
        EXPECT_STATUS(m.api().enter_native(m.get()), ECHO_OK, "enter_native");
        if (m.heap().plugin().has(ECHO_FEATURE_PERSISTENT_HANDLES))
          for (int i = 0; i < 200; ++i) {
            echo_persistent handle = nullptr;
            if (m.api().persistent_of(m.get(), mine, &handle, nullptr) == ECHO_OK)
              m.api().persistent_destroy(m.heap().get(), handle, nullptr);
          }
        EXPECT_STATUS(m.api().leave_native(m.get()), ECHO_OK, "leave_native");
      }
    });
  workers.start([&](const Mutator& m) { // so that some mark is always running
    while (!done.load())
      m.collect();
  });
  try {
    for (int turn = 0; turn < 6; ++turn) {
      std::this_thread::sleep_for(std::chrono::microseconds(context.random.between(0, 30000)));
      t.f.plugin.api().poll(t.f.mutator.get());
      t.prepare();
      fork_with(
          [&] {
            t.adopt();
            EXPECT_EQ(t.f.heap.statistics().threads_attached, 1u, "threads attached in the child");
            use(t.f.mutator, nodes, list, kLong, context.random, "the child's list");
          },
          [&] {
            t.go_on();
            EXPECT_STATUS(t.api.enter_blocked(t.f.mutator.get()), ECHO_OK, "enter_blocked");
          },
          "a fork beside a mark");
      EXPECT_STATUS(t.api.leave_blocked(t.f.mutator.get()), ECHO_OK, "leave_blocked");
    }
  } catch (const Failed& failed) {
    note_failure(failed.why);
  }
  done = true;
  if (t.api.enter_blocked(t.f.mutator.get()) == ECHO_OK || true) {
    workers.join();
    (void)t.api.leave_blocked(t.f.mutator.get());
  }
  if (const std::string failure = noted_failure(); !failure.empty())
    throw Failed{failure};
  nodes.expect_list(list, kLong, "the parent's list");
}

void strangers_are_told(Context& context) {
  ForkFixture t(context, "max_heap=32m");
  const Nodes nodes(t.f.mutator);
  Scope scope(t.f.mutator);
  const echo_handle list = nodes.list(1000);
  fork_with(
      [&] { // without a word to the heap
        EXPECT_STATUS(t.api.collect(t.f.mutator.get(), ECHO_COLLECT_FULL, nullptr), ECHO_WRONG_STATE,
                      "collect");
        EXPECT(t.api.allocate(t.f.mutator.get(), nodes.layout, 0) == nullptr, "allocate");
        EXPECT_STATUS(t.api.enter_native(t.f.mutator.get()), ECHO_WRONG_STATE, "enter_native");
        t.api.poll(t.f.mutator.get());
        EXPECT_STATUS(t.api.detach(t.f.mutator.get(), nullptr), ECHO_WRONG_STATE, "detach");
        echo_error why = untouched_error();
        EXPECT_STATUS(t.api.heap_destroy(t.f.heap.get(), &why), ECHO_WRONG_STATE, "heap_destroy");
        expect_error(why, ECHO_WRONG_STATE, "heap_destroy");
        EXPECT_STATUS(t.api.fork_child(t.f.mutator.get(), &why), ECHO_WRONG_STATE, "fork_child");
        echo_heap* fresh = nullptr; // and another heap is possible
        EXPECT_STATUS(t.api.heap_create("max_heap=4m", &fresh, nullptr), ECHO_OK, "heap_create");
        EXPECT_STATUS(t.api.heap_destroy(fresh, nullptr), ECHO_OK, "heap_destroy of the new one");
      },
      [] {}, "an untold fork");
  EXPECT_STATUS(t.api.fork_parent(t.f.mutator.get(), nullptr), ECHO_WRONG_STATE,
                "fork_parent without prepare");
  EXPECT_STATUS(t.api.fork_child(t.f.mutator.get(), nullptr), ECHO_WRONG_STATE, "fork_child without prepare");
  EXPECT_STATUS(t.api.fork_prepare(nullptr, nullptr), ECHO_INVALID_ARGUMENT, "fork_prepare without a thread");
  t.prepare();
  EXPECT_STATUS(t.api.fork_prepare(t.f.mutator.get(), nullptr), ECHO_WRONG_STATE, "fork_prepare twice");
  t.go_on(); // fork failed
  t.f.mutator.collect();
  nodes.expect_list(list, 1000, "the list");
}

} // namespace

Suite fork_suite() {
  return {"fork",
          "processes that fork",
          {
              {"the_child_goes_on", "after a fork both processes have the heap, whole", "[fork.child.1]",
               the_child_goes_on, 120},
              {"forks_while_marking", "a fork beside a mark and other threads leaves a usable child",
               "[fork.prepare.1] [fork.child.1]", forks_while_marking, 300},
              {"strangers_are_told", "in a child that the heap was not told of calls fail and none hangs",
               "[fork.stranger.1]", strangers_are_told},
          }};
}

} // namespace conformance
