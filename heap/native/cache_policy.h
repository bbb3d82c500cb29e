// SPDX-License-Identifier: MIT
//
// Purpose     How many cells a thread keeps at hand: the sizes of batches and caches, as a pure function of
//             what happened. Grow fast, shrink slowly.
//
//             L1  the LIFO stack of a class cache: at most `limit` cells
//             L2  the list of its slabs with free cells: its empty slabs count as L3
//             L3  empty slabs: a cache keeps `keep` of them, the others go to the space
//
// Equations   refill:           batch' = min(2 batch, ceiling);  limit' = max(limit, batch')
//             slab taken:       keep'  = min(2 keep, kMaxKeep)
//             window, no refill: batch' = max(batch - batch/8 - 1, floor);  limit' likewise
//             window, no slab:  keep'  = max(keep - keep/8 - 1, least)
//             A class is hot in a window if its uses per second exceed kHotPerSecond. [native.hot.1]
#pragma once

#include <algorithm>
#include <cstdint>

namespace echo::native {

inline constexpr std::uint64_t kHotPerSecond = 1000;
inline constexpr std::uint64_t kWindowNs = 100'000'000;
inline constexpr std::uint32_t kMaxCached = 256;
inline constexpr std::uint32_t kMaxKeep = 128; // 8 MiB
inline constexpr std::uint32_t kMaxLeastKeep = 16;

struct CacheHints {
  std::uint32_t l1 = 32;         // cells in L1 to start with
  std::uint32_t l2 = 128;        // free cells a thread keeps in slabs of its own, at least one slab's
  std::uint32_t batch = 16;      // cells per refill to start with
  std::uint32_t least_slabs = 0; // empty slabs a thread keeps, if more than l2 asks for
};

class CachePolicy {
public:
  CachePolicy() = default;
  CachePolicy(const CacheHints& hints, std::uint32_t cells_per_slab)
      : limit_floor_(std::clamp(hints.l1, 1u, kMaxCached)),
        batch_floor_(std::clamp(hints.batch, 1u, kMaxCached)),
        least_keep_(std::clamp(std::max(hints.l2 / std::max(cells_per_slab, 1u), hints.least_slabs), 1u,
                               kMaxLeastKeep)),
        batch_(batch_floor_), limit_(std::max(limit_floor_, batch_floor_)), keep_(least_keep_) {}

  std::uint32_t batch() const { return batch_; }
  std::uint32_t limit() const { return limit_; }
  std::uint32_t keep() const { return keep_; }
  bool hot() const { return hot_; }
  std::uint64_t rate() const { return rate_; }

  void on_refill() {
    ++refills_;
    batch_ = std::min(2 * batch_, kMaxCached);
    limit_ = std::max(limit_, batch_);
  }
  void on_slab() {
    ++slabs_;
    keep_ = std::min(2 * keep_, kMaxKeep);
  }
  // A window of `elapsed_ns` has ended in which the class was used `uses` times.
  void on_window(std::uint64_t uses, std::uint64_t elapsed_ns) {
    rate_ =
        elapsed_ns == 0
            ? 0
            : static_cast<std::uint64_t>(static_cast<double>(uses) * 1e9 / static_cast<double>(elapsed_ns));
    hot_ = rate_ > kHotPerSecond;
    if (refills_ == 0) {
      batch_ = std::max(shrunk(batch_), batch_floor_);
      limit_ = std::max({shrunk(limit_), limit_floor_, batch_});
    }
    if (slabs_ == 0) {
      keep_ = std::max(shrunk(keep_), least_keep_);
    }
    refills_ = slabs_ = 0;
  }

private:
  static std::uint32_t shrunk(std::uint32_t n) { return n - n / 8 - (n > 0 ? 1 : 0); }

  std::uint32_t limit_floor_ = 1, batch_floor_ = 1, least_keep_ = 1;
  std::uint32_t batch_ = 1, limit_ = 1, keep_ = 1;
  std::uint32_t refills_ = 0, slabs_ = 0;
  std::uint64_t rate_ = 0;
  bool hot_ = true;
};

} // namespace echo::native
