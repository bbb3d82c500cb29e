// SPDX-License-Identifier: MIT
//
// Purpose     The sink of deletion records.
#include "barriers/deletion_log.h"

namespace echo {

void DeletionSink::add(const DeletionRecord* records, std::size_t count) {
  total_.fetch_add(count, std::memory_order_relaxed);
  const MutexLock lock(mutex_);
  records_.insert(records_.end(), records, records + count);
}

std::vector<DeletionRecord> DeletionSink::take() {
  const MutexLock lock(mutex_);
  std::vector<DeletionRecord> all;
  all.swap(records_);
  return all;
}

} // namespace echo
