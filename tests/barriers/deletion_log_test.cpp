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
  void SetUp() override {
    ASSERT_TRUE(slabs.open(kBase, 4 * kSlabBytes));
    ASSERT_TRUE(marks.open(kBase, kChunkBytes));
  }
  std::vector<DeletionRecord> log() {
    state.log.flush(heap.sink);
    return heap.sink.take();
  }
  void overwrite(Address old_value) {
    slots[0] = old_value;
    store_reference(block, state, heap, reinterpret_cast<Address>(&slots[0]), {0});
  }
  static constexpr Address kBase = Address{1} << 40; // never dereferenced
  SlabTable slabs;
  SideMetadata marks;
  ThreadBlock block;
  BarrierState state;
  BarrierHeap heap{{}, Snapshot(slabs, marks)};
  Address slots[2] = {100 * 8, 200 * 8};
};

TEST_F(StoreBarrier, IdleStoresTellNobody) { // [bar.fast.1]
  store_reference(block, state, heap, reinterpret_cast<Address>(&slots[0]), {800});
  EXPECT_EQ(slots[0], 800u);
  EXPECT_EQ(state.cold_calls, 0u);
  EXPECT_TRUE(log().empty());
}

TEST_F(StoreBarrier, AuditedStoresLogTheOldValueFirst) { // [bar.order.1] [bar.log.2]
  block.phase = kBarrierAudit;
  const auto slot = reinterpret_cast<Address>(&slots[1]);
  store_reference(block, state, heap, slot, {800});
  store_reference(block, state, heap, slot, {0});
  EXPECT_EQ(slots[1], 0u);
  EXPECT_EQ(slots[0], 800u) << "and nothing else is written"; // 100 * 8, as before
  EXPECT_EQ(state.cold_calls, 2u);
  const std::vector<DeletionRecord> records = log();
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0].slot, slot);
  EXPECT_EQ(records[0].old_value, 1600u) << "the first record holds what the slot had before";
  EXPECT_EQ(records[1].old_value, 800u);
}

// While marking only what may be white, and was in the snapshot, is handed over. [bar.cold.1] [mark.log.1]
TEST_F(StoreBarrier, MarkingLogsWhatMayBeWhite) {
  block.phase = kBarrierMarking;
  slabs.set_kind({0}, SlabKind::Old);
  slabs.set_kind({1}, slabs.fresh_kind());
  slabs.set_kind({2}, SlabKind::Large);
  slabs.set_kind({3}, other_fresh(slabs.fresh_kind())); // old by another name [heap.fresh.1]
  const auto logged = [&](Address old_value) {
    overwrite(old_value);
    (void)state.log.sift(heap.snapshot);
    const std::vector<DeletionRecord> records = log();
    EXPECT_LE(records.size(), 1u);
    EXPECT_TRUE(records.empty() || records[0].old_value == old_value);
    return !records.empty();
  };
  for (const std::uint32_t slab : {0u, 2u, 3u}) {
    const Address object = kBase + slab * kSlabBytes + 64;
    EXPECT_TRUE(logged(object)) << slab;
    EXPECT_FALSE(logged(object | 1)) << "no reference";
    marks.mark(object);
    EXPECT_FALSE(logged(object)) << "marked: " << slab;
  }
  EXPECT_FALSE(logged(kBase + kSlabBytes)) << "fresh";
  EXPECT_FALSE(logged(0));
  EXPECT_FALSE(logged(kBase + 4 * kSlabBytes)) << "outside";
  EXPECT_TRUE(heap.snapshot.may_concern(kBase + 256, kBase + 128)) << "a slot of an old object";
  EXPECT_FALSE(heap.snapshot.may_concern(kBase + kSlabBytes + 8, kBase + 128)) << "a slot of a fresh object";
}

// A record waits for its mark bit: what became marked meanwhile is dropped. [bar.sift.1]
TEST_F(StoreBarrier, RecordsAreSiftedByTheBatch) {
  block.phase = kBarrierMarking;
  slabs.set_kind({0}, SlabKind::Old);
  for (std::size_t i = 0; i < DeletionLog::kUnsifted; ++i) {
    EXPECT_EQ(state.log.size(), i) << "not asked yet";
    overwrite(kBase + 16 * i);
    marks.mark(kBase + 16 * i);
  }
  EXPECT_EQ(state.log.size(), 1u) << "the last one was asked for before its object was marked";
  EXPECT_EQ(log().at(0).old_value, kBase + 16 * (DeletionLog::kUnsifted - 1));
}

// Nothing white is lost, and what is kept stays in its order. [bar.log.1] [bar.sift.1]
TEST_F(StoreBarrier, SiftingKeepsWhatIsWhite) {
  block.phase = kBarrierMarking;
  slabs.set_kind({0}, SlabKind::Old);
  constexpr std::size_t kStores = kSlabBytes / 16;
  const auto is_white = [](std::size_t i) { return i % 5 == 1 || i % 7 == 2; };
  for (std::size_t i = 0; i < kStores; ++i) {
    if (!is_white(i)) {
      marks.mark(kBase + 16 * i);
    }
  }
  std::vector<Address> white;
  for (std::size_t i = 0; i < kStores; ++i) {
    overwrite(kBase + 16 * i);
    if (is_white(i)) {
      white.push_back(kBase + 16 * i);
    }
  }
  (void)state.log.sift(heap.snapshot);
  EXPECT_EQ(state.log.sift(heap.snapshot), 0u);
  std::vector<Address> kept;
  for (const DeletionRecord& record : log()) {
    if (!marks.is_cell_marked(record.old_value)) {
      kept.push_back(record.old_value);
    }
  }
  EXPECT_EQ(kept, white);
  EXPECT_LT(heap.sink.total(), white.size() * 9 / 8) << "of each buffer an eighth was not sifted";
}

} // namespace
} // namespace echo
