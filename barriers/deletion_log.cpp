// SPDX-License-Identifier: MIT
//
// Purpose     The sink of deletion records, and what is dropped before it.
#include "barriers/deletion_log.h"

#include "heap/fault.h"

#include <algorithm>

namespace echo {

void DeletionSink::add(const DeletionRecord* records, std::size_t count) {
  if (has_fault(Fault::RecordDropped) && count != 0) {
    --count;
  }
  if (count == 0) {
    return;
  }
  total_.fetch_add(count, std::memory_order_relaxed);
  Buffer buffer(records, records + count);
  const MutexLock lock(mutex_);
  buffers_.push_back(std::move(buffer));
  waiting_.store(buffers_.size(), std::memory_order_relaxed);
  most_waiting_.store(std::max(most_waiting_.load(std::memory_order_relaxed), buffers_.size()),
                      std::memory_order_relaxed);
}

std::vector<DeletionSink::Buffer> DeletionSink::take_buffers(std::size_t most) {
  std::vector<Buffer> taken;
  const MutexLock lock(mutex_);
  while (!buffers_.empty() && taken.size() < most) {
    taken.push_back(std::move(buffers_.front()));
    buffers_.pop_front();
  }
  waiting_.store(buffers_.size(), std::memory_order_relaxed);
  return taken;
}

std::vector<DeletionRecord> DeletionSink::take() {
  std::vector<DeletionRecord> all;
  for (const Buffer& buffer : take_buffers()) {
    all.insert(all.end(), buffer.begin(), buffer.end());
  }
  return all;
}

std::size_t DeletionLog::sift(const Snapshot& snapshot) {
  std::size_t kept = sifted_;
  for (std::size_t i = sifted_; i < count_; ++i) {
    const DeletionRecord record = records_[i];
    records_[kept] = record;
    kept += snapshot.may_be_white(record.old_value) ? 1 : 0;
  }
  const std::size_t dropped = count_ - kept;
  count_ = sifted_ = kept;
  return dropped;
}

} // namespace echo
