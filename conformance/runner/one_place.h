// SPDX-License-Identifier: MIT
//
// one_place.h - references that are in one place only.
//
// Purpose     Tests of ambiguous roots keep the complement of an address wherever the compiler may see it, and put the
//             address itself into one register, or one word of the stack, for the time of a call.
#ifndef ECHO_CONFORMANCE_ONE_PLACE_H
#define ECHO_CONFORMANCE_ONE_PLACE_H

#include <cstddef>
#include <cstdint>

namespace conformance {

// An address that no scan recognises.
class Hidden {
public:
  Hidden() = default;
  explicit Hidden(std::uintptr_t address) : complement_(~address) {}
  std::uintptr_t reveal() const { return ~complement_; }
  std::uint64_t complement() const { return complement_; }

private:
  std::uint64_t complement_ = ~std::uint64_t{0};
};

// Overwrites what calls have left below the caller's frame.
[[gnu::noinline]] inline void scrub_stack() {
  std::uint64_t words[4096] = {};
  asm volatile("" : : "r"(words) : "memory"); // they must be written
}

} // namespace conformance

extern "C" {
using echo_one_place_call = void (*)(void*);
#if defined(__x86_64__)
#define ECHO_ONE_PLACE_REGISTERS(X) X(rbx) X(rbp) X(r12) X(r13) X(r14) X(r15)
#define ECHO_ONE_PLACE_DECLARE(reg)                                                                          \
  std::uint64_t echo_one_place_with_##reg(std::uint64_t complement, echo_one_place_call call, void* argument);
// Calls call(argument) with ~complement in one callee-saved register, or on top of the stack; returns the complement of
// what is there after it, and leaves nothing of it on the stack.
ECHO_ONE_PLACE_REGISTERS(ECHO_ONE_PLACE_DECLARE)
ECHO_ONE_PLACE_DECLARE(stack)
#undef ECHO_ONE_PLACE_DECLARE
// Calls first(argument) with ~complement on top of the stack, moves the word from there into rbx, and calls
// second(argument); as above.
std::uint64_t echo_one_place_and_move(std::uint64_t complement, echo_one_place_call first,
                                      echo_one_place_call second, void* argument);
#else
#define ECHO_ONE_PLACE_REGISTERS(X)
#endif
}

#endif // ECHO_CONFORMANCE_ONE_PLACE_H
