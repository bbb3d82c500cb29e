// SPDX-License-Identifier: MIT
//
// suite_threads.cpp - attach and detach at any time, thread states, stops that never wait for native threads.
#include "graph_model.h"
#include "patterns.h"
#include "recipe_machine.h"
#include "workers.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <set>

namespace conformance {

namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

std::string poisoned(const Plugin& p) {
  return p.options_with("max_heap=64m", {"poison=on", "verify=on"});
}

// A door that threads wait at, in std::mutex and nothing of the plugin's.
class Door {
public:
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  void wait() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return open_; });
  }

private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool open_ = false;
};

// Waits in a way that a stop needs no answer from the calling thread.
void wait_native(const Mutator& m, const std::function<void()>& wait) {
  EXPECT_STATUS(m.api().enter_native(m.get()), ECHO_OK, "enter_native");
  wait();
  EXPECT_STATUS(m.api().leave_native(m.get()), ECHO_OK, "leave_native");
}

void attached_once(Context& context) {
  Fixture f(context);
  echo_thread* again = nullptr;
  echo_error why = untouched_error();
  EXPECT_STATUS(f.plugin.api().attach(f.heap.get(), &again, &why), ECHO_WRONG_STATE, "a second attach");
  expect_error(why, ECHO_WRONG_STATE, "a second attach");
  f.mutator.allocate(f.heap.fixed("small", 16, {}));
  f.mutator.detach();
  const Mutator second(f.heap);
  second.allocate(f.heap.fixed("small", 16, {}));
}

void detach_is_for_oneself(Context& context) {
  Fixture f(context);
  Workers workers(f.heap);
  workers.start_bare([&] {
    echo_error why = untouched_error();
    EXPECT_STATUS(f.plugin.api().detach(f.mutator.get(), &why), ECHO_WRONG_THREAD,
                  "detach by another thread");
    expect_error(why, ECHO_WRONG_THREAD, "detach by another thread");
  });
  workers.start([&](const Mutator& other) {
    EXPECT_STATUS(f.plugin.api().detach(f.mutator.get(), nullptr), ECHO_WRONG_THREAD,
                  "detach by an attached thread");
    other.allocate(f.heap.fixed("small", 16, {}));
  });
  workers.join_from(f.mutator);
  f.mutator.allocate(f.heap.fixed("small", 16, {}));
}

void states_are_checked(Context& context) {
  Fixture f(context);
  const echo_heap_api& api = f.plugin.api();
  echo_thread* t = f.mutator.get();
  EXPECT_STATUS(api.leave_native(t), ECHO_WRONG_STATE, "leave_native while managed");
  EXPECT_STATUS(api.leave_blocked(t), ECHO_WRONG_STATE, "leave_blocked while managed");
  EXPECT_STATUS(api.enter_native(t), ECHO_OK, "enter_native");
  EXPECT_STATUS(api.enter_native(t), ECHO_WRONG_STATE, "enter_native while native");
  EXPECT_STATUS(api.enter_blocked(t), ECHO_WRONG_STATE, "enter_blocked while native");
  EXPECT_STATUS(api.leave_native(t), ECHO_OK, "leave_native");
  EXPECT_STATUS(api.enter_blocked(t), ECHO_OK, "enter_blocked");
  EXPECT_STATUS(api.enter_blocked(t), ECHO_WRONG_STATE, "enter_blocked while blocked");
  EXPECT_STATUS(api.leave_blocked(t), ECHO_OK, "leave_blocked");
  f.mutator.allocate(f.heap.fixed("small", 16, {}));
  EXPECT_STATUS(api.enter_native(t), ECHO_OK, "enter_native");
  f.mutator.detach(); // native is allowed
}

void blocks_are_apart(Context& context) {
  Fixture f(context);
  constexpr int kThreads = 8;
  std::mutex mutex;
  std::set<echo_thread*> blocks{f.mutator.get()};
  Door all_in;
  std::atomic<int> in{0};
  Workers workers(f.heap);
  for (int i = 0; i < kThreads; ++i)
    workers.start([&](const Mutator& m) {
      int mine = 0;
      m.api().set_vm_word(m.get(), &mine);
      {
        const std::lock_guard lock(mutex);
        EXPECT(blocks.insert(m.get()).second, "two attached threads share a block");
      }
      if (++in == kThreads)
        all_in.open();
      wait_native(m, [&] { all_in.wait(); });
      EXPECT(m.api().vm_word(m.get()) == &mine, "another thread's VM word");
      EXPECT(m.api().heap_of(m.get()) == f.heap.get(), "heap_of");
    });
  workers.join_from(f.mutator);
}

