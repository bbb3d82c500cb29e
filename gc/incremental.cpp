// SPDX-License-Identifier: MIT
//
// Purpose     Mode incremental: a cycle in bounded steps on the threads of the program, for what they allocate and in
//             their idle time (echo_step).
// Drawing     step    Retire ...  | Begin | Mark ... Mark | End? | Finish ... Finish |
//             what    a few       | stop  | a slice       | stop | count, sweep, pace, clear: so many units
//                     threads     |       |    ^-------------'   |
//
// Invariants  [inc.step.1] A step does at most the units it is given, or is one stop. It runs at rest, with driver_mutex_
//             held, so that it never keeps a stop waiting; a thread that does not get the lock waits at rest. [inc.pay.1]
//             Steps are owed for allocation as assists are: the mark is over when the room that pacing left for it is
//             used up, and what comes behind it, when as much again is. [inc.full.1] A collection that is asked for ends the
//             one that is on first. [inc.budget.1] echo_step begins a step only if what such a step has cost of late fits what
//             is left of the budget.
#include "gc/collector.h"
#include "heap/os_memory.h"

#include <algorithm>
#include <chrono>
#include <sched.h>
#include <thread>

namespace echo {

namespace {

constexpr std::size_t kUnitsToTheEnd = 4096;
constexpr std::size_t kThreadsPerStep = 12;
constexpr std::uint64_t kWaitNs = 40'000;
constexpr std::uint64_t kBetweenEndsNs =
    200'000;                                // looks at threads that have not visited all of their frames
constexpr std::uint64_t kReturnNs = 20'000; // of a budget: for coming to rest and back

} // namespace

// Called with driver_mutex_ held and no cycle on; the caller is at rest.
void Collector::begin_steps(echo_cause cause) {
  prepare_cycle(cause);
  step_.store(CycleStep::Retire);
}

// The cycle that is on goes on. The units of work that were done; 0: a stop, or nothing.
std::size_t Collector::advance(std::size_t units) {
  const MutexLock gate(driver_gate_); // between two steps a fork may happen
  switch (step_.load()) {
  case CycleStep::None:
    return 0;
  case CycleStep::Retire:
    if (safepoints.take_those_at_rest([this](Mutator& m) { retire(m); }, kThreadsPerStep)) {
      step_.store(CycleStep::Begin);
    }
    units_.threads = kThreadsPerStep;
    return kThreadsPerStep;
  case CycleStep::Begin: {
    stop_to_begin();
    step_.store(cycle_.whole ? CycleStep::Mark : CycleStep::Finish);
    return 0;
  }
  case CycleStep::Mark:
    if (mark_slice(units) != MarkState::More) {
      step_.store(CycleStep::End);
    }
    return units;
  case CycleStep::End: {
    const bool ended = stop_to_end();
    last_end_ns_ = os::monotonic_ns();
    step_.store(ended ? CycleStep::Finish : CycleStep::Mark);
    return 0;
  }
  case CycleStep::Finish:
    units_.edges = units;
    if (finish_some(units)) {
      step_.store(CycleStep::None);
      wanted_.store(false);
      service_.wake_if_needed();
    }
    return units;
  }
  return 0;
}

StepKind Collector::next_kind() const {
  switch (step_.load()) {
  case CycleStep::None:
  case CycleStep::Retire:
    return StepKind::retire;
  case CycleStep::Begin:
    return StepKind::begin;
  case CycleStep::Mark:
    return StepKind::mark;
  case CycleStep::End:
    return StepKind::end;
  case CycleStep::Finish:
    break;
  }
  switch (finishing_.part) {
  case FinishPart::None:
  case FinishPart::Weak:
    return StepKind::weak;
  case FinishPart::Count:
    return StepKind::count;
  case FinishPart::Large:
    return StepKind::large;
  case FinishPart::Small:
    return StepKind::small;
  case FinishPart::Pace:
  case FinishPart::Keep:
    return StepKind::pace;
  case FinishPart::Clear:
    return StepKind::clear;
  case FinishPart::Trim:
    break;
  }
  return StepKind::trim;
}

// A stop that would only find that threads have not visited their frames yet.
bool Collector::must_wait_for_frames() const {
  return step_.load() == CycleStep::End && untraced_threads_.load() != 0 &&
         os::monotonic_ns() - last_end_ns_ < kBetweenEndsNs;
}

// The rest of a cycle that was begun in steps. The caller is at rest.
void Collector::end_steps() {
  while (step_.load() != CycleStep::None) {
    if (must_wait_for_frames()) {
      std::this_thread::sleep_for(std::chrono::nanoseconds(kBetweenEndsNs));
    }
    safepoints.maybe_yield();
    (void)advance(config.stress_yield ? 2 : kUnitsToTheEnd);
  }
}

// One step, for what the thread owes; false: another thread was at it and did not finish in time.
bool Collector::step_once(Mutator& mutator, std::size_t units) {
  const std::uint64_t start = Safepoints::begin_hold(mutator, true);
  echo_cause cause = ECHO_CAUSE_assist;
  bool stepped = false;
  safepoints.at_rest(mutator, [&] {
    while (!driver_mutex_.try_lock()) {
      if (os::monotonic_ns() - start > kWaitNs) {
        return;
      }
      ::sched_yield();
    }
    cause = step_.load() == CycleStep::Begin ? ECHO_CAUSE_mark_start
            : step_.load() == CycleStep::End ? ECHO_CAUSE_mark_end
                                             : ECHO_CAUSE_assist;
    if (!must_wait_for_frames()) {
      units_ = {};
      if (advance(units) != 0) { // else a stop, which has a count of its own
        held_.note(Hold::assist, units_);
      }
    }
    stepped = true;
    driver_mutex_.unlock();
  });
  safepoints.record_hold(mutator, cause, start);
  return stepped;
}

// Allocation has reached the trigger.
void Collector::want_steps(Mutator& mutator) {
  if (wanted_.load(std::memory_order_relaxed) || wanted_.exchange(true)) {
    return;
  }
  safepoints.at_rest(mutator, [&] {
    if (driver_mutex_.try_lock()) { // else a whole collection is on
      if (step_.load() == CycleStep::None &&
          (memory.pool.used_bytes() >= memory.pool.trigger() || memory.supply.is_cycle_due())) {
        begin_steps(ECHO_CAUSE_heap_full);
      } else if (step_.load() == CycleStep::None) {
        wanted_.store(false);
      }
      driver_mutex_.unlock();
    } else {
      wanted_.store(false);
    }
  });
}

bool Collector::begin_collection(Mutator& mutator) {
  if (config.mode == MarkMode::Stw) {
    return false;
  }
  if (config.mode == MarkMode::Concurrent) {
    wanted_cause_.store(ECHO_CAUSE_requested);
    request_cycle(mutator);
    return true;
  }
  safepoints.at_rest(mutator, [&] {
    if (driver_mutex_.try_lock()) { // else a whole collection is on
      if (step_.load() == CycleStep::None) {
        begin_steps(ECHO_CAUSE_requested);
      }
      driver_mutex_.unlock();
    }
  });
  return true;
}

// Whether the next step does not wait for what a thread owes.
bool Collector::is_step_due() const {
  switch (step_.load(std::memory_order_relaxed)) {
  case CycleStep::Retire:
  case CycleStep::Begin:
    return true;
  case CycleStep::End:
    return !must_wait_for_frames();
  case CycleStep::Mark:
    return debt_.is_idle(); // the mark did not end: more was logged, or frames wait
  case CycleStep::Finish:
    return finish_debt_.is_idle(); // not begun: what is owed for it is not known yet
  case CycleStep::None:
    break;
  }
  return false;
}

// --- idle time

// One step that fits `left_ns`; false: none does, or there is none.
bool Collector::step_within(std::uint64_t left_ns) {
  if (must_wait_for_frames()) {
    return false;
  }
  const StepKind kind = next_kind();
  const std::size_t units = step_cost_.units_that_fit(kind, left_ns);
  if (units == 0) {
    return false;
  }
  const std::uint64_t start = os::monotonic_ns();
  units_ = {};
  if (advance(units) != 0) {
    held_.note(Hold::assist, units_);
  }
  step_cost_.note(kind, os::monotonic_ns() - start, units);
  return true;
}

// Worth a cycle in idle time: half of what is allocated between two.
bool Collector::is_due_when_idle() {
  std::uint64_t after = 0, holes = 0;
  {
    const MutexLock lock(result_mutex_);
    after = result_.used_bytes;
    holes = result_.hole_bytes;
  }
  const std::uint64_t trigger = memory.pool.trigger();
  const std::uint64_t used = memory.pool.used_bytes();
  const std::uint64_t ahead = memory.supply.ahead();
  const std::uint64_t left = memory.supply.left(after, holes);
  return (trigger > after && used >= after + (trigger - after) / 2) ||
         (ahead != 0 && left > ahead &&
          memory.supply.left(used, memory.supply.hole_bytes()) <= left - (left - ahead) / 2);
}

bool Collector::idle_step(Mutator& mutator, std::uint64_t budget_us) {
  const std::uint64_t start = Safepoints::begin_hold(mutator, true);
  const std::uint64_t given = std::min<std::uint64_t>(budget_us, 1'000'000'000) * 1000;
  const std::uint64_t budget = given - std::min(given / 8, kReturnNs);
  const auto left = [&] {
    const std::uint64_t used = os::monotonic_ns() - start;
    return used < budget ? budget - used : 0;
  };
  bool done = true;
  if (config.mode == MarkMode::Concurrent && assists()) {
    while (debt_.is_on() && !debt_.is_idle() && left() > kWaitNs * 2 && !safepoints.stop_asked()) {
      (void)mark_or_wait(mutator, os::monotonic_ns(), true);
    }
    done = !debt_.is_on();
  } else if (config.mode == MarkMode::Incremental) {
    safepoints.at_rest(mutator, [&] {
      if (!driver_mutex_.try_lock()) {
        done = false; // another thread is at it
        return;
      }
      if (step_.load() == CycleStep::None && is_due_when_idle() && left() > kWaitNs) {
        begin_steps(ECHO_CAUSE_requested);
      }
      bool stepped = false;
      while (step_.load() != CycleStep::None && step_within(left())) {
        stepped = true;
      }
      if (!stepped && step_.load() != CycleStep::None && !must_wait_for_frames()) {
        step_cost_.refuse(next_kind());
      }
      done = step_.load() == CycleStep::None && !is_due_when_idle();
      driver_mutex_.unlock();
    });
  }
  safepoints.record_hold(mutator, ECHO_CAUSE_step, start);
  return done;
}

} // namespace echo
