// SPDX-License-Identifier: MIT
//
// Purpose     Minimum mutator utilisation of one thread: the least part of any window of time that it had for itself.
// Source      P. Cheng, G. Blelloch: A parallel, real-time garbage collector, PLDI 2001.
// Equations   lost(t, w) = what the thread's pauses take of [t - w, t];   MMU(w) = 1 - max over t of lost(t, w) / w
//             lost(t, w) grows with t only while a pause is on, and while one is on at t - w too it stays: so the maximum is taken
//             where a pause ends, and one look at each end is enough. Time before the thread attached counts as its own.
// Drawing     ... [entry]   [entry] [ entry ]   now       an entry: pauses that lie within w / kGrain, with the sum of their
//                    ^ now - w                            lengths; what of an entry lies before now - w is not lost
// Invariants  [mmu.bound.1] kEntries entries per window, whatever the pauses are. [mmu.error.1] lost is never too small; it is
//             exact where the window begins in an entry of one pause, and less than w / kGrain too large otherwise.
// Threads     Its own thread.
#pragma once

#include "heap/assert.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

namespace echo {

// The longest losses of windows of these lengths.
inline constexpr std::array<std::uint64_t, 3> kUtilisationWindowsNs = {1'000'000, 10'000'000, 100'000'000};
using LongestLosses = std::array<std::uint64_t, kUtilisationWindowsNs.size()>;

class WindowLoss {
public:
  static constexpr std::uint64_t kGrain = 32;
  // Two neighbours span more than w / kGrain.
  static constexpr std::size_t kEntries = 2 * kGrain + 4;

  // A pause that ended at `end`, after all that were added before; `lost` of it was none of the thread's own time. What the
  // window that ends here has lost.
  std::uint64_t add(std::uint64_t window, std::uint64_t start, std::uint64_t end, std::uint64_t lost) {
    const std::uint64_t left = end - std::min(end, window);
    start = std::max(start, left);
    lost = std::min(lost, end - start);
    for (; count_ != 0 && entries_[first_].end <= left; drop()) {
    }
    Entry* const last = count_ == 0 ? nullptr : &entries_[(first_ + count_ - 1) % kEntries];
    if (last != nullptr && end - last->start <= window / kGrain) {
      last->end = end;
      last->lost += lost;
    } else {
      ECHO_CHECK(count_ < kEntries, "[mmu.bound.1] more entries than a window holds");
      entries_[(first_ + count_++) % kEntries] = {start, end, lost};
    }
    sum_ += lost;
    return std::min(window, sum_ - before(left));
  }

private:
  struct Entry {
    std::uint64_t start, end, lost;
  };
  void drop() {
    sum_ -= entries_[first_].lost;
    first_ = (first_ + 1) % kEntries;
    --count_;
  }
  // Of the first entry: what at least lies before `left`.
  std::uint64_t before(std::uint64_t left) const {
    const Entry& first = entries_[first_];
    return first.start >= left ? 0 : first.lost - std::min(first.lost, first.end - left);
  }

  std::array<Entry, kEntries> entries_; // not cleared: count_ says how many there are
  std::size_t first_ = 0, count_ = 0;
  std::uint64_t sum_ = 0; // of the entries
};

class Utilisation {
public:
  // True: a window lost more than any before.
  bool add(std::uint64_t start, std::uint64_t end, std::uint64_t lost) {
    start = std::min(end, std::max(start, last_end_)); // pauses of a thread do not overlap
    lost = std::min(lost, end - start);
    last_end_ = end;
    bool is_more = false;
    for (std::size_t i = 0; i < windows_.size(); ++i) {
      const std::uint64_t now = windows_[i].add(kUtilisationWindowsNs[i], start, end, lost);
      is_more = is_more || now > longest_[i];
      longest_[i] = std::max(longest_[i], now);
    }
    return is_more;
  }
  const LongestLosses& longest() const { return longest_; }

private:
  std::array<WindowLoss, kUtilisationWindowsNs.size()> windows_;
  LongestLosses longest_{};
  std::uint64_t last_end_ = 0;
};

} // namespace echo