void stops_do_not_wait(Context& context, echo_status (*echo_heap_api::*enter)(echo_thread*),
                       echo_status (*echo_heap_api::*leave)(echo_thread*)) {
  Fixture f(context, poisoned);
  f.plugin.require(ECHO_FEATURE_COLLECTS);
  Door finish;
  Door all_away;
  std::atomic<int> away{0};
  Workers workers(f.heap);
  for (std::uint64_t i = 0; i < 4; ++i)
    workers.start([&, i](const Mutator& m) {
      Scope scope(m);
      const Nodes nodes(m);
      const echo_handle head = nodes.list(100 + i);
      EXPECT_STATUS((m.api().*enter)(m.get()), ECHO_OK, "leaving the managed state");
      if (++away == 4)
        all_away.open();
      finish.wait();
      EXPECT_STATUS((m.api().*leave)(m.get()), ECHO_OK, "entering the managed state");
      nodes.expect_list(head, 100 + i, "a list of a thread that was away");
    });
  wait_native(f.mutator, [&] { all_away.wait(); });
  const auto began = steady_clock::now();
  for (int i = 0; i < 20; ++i)
    f.mutator.collect();
  const double seconds = std::chrono::duration<double>(steady_clock::now() - began).count();
  churn(f.mutator, 128 << 20, context.random);
  finish.open();
  workers.join_from(f.mutator);
  EXPECT(seconds < 20, "20 collections beside sleeping native threads took " + show(seconds) + " s");
}
void stops_do_not_wait_for_native(Context& context) {
  stops_do_not_wait(context, &echo_heap_api::enter_native, &echo_heap_api::leave_native);
}
void stops_do_not_wait_for_blocked(Context& context) {
  stops_do_not_wait(context, &echo_heap_api::enter_blocked, &echo_heap_api::leave_blocked);
}

// A loop that only polls is stopped, by the function and by the recipe.
void polls_stop(Context& context) {
  Fixture f(context);
  f.plugin.require(ECHO_FEATURE_COLLECTS);
  std::atomic<bool> done{false};
  std::atomic<int> ready{0};
  Workers workers(f.heap);
  workers.start([&](const Mutator& m) {
    for (++ready; !done.load(std::memory_order_relaxed);)
      m.api().poll(m.get());
  });
  workers.start([&](const Mutator& m) {
    const RecipeMachine machine(m, ECHO_RECIPES_FASTEST);
    for (++ready; !done.load(std::memory_order_relaxed);)
      machine.poll();
  });
  wait_native(f.mutator, [&] {
    while (ready != 2)
      std::this_thread::yield();
  });
  for (int i = 0; i < 50; ++i)
    f.mutator.collect();
  done = true;
  workers.join_from(f.mutator);
}

// While the world is stopped - seen from the frame source - no thread comes out of native, and none attaches.
void nobody_enters_a_stop(Context& context) {
  Fixture f(context);
  f.plugin.require(ECHO_FEATURE_COLLECTS);
  f.plugin.require(ECHO_FEATURE_FRAME_SOURCE);
  struct Watch {
    std::atomic<bool> stopped{false}, intruder{false};
    std::atomic<int> stops{0};
    static echo_status walk(void* context_, echo_thread*, echo_frame_cursor* cursor, std::uint32_t,
                            std::uint32_t* visited, echo_visit_slot_fn, void*, echo_error*) {
      auto* watch = static_cast<Watch*>(context_);
      if (cursor->pc != 0) {
        watch->stopped = true;
        std::this_thread::sleep_for(milliseconds(100));
        watch->stopped = false;
        ++watch->stops;
      }
      cursor->pc = 0;
      *visited = 1;
      return ECHO_OK;
    }
    void entered() {
      if (stopped)
        intruder = true;
    }
  } watch;
  const echo_frame_source source{sizeof(echo_frame_source), 0, &watch, Watch::walk};
  EXPECT_STATUS(f.plugin.api().frame_source_set(f.heap.get(), &source, nullptr), ECHO_OK, "frame_source_set");
  const RecipeMachine machine(f.mutator, ECHO_RECIPES_FASTEST);
  machine.publish_anchor(0x1000, 0x1000, 1);
  std::atomic<bool> done{false};
  Workers workers(f.heap);
  workers.start([&](const Mutator& m) {
    while (!done) {
      EXPECT_STATUS(m.api().enter_native(m.get()), ECHO_OK, "enter_native");
      std::this_thread::sleep_for(milliseconds(3));
      EXPECT_STATUS(m.api().leave_native(m.get()), ECHO_OK, "leave_native");
      watch.entered();
    }
  });
  workers.start_bare([&] {
    while (!done) {
      const Mutator m(f.heap);
      watch.entered();
      EXPECT_STATUS(m.api().enter_native(m.get()), ECHO_OK, "enter_native");
      std::this_thread::sleep_for(milliseconds(3));
    }
  });
  for (int i = 0; i < 10; ++i)
    f.mutator.collect();
  done = true;
  machine.publish_anchor(0, 0, 0);
  workers.join_from(f.mutator);
  EXPECT(watch.stops >= 10, "the frame source was asked only " + show(watch.stops.load()) + " times");
  EXPECT(!watch.intruder, "a thread became managed while the world was stopped");
  EXPECT_STATUS(f.plugin.api().frame_source_set(f.heap.get(), nullptr, nullptr), ECHO_OK,
                "removing the source");
}

