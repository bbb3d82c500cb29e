// SPDX-License-Identifier: MIT
//
// Purpose     The stop protocol under storms: threads poll, go native and back, attach and detach and ask for
//             stops themselves, while an unattached thread asks too. In every stop it is checked that no
//             thread is inside managed code, that nobody else works, and that everything managed threads
//             wrote is visible.
// Break it    A thread that touches its managed data while native is seen by the same check.
#include "tests/gc/test_heap.h"
#include "tests/heap/seed.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <functional>
#include <thread>

namespace echo {
namespace {

using test::Random;

// What a thread does while managed: plain memory, so that the thread sanitizer proves the order too.
struct alignas(kCacheLine) ManagedData {
  std::uint64_t before = 0, after = 0; // equal whenever the thread is not in the middle of managed work
  std::atomic<bool> inside{false};
};

class StopCheck final : public StopWork {
public:
  StopCheck(std::vector<ManagedData>& all, std::atomic<int>& working, std::atomic<int>& faults,
            std::uint64_t& stops)
      : all_(all), working_(working), faults_(faults), stops_(stops) {}
  void run(const std::vector<Mutator*>&) override {
    faults_ += working_.fetch_add(1) != 0 ? 1 : 0; // [stop.who.1]
    for (const ManagedData& data : all_) {         // [stop.state.1]
      faults_ += data.inside.load(std::memory_order_relaxed) || data.before != data.after ? 1 : 0;
    }
    ++stops_; // plain: stops are ordered
    working_.fetch_sub(1);
  }

private:
  std::vector<ManagedData>& all_;
  std::atomic<int>& working_;
  std::atomic<int>& faults_;
  std::uint64_t& stops_;
};

void managed_work(ManagedData& data, Random& random) {
  data.inside.store(true, std::memory_order_relaxed);
  ++data.before;
  for (std::size_t i = random.below(20); i > 0; --i) {
    std::atomic_signal_fence(std::memory_order_seq_cst);
  }
  ++data.after;
  data.inside.store(false, std::memory_order_relaxed);
}

struct Storm {
  explicit Storm(bool yields) : collector(config_of(yields)) {
    std::string why;
    EXPECT_EQ(collector.open(&why), ECHO_OK) << why;
  }
  static Config config_of(bool yields) {
    Config config = test::quiet_config(4 * test::kMiB);
    config.stress_yield = yields;
    config.seed = test::test_seed();
    return config;
  }
  StopCheck check() { return {data, working, faults, stops}; }
  Mutator* attach() {
    Mutator* m = nullptr;
    std::string why;
    EXPECT_EQ(collector.attach(&m, &why), ECHO_OK) << why;
    return m;
  }
  static void poll(Mutator& m) {
    if (m.poll_word.load(std::memory_order_relaxed) == 0) { // the recipe
      m.collector.safepoints.poll(m);
    }
  }

  Collector collector;
  std::vector<ManagedData> data{8};
  std::atomic<int> working{0};
  std::atomic<int> faults{0};
  std::uint64_t stops = 0;
};

void run_storm(bool yields, int steps) {
  SCOPED_TRACE(test::seed_message());
  Storm storm(yields);
  constexpr unsigned kThreads = 4;
  std::atomic<std::uint64_t> asked{0};
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      Random random(test::test_seed() + t);
      Safepoints& safepoints = storm.collector.safepoints;
      Mutator* m = storm.attach();
      for (int step = 0; step < steps; ++step) {
        managed_work(storm.data[t], random);
        const std::size_t dice = random.below(1000);
        if (dice < 900) {
          Storm::poll(*m);
        } else if (dice < 960) {
          safepoints.enter_native(*m, random.chance(50) ? ThreadState::Native : ThreadState::Blocked);
          if (random.chance(30)) {
            std::this_thread::yield();
          }
          safepoints.leave_native(*m);
        } else if (dice < 990) {
          storm.collector.detach(m);
          m = storm.attach();
        } else {
          StopCheck work = storm.check();
          EXPECT_TRUE(safepoints.stop(m, work));
          ++asked;
        }
      }
      if (random.chance(50)) {
        safepoints.enter_native(*m, ThreadState::Native); // detaching native is allowed too
      }
      storm.collector.detach(m);
    });
  }
  std::atomic<bool> done{false};
  std::thread outsider([&] { // not attached
    while (!done.load()) {
      StopCheck work = storm.check();
      EXPECT_TRUE(storm.collector.safepoints.stop(nullptr, work));
      ++asked;
      std::this_thread::yield();
    }
  });
  for (std::thread& thread : threads) {
    thread.join();
  }
  done = true;
  outsider.join();
  EXPECT_EQ(storm.faults.load(), 0);
  EXPECT_EQ(storm.stops, asked.load()) << "each stop that was asked for was worked once";
  EXPECT_GE(storm.stops, kThreads);
  EXPECT_EQ(storm.collector.safepoints.attached(), 0u);
  EXPECT_FALSE(storm.collector.safepoints.stop_asked());
  echo_statistics statistics{};
  storm.collector.statistics(&statistics);
  EXPECT_EQ(statistics.time_to_safepoint_us.count, storm.stops);
}

