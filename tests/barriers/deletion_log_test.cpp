// SPDX-License-Identifier: MIT
//
// Purpose     The deletion log drops nothing and keeps the order; the store tells it before it overwrites.
#include "barriers/deletion_log.h"
#include "barriers/store_barrier.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <thread>

namespace echo {
namespace {

TEST(DeletionLog, KeepsEveryRecordInOrder) { // [bar.log.1] [bar.log.3]
  DeletionSink sink;
  const auto log = std::make_unique<DeletionLog>();
  constexpr std::size_t kRecords = 512 * 3 + 7;
  for (std::size_t i = 0; i < kRecords; ++i) {
    log->add({i, i * 2}, sink);
    EXPECT_EQ(sink.total(), i / 512 * 512) << "full buffers go at once, the rest stays";
  }
  log->flush(sink);
  EXPECT_EQ(sink.total(), kRecords);
  const std::vector<DeletionRecord> records = sink.take();
  ASSERT_EQ(records.size(), kRecords);
  for (std::size_t i = 0; i < kRecords; ++i) {
    ASSERT_EQ(records[i].slot, i);
    ASSERT_EQ(records[i].old_value, i * 2);
  }
  EXPECT_TRUE(sink.take().empty());
  log->flush(sink);
  EXPECT_TRUE(sink.take().empty()) << "an empty buffer adds nothing";
  EXPECT_EQ(sink.total(), kRecords) << "cumulative";
}

TEST(DeletionLog, ThreadsShareASink) {
  DeletionSink sink;
  std::vector<std::thread> threads;
  threads.reserve(4);
  for (std::uintptr_t t = 0; t < 4; ++t) {
    threads.emplace_back([&sink, t] {
      const auto log = std::make_unique<DeletionLog>();
      for (std::uintptr_t i = 0; i < 10000; ++i) {
        log->add({t, i}, sink);
      }
      log->flush(sink);
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(sink.total(), 40000u);
  std::uintptr_t next[4] = {};
  for (const DeletionRecord& record : sink.take()) {
    EXPECT_EQ(record.old_value, next[record.slot]++) << "in order of arrival per thread";
  }
  EXPECT_TRUE(std::all_of(std::begin(next), std::end(next), [](std::uintptr_t n) { return n == 10000; }));
}

class StoreBarrier : public ::testing::Test {
protected:
  std::vector<DeletionRecord> log() {
    state.log.flush(sink);
    return sink.take();
  }
  ThreadBlock block;
  BarrierState state;
  DeletionSink sink;
  Address slots[2] = {100 * 8, 200 * 8};
};

TEST_F(StoreBarrier, IdleStoresTellNobody) { // [bar.fast.1]
  store_reference(block, state, sink, reinterpret_cast<Address>(&slots[0]), {800});
  EXPECT_EQ(slots[0], 800u);
  EXPECT_EQ(state.cold_calls, 0u);
  EXPECT_TRUE(log().empty());
}

TEST_F(StoreBarrier, AuditedStoresLogTheOldValueFirst) { // [bar.order.1] [bar.log.2]
  block.phase = static_cast<std::uint8_t>(BarrierPhase::Audit);
  const auto slot = reinterpret_cast<Address>(&slots[1]);
  store_reference(block, state, sink, slot, {800});
  store_reference(block, state, sink, slot, {0});
  EXPECT_EQ(slots[1], 0u);
  EXPECT_EQ(slots[0], 800u) << "and nothing else is written"; // 100 * 8, as before
  EXPECT_EQ(state.cold_calls, 2u);
  const std::vector<DeletionRecord> records = log();
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0].slot, slot);
  EXPECT_EQ(records[0].old_value, 1600u) << "the first record holds what the slot had before";
  EXPECT_EQ(records[1].old_value, 800u);
}

} // namespace
} // namespace echo
