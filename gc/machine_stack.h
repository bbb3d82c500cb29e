// SPDX-License-Identifier: MIT
//
// Purpose     The machine stack and saved registers of a thread whose stack is ambiguous: what they held when the thread
//             came to rest.
// Drawing     low                                                         high
//             [ ... free ... | frames of the wait | frames of the caller | ... ]
//                            ^ sp: read in the function that waits       ^ base, of pthread_getattr_np
//
//             came to rest by          what counts
//             a poll, an allocation,   the callee-saved registers, stored here by the waiting function before it waits,
//             a collection             and the words from its stack pointer to the base, in place
//             echo_enter_native,       the same, and a copy of these words: the thread runs on, and may move what it holds
//             echo_enter_blocked       to a register; by itself it obtains no reference meanwhile, but another thread may
//                                      give it one in place (a waiter's record on its stack)
//             the native recipe        the words from the anchor's stack pointer to the base, in place
//
// Why so      Whoever calls keeps what lives over the call in callee-saved registers or in its frame. Functions between
//             the caller and the wait push the registers they use into frames that live as long as the wait; what
//             nobody pushed is in the registers then. A function that returned before the wait would have taken its
//             pushes with it: hence the saving is inlined into the function that waits.
//
// Invariants  [stack.rest.1] While an ambiguous thread is at rest by a call, its state is Captured or Blocked, and registers
//             and stack pointer (or the copy) are of this rest; Native is that of the recipe. [stack.own.1] The stack
//             pointer lies in the thread's own stack; another stack fails the mark. [stack.recipe.1] Code that goes
//             native by the recipe keeps no reference in a callee-saved register over it (code with stack maps does not;
//             other code calls echo_enter_native).
#pragma once

#include "echo/base.h"
#include "heap/thread_block.h"
#include "heap/words.h"

#include <array>
#include <memory>
#include <span>
#include <string>

namespace echo {

#if defined(__x86_64__)
inline constexpr std::size_t kSavedRegisters = 6;
#elif defined(__aarch64__)
inline constexpr std::size_t kSavedRegisters = 19; // x19-x29, d8-d15
#else
#error "say here which registers of this architecture a called function preserves"
#endif

// The registers that a called function must preserve, and the stack pointer.
struct SavedRegisters {
  std::array<std::uint64_t, kSavedRegisters> words{};
  Address sp = 0;

  // Inlined into the function whose frame stays.
  [[gnu::always_inline]] void save() {
#if defined(__x86_64__)
    asm volatile("movq %%rbx, 0(%0)\n\t"
                 "movq %%rbp, 8(%0)\n\t"
                 "movq %%r12, 16(%0)\n\t"
                 "movq %%r13, 24(%0)\n\t"
                 "movq %%r14, 32(%0)\n\t"
                 "movq %%r15, 40(%0)\n\t"
                 "movq %%rsp, 48(%0)"
                 :
                 : "r"(this)
                 : "memory");
#else
    asm volatile("stp x19, x20, [%0, #0]\n\t"
                 "stp x21, x22, [%0, #16]\n\t"
                 "stp x23, x24, [%0, #32]\n\t"
                 "stp x25, x26, [%0, #48]\n\t"
                 "stp x27, x28, [%0, #64]\n\t"
                 "str x29, [%0, #80]\n\t"
                 "stp d8, d9, [%0, #88]\n\t"
                 "stp d10, d11, [%0, #104]\n\t"
                 "stp d12, d13, [%0, #120]\n\t"
                 "stp d14, d15, [%0, #136]\n\t"
                 "mov x9, sp\n\t"
                 "str x9, [%0, #152]"
                 :
                 : "r"(this)
                 : "memory", "x9");
#endif
  }
};
static_assert(offsetof(SavedRegisters, sp) == kSavedRegisters * 8);

class MachineStack {
public:
  // Of the calling thread. WRONG_STATE: it does not run on its own stack; SYSTEM_MEMORY.
  static echo_status make(std::unique_ptr<MachineStack>* out, std::string* why);
  ~MachineStack();
  MachineStack(const MachineStack&) = delete;
  MachineStack& operator=(const MachineStack&) = delete;

  // On the thread itself, before it comes to rest. [stack.rest.1]
  [[gnu::always_inline]] void save_in_place() {
    registers_.save();
    copied_ = false;
  }
  [[gnu::always_inline]] void save_copy() {
    registers_.save();
    copy();
  }

  struct Words {
    std::span<const std::uint64_t> registers, copy, stack;
  };
  // In a stop. WRONG_STATE: [stack.own.1] does not hold.
  echo_status words(ThreadState state, Address anchor_sp, Words* out, std::string* why) const;

private:
  MachineStack() = default;
  bool is_own(Address sp) const { return sp >= low_ && sp < base_; }
  void copy();

  SavedRegisters registers_;
  bool copied_ = false;
  Address low_ = 0, base_ = 0;    // of the stack; the base is aligned to a word
  std::uint64_t* copy_ = nullptr; // room for all of the stack, touched as it is used
  std::size_t copy_bytes_ = 0;
  std::size_t copied_words_ = 0;
};

} // namespace echo
