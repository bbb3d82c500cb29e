// SPDX-License-Identifier: MIT
//
// Purpose     What the store barrier hands to the collector: the slots about to be overwritten, with their
//             old values.
// Invariants  [bar.log.1] A record is never dropped: a full buffer goes to the sink before the next record.
//             [bar.log.2] Between two stops the first record of a slot holds the value the slot had at the
//             first stop. [bar.log.3] A buffer is written by its thread, or emptied in a stop.
#pragma once

#include "heap/mutex.h"
#include "heap/words.h"

#include <array>
#include <atomic>
#include <cstdint>
#include <vector>

namespace echo {

struct DeletionRecord {
  Address slot = 0;
  Address old_value = 0;
};

// Where full buffers of all threads go, in order of arrival per thread.
class DeletionSink {
public:
  void add(const DeletionRecord* records, std::size_t count) ECHO_EXCLUDES(mutex_);
  std::vector<DeletionRecord> take() ECHO_EXCLUDES(mutex_);
  std::uint64_t total() const { return total_.load(std::memory_order_relaxed); }

private:
  Mutex mutex_;
  std::vector<DeletionRecord> records_ ECHO_GUARDED_BY(mutex_);
  std::atomic<std::uint64_t> total_{0};
};

class DeletionLog {
public:
  void add(DeletionRecord record, DeletionSink& sink) {
    if (count_ == records_.size()) {
      flush(sink);
    }
    records_[count_++] = record;
  }
  void flush(DeletionSink& sink) {
    sink.add(records_.data(), count_);
    count_ = 0;
  }

private:
  std::array<DeletionRecord, 512> records_;
  std::size_t count_ = 0;
};

} // namespace echo
