// SPDX-License-Identifier: MIT
//
// Purpose     What a reference store must do, in C++: the same recipe that compilers emit.
// Invariants  [bar.fast.1] A store tests one byte of its own thread block; it is 0 unless the collector wants
//             to hear of stores. [bar.order.1] The cold path runs before the store and reads the old value
//             itself. [bar.cold.1] The cold path neither polls nor blocks on a stop nor allocates from the
//             heap. While marking it logs the old value if that may be white and the slot was in the snapshot.
//             [bar.cold.2] Two threads that store into one slot at a time both log what they find: whoever overwrites
//             the snapshot's value first has read it, since nobody had overwritten it before.
#pragma once

#include "barriers/deletion_log.h"
#include "heap/thread_block.h"

namespace echo {

// Bits of ThreadBlock::phase; 0: stores are not announced.
enum BarrierPhase : std::uint8_t {
  kBarrierIdle = 0,
  kBarrierAudit = 1,  // every overwritten slot is logged, so that the barrier verifier can compare two stops
  kBarrierMarking = 2 // old values that may be white are logged
};

struct BarrierState {
  DeletionLog log;
  std::uint64_t cold_calls = 0;
};

// Where the records of a heap go, and which of them matter.
struct BarrierHeap {
  DeletionSink sink;
  Snapshot snapshot;
};

inline Address load_slot(Address slot) {
  return __atomic_load_n(reinterpret_cast<const Address*>(slot), __ATOMIC_RELAXED);
}

// The cold path. NO-SAFEPOINT.
inline void store_barrier_cold(const ThreadBlock& block, BarrierState& state, BarrierHeap& heap,
                               Address slot) {
  ++state.cold_calls;
  const Address old_value = load_slot(slot);
  if ((block.phase & kBarrierAudit) != 0 || heap.snapshot.concerns(slot, old_value)) {
    state.log.add({slot, old_value}, heap.sink);
  }
}

// A reference that was in a root of this thread, is leaving it, and may not have been traced yet. NO-SAFEPOINT.
inline void log_leaving_root(const ThreadBlock& block, BarrierState& state, BarrierHeap& heap,
                             ObjectRef object) {
  if ((block.phase & kBarrierMarking) != 0 && heap.snapshot.concerns(object.address)) {
    state.log.add({0, object.address}, heap.sink);
  }
}

// A thread obtains a reference that the snapshot may not lead to: a weak load. NO-SAFEPOINT.
inline void log_obtained(const ThreadBlock& block, BarrierState& state, BarrierHeap& heap, ObjectRef object) {
  log_leaving_root(block, state, heap, object);
}

// The whole store. NO-SAFEPOINT.
inline void store_reference(const ThreadBlock& block, BarrierState& state, BarrierHeap& heap, Address slot,
                            ObjectRef value) {
  if (block.phase != kBarrierIdle) {
    store_barrier_cold(block, state, heap, slot);
  }
  __atomic_store_n(reinterpret_cast<Address*>(slot), value.address, __ATOMIC_RELAXED);
}

} // namespace echo
