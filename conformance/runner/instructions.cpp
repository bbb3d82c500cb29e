// SPDX-License-Identifier: MIT
//
// instructions.cpp - see instructions.h.
#include "instructions.h"

#include "sanitizers.h"

#include <csignal>

namespace conformance {

#if defined(__x86_64__)

namespace {

volatile std::uint64_t steps;

void step(int) {
  steps = steps + 1;
}

// The flag is bit 8; below the stack pointer there may be the caller's words.
void set_trap_flag() {
  asm volatile("lea -128(%%rsp), %%rsp\n\tpushfq\n\torq $0x100, (%%rsp)\n\tpopfq\n\tlea 128(%%rsp), %%rsp" ::
                   : "memory", "cc");
}
void clear_trap_flag() {
  asm volatile(
      "lea -128(%%rsp), %%rsp\n\tpushfq\n\tandq $~0x100, (%%rsp)\n\tpopfq\n\tlea 128(%%rsp), %%rsp" ::
          : "memory", "cc");
}

} // namespace

void count_instructions() {
  if (kThreadSanitizer) {
    throw Skipped{"the thread sanitizer takes locks of its own wherever a step may come"};
  }
  struct sigaction action{};
  action.sa_handler = step;
  sigaction(SIGTRAP, &action, nullptr);
  steps = 0;
  set_trap_flag();
}

std::uint64_t counted_instructions() {
  clear_trap_flag();
  return steps;
}

#else

void count_instructions() {
  throw Skipped{"counts instructions of x86-64"};
}
std::uint64_t counted_instructions() {
  return 0;
}

#endif

} // namespace conformance
