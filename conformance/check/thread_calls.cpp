// SPDX-License-Identifier: MIT
//
// thread_calls.cpp - attaching, states, polls.
#include "calls.h"

#include <cstring>
#include <new>

namespace check {

bool owns(const CheckedThread& thread, const char* function, const Site& site) {
  if (thread.heap->is_stranger())
    return false; // the real plugin refuses
  if (thread.is_owner())
    return true;
  thread.heap->report().add(Mistake::WRONG_THREAD,
                            std::string(function) + " is called for thread " + std::to_string(thread.number) +
                                " by another one",
                            {site.caller, site.beyond, thread.heap->managed_frame_of_caller()});
  return false;
}

echo_status judged(const CheckedThread* thread, echo_status status, const char* function, const Site& site) {
  if (thread != nullptr && (status == ECHO_WRONG_STATE || status == ECHO_HANDLE_MISUSE) &&
      !thread->heap->is_stranger())
    thread->heap->report().add(
        status == ECHO_WRONG_STATE ? Mistake::WRONG_STATE : Mistake::HANDLE_MISUSE,
        std::string(function) + " is refused for thread " + std::to_string(thread->number), site);
  return status;
}

echo_status attach(echo_heap* heap, echo_thread** out, echo_error* why) {
  const Site site = ECHO_CHECK_SITE(nullptr);
  if (heap == nullptr || out == nullptr)
    return real->attach(real_of(heap), out, why);
  auto* const thread = new (std::nothrow) CheckedThread;
  if (thread == nullptr) {
    if (why != nullptr) {
      why->code = ECHO_SYSTEM_MEMORY;
      std::strcpy(why->message, "no memory for a thread block");
    }
    return ECHO_SYSTEM_MEMORY;
  }
  thread->heap = CheckedHeap::of(heap);
  thread->owner = pthread_self();
  const echo_status status = real->attach(real_of(heap), &thread->real, why);
  if (status != ECHO_OK) {
    delete thread;
    *out = nullptr;
    return status;
  }
  thread->heap->attached(*thread, site);
  *out = thread->as_handle();
  return ECHO_OK;
}

echo_status detach(echo_thread* thread, echo_error* why) {
  const Site site = ECHO_CHECK_SITE(thread);
  CheckedThread* const t = CheckedThread::of(thread);
  if (t == nullptr || !owns(*t, "echo_detach", site))
    return real->detach(real_of(thread), why);
  const bool was_running = t->state == kManaged;
  publish_anchor(*t);
  t->heap->park(*t, site, false);
  const echo_status status = judged(t, real->detach(t->real, why), "echo_detach", site);
  if (status == ECHO_OK) {
    t->heap->detached(*t);
    delete t;
  } else if (was_running) {
    t->heap->resume(*t);
  }
  return status;
}

namespace {

echo_status enter(echo_thread* thread, echo_status (*forward)(echo_thread*), const char* function,
                  const Site& site) {
  CheckedThread* const t = CheckedThread::of(thread);
  if (t == nullptr || !owns(*t, function, site))
    return forward(real_of(thread));
  const bool was_running = t->state == kManaged;
  publish_anchor(*t);
  t->heap->park(*t, site, false);
  const echo_status status = judged(t, forward(t->real), function, site);
  if (status == ECHO_OK)
    t->state = kNative;
  else if (was_running)
    t->heap->resume(*t);
  return status;
}

echo_status leave(echo_thread* thread, echo_status (*forward)(echo_thread*), const char* function,
                  const Site& site) {
  CheckedThread* const t = CheckedThread::of(thread);
  if (t == nullptr || !owns(*t, function, site))
    return forward(real_of(thread));
  const echo_status status = judged(t, forward(t->real), function, site);
  if (status == ECHO_OK) {
    t->state = kManaged;
    t->heap->resume(*t);
  }
  return status;
}

} // namespace

echo_status enter_native(echo_thread* thread) {
  return enter(thread, real->enter_native, "echo_enter_native", ECHO_CHECK_SITE(thread));
}
echo_status leave_native(echo_thread* thread) {
  return leave(thread, real->leave_native, "echo_leave_native", ECHO_CHECK_SITE(thread));
}
echo_status enter_blocked(echo_thread* thread) {
  return enter(thread, real->enter_blocked, "echo_enter_blocked", ECHO_CHECK_SITE(thread));
}
echo_status leave_blocked(echo_thread* thread) {
  return leave(thread, real->leave_blocked, "echo_leave_blocked", ECHO_CHECK_SITE(thread));
}

void poll(echo_thread* thread) {
  const Site site = ECHO_CHECK_SITE(thread);
  CheckedThread& t = *CheckedThread::of(thread);
  if (!owns(t, "echo_poll", site))
    return;
  if (t.state != kManaged) {
    t.heap->report().add(Mistake::WRONG_STATE, "echo_poll is called by a thread that is not managed", site);
    return;
  }
  const Parked parked(t, site);
  real->poll(t.real);
}

} // namespace check
