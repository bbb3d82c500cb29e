// SPDX-License-Identifier: MIT
//
// Purpose     Who drives a collection, beside the program or in one stop: requests, the steps in their order, and how the heap's
//             own thread keeps out of the program's way.
// Invariants  [cycle.want.1] A collection that is asked for when one has just ended is made. [service.way.1] While threads of
//             the program run on all processors, and mark for what they allocate, the heap's own thread marks a slice now and
//             then only. [stop.near.1] What a stop works with is touched before it is asked for. [fork.prepare.1] Each step
//             holds the gate.
#include "gc/collector.h"
#include "heap/os_memory.h"

#include <algorithm>
#include <chrono>
#include <sched.h>
#include <thread>

namespace echo {

namespace {

// Edges per slice of marking: about a quarter of a millisecond.
constexpr std::size_t kEdgesPerSlice = 4096;
constexpr std::size_t kEdgesUnderStress = 2;
// Heaps in which a mark is shared, without the option; and how often is asked for how many processors there are.
constexpr std::size_t kWorthSharing = std::size_t{32} << 20;
constexpr std::uint64_t kBetweenLooksNs = 1'000'000;
constexpr std::uint64_t kMostWaitUs = 1000; // for other markers
// Between looks at threads that have not visited all of their frames yet.
constexpr std::chrono::microseconds kWaitForFrames{200};
constexpr std::uint64_t kMostForOthersNs = 1'000'000; // that mark
// A program that marks less in this time gets help.
constexpr std::chrono::microseconds kOutOfTheWay{1000};
constexpr std::uint64_t kEdgesOutOfTheWay = kEdgesPerSlice;

class CollectWork final : public StopWork {
public:
  CollectWork(Collector& collector, echo_cause why) : collector_(collector) { cause = why; }
  void run(const std::vector<Mutator*>& mutators) override { collector_.run_cycle(mutators, cause); }

private:
  Collector& collector_;
};

class BeginWork final : public StopWork {
public:
  explicit BeginWork(Collector& collector) : collector_(collector) { cause = ECHO_CAUSE_mark_start; }
  void run(const std::vector<Mutator*>& mutators) override { collector_.begin_mark(mutators, true); }

private:
  Collector& collector_;
};

class EndWork final : public StopWork {
public:
  explicit EndWork(Collector& collector) : collector_(collector) { cause = ECHO_CAUSE_mark_end; }
  void run(const std::vector<Mutator*>& mutators) override { ended = collector_.end_mark(mutators); }
  bool ended = false;

private:
  Collector& collector_;
};

} // namespace

// The heap's own thread, before it takes the lock again: between two slices it would have it each time before whoever sleeps
// for it is awake. [mark.log.2]
void Collector::let_others_mark() const {
  const std::uint64_t start = os::monotonic_ns();
  while (wait_to_mark_.load(std::memory_order_relaxed) != 0 &&
         os::monotonic_ns() - start < kMostForOthersNs) {
    ::sched_yield();
  }
}

// Threads of the program run on all processors: they mark for what they allocate, while a thread of the heap's own takes a
// processor from one of them, and keeps them waiting when it is put aside with the lock. [service.way.1]
bool Collector::has_processor() {
  const std::size_t processors = marker_.processors();
  return !assists() || safepoints.managed(processors) < processors;
}

void Collector::give_way() {
  for (;;) {
    const std::uint64_t assisted = edges_assisted_.load(std::memory_order_relaxed);
    const bool goes_on = assisted - cycle_.seen_assisted >= kEdgesOutOfTheWay;
    cycle_.seen_assisted = assisted;
    if (!goes_on || debt_.is_idle() || has_processor()) {
      by_program_.store(false, std::memory_order_relaxed);
      return;
    }
    by_program_.store(true, std::memory_order_relaxed);
    if (!cycle_.by_program) {
      cycle_.by_program = true;
      marks_by_program_.fetch_add(1, std::memory_order_relaxed);
      const MutexLock marking(marking_mutex_);
      room_.halve(used_beside_holes());
    }
    std::this_thread::sleep_for(kOutOfTheWay);
  }
}

// Tests: as if the machine gave the collector little time. When the program has marked all it goes on.
void Collector::sleep_if_slow() const {
  constexpr std::uint64_t kStepUs = 100;
  for (std::uint64_t us = 0; us < config.slow_marker_us && !(debt_.is_on() && debt_.is_idle());
       us += kStepUs) {
    std::this_thread::sleep_for(std::chrono::microseconds(kStepUs));
  }
}

// Markers besides the one that leads: what threads that run managed code leave of the processors.
std::size_t Collector::seconds_wanted() {
  const std::size_t most = marker_.most_markers();
  if (config.markers != 0 || most == 1) {
    return most - 1;
  }
  const std::size_t processors = marker_.processors();
  return std::min(most - 1, processors - std::min(processors, safepoints.managed(processors) + 1));
}

// A mark of 10 ms or more. A larger heap is marked by regions anyway, and seconds may come later.
bool Collector::is_worth_sharing(std::size_t seconds) const {
  if (config.markers != 0 || marker_.most_markers() == 1) {
    return marker_.most_markers() > 1;
  }
  return cycle_.used_before >= (seconds != 0 ? kWorthSharing : EdgeStacks::kOneRegionBytes + 1);
}

void Collector::adapt_seconds() {
  if (!marker_.is_shared() || config.markers != 0) {
    return;
  }
  const std::uint64_t now = os::monotonic_ns();
  if (now - cycle_.adapted_ns >= kBetweenLooksNs) {
    cycle_.adapted_ns = now;
    marker_.allow(seconds_wanted());
  }
}

// By the thread that is about to ask for a stop: what the stop works with was used in the last one, and a system that ages
// pages, or the host of a virtual machine, may have put it aside since. One such page costs more than the whole stop. [stop.near.1]
void Collector::bring_near() {
  constexpr std::size_t kMostThreads = 8; // under the registry's lock: 2 us each
  os::touch_own_image();
  os::touch(this, sizeof *this);
  safepoints.for_each_managed(kMostThreads, [](const Mutator& m) {
    os::touch(&m, sizeof m);
    (void)m.run_queue.read(); // and the kernel's code and records: these stood 100 to 400 us
    (void)os::cpu_ns_of(m.os_thread);
  });
}

void Collector::stop_to_begin() {
  BeginWork begin(*this);
  safepoints.stop(nullptr, begin);
}

bool Collector::stop_to_end() {
  EndWork end(*this);
  safepoints.stop(nullptr, end); // also so that threads that have gone native are not active any more
  return end.ended;
}

// Each step holds the gate: between two a fork may happen. [fork.prepare.1]
bool Collector::begin_beside(echo_cause cause) {
  const MutexLock step(driver_gate_);
  prepare_cycle(cause);
  safepoints.take_those_at_rest([this](Mutator& m) { retire(m); });
  safepoints.maybe_yield();
  cycle_.seconds = seconds_wanted();
  cycle_.seen_assisted = edges_assisted_.load(std::memory_order_relaxed);
  bring_near();
  const ServiceThread::Aside aside(service_);
  stop_to_begin();
  return cycle_.whole;
}

Collector::MarkState Collector::mark_step() {
  let_others_mark();
  const MutexLock step(driver_gate_);
  return mark_slice(config.stress_yield ? kEdgesUnderStress : kEdgesPerSlice);
}

bool Collector::mark_beside() {
  for (bool ended = false; !ended;) {
    for (;;) {
      sleep_if_slow();
      give_way();
      const MarkState state = mark_step();
      if (state == MarkState::Shared) {
        marker_.wait_for_seconds(kMostWaitUs);
      } else if (state != MarkState::More) {
        break;
      }
      adapt_seconds();
      safepoints.maybe_yield();
      if (collector_thread_.is_ending() || service_.is_ending()) {
        return false;
      }
    }
    {
      const MutexLock step(driver_gate_);
      bring_near();
      const ServiceThread::Aside aside(service_);
      ended = stop_to_end();
    }
    if (!ended && untraced_threads_.load() != 0) {
      std::this_thread::sleep_for(kWaitForFrames);
    }
  }
  return true;
}

void Collector::finish_beside() {
  safepoints.maybe_yield();
  {
    const MutexLock step(driver_gate_);
    finish_cycle();
  }
  service_.wake_if_needed();
}

void Collector::drive(echo_cause cause, Where where) {
  finish_open_cycle();
  if (config.markers > 1 || memory.pool.used_bytes() >= kWorthSharing) {
    marker_.make_seconds(marker_.most_markers() - 1);
  }
  // Collections by the number of allocations leave nothing of a cycle to run beside: a stop costs less.
  const bool by_count = cause == ECHO_CAUSE_stress && !config.stress_yield;
  if (where == Where::InStop ||
      (where == Where::AsConfigured && (by_count || config.mode == MarkMode::Stw))) {
    CollectWork work(*this, cause);
    safepoints.stop(nullptr, work);
    service_.wake_if_needed();
    return;
  }
  if (!begin_beside(cause) || mark_beside()) {
    finish_beside();
  }
}

void Collector::request_cycle(Mutator& mutator) {
  if (config.mode == MarkMode::Incremental) {
    want_steps(mutator);
  } else {
    wake_collector();
  }
}

void Collector::wake_collector() {
  const std::uint64_t seen = cycles();
  if (wanted_after_.load(std::memory_order_relaxed) != seen) {
    wanted_after_.store(seen); // before wanted_ is read [cycle.want.1]
  }
  if (!wanted_.load() && !wanted_.exchange(true)) {
    room_.want(room_left());
    collector_thread_.wake();
  }
}

void Collector::drive_in_background() {
  if (RunQueue::mine() == nullptr) {
    driver_queue_.open();
  }
  const MutexLock driver(driver_mutex_);
  const std::uint64_t before = cycles();
  if (is_left_) {
    finish_open_cycle();
    events.wake();
  } else if (wanted_.load() && !is_open_ && wanted_after_.load(std::memory_order_relaxed) == cycles()) {
    if (is_held_) {
      is_open_ = begin_beside(ECHO_CAUSE_heap_full);
      if (!is_open_) {
        finish_beside();
      }
    } else {
      drive(wanted_cause_.exchange(ECHO_CAUSE_heap_full), Where::AsConfigured);
      if (cycle_.measure.while_idle) {
        service_.wake(); // it has waited for that
      }
    }
    events.wake();
  }
  wanted_.store(false);
  // Asked for when the cycle had ended, by somebody who found wanted_ set. [cycle.want.1]
  if (cycles() != before && wanted_after_.load() == cycles()) {
    if (!wanted_.exchange(true)) {
      collector_thread_.wake();
    }
    return;
  }
  wanted_cause_.store(ECHO_CAUSE_heap_full); // of a request that another thread's cycle has served
}

} // namespace echo
