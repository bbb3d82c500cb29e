// SPDX-License-Identifier: MIT
//
// Purpose     Threads: attach, detach, states, polls, the words of a thread block.
#include "vm_iface/src/calls.h"

namespace echo {
namespace {

echo_status transition(echo_thread* thread, ThreadState from, ThreadState to) {
  if (thread == nullptr) {
    return ECHO_INVALID_ARGUMENT;
  }
  Mutator& m = *Mutator::from(thread);
  if (!m.is_current_thread()) {
    return ECHO_WRONG_THREAD;
  }
  if (m.collector.guard.is_stranger()) {
    return ECHO_WRONG_STATE;
  }
  const ThreadState state = m.state.load(std::memory_order_relaxed);
  if ((state == ThreadState::Captured ? ThreadState::Native : state) != from) {
    return ECHO_WRONG_STATE;
  }
  if (to == ThreadState::Managed) {
    m.collector.safepoints.leave_native(m);
  } else {
    m.collector.safepoints.enter_native(m, to);
  }
  return ECHO_OK;
}

} // namespace
} // namespace echo

using echo::guarded;
using echo::Mutator;
using echo::null_argument;
using echo::report;

extern "C" {

echo_status echo_attach(echo_heap* heap, echo_thread** out, echo_error* why) {
  if (heap == nullptr || out == nullptr) {
    return null_argument(why, heap == nullptr ? "heap" : "out");
  }
  *out = nullptr;
  if (const echo_status status = echo::unusable(heap, why); status != ECHO_OK) {
    return status;
  }
  return guarded(why, [&](std::string* message) {
    Mutator* m = nullptr;
    const echo_status status = heap->collector.attach(&m, message);
    if (status == ECHO_OK) {
      m->heap = heap;
      *out = m->as_handle();
    }
    return status;
  });
}

echo_status echo_detach(echo_thread* thread, echo_error* why) {
  if (thread == nullptr) {
    return null_argument(why, "thread");
  }
  Mutator* m = Mutator::from(thread);
  if (!m->is_current_thread()) {
    return report(why, ECHO_WRONG_THREAD, "only the thread that attached may detach");
  }
  if (m->handles.has_open_scope()) {
    return report(why, ECHO_WRONG_STATE, "handle scopes are open: close them before detaching");
  }
  if (m->collector.guard.is_stranger()) {
    return report(why, ECHO_WRONG_STATE, "the process was forked without echo_fork_prepare");
  }
  return guarded(why, [m](std::string*) {
    m->collector.detach(m);
    return ECHO_OK;
  });
}

echo_status echo_enter_native(echo_thread* thread) {
  return echo::transition(thread, echo::ThreadState::Managed, echo::ThreadState::Native);
}
echo_status echo_leave_native(echo_thread* thread) {
  return echo::transition(thread, echo::ThreadState::Native, echo::ThreadState::Managed);
}
echo_status echo_enter_blocked(echo_thread* thread) {
  return echo::transition(thread, echo::ThreadState::Managed, echo::ThreadState::Blocked);
}
echo_status echo_leave_blocked(echo_thread* thread) {
  return echo::transition(thread, echo::ThreadState::Blocked, echo::ThreadState::Managed);
}

void echo_poll(echo_thread* thread) {
  const Mutator& m = *Mutator::from(thread);
  const std::uint64_t word = m.poll_word.load(std::memory_order_relaxed);
  if (word == 0 || m.anchor_fp > word) { // the recipe, for the frame of the anchor
    echo::poll_cold(thread);
  }
}

echo_heap* echo_heap_of(const echo_thread* thread) {
  return thread == nullptr ? nullptr : static_cast<echo_heap*>(Mutator::from(thread)->heap);
}
void* echo_vm_word(const echo_thread* thread) {
  return thread == nullptr ? nullptr : Mutator::from(thread)->vm_word;
}
void echo_set_vm_word(echo_thread* thread, void* word) {
  if (thread != nullptr) {
    Mutator::from(thread)->vm_word = word;
  }
}
echo_status echo_last_error(const echo_thread* thread, echo_error* out) {
  if (thread == nullptr || out == nullptr) {
    return ECHO_INVALID_ARGUMENT;
  }
  const echo_error& error = Mutator::from(thread)->last_error;
  if (error.code != ECHO_OK) {
    *out = error;
  }
  return static_cast<echo_status>(error.code);
}

} // extern "C"
