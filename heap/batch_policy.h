// SPDX-License-Identifier: MIT
//
// Purpose     How many slabs a thread takes at a time from the shared supply: a pure function of what happened. Grow
//             fast, shrink slowly.
// Equations   a window lies between two collections
//             refill, not the first of its window:          batch' = min(2 batch, kMaxBatch)
//             window that ends with slabs left, or without a refill: batch' = max(batch - batch/8 - 1, 1)
// Invariants  [alloc.batch.1] 1 <= batch <= kMaxBatch: a thread holds at most 1 MiB that it has not begun to use, and
//             gives it back in every stop.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace echo {

class BatchPolicy {
public:
  static constexpr std::uint32_t kMaxBatch = 16;

  std::uint32_t batch() const { return batch_; }
  void on_refill() {
    if (++refills_ > 1) {
      batch_ = std::min(2 * batch_, kMaxBatch);
    }
  }
  // A collection; `unused` slabs of the last batch go back.
  void on_window(std::size_t unused) {
    if (refills_ == 0 || unused != 0) {
      batch_ -= std::min(batch_ - 1, batch_ / 8 + 1);
    }
    refills_ = 0;
  }

private:
  std::uint32_t batch_ = 1;
  std::uint32_t refills_ = 0;
};

} // namespace echo
