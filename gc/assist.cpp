// SPDX-License-Identifier: MIT
//
// Purpose     Marking by the threads of the program, in slices: for what they allocate (gc/mark_debt.h), and when the
//             deletion logs pile up.
// Invariants  [assist.slice.1] A slice works off at most kEdgesPerAssist edges and one full log; it is a pause of cause
//             `assist`, counted in units. [assist.wait.1] Who finds another thread marking goes on, until it owes kPostponed
//             slices; then it waits for that at most kWaitNs, and not at all when a stop is asked for: a debt that was not
//             paid is owed on. [assist.window.1] While something is owed a thread is lent its span in windows, each for one
//             slice. [assist.end.1] Before a
//             mark that is wanted begins, and when all is marked, allocation waits kWaitNs per kWaitBytes bytes once only the
//             reserve is left, and four times as long when a quarter of that is left. [mark.log.2] With
//             DeletionSink::kCrowded logs waiting the thread that fills one more works one off, with kFull it does so before
//             it goes on: so no more than kFull and one per thread ever wait. It waits for the slice that is on, since the
//             heap's own thread begins no other while somebody waits.
#include "gc/collector.h"
#include "heap/cpu_relax.h"
#include "heap/os_memory.h"

#include <algorithm>
#include <sched.h>

namespace echo {

namespace {

constexpr std::size_t kEdgesPerAssist = 256;
constexpr std::size_t kAmbiguousEdgesPerAssist = 128; // each may be 256 words to resolve
constexpr std::size_t kEdgesUnderStress = 2;
constexpr std::uint64_t kWaitNs = 40'000;
constexpr std::uint64_t kLeastWindow = std::uint64_t{1} << 10;
constexpr std::uint64_t kWaitBytes = std::uint64_t{4} << 10;
constexpr unsigned kSlicesForLarge = 16; // with polls between
constexpr std::uint64_t kPostponed = 4;  // slices

} // namespace

std::size_t Collector::edges_per_assist() const {
  return config.stress_yield ? kEdgesUnderStress
         : starts.is_used()  ? kAmbiguousEdgesPerAssist
                             : kEdgesPerAssist;
}

std::uint64_t Collector::assist_some(std::size_t edges, bool* idle) {
  if (!marker_.corruption().empty() || roots_failed_.load()) {
    *idle = true;
    return edges;
  }
  WorkUnits units;
  if (const std::size_t pushed = push_root_words(edges); pushed != 0) {
    units.words = pushed;
    held_.note(Hold::assist, units);
    *idle = false;
    return pushed;
  }
  if (!look_at_words(edges)) { // logs and ambiguous objects wait for the starts [starts.mark.1]
    units.edges = edges;
    held_.note(Hold::assist, units);
    *idle = false;
    return edges;
  }
  if (barriers.sink.waiting() != 0) {
    units.records = take_logs(1);
  }
  const std::uint64_t before = marker_.edges_of_lead();
  const bool nothing = marker_.drain(edges) || marker_.is_starved();
  *idle = nothing && barriers.sink.waiting() == 0;
  units.edges = marker_.edges_of_lead() - before;
  held_.note(Hold::assist, units);
  edges_assisted_.fetch_add(units.edges, std::memory_order_relaxed);
  debt_.progress(marker_.edges(), 0, room_for_debt());
  if (*idle && config.mode != MarkMode::Incremental) {
    debt_.idle(); // until the heap's own thread finds more
  }
  return std::max<std::uint64_t>(units.edges, units.records);
}

// One slice, or a wait for whoever marks; false: neither brought anything. `given`: in time that the VM gives, whatever is owed.
bool Collector::mark_or_wait(Mutator& mutator, std::uint64_t start, bool given) {
  bool helped = false;
  bool idle = false;
  std::uint64_t paid = 0;
  for (;;) {
    if (marking_mutex_.try_lock()) {
      {
        const CpuMeter meter(cycle_.cpu_ns); // which adds what it has measured while the lock is held
        paid = assist_some(edges_per_assist(), &idle);
      }
      marking_mutex_.unlock();
      helped = true;
      break;
    }
    if (!given && debt_.has_credit()) {
      helped = true;
      break;
    }
    if (os::monotonic_ns() - start > kWaitNs || safepoints.stop_asked()) {
      break;
    }
    if (by_program_.load(std::memory_order_relaxed)) {
      cpu_relax(); // another thread of the program has it, on a processor: whoever yields waits a scheduler's turn
    } else {
      ::sched_yield();
    }
  }
  mutator.owed = idle ? 0 : mutator.owed - std::min(mutator.owed, paid << MarkDebt::kFraction);
  return helped;
}

bool Collector::assist_once(Mutator& mutator) {
  if (mutator.owed >> MarkDebt::kFraction < kPostponed * edges_per_assist()) {
    if (!marking_mutex_.try_lock()) {
      return true; // [assist.wait.1]
    }
    marking_mutex_.unlock();
  }
  const std::uint64_t start = Safepoints::begin_hold(mutator, true);
  const bool helped = mark_or_wait(mutator, start, false);
  safepoints.record_hold(mutator, ECHO_CAUSE_assist, start);
  return helped;
}

std::uint64_t Collector::used_beside_holes() {
  const std::uint64_t used = memory.pool.used_bytes();
  return used - std::min<std::uint64_t>(used, memory.supply.hole_bytes());
}

// In the stop in which a mark starts.
void Collector::plan_room() {
  const std::uint64_t room = room_left();
  const std::uint64_t used = used_beside_holes();
  std::uint64_t live = 0;
  {
    const MutexLock lock(result_mutex_);
    live = result_.valid ? result_.live_bytes : 0;
  }
  if (config.mode == MarkMode::Incremental) {
    room_.begin_in_steps(used, room, live, pacing_.target(), memory.supply.dense_hole_bytes());
  } else {
    room_.begin(used, room, live, memory.supply.dense_hole_bytes());
  }
}

std::uint64_t Collector::room_for_debt() {
  return room_.for_debt(used_beside_holes(), room_left());
}

// A mark is wanted and has not begun, or all is marked, or the sweep is on.
void Collector::wait_for_end(Mutator& mutator, std::uint64_t bytes) {
  mutator.owed = 0;
  mutator.since_wait += bytes;
  if (mutator.since_wait < kWaitBytes / 4) {
    return;
  }
  const std::uint64_t room = room_left();
  const bool is_low = room_.is_low(room);
  mutator.window = is_low ? kWaitBytes : 0;
  if (is_low && mutator.since_wait < kWaitBytes && !room_.is_lowest(room)) {
    return;
  }
  mutator.since_wait = 0;
  if (!is_low) {
    return;
  }
  const std::uint64_t start = Safepoints::begin_hold(mutator, true);
  const Phase phase = phase_.load(std::memory_order_relaxed);
  do {
    ::sched_yield();
  } while (phase_.load(std::memory_order_relaxed) == phase && !safepoints.stop_asked() &&
           os::monotonic_ns() - start < kWaitNs);
  safepoints.record_hold(mutator, ECHO_CAUSE_assist, start);
}

// Whom allocation pays just now, in a mark or in steps; null: nobody.
MarkDebt* Collector::creditor() {
  if (config.mode != MarkMode::Incremental) {
    return debt_.is_on() ? &debt_ : nullptr;
  }
  switch (step_.load(std::memory_order_relaxed)) {
  case CycleStep::None:
    return nullptr;
  case CycleStep::Finish:
    return &finish_debt_;
  case CycleStep::Retire:
  case CycleStep::Begin:
  case CycleStep::Mark:
  case CycleStep::End:
    break;
  }
  return &debt_;
}

// While it is owed and somebody can be paid; more than one slice only for a large object, with polls between.
void Collector::pay(Mutator& mutator, unsigned most_slices) {
  const bool in_steps = config.mode == MarkMode::Incremental;
  const std::uint64_t slice = edges_per_assist();
  const auto owes = [&](MarkDebt& debt) {
    if (mutator.owed >> MarkDebt::kFraction >= slice) {
      mutator.owed -= debt.draw(mutator.owed >> MarkDebt::kFraction) << MarkDebt::kFraction;
    }
    return mutator.owed >> MarkDebt::kFraction >= slice;
  };
  MarkDebt* debt = creditor();
  for (unsigned i = 0; i < most_slices && debt != nullptr; ++i) {
    if (!owes(*debt) && !(in_steps && is_step_due())) {
      break;
    }
    if (i != 0 && mutator.poll_word.load(std::memory_order_relaxed) == 0) {
      poll(mutator);
      if (creditor() != debt) {
        break;
      }
    }
    if (!(in_steps ? step_once(mutator, slice) : assist_once(mutator))) {
      break;
    }
    debt = creditor();
  }
  debt = creditor();
  if (debt == nullptr) {
    mutator.owed = mutator.window = 0;
    return;
  }
  (void)owes(*debt);
  const std::uint64_t window = debt->bytes_for(slice);
  mutator.window = window >= kSlabBytes ? 0 : std::max(window, kLeastWindow);
}

void Collector::pay_for_allocation(Mutator& mutator, std::size_t bytes) {
  MarkDebt* const debt = creditor();
  const bool in_steps = config.mode == MarkMode::Incremental;
  if (!assists() || (debt == nullptr && (in_steps || (phase_.load(std::memory_order_relaxed) == Phase::Idle &&
                                                      !wanted_.load(std::memory_order_relaxed))))) {
    mutator.owed = mutator.window = 0;
    return;
  }
  const std::uint64_t inlined = mutator.allocates_inline ? mutator.cursor - mutator.lent_from : 0;
  mutator.lent_from = mutator.cursor;
  if (!in_steps && (debt == nullptr || debt->is_idle())) {
    wait_for_end(mutator, inlined + bytes);
    return;
  }
  mutator.owed += debt->owed_for(inlined + bytes);
  pay(mutator, bytes > kLargeBytes ? kSlicesForLarge : 1);
}

// On a thread that has filled a log: a leaf, it does not poll.
void Collector::relieve_log(Mutator& mutator, bool full) {
  if (!debt_.is_on()) {
    return; // an audit: the next stop takes them
  }
  const std::uint64_t start = Safepoints::begin_hold(mutator, true);
  if (full) {
    // Whoever has it is in a slice, and begins no other one before.
    wait_to_mark_.fetch_add(1, std::memory_order_relaxed);
    marking_mutex_.lock();
    wait_to_mark_.fetch_sub(1, std::memory_order_relaxed);
  } else if (!marking_mutex_.try_lock()) {
    return;
  }
  {
    const CpuMeter meter(cycle_.cpu_ns);
    bool idle = false;
    (void)assist_some(edges_per_assist(), &idle);
  }
  marking_mutex_.unlock();
  safepoints.record_hold(mutator, ECHO_CAUSE_assist, start);
}

} // namespace echo
