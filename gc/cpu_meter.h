// SPDX-License-Identifier: MIT
//
// Purpose     Adds the CPU time of a scope on its thread to a sum.
#pragma once

#include "heap/os_memory.h"

#include <cstdint>

namespace echo {

class CpuMeter {
public:
  explicit CpuMeter(std::uint64_t& sum) : sum_(sum), start_(os::thread_cpu_ns()) {}
  ~CpuMeter() { sum_ += os::thread_cpu_ns() - start_; }
  CpuMeter(const CpuMeter&) = delete;
  CpuMeter& operator=(const CpuMeter&) = delete;

private:
  std::uint64_t& sum_;
  const std::uint64_t start_;
};

} // namespace echo
