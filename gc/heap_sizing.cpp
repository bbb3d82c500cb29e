// SPDX-License-Identifier: MIT
//
// Purpose     The equations of heap_sizing.h.
#include "gc/heap_sizing.h"

#include <algorithm>
#include <cmath>

namespace echo {

namespace {

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
constexpr std::uint64_t kMaxLeast = 32 * kMiB;
constexpr std::uint64_t kBytesPerGcNs = 100;
constexpr double kMillion = 1e6;
constexpr double kMostHeadroom = 1e18;

} // namespace

std::uint64_t HeapSizing::least(const CycleMeasure& cycle) const {
  return options_.trigger != 0 ? options_.trigger : std::clamp(cycle.cpu_ns * kBytesPerGcNs, kMiB, kMaxLeast);
}

std::uint64_t HeapSizing::grown(const CycleMeasure& cycle) const {
  return std::max(cycle.live / 100 * (options_.growth_percent - 100), least(cycle));
}

void HeapSizing::learn(const CycleMeasure& cycle) {
  collected_.note(static_cast<double>(cycle.live),
                  static_cast<double>(std::max<std::uint64_t>(cycle.cpu_ns, 1)));
  if (last_start_ns_ != 0 && !cycle.while_idle) {
    allocated_.note(static_cast<double>(cycle.allocated_start - last_allocated_),
                    static_cast<double>(std::max<std::uint64_t>(cycle.start_ns - last_start_ns_, 1)));
  }
  last_start_ns_ = cycle.start_ns;
  last_allocated_ = cycle.allocated_start;
}

std::uint64_t HeapSizing::balanced(const CycleMeasure& cycle) const {
  const double g = allocated_.rate();
  const double s = collected_.rate();
  if (allocated_.ns == 0 || s <= 0) {
    return grown(cycle); // until there is a rate
  }
  const double c = static_cast<double>(options_.balance) / kMillion / static_cast<double>(kMiB); // per byte
  const double squared = static_cast<double>(cycle.live) * g / (c * s);
  const double headroom = std::isfinite(squared) ? std::sqrt(squared) : kMostHeadroom; // c = 0: all there is
  return std::max(static_cast<std::uint64_t>(std::min(headroom, kMostHeadroom)), least(cycle));
}

std::uint64_t HeapSizing::target(const CycleMeasure& cycle, std::uint64_t end) {
  learn(cycle);
  if (options_.policy == HeapPolicy::Fixed) {
    const std::uint64_t wanted = options_.trigger != 0 ? options_.trigger : end;
    return std::min(std::max(wanted, cycle.used + std::max(kMiB, cycle.live / 16)), end);
  }
  const std::uint64_t headroom = options_.policy == HeapPolicy::Growth ? grown(cycle) : balanced(cycle);
  const std::uint64_t beyond_holes = headroom > cycle.holes ? headroom - cycle.holes : 0;
  return std::min(cycle.used + std::min(beyond_holes, end), end);
}

std::uint64_t HeapSizing::external_allowed(std::uint64_t base) const {
  if (options_.policy != HeapPolicy::Growth) {
    return base;
  }
  std::uint64_t allowed = 0;
  if (__builtin_mul_overflow(base, options_.growth_percent, &allowed)) {
    allowed = UINT64_MAX;
  }
  return allowed / 100;
}

} // namespace echo
