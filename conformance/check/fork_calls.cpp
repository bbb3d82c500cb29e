// SPDX-License-Identifier: MIT
//
// fork_calls.cpp - a process that forks, with the checker in it.
//
// Invariants  [check.fork.1] Between prepare and parent or child the forking thread holds every lock of the checker, behind those of
//             the real plugin, under which nobody waits for it: see [check.lock.1]. In the child other threads are forgotten, and the
//             watch is a new thread. [check.fork.2] In a child that was not told of, no lock of the checker is taken: the real plugin
//             refuses.
#include "calls.h"

#include <algorithm>
#include <cstdio>
#include <new>

namespace check {

void CheckedHeap::hold_over_fork(CheckedThread& thread) {
  threads_mutex_.lock();
  mutex_.lock();
  report_.lock();
  forking_ = &thread;
}

void CheckedHeap::go_on_in_parent(CheckedThread& thread) {
  forking_ = nullptr;
  report_.unlock();
  mutex_.unlock();
  threads_mutex_.unlock();
  resume(thread);
}

bool CheckedHeap::go_on_in_child(CheckedThread& thread) {
  mark_.put();
  forking_ = nullptr;
  // Their waiters, and the watch, are gone: nobody may wait for them when these go.
  new (&changed_) std::condition_variable;
  new (&watch_) std::thread;
  for (CheckedThread* const other : attached_)
    if (other != &thread)
      delete other;
  attached_ = {&thread};
  threads_ = {{thread.real, &thread}};
  running_ = 0;
  is_wanted_ = false;
  report_.unlock();
  mutex_.unlock();
  threads_mutex_.unlock();
  resume(thread);
  return start_watch();
}

echo_status fork_prepare(echo_thread* thread, echo_error* why) {
  const Site site = ECHO_CHECK_SITE(thread);
  CheckedThread* const t = CheckedThread::of(thread);
  if (t == nullptr || !owns(*t, "echo_fork_prepare", site) || t->state != kManaged || t->heap->is_forking(*t))
    return real->fork_prepare(real_of(thread), why);
  publish_anchor(*t);
  t->heap->park(*t, site, true);
  const echo_status status = real->fork_prepare(t->real, why);
  if (status == ECHO_OK)
    t->heap->hold_over_fork(*t);
  else
    t->heap->resume(*t);
  return judged(t, status, "echo_fork_prepare", site);
}

echo_status fork_parent(echo_thread* thread, echo_error* why) {
  CheckedThread* const t = CheckedThread::of(thread);
  const echo_status status = real->fork_parent(real_of(thread), why);
  if (status == ECHO_OK)
    t->heap->go_on_in_parent(*t);
  return status;
}

echo_status fork_child(echo_thread* thread, echo_error* why) {
  CheckedThread* const t = CheckedThread::of(thread);
  const echo_status status = real->fork_child(real_of(thread), why);
  if (status != ECHO_OK || t->heap->go_on_in_child(*t))
    return status;
  if (why != nullptr) {
    why->code = ECHO_SYSTEM_MEMORY;
    std::snprintf(why->message, sizeof why->message, "the checker gets no thread in the child");
  }
  return ECHO_SYSTEM_MEMORY;
}

} // namespace check
