// SPDX-License-Identifier: MIT
//
// Purpose     Threads of the heap's own: when they work, and which of them give way to the program.
#include "gc/background_thread.h"
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

} // namespace
} // namespace echo
