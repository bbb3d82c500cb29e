// SPDX-License-Identifier: MIT
//
// Purpose     A runtime, and the calling thread's.
#pragma once

#include "literals.h"
#include "memory.h"

#include "echo/runtime.h"

#include <atomic>
#include <cstdint>

namespace echo::runtime {

// What the program knows as a string. Never changed once it is visible; len and cap count bytes.
struct Text {
  char* data;
  std::int64_t len, cap;
};
static_assert(sizeof(Text) == Memory::kTextHeader);

// The secrets of one runtime's hashes. [runtime.hash.1]
struct HashSeed {
  std::uint64_t first = 0, second = 0;
};

// Payloads of heap objects that the runtime keeps: an ambiguous range.
struct Roots {
  void* first_task = nullptr; // the queue, oldest first
  void* last_task = nullptr;
  void* handles = nullptr; // words: the channel of handle i + 1
};

} // namespace echo::runtime

struct echo_runtime {
  echo::runtime::Memory memory;
  echo::runtime::HashSeed seed;
  echo_runtime_options options{};
  echo::runtime::Roots roots;
  std::uint64_t handle_count = 0;
  std::uint32_t depth = 0;        // tasks that have begun and not ended, one inside the other
  int write_error = 0;            // errno of the first write that failed since enter
  std::atomic<bool> taken{false}; // a thread is in
  echo::runtime::Literals literals;
};

namespace echo::runtime {

// initial-exec: one load in every call. A word without a destructor, so that it keeps nothing mapped.
extern constinit thread_local echo_runtime* current __attribute__((tls_model("initial-exec")));

[[noreturn, gnu::cold]] void nobody_in(const char* function);

inline echo_runtime& here(const char* function) {
  echo_runtime* const runtime = current;
  if (runtime == nullptr) [[unlikely]] {
    nobody_in(function);
  }
  return *runtime;
}

} // namespace echo::runtime
