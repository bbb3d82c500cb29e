// SPDX-License-Identifier: MIT
//
// Purpose     A space on a fake machine, pools in it, and a thread that does one thing after the other.
#pragma once

#include "heap/native/pool.h"

#include "tests/heap/seed.h"
#include "tests/native/fake_topology.h"

#include <gtest/gtest.h>

#include <condition_variable>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

namespace echo::native::test {

using ::echo::test::Random;
using ::echo::test::seed_message;
using ::echo::test::test_seed;

// Another thread, whose work is given to it step by step.
class Worker {
public:
  Worker() : thread_([this] { loop(); }) {}
  ~Worker() { end(); }
  void run(std::function<void()> work) {
    std::unique_lock lock(mutex_);
    work_ = std::move(work);
    busy_ = true;
    changed_.notify_all();
    changed_.wait(lock, [this] { return !busy_; });
  }
  void end() {
    if (thread_.joinable()) {
      {
        const std::lock_guard lock(mutex_);
        ended_ = true;
        changed_.notify_all();
      }
      thread_.join();
    }
  }

private:
  void loop() {
    std::unique_lock lock(mutex_);
    for (;;) {
      changed_.wait(lock, [this] { return busy_ || ended_; });
      if (!busy_) {
        return;
      }
      work_();
      busy_ = false;
      changed_.notify_all();
    }
  }
  std::mutex mutex_;
  std::condition_variable changed_;
  std::function<void()> work_;
  bool busy_ = false;
  bool ended_ = false;
  std::thread thread_;
};

class PoolTest : public ::testing::Test {
protected:
  void SetUp() override { open(1); }
  void TearDown() override {
    if (pool != nullptr) {
      EXPECT_STREQ(pool->check(), "");
      Pool::destroy(pool);
    }
    if (space) {
      EXPECT_STREQ(space->check(), "");
    }
  }
  void open(unsigned nodes, PoolConfig config = {},
            SpaceConfig space_config = {.reserve_bytes = std::size_t{1} << 30, .pages = PageKind::Base}) {
    if (pool != nullptr) {
      Pool::destroy(pool);
      pool = nullptr;
    }
    FakeTopology::here = 0;
    space.reset();
    topology.emplace(nodes);
    space.emplace(*topology);
    ASSERT_TRUE(space->open(space_config));
    pool = Pool::create(*space, config);
    ASSERT_NE(pool, nullptr);
  }

  std::optional<FakeTopology> topology;
  std::optional<NativeSpace> space;
  Pool* pool = nullptr;
};

} // namespace echo::native::test
