// SPDX-License-Identifier: MIT
//
// Purpose     Adds the CPU time of a scope on its thread to a sum.
#pragma once

#include "heap/os_memory.h"

#include <cstdint>

namespace echo {

class CpuMeter {
public:
  // Off: the scope is part of another one, or not worth the half microsecond that this takes.
  explicit CpuMeter(std::uint64_t& sum, bool on = true)
      : sum_(sum), on_(on), start_(on ? os::thread_cpu_ns() : 0) {}
  ~CpuMeter() {
    if (on_) {
      sum_ += os::thread_cpu_ns() - start_;
    }
  }
  CpuMeter(const CpuMeter&) = delete;
  CpuMeter& operator=(const CpuMeter&) = delete;

private:
  std::uint64_t& sum_;
  const bool on_;
  const std::uint64_t start_;
};

} // namespace echo
