// SPDX-License-Identifier: MIT
//
// Purpose     The weak half of a cycle: what happens between the end of marking and the sweep, beside the program.
// Drawing     stop: end of mark | clear weak slots | sweep
//             barriers  Marking |     Clearing     | idle, each thread when it notices [weak.over.1]
//
// Invariants  [mark.end.2] From the stop that ends a mark on nothing is logged, and until every dead target is cleared weak
//             loads answer by liveness. [weak.clear.1] Nothing is freed before. [weak.bound.1] The stop does O(1) of this.
// Threads     The driver of the cycle, in slices.
#include "gc/collector.h"
#include "gc/cpu_meter.h"

namespace echo {

std::uint8_t Collector::barrier_phase() const {
  const bool clearing = barriers.clearing.load(std::memory_order_acquire);
  return static_cast<std::uint8_t>(clearing ? barrier_phase_ : barrier_phase_ & ~kBarrierClearing);
}

// In the stop that ends a mark.
void Collector::begin_weak_work() {
  weak_step_ = cycle_.whole ? WeakStep::Clear : WeakStep::None;
  const bool clearing = cycle_.whole && cycle_.beside && marker_.weak().has_work();
  barriers.clearing.store(clearing);
  set_barriers(
      static_cast<std::uint8_t>((barrier_phase_ & kBarrierAudit) | (clearing ? kBarrierClearing : 0)));
}

bool Collector::weak_slice(std::size_t most) {
  const MutexLock marking(marking_mutex_);
  const CpuMeter meter(cycle_.cpu_ns);
  switch (weak_step_) {
  case WeakStep::None:
    verifier_.set_weak_cleared(true);
    return false;
  case WeakStep::Clear:
    marker_.weak().clear_some(most);
    if (!marker_.weak().has_work()) {
      barriers.clearing.store(false, std::memory_order_release); // [weak.over.1]
      weak_step_ = WeakStep::None;
    }
    return true;
  }
  return false;
}

} // namespace echo