TEST(Safepoints, Storm) {
  run_storm(false, 20000);
}

TEST(Safepoints, StormWithRandomYields) {
  run_storm(true, 8000);
}

// The check of the storm sees a thread that breaks the rule.
TEST(Safepoints, TheStormsCheckSeesAThreadThatWorksWhileNative) {
  Storm storm(false);
  std::atomic<bool> inside{false};
  std::atomic<bool> done{false};
  std::thread outlaw([&] {
    Mutator* m = storm.attach();
    storm.collector.safepoints.enter_native(*m, ThreadState::Native);
    storm.data[0].inside = true; // managed work in native state
    inside = true;
    while (!done.load()) {
      std::this_thread::yield();
    }
    storm.data[0].inside = false;
    storm.collector.detach(m);
  });
  while (!inside.load()) {
    std::this_thread::yield();
  }
  StopCheck work = storm.check();
  EXPECT_TRUE(storm.collector.safepoints.stop(nullptr, work));
  done = true;
  outlaw.join();
  EXPECT_EQ(storm.faults.load(), 1);
}

TEST(Safepoints, AStopNeedsNoAttachedThread) {
  Storm storm(false);
  StopCheck work = storm.check();
  EXPECT_TRUE(storm.collector.safepoints.stop(nullptr, work));
  EXPECT_EQ(storm.stops, 1u);
}

TEST(Safepoints, NativeAndBlockedThreadsAreNotWaitedFor) {
  Storm storm(false);
  std::atomic<int> resting{0};
  std::atomic<bool> done{false};
  std::vector<std::thread> sleepers;
  for (const ThreadState state : {ThreadState::Native, ThreadState::Blocked}) {
    sleepers.emplace_back([&, state] {
      Mutator* m = storm.attach();
      storm.collector.safepoints.enter_native(*m, state);
      ++resting;
      while (!done.load()) {
        std::this_thread::yield();
      }
      storm.collector.safepoints.leave_native(*m);
      storm.collector.detach(m);
    });
  }
  while (resting.load() != 2) {
    std::this_thread::yield();
  }
  Mutator* self = storm.attach();
  for (int i = 0; i < 100; ++i) {
    StopCheck work = storm.check();
    EXPECT_TRUE(storm.collector.safepoints.stop(self, work)); // would hang if they were waited for
  }
  EXPECT_EQ(storm.stops, 100u);
  storm.collector.detach(self);
  done = true;
  for (std::thread& sleeper : sleepers) {
    sleeper.join();
  }
}

// A thread that leaves native state during a stop waits for its end.
TEST(Safepoints, LeavingNativeWaitsForTheStop) {
  Storm storm(false);
  std::atomic<bool> native{false};
  std::atomic<bool> working{false};
  std::atomic<bool> released{false};
  std::atomic<bool> early{false};
  std::thread sleeper([&] {
    Mutator* m = storm.attach();
    storm.collector.safepoints.enter_native(*m, ThreadState::Native);
    native = true;
    while (!working.load()) {
      std::this_thread::yield();
    }
    storm.collector.safepoints.leave_native(*m);
    early = !released.load();
    storm.collector.detach(m);
  });
  while (!native.load()) {
    std::this_thread::yield();
  }
  struct Slow final : StopWork {
    std::atomic<bool>& started;
    std::atomic<bool>& ended;
    Slow(std::atomic<bool>& s, std::atomic<bool>& e) : started(s), ended(e) {}
    void run(const std::vector<Mutator*>&) override {
      started = true;
      std::this_thread::sleep_for(std::chrono::milliseconds(20)); // past the yielding phase of waiters
      ended = true;
    }
  } slow(working, released);
  EXPECT_TRUE(storm.collector.safepoints.stop(nullptr, slow));
  sleeper.join();
  EXPECT_FALSE(early.load());
  echo_statistics statistics{};
  storm.collector.statistics(&statistics);
  EXPECT_GE(statistics.pause_us.count, 1u) << "[stats.pause.1] the wait is a pause of that thread";
}

