/* SPDX-License-Identifier: MIT
 *
 * guarded_stack.h - a program thread's stack, with a guard below it and a signal stack beside it.
 *
 * Drawing     low                                                                   high
 *             [guard 16 MiB, no access][stack, --stack=SIZE][guard page][signal stack 64 KiB]
 *                                       ^ base            ^ the first frame is here, growing down
 *
 * Invariants  [run.stack.1] A touch of the guard is recognised as exhaustion of this stack. The guard is
 *             larger than any frame echo-cc emits without probing it page by page.
 *             [run.stack.2] The signal stack is outside the stack, so the handler runs when the stack is
 *             full.
 */
#ifndef ECHO_RUN_GUARDED_STACK_H
#define ECHO_RUN_GUARDED_STACK_H

#include <cstddef>
#include <cstdint>

#include "failure.h"

namespace echo::run {

/* Bounds of a stack's size: the collector may run on a program's stack; above, one address space holds 256 such
 * stacks. */
constexpr uint64_t stack_least = uint64_t{256} << 10;
constexpr uint64_t stack_most = uint64_t{64} << 30;
constexpr uint64_t stack_default = uint64_t{256} << 20;

/* The size that `text` means, given with `option`. BAD_OPTION_VALUE. */
Failure convert_stack(const std::string& text, const char* option, uint64_t& out);

class GuardedStack {
public:
  static constexpr std::size_t guard_bytes = std::size_t{16} << 20;
  static constexpr std::size_t signal_stack_bytes = std::size_t{64} << 10;

  GuardedStack() = default;
  GuardedStack(GuardedStack&& other) noexcept { swap(other); }
  GuardedStack& operator=(GuardedStack&& other) noexcept {
    swap(other);
    return *this;
  }
  ~GuardedStack();

  /* Maps a stack of `bytes`, rounded up to pages. Memory is used only as far as it is touched. */
  static Failure create(uint64_t bytes, GuardedStack& out);

  void* base() const { return base_; }
  std::size_t bytes() const { return bytes_; }
  void* signal_stack() const;
  /* Is this address in the guard below the stack? Async-signal-safe. */
  bool guards(const void* address) const;
  /* The stack's size as the user would write it. Async-signal-safe. */
  const char* size_text() const { return size_text_; }

private:
  void swap(GuardedStack& other) noexcept;

  void* mapping_ = nullptr;
  std::size_t mapping_bytes_ = 0;
  void* base_ = nullptr;
  std::size_t bytes_ = 0;
  char size_text_[24] = {};
};

} // namespace echo::run

#endif
