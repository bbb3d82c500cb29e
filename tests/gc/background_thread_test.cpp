// SPDX-License-Identifier: MIT
//
// Purpose     Threads of the heap's own: when they work, and which of them give way to the program.
#include "gc/background_thread.h"
#include "gc/service_thread.h"
#include "heap/os_memory.h"
#include "tests/gc/test_heap.h"

#include <gtest/gtest.h>

#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <string>
#include <thread>

namespace echo {
namespace {

// What the thread's work sees.
int nice_in(BackgroundThread::Share share) {
  std::atomic<int> seen{-100};
  BackgroundThread thread(
      [&] {
        seen = os::nice_value();
        seen.notify_all();
      },
      {}, share);
  EXPECT_TRUE(thread.start());
  thread.wake();
  seen.wait(-100);
  thread.stop();
  return seen;
}

TEST(BackgroundThread, OneOfASmallerShareGivesWay) { // [service.share.1]
  const int own = os::nice_value();
  EXPECT_EQ(nice_in(BackgroundThread::Share::Equal), own);
  EXPECT_EQ(nice_in(BackgroundThread::Share::Smaller), std::min(own + 5, 19));
  EXPECT_EQ(os::nice_value(), own) << "its own only";
}

// Threads of this process that are so much behind.
int threads_at(int nice) {
  int count = 0;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    const auto id = static_cast<id_t>(std::stoul(task.path().filename().string()));
    count += ::getpriority(PRIO_PROCESS, id) == nice ? 1 : 0;
  }
  return count;
}

TEST(BackgroundThread, ThoseThatMarkGiveWay) { // [service.share.1]
  const int behind = std::min(os::nice_value() + 5, 19);
  ASSERT_EQ(threads_at(behind), 0);
  Config config = test::quiet_config();
  config.mode = MarkMode::Concurrent;
  config.markers = 3;
  test::TestHeap heap(config);
  heap.collect();                  // makes the seconds
  while (threads_at(behind) < 3) { // the collector's and two; a thread says so when it first runs
    std::this_thread::yield();
  }
  EXPECT_EQ(threads_at(behind), 3);
}

// A heap's pages, brought in by a service thread.
class Service : public ::testing::Test {
protected:
  static constexpr std::size_t kAhead = std::size_t{128} << 20;
  void SetUp() override {
    ASSERT_TRUE(memory.open());
    ASSERT_TRUE(service.start());
  }
  void TearDown() override { service.stop(); }
  static Config config() {
    Config config;
    config.max_heap = 4 * kAhead;
    config.populate = kAhead;
    config.keep_free = 2 * kAhead;
    config.initial_trigger = 2 * kAhead;
    return config;
  }
  std::uint64_t brought_in() const { return memory.pool.populated_bytes(); }
  void wait_for(std::uint64_t bytes) const {
    while (brought_in() < bytes) {
      std::this_thread::yield();
    }
  }
  static void wait_a_little() { std::this_thread::sleep_for(std::chrono::milliseconds(20)); }

  std::atomic<bool> is_stop_asked{false};
  Memory memory{config()};
  ServiceThread service{memory, false, std::chrono::milliseconds(0), [] {},
                        [this] { return is_stop_asked.load(); }};
};

TEST_F(Service, BeginsNoStepWhileAStopIsAskedFor) { // [service.stop.1]
  is_stop_asked = true;
  service.wake();
  wait_a_little();
  EXPECT_EQ(brought_in(), 0u);
  is_stop_asked = false;
  wait_for(kAhead);
}

// And whoever wants it to stand aside waits for one step, not for all of its work.
TEST_F(Service, StandsAside) { // [service.stop.1]
  service.wake();
  wait_for(1);
  {
    const ServiceThread::Aside aside(service);
    const std::uint64_t before = brought_in();
    EXPECT_LT(before, kAhead);
    wait_a_little();
    EXPECT_EQ(brought_in(), before);
  }
  wait_for(kAhead);
}

} // namespace
} // namespace echo