void mutators_in_parallel(Context& context) {
  Fixture f(context, poisoned);
  Workers workers(f.heap);
  const std::uint64_t seed = context.random.next();
  for (std::uint64_t t = 0; t < 4; ++t)
    workers.start([seed, t](const Mutator& m) {
      Random random(seed + t);
      GraphModel model(m, random, 20, 1000);
      for (int step = 0; step < 25000; ++step) {
        model.step();
        m.api().poll(m.get());
        if (step % 5000 == 4999)
          model.expect_equal("in thread " + show(t));
      }
    });
  workers.join_from(f.mutator);
  f.mutator.verify();
}

// Several threads ask for collections at once, and come and go meanwhile.
void everyone_collects(Context& context) {
  Fixture f(context, poisoned);
  f.plugin.require(ECHO_FEATURE_COLLECTS);
  Workers workers(f.heap);
  const std::uint64_t seed = context.random.next();
  for (std::uint64_t t = 0; t < 4; ++t)
    workers.start_bare([&f, seed, t] {
      Random random(seed + t);
      for (int turn = 0; turn < 15; ++turn) {
        const Mutator m(f.heap);
        Scope scope(m);
        const Nodes nodes(m);
        const std::uint64_t count = random.between(1, 500);
        const echo_handle head = nodes.list(count);
        if (random.chance(2))
          m.collect();
        churn(m, 1 << 20, random);
        nodes.expect_list(head, count, "a list in thread " + show(t));
      }
    });
  for (int i = 0; i < 10; ++i) {
    f.mutator.collect();
    wait_native(f.mutator, [] { std::this_thread::sleep_for(milliseconds(5)); });
  }
  workers.join_from(f.mutator);
}

void threads_come_and_go(Context& context) {
  Fixture f(context, poisoned);
  for (int turn = 0; turn < 40; ++turn) {
    Workers workers(f.heap);
    for (std::uint64_t t = 0; t < 10; ++t)
      workers.start([t](const Mutator& m) {
        Random random(t);
        churn(m, 100000, random);
        if (t % 2 == 0)
          m.api().enter_native(m.get());
      });
    workers.join_from(f.mutator);
    EXPECT_EQ(f.heap.statistics().threads_attached, 1u, "threads_attached after they have gone");
  }
}

void many_threads(Context& context) {
  Fixture f(context, "max_heap=256m");
  constexpr int kThreads = 100;
  Door all_in;
  std::atomic<int> in{0};
  Workers workers(f.heap);
  for (std::uint64_t t = 0; t < kThreads; ++t)
    workers.start([&, t](const Mutator& m) {
      Scope scope(m);
      const Nodes nodes(m);
      const echo_handle head = nodes.list(50 + t);
      if (++in == kThreads)
        all_in.open();
      wait_native(m, [&] { all_in.wait(); });
      Random random(t);
      churn(m, 2 << 20, random);
      nodes.expect_list(head, 50 + t, "a list of thread " + show(t));
    });
  workers.join_from(f.mutator);
}

