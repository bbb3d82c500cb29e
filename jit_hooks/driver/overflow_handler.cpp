/* SPDX-License-Identifier: MIT
 *
 * overflow_handler.cpp - see overflow_handler.h.
 *
 * Method      The handler runs on the thread's signal stack. If the faulting instruction is compiled code,
 * its function is the one to name; if it is native code (the C library, or the collector working for this
 * thread), the anchor names the compiled function that called it. It prints the line, announces the ending
 * and waits for the process to end: the thread cannot go on, and unwinding a full stack is not possible.
 */
#include "overflow_handler.h"

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <ucontext.h>
#include <unistd.h>

#include "current_thread.h"
#include "guarded_stack.h"

namespace echo::run {

std::atomic<bool> progress_line_shown{false};

namespace {

struct HandlerState {
  Ending* ending;
  const echo_jit_api* api;
  echo_jit* jit;
  uint32_t anchor_pc_offset;
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

uintptr_t program_counter(const void* context) {
  const auto* machine = &static_cast<const ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
  return static_cast<uintptr_t>(machine->gregs[REG_RIP]);
#elif defined(__aarch64__)
  return static_cast<uintptr_t>(machine->pc);
#else
#error "overflow_handler.cpp: say where this machine's program counter is"
#endif
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
  const bool compiled =
      state.api->function_at(state.jit, program_counter(context), name, sizeof name) == ECHO_OK;
  bool called = false;
  if (!compiled && current_thread.thread != nullptr) {
    uintptr_t anchor = 0;
    std::memcpy(&anchor, reinterpret_cast<const char*>(current_thread.thread) + state.anchor_pc_offset,
                sizeof anchor);
    called = anchor != 0 && state.api->function_at(state.jit, anchor, name, sizeof name) == ECHO_OK;
  }
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
  sentence.add(", give a larger --stack=SIZE or recurse less deeply");
}

extern "C" void echo_run_on_fault(int signal, siginfo_t* info, void* context) {
  const GuardedStack* stack = current_thread.stack;
  if (stack != nullptr && info->si_code > 0 && stack->guards(info->si_addr)) {
    if (state.ending->claim(EndingKind::stack_overflow)) {
      describe(context);
      static SignalText line;
      line.add(progress_line_shown.load(std::memory_order_relaxed) ? "\r\033[K" : "");
      line.add("echo-run: STACK_OVERFLOW: ");
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
                              uint32_t anchor_pc_offset) {
  state.ending = &ending;
  state.api = &api;
  state.jit = jit;
  state.anchor_pc_offset = anchor_pc_offset;
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
