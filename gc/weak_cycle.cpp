// SPDX-License-Identifier: MIT
//
// Purpose     The weak half of a cycle: what happens between the end of marking and the sweep, beside the program.
// Drawing     stop: end of mark | clear weak slots, | finalizable objects: which | mark what is due, | queue | sweep
//                               | dead ephemerons   | are due                    | clear again       |       |
//             barriers  Marking |    Clearing       | idle: each thread when it notices [weak.over.1]
//
// Invariants  [mark.end.2] From the stop that ends a mark on nothing is logged, and until every dead target is cleared weak
//             loads answer by liveness. [weak.clear.1] Nothing is freed, or marked for its finalizer, before.
//             [weak.bound.1] The stop does O(1) of this. [weak.final.1] What is due is marked with all that it reaches when no
//             thread has a way to it, and becomes a root of the queue when that is complete.
// Threads     The driver of the cycle, in slices.
#include "gc/collector.h"
#include "gc/cpu_meter.h"
#include "heap/fault.h"

#include <algorithm>

namespace echo {

echo_status Collector::register_layout(const echo_layout& layout, LayoutId* out, std::string* why,
                                       LayoutRecord::Trace trace) {
  LayoutId id;
  const echo_status status = memory.layouts.add(layout, trace, &id, why);
  if (status != ECHO_OK) {
    return status;
  }
  const LayoutRecord& record = memory.layouts.record(id);
  if (record.has_ephemerons || record.is_finalizable()) {
    const MutexLock marking(marking_mutex_);
    Ephemerons& ephemerons = marker_.ephemerons();
    if (record.has_ephemerons && !ephemerons.is_open() && !ephemerons.open(config.max_heap)) {
      *why = "the operating system refused the address space for the ephemerons of the heap";
      return ECHO_SYSTEM_MEMORY;
    }
    if (record.is_finalizable() && !finalizers.open()) {
      *why = "no native memory for finalizable objects";
      return ECHO_SYSTEM_MEMORY;
    }
    const SlabTable& slabs = memory.pool.slabs();
    if (record.is_finalizable() && !memory.resurrected.is_open() &&
        !memory.resurrected.open(slabs.base(), slabs.bytes())) {
      *why = "the operating system refused the address space for what finalizable objects reach";
      return ECHO_SYSTEM_MEMORY;
    }
  }
  *out = id;
  return ECHO_OK;
}

void Collector::retire(Mutator& mutator) {
  mutator.retire_memory();
  finalizers.hand_over(mutator.finalizable);
}

std::uint8_t Collector::barrier_phase() const {
  const bool clearing = barriers.clearing.load(std::memory_order_acquire);
  return static_cast<std::uint8_t>(clearing ? barrier_phase_ : barrier_phase_ & ~kBarrierClearing);
}

// In the stop that ends a mark.
void Collector::begin_weak_work() {
  weak_step_ = cycle_.whole ? WeakStep::Clear : WeakStep::None;
  const bool clearing = cycle_.whole && cycle_.beside &&
                        (marker_.weak().has_work() || marker_.ephemerons().has_clearing_work());
  barriers.clearing.store(clearing);
  set_barriers(
      static_cast<std::uint8_t>((barrier_phase_ & kBarrierAudit) | (clearing ? kBarrierClearing : 0)));
}

// False: nothing is left.
bool Collector::clear_some(std::size_t most) {
  if (marker_.weak().has_work()) {
    marker_.weak().clear_some(most);
  } else {
    marker_.ephemerons().clear_some(most);
  }
  return marker_.weak().has_work() || marker_.ephemerons().has_clearing_work();
}

// Of these blocks' objects and what they reach.
void Collector::begin_resurrection(const FinalizableBlock* first) {
  next_due_ = first;
  starts.set_resurrecting(true);
  weak_step_ = WeakStep::Push;
}

void Collector::push_due(std::size_t most) {
  for (std::size_t done = 0; next_due_ != nullptr && done < most; next_due_ = next_due_->next) {
    std::for_each_n(next_due_->objects.begin(), next_due_->count,
                    [this](Address object) { marker_.push_root({object}); });
    done += next_due_->count;
  }
}

void Collector::resurrect_some(std::size_t edges) {
  const std::uint64_t objects = marker_.objects(), bytes = marker_.bytes();
  const bool done = marker_.drain(edges);
  objects_marked_.fetch_add(marker_.objects() - objects, std::memory_order_relaxed);
  bytes_marked_.fetch_add(marker_.bytes() - bytes, std::memory_order_relaxed);
  if (!marker_.corruption().empty()) {
    set_failure(ECHO_HEAP_CORRUPT, marker_.corruption());
    cycle_.whole = false;
    finalizers.take_back_due();
    end_weak_work();
  } else if (done) {
    weak_step_ = WeakStep::ClearAgain;
  }
}

void Collector::end_weak_work() {
  starts.set_resurrecting(false);
  weak_slots_cleared_.fetch_add(marker_.weak().cleared(), std::memory_order_relaxed);
  ephemerons_cleared_.fetch_add(marker_.ephemerons().cleared(), std::memory_order_relaxed);
  weak_step_ = WeakStep::None;
}

bool Collector::weak_slice(std::size_t most) {
  const MutexLock marking(marking_mutex_);
  const CpuMeter meter(cycle_.cpu_ns, !cycle_.at_once);
  switch (weak_step_) {
  case WeakStep::None:
    starts.end_weak();
    verifier_.set_weak_cleared(true);
    return false;
  case WeakStep::Clear:
    if (!clear_some(most)) {
      barriers.clearing.store(false, std::memory_order_release); // [weak.over.1]
      if (finalizers.begin_scan()) {
        weak_step_ = WeakStep::Scan;
      } else {
        begin_resurrection(finalizers.all().front());
      }
    }
    return true;
  case WeakStep::Scan:
    if (!finalizers.scan_some(most)) {
      finalizers_found_.fetch_add(finalizers.due().objects(), std::memory_order_relaxed);
      if (finalizers.due().front() == nullptr) {
        end_weak_work();
      } else {
        begin_resurrection(finalizers.due().front());
      }
    }
    return true;
  case WeakStep::Push:
    push_due(most);
    if (next_due_ == nullptr) {
      weak_step_ = has_fault(Fault::DueNotMarked) ? WeakStep::ClearAgain : WeakStep::Resurrect;
    }
    return true;
  case WeakStep::Resurrect:
    resurrect_some(most);
    return true;
  case WeakStep::ClearAgain:
    if (!clear_some(most)) {
      end_weak_work(); // before anybody takes one: words hit them from now on
      roots.finalizers.append(finalizers.due());
    }
    return true;
  }
  return false;
}

} // namespace echo
