// SPDX-License-Identifier: MIT
//
// Purpose     A heap over a fork.
// Drawing     prepare: steps of the background threads held -> stop owned by the forking thread -> every lock taken, permits last
//             parent:  locks given back -> stop released -> steps released
//             child:   locks made anew -> other threads forgotten -> cycle dropped -> background threads started
// Algorithm   Locks are tried one after the other; where one is taken all are given back and tried again: whoever holds it may
//             wait for another of them. Threads in native state hold one only inside a call.
// Invariants  [fork.prepare.1] When the fork happens no lock of the heap is held by another thread, no managed thread runs, and
//             the background threads are between steps or inside a listener. Seconds of a mark may be anywhere without a lock:
//             what they hold is of the cycle, and goes with it. [thread.2] Preparing owns a stop; the child drops the
//             cycle. [fork.child.1]
#include "gc/collector.h"

#include <memory>
#include <sched.h>

namespace echo {

void Collector::hold_steps() {
  driver_gate_.lock();
  service_.gate().lock();
  safepoints.lock_stops();
}

echo_status Collector::fork_prepare(Mutator& mutator, std::string* why) {
  if (mutator.forks) {
    *why = "a fork is prepared already";
    return ECHO_WRONG_STATE;
  }
  safepoints.at_rest(mutator, [this] { hold_steps(); });
  mutator.forks = true;
  safepoints.hold(mutator);
  while (!mutexes_.try_lock_all([this](const Mutex& m) { return is_held_over_fork(m); })) {
    ::sched_yield();
  }
  safepoints.permits().hold(); // the last: who has it waits for no other lock
  return ECHO_OK;
}

// Taken before, or for the length of a cycle.
bool Collector::is_held_over_fork(const Mutex& mutex) {
  return &mutex == &driver_gate_ || &mutex == &service_.gate() || &mutex == &driver_mutex_ ||
         safepoints.is_lock_of_stops(mutex);
}

echo_status Collector::fork_parent(Mutator& mutator, std::string* why) {
  if (!mutator.forks) {
    *why = "no fork is prepared by this thread";
    return ECHO_WRONG_STATE;
  }
  mutator.forks = false;
  safepoints.permits().release();
  mutexes_.unlock_all([this](const Mutex& m) { return is_held_over_fork(m); });
  safepoints.release(mutator);
  safepoints.unlock_stops();
  service_.gate().unlock();
  driver_gate_.unlock();
  return ECHO_OK;
}

echo_status Collector::fork_child(Mutator& mutator, std::string* why) {
  if (!mutator.forks) {
    *why = "no fork was prepared by this thread";
    return ECHO_WRONG_STATE;
  }
  mutator.forks = false;
  mutexes_.renew_all();
  safepoints.permits().keep_only(mutator);
  mutator.run_queue.open(); // the file is of the parent's thread
  for (Mutator* gone : safepoints.keep_only(mutator)) {
    const std::unique_ptr<Mutator> owned(gone);
    retire(*gone);
    gone->barrier.log.flush(barriers.sink);
    note_past(*gone);
  }
  mutator.barrier.log.flush(barriers.sink);
  wanted_.store(false);
  marker_.forget_seconds(); // what they were at goes with the cycle
  drop_cycle();
  mutator.phase = barrier_phase_;
  mutator.to_trace.frames = false;
  mutator.to_trace.mark = mark_number_;
  mutator.watermark.clear();
  safepoints.release(mutator);
  if (!service_.restart() || !marker_.restart_seconds() ||
      (config.mode == MarkMode::Concurrent && !collector_thread_.restart()) || !events.restart()) {
    *why = "the operating system refused the heap's background threads";
    return ECHO_SYSTEM_MEMORY;
  }
  guard.adopt();
  return ECHO_OK;
}

// What a cycle was in the middle of, its driver being gone.
void Collector::drop_cycle() {
  is_open_ = is_left_ = false;
  is_at_once_.store(false);
  const Phase phase = phase_.load();
  if (phase == Phase::Idle) {
    step_.store(CycleStep::None); // at most prepared
    return;
  }
  if (phase == Phase::Marking) {
    if (cycle_.whole) {
      verifier_.set_marks_whole(false);
      starts.end_mark(false);
    }
    cycle_.whole = false;
    barriers.clearing.store(false);
    weak_step_ = WeakStep::None;
    untraced_threads_ = 0;
    const MutexLock lock(orphans_mutex_);
    orphans_.clear();
  }
  (void)barriers.sink.take();
  set_barriers(barrier_phase_ & kBarrierAudit);
  debt_.give_up();
  step_.store(CycleStep::None);
  finish_cycle();
  set_failure(ECHO_OK, "");
  failed_.store(false, std::memory_order_relaxed);
}

} // namespace echo
