// SPDX-License-Identifier: MIT
//
// Purpose     Run permits: never more threads than permits run, everybody comes to his turn, threads at rest hold nobody up,
//             by the recipe's store as well; without permits more of them run.
#include "conformance/runner/sanitizers.h"
#include "tests/gc/test_heap.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <optional>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace echo {
namespace {

using test::TestHeap;

Config with_permits(std::size_t permits) {
  Config config = test::quiet_config();
  config.permits = permits;
  return config;
}

// Threads that run, poll and count how many run between two polls.
struct Crowd {
  explicit Crowd(TestHeap& h) : heap(h) {}
  TestHeap& heap;
  std::atomic<int> running{0}, most{0}, begun{0};
  std::atomic<bool> done{false};
  std::vector<std::thread> threads;
  std::vector<std::atomic<std::uint64_t>> turns = std::vector<std::atomic<std::uint64_t>>(64);

  void note_run(unsigned t) {
    const int now = ++running;
    int before = most;
    while (now > before && !most.compare_exchange_weak(before, now)) {
    }
    for (int i = 0; i < 200; ++i) {
      __asm__ volatile("" ::: "memory");
    }
    ++turns[t];
    --running;
  }
  template <class Between> void start(unsigned count, Between between) {
    for (unsigned t = 0; t < count; ++t) {
      threads.emplace_back([this, t, between] {
        Mutator* m = nullptr;
        std::string why;
        ASSERT_EQ(heap.collector.attach(&m, &why), ECHO_OK) << why;
        ++begun;
        while (!done) {
          note_run(t);
          between(*m);
          if (m->poll_word.load(std::memory_order_relaxed) == 0) {
            heap.collector.poll(*m);
          }
        }
        heap.collector.detach(m);
      });
    }
  }
  void run_for(std::chrono::milliseconds time) {
    heap.collector.safepoints.enter_native(*heap.mutator, ThreadState::Blocked);
    std::this_thread::sleep_for(time);
    done = true;
    for (std::thread& thread : threads) {
      thread.join();
    }
    heap.collector.safepoints.leave_native(*heap.mutator);
  }
};

TEST(RunPermits, NoMoreRunThanThereArePermits) { // [stop.permit.1]
  TestHeap heap(with_permits(2));
  Crowd crowd(heap);
  crowd.start(8, [](Mutator&) {});
  crowd.run_for(std::chrono::milliseconds(400));
  EXPECT_LE(crowd.most, 2);
  for (unsigned t = 0; t < 8; ++t) {
    EXPECT_GT(crowd.turns[t], 0u) << "everybody comes to his turn [permit.turn.1]";
  }
  EXPECT_GT(heap.statistics().permit_wait_us.count, 8u);
}

TEST(RunPermits, BreakWithoutPermits) {
  TestHeap heap(with_permits(0));
  Crowd crowd(heap);
  crowd.start(8, [](Mutator&) { ::sched_yield(); });
  std::atomic<int> arrived{0};
  std::vector<std::thread> together;
  for (int t = 0; t < 4; ++t) { // four that are managed at a time for sure
    together.emplace_back([&] {
      Mutator* m = nullptr;
      std::string why;
      ASSERT_EQ(heap.collector.attach(&m, &why), ECHO_OK) << why;
      ++arrived;
      while (arrived < 4) {
        std::this_thread::yield();
      }
      heap.collector.detach(m);
    });
  }
  for (std::thread& thread : together) {
    thread.join();
  }
  EXPECT_EQ(arrived, 4);
  crowd.run_for(std::chrono::milliseconds(50));
  EXPECT_EQ(heap.statistics().permit_wait_us.count, 0u);
}

// A permit is taken from a thread that went native, also if it did so by a store of emitted code.
TEST(RunPermits, ThoseAtRestHoldNobodyUp) {
  TestHeap heap(with_permits(1));
  std::atomic<int> away{0};
  std::atomic<bool> done{false};
  std::vector<std::thread> threads;
  heap.collector.safepoints.enter_native(*heap.mutator, ThreadState::Blocked);
  for (int t = 0; t < 6; ++t) {
    threads.emplace_back([&, t] {
      Mutator* m = nullptr;
      std::string why;
      ASSERT_EQ(heap.collector.attach(&m, &why), ECHO_OK) << why;
      if (t % 2 == 0) {
        heap.collector.safepoints.enter_native(*m, ThreadState::Blocked);
      } else { // the recipe
        m->state.store(ThreadState::Native);
        if (m->poll_word.load() == 0) {
          heap.collector.safepoints.entered_native(*m);
        }
      }
      ++away; // all six: each had its turn while the others were away
      while (!done) {
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
      for (int i = 0; i < 200; ++i) {
        if (t % 2 == 0) {
          heap.collector.safepoints.leave_native(*m);
        } else {
          m->state.store(ThreadState::Managed);
          if (m->poll_word.load() == 0) {
            heap.collector.safepoints.leave_native(*m);
          }
        }
        ASSERT_TRUE(heap.collector.allocate(*m, heap.pair, 0));
        heap.collector.safepoints.enter_native(*m, ThreadState::Native);
      }
      heap.collector.detach(m);
    });
  }
  while (away != 6) {
    std::this_thread::yield();
  }
  done = true;
  for (std::thread& thread : threads) {
    thread.join();
  }
  heap.collector.safepoints.leave_native(*heap.mutator);
  heap.collect();
  EXPECT_EQ(heap.statistics().objects_allocated, 6u * 200);
}

// Asks for a permit on a thread of its own, and gives it back.
class Stranger {
public:
  explicit Stranger(TestHeap& heap)
      : permits_(heap.collector.safepoints.permits()),
        mutator_(heap.collector, heap.collector.memory.supply, false), thread_([this] {
          (void)permits_.acquire(mutator_);
          has_had_one_ = true;
          permits_.forget(mutator_);
        }) {}
  ~Stranger() { thread_.join(); }
  Stranger(const Stranger&) = delete;
  Stranger& operator=(const Stranger&) = delete;
  // It has looked for one and found none.
  bool must_wait() const {
    while (permits_.waiting() == 0 && !has_had_one_) {
      std::this_thread::yield();
    }
    return !has_had_one_;
  }

private:
  RunPermits& permits_;
  Mutator mutator_;
  std::atomic<bool> has_had_one_{false};
  std::thread thread_;
};

// Attaches, runs and polls until it is told to go.
class Runner {
public:
  explicit Runner(TestHeap& heap)
      : thread_([this, &heap] {
          Mutator* m = nullptr;
          std::string why;
          ASSERT_EQ(heap.collector.attach(&m, &why), ECHO_OK) << why;
          runs_ = true;
          while (!done_) {
            if (m->poll_word.load(std::memory_order_relaxed) == 0) {
              heap.collector.poll(*m);
            }
          }
          heap.collector.detach(m);
        }) {}
  ~Runner() {
    done_ = true;
    thread_.join();
  }
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;
  bool runs() const { return runs_; }

private:
  std::atomic<bool> runs_{false}, done_{false};
  std::thread thread_;
};

// It has been given a permit, and has not run yet: the lock that it needs to be listed as active is held here.
TEST(RunPermits, NoPermitIsTakenFromAThreadThatWasGivenIt) { // [permit.resume.1]
  TestHeap heap(with_permits(1));
  Safepoints& safepoints = heap.collector.safepoints;
  std::optional<Stranger> stranger;
  {
    const Runner runner(heap);
    while (safepoints.permits().waiting() == 0) {
      std::this_thread::yield();
    }
    safepoints.with_thread(0, [&](Mutator&) {
      safepoints.enter_native(*heap.mutator, ThreadState::Blocked); // passes the only permit on
      ASSERT_EQ(safepoints.permits().waiting(), 0u);
      stranger.emplace(heap);
      EXPECT_TRUE(stranger->must_wait());
    });
    while (!runner.runs()) {
      std::this_thread::yield();
    }
  }
  stranger.reset(); // the permit was free
  safepoints.leave_native(*heap.mutator);
}

TEST(RunPermits, NoPermitIsTakenFromAThreadThatAStopHolds) { // [permit.resume.1]
  TestHeap heap(with_permits(2));
  Safepoints& safepoints = heap.collector.safepoints;
  std::optional<Stranger> stranger;
  {
    const Runner runner(heap);
    while (!runner.runs()) {
      std::this_thread::yield();
    }
    safepoints.at_rest(*heap.mutator, [&] { safepoints.lock_stops(); });
    safepoints.hold(*heap.mutator);
    stranger.emplace(heap);
    EXPECT_TRUE(stranger->must_wait());
    safepoints.release(*heap.mutator);
    safepoints.unlock_stops();
  }
  stranger.reset();
}

// Collections of all kinds with more threads than permits.
TEST(RunPermits, CollectionsGoOn) {
  for (const MarkMode mode : {MarkMode::Concurrent, MarkMode::Stw}) {
    Config config;
    config.max_heap = 8 * test::kMiB;
    config.initial_trigger = test::kMiB;
    config.reserve_bytes = 1;
    config.mode = mode;
    config.permits = 2;
    config.stress_yield = true;
    TestHeap heap(config);
    Crowd crowd(heap);
    std::atomic<int> failures{0};
    crowd.start(6, [&](Mutator& m) {
      for (int i = 0; i < 20; ++i) {
        failures += heap.collector.allocate(m, heap.refs, 100) ? 0 : 1;
      }
    });
    crowd.run_for(std::chrono::milliseconds(500));
    EXPECT_EQ(failures, 0);
    EXPECT_LE(crowd.most, 2);
    EXPECT_EQ(heap.collector.verify(*heap.mutator, true), "");
  }
}

// In the child of a fork: threads that are gone hold and await permits no more.
int use_in_child(TestHeap& heap) {
  std::string why;
  if (heap.collector.fork_child(*heap.mutator, &why) != ECHO_OK) {
    return 2;
  }
  std::atomic<int> failures{0};
  std::vector<std::thread> more;
  for (int t = 0; t < 3; ++t) {
    more.emplace_back([&] {
      Mutator* m = nullptr;
      std::string refusal;
      failures += heap.collector.attach(&m, &refusal) == ECHO_OK ? 0 : 1;
      for (int i = 0; i < 2000; ++i) {
        failures += heap.collector.allocate(*m, heap.pair, 0) ? 0 : 1;
      }
      heap.collector.detach(m);
    });
  }
  heap.collector.safepoints.enter_native(*heap.mutator, ThreadState::Blocked);
  for (std::thread& thread : more) {
    thread.join();
  }
  heap.collector.safepoints.leave_native(*heap.mutator);
  if (heap.collector.collect(*heap.mutator, ECHO_CAUSE_requested, &why) != ECHO_OK ||
      !heap.collector.verify(*heap.mutator, true).empty()) {
    return 3;
  }
  return failures == 0 ? 0 : 4;
}

TEST(RunPermits, AHeapForks) { // [fork.prepare.1]
  if (conformance::kThreadSanitizer) {
    GTEST_SKIP() << "the thread sanitizer does not follow a process that forks";
  }
  Config config = with_permits(2);
  config.stress_yield = true;
  TestHeap heap(config);
  Crowd crowd(heap);
  std::atomic<int> failures{0};
  crowd.start(6, [&](Mutator& m) { failures += heap.collector.allocate(m, heap.pair, 0) ? 0 : 1; });
  for (int turn = 0; turn < 10; ++turn) {
    std::string why;
    ASSERT_EQ(heap.collector.fork_prepare(*heap.mutator, &why), ECHO_OK) << why;
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      ::alarm(40); // a child that hangs is ended
      ::_exit(use_in_child(heap));
    }
    ASSERT_EQ(heap.collector.fork_parent(*heap.mutator, &why), ECHO_OK) << why;
    int status = 0;
    heap.collector.safepoints.enter_native(*heap.mutator, ThreadState::Blocked);
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    heap.collector.safepoints.leave_native(*heap.mutator);
    ASSERT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "turn " << turn << ": " << status;
  }
  crowd.run_for(std::chrono::milliseconds(10));
  EXPECT_EQ(failures, 0);
  EXPECT_LE(crowd.most, 2);
}

} // namespace
} // namespace echo