// What one thread makes another drops: the list hangs on a root word.
void objects_change_hands(Context& context) {
  Fixture f(context, poisoned);
  f.plugin.require(ECHO_FEATURE_COLLECTS);
  constexpr std::uint64_t kRounds = 200;
  constexpr std::uint64_t kCount = 300;
  echo_ref hand = nullptr;
  std::atomic<std::uint64_t> given{0}, taken{0};
  EXPECT_STATUS(f.plugin.api().roots_add(f.heap.get(), &hand, 1, nullptr), ECHO_OK, "roots_add");
  Workers workers(f.heap);
  workers.start([&](const Mutator& m) {
    const Nodes nodes(m);
    for (std::uint64_t round = 1; round <= kRounds; ++round) {
      Scope scope(m);
      const echo_handle head = nodes.list(kCount);
      while (taken.load(std::memory_order_acquire) != round - 1) {
        if (!noted_failure().empty())
          return; // the other one will not answer
        m.api().poll(m.get());
        std::this_thread::yield();
      }
      hand = m.get(head);
      given.store(round, std::memory_order_release);
    }
  });
  workers.start([&](const Mutator& m) {
    const Nodes nodes(m);
    Random random(3);
    for (std::uint64_t round = 1; round <= kRounds; ++round) {
      while (given.load(std::memory_order_acquire) != round) {
        if (!noted_failure().empty())
          return; // the other one will not answer
        m.api().poll(m.get());
        std::this_thread::yield();
      }
      Scope scope(m);
      const echo_handle head = m.root(hand);
      hand = nullptr;
      taken.store(round, std::memory_order_release);
      churn(m, 300000, random);
      nodes.expect_list(head, kCount, "a list from another thread");
    }
  });
  workers.join_from(f.mutator);
  EXPECT_STATUS(f.plugin.api().roots_remove(f.heap.get(), &hand, nullptr), ECHO_OK, "roots_remove");
}

// Threads that take what another one's collection freed must not make it run out of memory: little is ever live.
void small_live_sets_fit(Context& context) {
  Fixture f(context, "max_heap=12m");
  f.plugin.require(ECHO_FEATURE_COLLECTS);
  Workers workers(f.heap);
  const std::uint64_t seed = context.random.next();
  for (std::uint64_t t = 0; t < 3; ++t)
    workers.start([seed, t](const Mutator& m) {
      Random random(seed + t);
      Scope scope(m);
      const Nodes nodes(m);
      const echo_layout_id words = m.heap().raw_array("words", 8);
      const echo_handle head = nodes.list(2000); // 112 KB
      for (int turn = 0; turn < 60; ++turn) {
        Scope inner(m);
        m.root(m.allocate(words, random.between(100, 131072))); // at most 1 MB
        nodes.list(random.between(1, 8000));                    // at most 448 KB
        churn(m, 100000, random);
      }
      nodes.expect_list(head, 2000, "the list of thread " + show(t));
    });
  workers.join_from(f.mutator);
}

} // namespace

Suite threads_suite() {
  return {
      "threads",
      "attach and detach at any time, thread states, stops",
      {
          {"attached_once", "a second attach is WRONG_STATE; after detach it works", "[abi.thread.2]",
           attached_once},
          {"detach_is_for_oneself", "detach by another thread is WRONG_THREAD", "[abi.thread.2]",
           detach_is_for_oneself},
          {"states_are_checked", "transitions from the wrong state are WRONG_STATE", "[abi.state.1]",
           states_are_checked},
          {"blocks_are_apart", "each thread has its own block and VM word", "[abi.thread.1]",
           blocks_are_apart},
          {"stops_do_not_wait_for_native", "collections proceed beside native threads, whose handles hold",
           "[abi.thread.3] [abi.handle.1]", stops_do_not_wait_for_native},
          {"stops_do_not_wait_for_blocked", "collections proceed beside blocked threads, whose handles hold",
           "[abi.thread.3] [abi.handle.1]", stops_do_not_wait_for_blocked},
          {"polls_stop", "a thread that only polls is stopped, by function and by recipe", "[abi.thread.3]",
           polls_stop},
          {"nobody_enters_a_stop", "no thread becomes managed while the world is stopped", "[abi.thread.3]",
           nobody_enters_a_stop},
          {"mutators_in_parallel", "four threads mutate graphs of their own (random)", "[abi.collect.2]",
           mutators_in_parallel, 120},
          {"everyone_collects", "threads that come and go all ask for collections (random)",
           "[abi.thread.2] [abi.collect.2]", everyone_collects, 120},
          {"threads_come_and_go", "400 threads attach, allocate and detach", "[abi.thread.2]",
           threads_come_and_go},
          {"many_threads", "100 threads are attached at once", "[abi.thread.2] [abi.handle.1]", many_threads},
          {"objects_change_hands", "lists pass from thread to thread through a root word",
           "[abi.root.1] [abi.collect.2]", objects_change_hands},
          {"small_live_sets_fit", "four threads with little alive never run out of memory (random)",
           "[abi.collect.1] [abi.alloc.3]", small_live_sets_fit, 120},
      }};
}

} // namespace conformance
