// SPDX-License-Identifier: MIT
//
// Purpose     What timed loops share: the clock, the median, threads with a processor of their own and a common start.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <ctime>
#include <pthread.h>
#include <sched.h>
#include <thread>
#include <vector>

namespace echo::bench {

inline double now_ns(clockid_t clock = CLOCK_MONOTONIC) {
  timespec t{};
  ::clock_gettime(clock, &t);
  return static_cast<double>(t.tv_sec) * 1e9 + static_cast<double>(t.tv_nsec);
}

// 0 if there are no values.
inline double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values.empty() ? 0 : values[values.size() / 2];
}

inline void pin(unsigned cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu % std::max(1u, std::thread::hardware_concurrency()), &set);
  (void)::pthread_setaffinity_np(::pthread_self(), sizeof set, &set);
}

// Runs `work` on `count` threads at once, each on a processor of its own; the slowest one's figure.
template <class Work> double slowest_of_threads(unsigned count, Work work) {
  std::vector<std::thread> threads;
  threads.reserve(count);
  std::vector<double> figures(count);
  std::atomic<unsigned> ready{0};
  for (unsigned t = 0; t < count; ++t) {
    threads.emplace_back([&, t] {
      pin(t);
      ++ready;
      while (ready < count) {
        ::sched_yield();
      }
      figures[t] = work();
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  return *std::max_element(figures.begin(), figures.end());
}

} // namespace echo::bench
