/* SPDX-License-Identifier: MIT
 *
 * overflow_handler.cpp - see overflow_handler.h.
 *
 * Method      The handler runs on the thread's signal stack. If the faulting instruction is compiled code,
 *             its function is the one to name. If it is native code (the C library, or the collector
 *             working for this thread), the compiled function that called it is: by the anchor, which
 *             holds if its return address still stands where the call put it; else (leaf functions publish
 *             none) by the first word up the stack that is an address in compiled code. It prints the
 *             line, announces the ending and waits for the process to end: the thread cannot go on, and
 *             unwinding a full stack is not possible.
 */
#include "overflow_handler.h"

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <ucontext.h>
#include <unistd.h>

#include "current_thread.h"
#include "guarded_stack.h"
#include "words.h"

namespace echo::run {

std::atomic<bool> progress_line_shown{false};

namespace {

struct HandlerState {
  Ending* ending;
  const echo_jit_api* api;
  echo_jit* jit;
  uint32_t anchor_pc_offset, anchor_sp_offset;
  struct sigaction before;
};
HandlerState state{};

/* A line built without allocation; what does not fit is cut. */
class SignalText {
public:
  void add(const char* text) {
    while (*text != '\0' && length_ + 1 < sizeof text_)
      text_[length_++] = *text++;
    text_[length_] = '\0';
  }
  void add(int64_t number) {
    char digits[24];
    std::size_t at = sizeof digits - 1;
    digits[at] = '\0';
    do {
      digits[--at] = static_cast<char>('0' + number % 10);
      number /= 10;
    } while (number > 0 && at > 0);
    add(digits + at);
  }
  const char* text() const { return text_; }
  std::size_t length() const { return length_; }

private:
  char text_[1024];
  std::size_t length_ = 0;
};

SignalText sentence;

struct Registers {
  uintptr_t pc, sp;
};

Registers registers(const void* context) {
  const auto* machine = &static_cast<const ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
  return {static_cast<uintptr_t>(machine->gregs[REG_RIP]), static_cast<uintptr_t>(machine->gregs[REG_RSP])};
#elif defined(__aarch64__)
  return {static_cast<uintptr_t>(machine->pc), static_cast<uintptr_t>(machine->sp)};
#else
#error "overflow_handler.cpp: say where this machine's program counter and stack pointer are"
#endif
}

uintptr_t word_at(uintptr_t address) {
  uintptr_t word = 0;
  std::memcpy(&word, reinterpret_cast<const void*>(address), sizeof word);
  return word;
}

bool compiled_function(uintptr_t pc, char* name, std::size_t capacity) {
  return state.api->function_at(state.jit, pc, name, capacity) == ECHO_OK;
}

/* The compiled function that called the native code in which the stack ended. */
bool compiled_caller(uintptr_t sp, char* name, std::size_t capacity) {
  constexpr uintptr_t word = sizeof(uintptr_t);
  constexpr std::size_t scan_most = std::size_t{256} << 10;
  const auto low = reinterpret_cast<uintptr_t>(current_thread.stack->base());
  const uintptr_t high = low + current_thread.stack->bytes();
  sp = (std::max(sp, low) + word - 1) / word * word;
  if (current_thread.thread != nullptr) {
    const auto block = reinterpret_cast<uintptr_t>(current_thread.thread);
    const uintptr_t anchor_sp = word_at(block + state.anchor_sp_offset);
    const uintptr_t anchor_pc = word_at(block + state.anchor_pc_offset);
    if (anchor_sp > sp && anchor_sp < high && anchor_sp % word == 0 &&
        word_at(anchor_sp - word) == anchor_pc && compiled_function(anchor_pc, name, capacity))
      return true;
  }
  const uintptr_t end = std::min(high, sp + scan_most);
  for (; sp + word <= end; sp += word)
    if (compiled_function(word_at(sp), name, capacity))
      return true;
  return false;
}

void write_signal_text(const char* text, std::size_t length) {
  while (length > 0) {
    const ssize_t written = ::write(2, text, length);
    if (written <= 0) {
      if (written < 0 && errno == EINTR)
        continue;
      return;
    }
    text += written;
    length -= static_cast<std::size_t>(written);
  }
}

void describe(const void* context) {
  static char name[512];
  const Registers at = registers(context);
  const bool compiled = compiled_function(at.pc, name, sizeof name);
  const bool called = !compiled && compiled_caller(at.sp, name, sizeof name);
  sentence.add("the stack of ");
  sentence.add(current_thread.stack->size_text());
  sentence.add(" is exhausted, in ");
  if (compiled) {
    sentence.add("function '");
    sentence.add(name);
    sentence.add("'");
  } else if (called) {
    sentence.add("native code called by function '");
    sentence.add(name);
    sentence.add("'");
  } else {
    sentence.add("native code");
  }
  if (current_thread.number != 0) {
    sentence.add(" of thread ");
    sentence.add(current_thread.number);
  } else {
    sentence.add(" of the main thread");
  }
  sentence.add(", give a larger ");
  sentence.add(words.stack);
  sentence.add(" or recurse less deeply");
}

extern "C" void echo_run_on_fault(int signal, siginfo_t* info, void* context) {
  const GuardedStack* stack = current_thread.stack;
  if (stack != nullptr && info->si_code > 0 && stack->guards(info->si_addr)) {
    if (state.ending->claim(EndingKind::stack_overflow)) {
      describe(context);
      static SignalText line;
      line.add(progress_line_shown.load(std::memory_order_relaxed) ? "\r\033[K" : "");
      line.add(words.tool);
      line.add(": STACK_OVERFLOW: ");
      line.add(sentence.text());
      line.add("\n");
      write_signal_text(line.text(), line.length());
      state.ending->announce();
    }
    for (;;)
      pause();
  }
  /* [run.stack.3] A fault repeats when this returns; a signal that was sent does not, so it is sent again. */
  const int before_errno = errno;
  sigaction(signal, &state.before, nullptr);
  if (info->si_code <= 0)
    raise(signal);
  errno = before_errno;
}

} // namespace

void install_overflow_handler(Ending& ending, const echo_jit_api& api, echo_jit* jit,
                              const echo_recipes& recipes) {
  state.ending = &ending;
  state.api = &api;
  state.jit = jit;
  state.anchor_pc_offset = recipes.anchor_pc_offset;
  state.anchor_sp_offset = recipes.anchor_sp_offset;
  struct sigaction action{};
  action.sa_sigaction = &echo_run_on_fault;
  action.sa_flags = SA_SIGINFO | SA_ONSTACK;
  sigemptyset(&action.sa_mask);
  sigaction(SIGSEGV, &action, &state.before);
}

void remove_overflow_handler() {
  sigaction(SIGSEGV, &state.before, nullptr);
}

Failure overflow_failure() {
  return {ECHO_STACK_OVERFLOW, sentence.text()};
}

} // namespace echo::run
