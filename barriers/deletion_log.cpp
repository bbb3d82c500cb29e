// SPDX-License-Identifier: MIT
//
// Purpose     The sink of deletion records.
#include "barriers/deletion_log.h"

#include "heap/fault.h"

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
}

std::vector<DeletionSink::Buffer> DeletionSink::take_buffers() {
  std::vector<Buffer> all;
  const MutexLock lock(mutex_);
  all.swap(buffers_);
  waiting_.store(0, std::memory_order_relaxed);
  return all;
}

std::vector<DeletionRecord> DeletionSink::take() {
  std::vector<DeletionRecord> all;
  for (const Buffer& buffer : take_buffers()) {
    all.insert(all.end(), buffer.begin(), buffer.end());
  }
  return all;
}

} // namespace echo
