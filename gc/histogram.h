// SPDX-License-Identifier: MIT
//
// Purpose     Log-linear histogram of durations, at most 1 % error.
// Equations   v < 128: bucket v.  Else s = floor(log2 v) - 7: bucket 128 (s + 1) + (v >> s) - 128, width 2^s:
//             relative error < 2^s / 2^(s+7) = 0.79 %.
#pragma once

#include "heap/words.h"

#include <array>
#include <bit>
#include <cstdint>

namespace echo {

class Histogram {
public:
  static constexpr unsigned kSubBits = 7;
  static constexpr std::uint64_t kSub = std::uint64_t{1} << kSubBits;
  static constexpr unsigned kOctaves =
      35; // up to 2^42 ns, over an hour; longer ones count in the last bucket
  static constexpr std::size_t kBuckets = (kOctaves + 1) * kSub;

  static constexpr std::size_t bucket_of(std::uint64_t v) {
    if (v < kSub) {
      return static_cast<std::size_t>(v);
    }
    const unsigned shift = static_cast<unsigned>(std::bit_width(v)) - 1 - kSubBits;
    const std::size_t b = (std::size_t{shift} + 1) * kSub + static_cast<std::size_t>(v >> shift) - kSub;
    return b < kBuckets ? b : kBuckets - 1;
  }
  // The largest value of a bucket.
  static constexpr std::uint64_t upper_bound(std::size_t bucket) {
    if (bucket < kSub) {
      return bucket;
    }
    const unsigned shift = static_cast<unsigned>(bucket / kSub) - 1;
    return (((bucket % kSub) + kSub + 1) << shift) - 1;
  }

  void add(std::uint64_t v) {
    ++buckets_[bucket_of(v)];
    ++count_;
    sum_ += v;
    max_ = v > max_ ? v : max_;
  }
  std::uint64_t count_at(std::size_t bucket) const { return buckets_[bucket]; }
  std::uint64_t count() const { return count_; }
  std::uint64_t sum() const { return sum_; }
  std::uint64_t max() const { return max_; }

  // The smallest bucket bound that at least the given share of the values does not exceed; 0 if empty.
  std::uint64_t quantile(double share) const {
    std::uint64_t seen = 0;
    const double wanted = share * static_cast<double>(count_);
    for (std::size_t b = 0; b < kBuckets && count_ != 0; ++b) {
      seen += buckets_[b];
      if (seen != 0 && static_cast<double>(seen) >= wanted) {
        return upper_bound(b) < max_ ? upper_bound(b) : max_;
      }
    }
    return max_;
  }

private:
  std::array<std::uint64_t, kBuckets> buckets_{};
  std::uint64_t count_ = 0, sum_ = 0, max_ = 0;
};

static_assert(Histogram::upper_bound(Histogram::bucket_of(127)) == 127);
static_assert(Histogram::bucket_of(128) == 128 && Histogram::upper_bound(128) == 128);
static_assert(Histogram::upper_bound(Histogram::bucket_of(1000)) < 1010);

} // namespace echo
