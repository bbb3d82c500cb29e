// SPDX-License-Identifier: MIT
//
// Purpose     A cycle of a heap with next to nothing alive: begun by the thread whose allocation reached the trigger, and over
//             within the stop in which it begins, so that no other thread is woken and the program goes on in the memory that
//             its caches hold.
// Drawing     stop  | begin | mark, if it fits | end | weak, sweep, pace, clear: if they fit |   -> the allocation goes on
//             what does not fit is an open cycle, which the heap's own thread finishes beside the program
//
// Invariants  [cycle.once.1] The stop does no more than a stop in which a mark starts may: a step of marking begins only if the
//             most that such a step does is left of the cap, and what comes behind the mark only if all of it is.
//             [cycle.once.2] It is tried only if there was a mark, which would have fit, by a thread that comes to rest for it and waits
//             for no other cycle than one of this kind. [cycle.once.3] Who has waited for long enough goes on beside it, and asks
//             nobody else for a cycle: the heap's own thread may find no processor.
// Equations   edges: kMostEdges, 78 ns each with cold caches, and so 2 units of the cap, not the half that is counted
//             behind the mark: a slab in use 1 unit (28 ns), an empty one 1/16, a large object 4, 512 bytes of bitmaps 1
#include "gc/collector.h"
#include "heap/os_memory.h"

#include <sched.h>

namespace echo {

namespace {

constexpr std::uint64_t kMostEdges = 256;
constexpr std::size_t kEdgesPerStep = 64;
constexpr std::uint64_t kUnitsPerEdge = 2; // besides the half that is counted
// A step: its edges and the 32 objects under way, a full log, 64 handles, 16 frames, and a look at every thread.
constexpr std::size_t kMostThreads = 64;
constexpr std::uint64_t kUnitsPerStep = 16;
constexpr std::uint64_t kMostOfStep = kUnitsPerStep + (kEdgesPerStep + 32) * (kUnitsPerEdge + 1) +
                                      DeletionLog::kRecords / 8 + 64 / 8 + std::uint64_t{16} * 4;
constexpr std::uint64_t kUnitsPerSlab = 1, kEmptySlabsPerUnit = 16, kUnitsPerLargeObject = 4,
                        kBitmapBytesPerUnit = 512;
constexpr std::uint64_t kMostWaitNs = 40'000;
constexpr unsigned kFirstTurns = 4; // who has the lock may be about to say what for

class AtOnceWork final : public StopWork {
public:
  explicit AtOnceWork(Collector& collector) : collector_(collector) { cause = ECHO_CAUSE_mark_start; }
  void run(const std::vector<Mutator*>& mutators) override { collector_.begin_and_end(mutators); }

private:
  Collector& collector_;
};

std::uint64_t cap_left(const WorkUnits& done) {
  const std::uint64_t cap = cap_of(Hold::mark_start).of(done.threads);
  const std::uint64_t used = done.capped() + done.edges * kUnitsPerEdge;
  return cap - std::min(cap, used);
}

} // namespace

// Of the mark that has ended.
bool Collector::is_little() {
  return marker_.edges() <= kMostEdges && !cycle_.ambiguous && !marker_.weak().has_work() &&
         !marker_.ephemerons().has_clearing_work() && finalizers.are_none();
}

// False: more is left than fits, or than is worth a look.
bool Collector::mark_at_once(const std::vector<Mutator*>& mutators) {
  const MutexLock marking(marking_mutex_);
  if (cycle_.ambiguous || marker_.is_shared() || mutators.size() > kMostThreads ||
      cap_left(units_) < root_words_.size() / 8) {
    return false;
  }
  units_.words += push_root_words(SIZE_MAX);
  MarkState state = MarkState::More;
  while (state == MarkState::More) {
    if (units_.edges > kMostEdges || cap_left(units_) < kMostOfStep) {
      return false;
    }
    WorkUnits step;
    step.rest = kUnitsPerStep;
    state = mark_some(kEdgesPerStep, {1, 64, 16, true}, &step);
    units_.add(step);
  }
  if (state != MarkState::Done) {
    return false;
  }
  end_of_mark(mutators);
  return true;
}

// Counts it.
bool Collector::rest_fits() {
  const bool counts = config.census && !memory.supply.to_count().empty();
  if (!cycle_.whole || counts || config.poison || !is_little()) {
    return false;
  }
  const std::uint64_t bitmaps = SideMetadata::bytes_for(memory.marked_before());
  const std::uint64_t units =
      kUnitsPerSlab * (cycle_.used_before / kSlabBytes) + memory.pool.slab_high_water() / kEmptySlabsPerUnit +
      kUnitsPerLargeObject * memory.large.object_count() + bitmaps / kBitmapBytesPerUnit;
  if (units > cap_left(units_)) {
    return false;
  }
  units_.rest += units;
  return true;
}

void Collector::begin_and_end(const std::vector<Mutator*>& mutators) {
  const std::uint64_t start = os::thread_cpu_ns();
  begin_mark(mutators, true);
  const bool all = cycle_.whole && mark_at_once(mutators) && rest_fits();
  held_.note(Hold::mark_start, units_);
  cycle_.cpu_ns += os::thread_cpu_ns() - start;
  if (all) {
    finish_cycle(); // about as long as a reading of that clock takes: it is not counted
  }
}

Collector::AtOnce Collector::collect_at_once(Mutator& mutator) {
  if (!is_little_.load(std::memory_order_relaxed) || config.mode != MarkMode::Concurrent || config.stepping ||
      config.slow_marker_us != 0) {
    return AtOnce::No;
  }
  const std::uint64_t start = Safepoints::begin_hold(mutator, true);
  const std::uint64_t seen = cycles();
  AtOnce found = AtOnce::No;
  safepoints.at_rest(mutator, [&] {
    for (unsigned turn = 0; !driver_mutex_.try_lock(); ++turn) {
      const bool is_at_once = is_at_once_.load();
      if (cycles() != seen) { // looked at behind the flag, which is lowered later
        found = AtOnce::Served;
        return;
      }
      if ((!is_at_once && turn >= kFirstTurns) || os::monotonic_ns() - start > kMostWaitNs) {
        found = is_at_once ? AtOnce::Begun : AtOnce::No;
        return;
      }
      ::sched_yield();
    }
    if (cycles() != seen || is_open_ || (!memory.pool.is_over_trigger() && !memory.supply.is_cycle_due())) {
      found = AtOnce::Served;
    } else if (!is_held_) {
      is_at_once_.store(true);
      drive_at_once();
      is_at_once_.store(false);
      found = AtOnce::Served;
    }
    driver_mutex_.unlock();
  });
  safepoints.record_hold(mutator, ECHO_CAUSE_mark_start, start);
  if (found == AtOnce::Served) {
    events.wake();
  }
  return found;
}

void Collector::drive_at_once() {
  const std::uint64_t seen = cycles();
  {
    const MutexLock step(driver_gate_); // [fork.prepare.1]
    prepare_cycle(ECHO_CAUSE_heap_full);
    cycle_.at_once = true;
    safepoints.take_those_at_rest([this](Mutator& m) { retire(m); });
    safepoints.maybe_yield();
    AtOnceWork work(*this);
    safepoints.stop(nullptr, work);
    cycle_.at_once = false;
    is_open_ = is_left_ = cycles() == seen;
  }
  if (is_left_) { // [cycle.once.2]
    wanted_.store(true);
    wanted_after_.store(seen, std::memory_order_relaxed);
    collector_thread_.wake();
  } else {
    service_.wake_if_needed();
  }
}

} // namespace echo
