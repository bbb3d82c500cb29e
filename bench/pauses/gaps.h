// SPDX-License-Identifier: MIT
//
// Purpose     What one thread saw of time: how long each operation took, and the gaps in which it did not get on.
// Method      A time stamp after each operation. Durations go into a log-linear histogram; one of at least kGapNs is a
//             gap and is kept with its place. At a gap the thread asks the kernel how long it has waited for a processor
//             since the last one (schedstat): a gap without that wait is its net part.
// Equations   utilisation of a window = 1 - (gaps inside it) / its length; MMU(w) = the least over all windows of
//             length w. Such a window begins where a gap begins, or ends where one ends (Cheng and Blelloch, PLDI 2001).
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fcntl.h>
#include <unistd.h>
#include <vector>

namespace echo::bench {

// 64 buckets to the power of two: at most 1.6 % error.
class Histogram {
public:
  void add(std::uint64_t ns) {
    ++counts_[index_of(ns)];
    ++count_;
    max_ = std::max(max_, ns);
  }
  void add(const Histogram& other) {
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      counts_[i] += other.counts_[i];
    }
    count_ += other.count_;
    max_ = std::max(max_, other.max_);
  }
  std::uint64_t max() const { return max_; }
  // The lower end of the bucket in which the quantile lies.
  std::uint64_t quantile(double q) const {
    const auto rank = static_cast<std::uint64_t>(q * static_cast<double>(count_));
    std::uint64_t seen = 0;
    for (std::size_t i = 0; i < counts_.size(); ++i) {
      seen += counts_[i];
      if (seen > rank) {
        return std::min(max_, value_of(i));
      }
    }
    return max_;
  }

private:
  static constexpr unsigned kBits = 6;
  static std::size_t index_of(std::uint64_t ns) {
    const unsigned shift = ns < (2u << kBits) ? 0 : static_cast<unsigned>(std::bit_width(ns)) - kBits - 1;
    return (static_cast<std::size_t>(shift) << kBits) + (ns >> shift);
  }
  static std::uint64_t value_of(std::size_t index) {
    const std::size_t shift = index < (2u << kBits) ? 0 : (index >> kBits) - 1;
    return (index - (shift << kBits)) << shift;
  }

  std::array<std::uint64_t, 64u << kBits> counts_{};
  std::uint64_t count_ = 0, max_ = 0;
};

struct Gap {
  std::uint64_t start, length, waited; // ns; waited: for a processor
  std::uint64_t net() const { return length - std::min(length, waited); }
};

class Gaps {
public:
  static constexpr std::uint64_t kGapNs = 10'000;

  // On the thread whose gaps these are.
  void begin(std::uint64_t now) {
    schedstat_ = ::open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
    waited_ = waited_for_processor();
    start_ = last_ = now;
    gaps_.reserve(1u << 16);
  }
  void note(std::uint64_t now) {
    const std::uint64_t length = now - last_;
    operations_.add(length);
    if (__builtin_expect(length >= kGapNs, 0)) {
      const std::uint64_t waited = waited_for_processor();
      gaps_.push_back({last_, length, waited - waited_});
      waited_ = waited;
    }
    last_ = now;
  }
  // What this thread does between two operations and is none: it is no gap.
  void skip(std::uint64_t now) { last_ = now; }
  void end() {
    if (schedstat_ >= 0) {
      (void)::close(schedstat_);
      schedstat_ = -1;
    }
  }

  const Histogram& operations() const { return operations_; }
  const std::vector<Gap>& all() const { return gaps_; }

  double mmu(std::uint64_t window) const {
    std::uint64_t worst = 0;
    const std::uint64_t end = last_;
    for (const Gap& gap : gaps_) {
      for (const std::uint64_t from :
           {gap.start, std::max(start_ + window, gap.start + gap.length) - window}) {
        if (from + window <= end) {
          worst = std::max(worst, lost_in(from, from + window));
        }
      }
    }
    return end - start_ < window ? -1 : 1 - static_cast<double>(worst) / static_cast<double>(window);
  }

private:
  std::uint64_t lost_in(std::uint64_t from, std::uint64_t to) const {
    std::uint64_t lost = 0;
    auto it = std::lower_bound(gaps_.begin(), gaps_.end(), from,
                               [](const Gap& g, std::uint64_t t) { return g.start + g.length <= t; });
    for (; it != gaps_.end() && it->start < to; ++it) {
      lost += std::min(to, it->start + it->length) - std::max(from, it->start);
    }
    return lost;
  }
  // The second number of schedstat; 0 without it: then nothing is subtracted.
  std::uint64_t waited_for_processor() const {
    std::array<char, 96> text{};
    if (schedstat_ < 0 || ::pread(schedstat_, text.data(), text.size() - 1, 0) <= 0) {
      return 0;
    }
    char* second = nullptr;
    (void)std::strtoull(text.data(), &second, 10);
    return std::strtoull(second, nullptr, 10);
  }

  Histogram operations_;
  std::vector<Gap> gaps_;
  std::uint64_t start_ = 0, last_ = 0, waited_ = 0;
  int schedstat_ = -1;
};

} // namespace echo::bench