// Threads that leave native while a stop works register, and must not move the list under its feet.
TEST(Safepoints, TheWorkSeesTheActiveThreadsAsTheyWere) { // [stop.active.3]
  constexpr int kThreads = 40;                            // more than any vector of one has room for
  Storm storm(false);
  Safepoints& safepoints = storm.collector.safepoints;
  std::atomic<int> native{0};
  std::atomic<int> leaving{0};
  std::atomic<bool> go{false};
  std::vector<std::thread> threads;
  threads.reserve(kThreads);
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      Mutator* const m = storm.attach();
      safepoints.enter_native(*m, ThreadState::Native);
      ++native;
      while (!go) {
        std::this_thread::yield();
      }
      ++leaving;
      safepoints.leave_native(*m);
      storm.collector.detach(m);
    });
  }
  while (native != kThreads) {
    std::this_thread::yield();
  }
  struct Work final : StopWork {
    std::function<void(const std::vector<Mutator*>&)> body;
    void run(const std::vector<Mutator*>& all) override { body(all); }
  } work;
  work.body = [](const std::vector<Mutator*>&) {};
  EXPECT_TRUE(safepoints.stop(nullptr, work)); // nobody is active after it
  Mutator* const self = storm.attach();
  safepoints.enter_native(*self, ThreadState::Native);
  std::vector<Mutator*> before;
  std::vector<Mutator*> after;
  int registered = 0;
  work.body = [&](const std::vector<Mutator*>& all) {
    const std::vector<Mutator*>& active = safepoints.active();
    before = active;
    go = true;
    while (registered != kThreads) {
      registered = static_cast<int>(std::count_if(
          all.begin(), all.end(), [&](const Mutator* m) { return m != self && m->is_active.load(); }));
      std::this_thread::yield();
    }
    after = active;
  };
  EXPECT_TRUE(safepoints.stop(nullptr, work));
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(before, std::vector<Mutator*>{self});
  EXPECT_EQ(after, before);
  safepoints.leave_native(*self);
  storm.collector.detach(self);
}

// The work of a stop reads what belongs to threads at rest: nobody retires their memory beside it.
TEST(Safepoints, ThreadsAtRestAreTakenOutsideStopsOnly) { // [stop.rest.1]
  test::TestHeap heap(test::quiet_config());
  Safepoints& safepoints = heap.collector.safepoints;
  heap.stopped(
      [](const std::vector<Mutator*>&) {}); // this thread has run, and is not active in the next stop
  safepoints.enter_native(*heap.mutator, ThreadState::Native);
  std::atomic<bool> began{false};
  std::atomic<bool> taken{false};
  bool taken_beside = false;
  std::thread taker;
  struct Work final : StopWork {
    std::function<void()> body;
    void run(const std::vector<Mutator*>&) override { body(); }
  } work;
  work.body = [&] {
    taker = std::thread([&] {
      began = true;
      safepoints.take_those_at_rest([&](Mutator&) { taken = true; });
    });
    while (!began) {
      std::this_thread::yield();
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    taken_beside = taken.load();
  };
  EXPECT_TRUE(safepoints.stop(nullptr, work));
  taker.join();
  EXPECT_FALSE(taken_beside);
  EXPECT_TRUE(taken.load()) << "after the stop";
  safepoints.leave_native(*heap.mutator);
}

TEST(Safepoints, UnwantedWorkIsNotDone) {
  Storm storm(false);
  Mutator* self = storm.attach();
  struct Unwanted final : StopWork {
    bool ran = false;
    void run(const std::vector<Mutator*>&) override { ran = true; }
    bool still_wanted() override { return false; }
  } work;
  EXPECT_FALSE(storm.collector.safepoints.stop(self, work));
  EXPECT_FALSE(work.ran);
  EXPECT_EQ(self->state.load(), ThreadState::Managed);
  storm.collector.detach(self);
}

TEST(Safepoints, APollWithoutStopWritesTheWordBack) { // [stop.poll.1]
  Storm storm(false);
  Mutator* self = storm.attach();
  self->poll_word.store(0); // left over from a stop that was served elsewhere
  Storm::poll(*self);
  EXPECT_EQ(self->poll_word.load(), kPollIdle);
  EXPECT_EQ(self->state.load(), ThreadState::Managed);
  storm.collector.detach(self);
}

TEST(Safepoints, OneAttachmentPerThreadAndHeap) {
  Storm storm(false);
  Mutator* self = storm.attach();
  Mutator* again = nullptr;
  std::string why;
  EXPECT_EQ(storm.collector.attach(&again, &why), ECHO_WRONG_STATE);
  EXPECT_EQ(why, "this thread is attached to this heap already");
  EXPECT_EQ(again, nullptr);
  EXPECT_TRUE(storm.collector.safepoints.is_attached(::pthread_self()));
  storm.collector.detach(self);
  EXPECT_FALSE(storm.collector.safepoints.is_attached(::pthread_self()));
}

using SafepointsDeathTest = ::testing::Test;

TEST_F(SafepointsDeathTest, OnlyListedThreadsDetach) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(
      {
        Storm storm(false);
        storm.collector.detach(new Mutator(storm.collector, storm.collector.memory.supply, true));
      },
      "\\[stop.order.1\\] an unlisted thread detaches");
}

} // namespace
} // namespace echo
