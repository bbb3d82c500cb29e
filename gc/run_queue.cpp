// SPDX-License-Identifier: MIT
//
// Purpose     Readings of run_queue.h.
#include "gc/run_queue.h"

#include "heap/os_memory.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdlib>
#include <fcntl.h>
#include <unistd.h>

namespace echo {

namespace {

std::atomic<int> files{0};
thread_local RunQueue* of_this_thread = nullptr;

} // namespace

void RunQueue::open(const char* file) {
  close();
  of_this_thread = this;
  if (files.fetch_add(1, std::memory_order_relaxed) < kMostFiles) {
    file_ = ::open(file, O_RDONLY | O_CLOEXEC);
  }
  if (file_ < 0) {
    files.fetch_sub(1, std::memory_order_relaxed);
  }
}

void RunQueue::close() {
  if (of_this_thread == this) {
    of_this_thread = nullptr;
  }
  if (file_ >= 0) {
    (void)::close(file_);
    file_ = -1;
    files.fetch_sub(1, std::memory_order_relaxed);
  }
}

RunQueue* RunQueue::mine() {
  return of_this_thread;
}

// "time run, time waited, times run": all 0 in a kernel that does not count. A thread that runs has been run.
bool RunQueue::is_known() {
  std::array<char, 96> text{};
  const int file = ::open(kFile, O_RDONLY | O_CLOEXEC);
  const bool is_read = file >= 0 && ::pread(file, text.data(), text.size() - 1, 0) > 0;
  if (file >= 0) {
    (void)::close(file);
  }
  return is_read && std::any_of(text.begin(), text.end(), [](char c) { return c >= '1' && c <= '9'; });
}

std::uint64_t RunQueue::read() const {
  std::array<char, 96> text{};
  if (file_ < 0 || ::pread(file_, text.data(), text.size() - 1, 0) <= 0) {
    return 0;
  }
  char* second = text.data();
  (void)std::strtoull(text.data(), &second, 10);
  return std::strtoull(second, nullptr, 10);
}

void RunQueue::look() {
  if (is_open()) {
    looked_ns_ = os::monotonic_ns();
    waited_ = read();
  }
}

void RunQueue::look_anew() {
  constexpr std::uint64_t kJustNowNs = 5'000; // by so much may what is said of a wait be too little
  if (os::monotonic_ns() - looked_ns_ >= kJustNowNs) {
    look();
  }
}

std::uint64_t RunQueue::since_look() const {
  const std::uint64_t now = read();
  return now - std::min(now, waited_);
}

std::uint64_t RunQueue::waited_since(std::uint64_t start) {
  if (!is_open()) {
    return 0;
  }
  const std::uint64_t before = start - std::min(start, looked_ns_);
  const std::uint64_t last = waited_;
  look();
  const std::uint64_t waited = waited_ - std::min(waited_, last);
  return waited - std::min(waited, before);
}

} // namespace echo
