/* SPDX-License-Identifier: MIT
 *
 * checksum.h - the program's checksum: an order-sensitive mix of the values it passes to echo_checksum().
 *
 * Equation    sum := rotl(sum, 5) ^ (value * 0x9E3779B97F4A7C15 mod 2^64), from 0 [run.checksum.1]
 */
#ifndef ECHO_RUN_CHECKSUM_H
#define ECHO_RUN_CHECKSUM_H

#include <atomic>
#include <bit>
#include <cstdint>

namespace echo::run {

class Checksum {
public:
  void mix(int64_t value) {
    const uint64_t spread = static_cast<uint64_t>(value) * 0x9E3779B97F4A7C15u;
    uint64_t sum = sum_.load(std::memory_order_relaxed);
    while (!sum_.compare_exchange_weak(sum, std::rotl(sum, 5) ^ spread, std::memory_order_relaxed)) {
    }
    values_.fetch_add(1, std::memory_order_relaxed);
  }
  uint64_t sum() const { return sum_.load(std::memory_order_relaxed); }
  uint64_t values() const { return values_.load(std::memory_order_relaxed); }

private:
  std::atomic<uint64_t> sum_{0}, values_{0};
};

} // namespace echo::run

#endif
