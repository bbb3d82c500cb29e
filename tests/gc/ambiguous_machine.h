// SPDX-License-Identifier: MIT
//
// Purpose     References that are in one place only: tests of ambiguous stacks keep the complement of an address wherever
//             the compiler may see it, and put the address itself into one register or one word of the stack.
#pragma once

#include "heap/words.h"

#include <cstdint>

namespace echo::test {

// An address that no scan recognises.
struct Hidden {
  std::uint64_t complement = ~std::uint64_t{0};
  Address reveal() const { return ~complement; }
};
inline Hidden hide(ObjectRef object, std::size_t offset = 0) {
  return {~(object.address + offset)};
}

// Overwrites what calls have left below the caller's frame.
[[gnu::noinline]] inline void scrub_stack() {
  volatile std::uint64_t words[4096];
  for (volatile std::uint64_t& word : words) {
    word = 0;
  }
}

using Call = void (*)(void*);

#if defined(__x86_64__)
// Calls call(argument) with ~complement in one callee-saved register, and returns the complement of what is there after
// it.
#define ECHO_TEST_REGISTERS(X) X(rbx) X(rbp) X(r12) X(r13) X(r14) X(r15)
#define ECHO_TEST_DECLARE(reg)                                                                               \
  extern "C" std::uint64_t echo_test_call_with_##reg(std::uint64_t complement, Call call, void* argument);
ECHO_TEST_REGISTERS(ECHO_TEST_DECLARE)
#undef ECHO_TEST_DECLARE
// The same with the word on top of the stack, which is set to 0 before the call returns to C++.
extern "C" std::uint64_t echo_test_call_with_stack(std::uint64_t complement, Call call, void* argument);
// Calls first(argument) with ~complement on top of the stack, moves the word into rbx, clears it on the stack, and calls
// second(argument).
extern "C" std::uint64_t echo_test_call_and_move(std::uint64_t complement, Call first, Call second,
                                                 void* argument);
#endif

} // namespace echo::test
