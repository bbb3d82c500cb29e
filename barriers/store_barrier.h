// SPDX-License-Identifier: MIT
//
// Purpose     What a reference store must do, in C++: the same recipe that compilers emit.
// Invariants  [bar.fast.1] A store tests one byte of its own thread block; it is 0 unless the collector wants
//             to hear of stores. [bar.order.1] The cold path runs before the store and reads the old value
//             itself. [bar.cold.1] The cold path neither polls nor blocks on a stop nor allocates from the
//             heap. While marking it logs the old value if that may be white and the slot was in the snapshot; its mark is
//             looked at a little later [bar.sift.1].
//             [bar.cold.2] Two threads that store into one slot at a time both log what they find: whoever overwrites
//             the snapshot's value first has read it, since nobody had overwritten it before.
//             [weak.load.1] A weak load logs what it returns while marking, and answers null for a dead object while weak
//             slots are cleared. [weak.over.1] Nobody is stopped when clearing is over: each thread notices in its next
//             cold path and goes back to plain loads. Until then it only asks once more.
#pragma once

#include "barriers/deletion_log.h"
#include "heap/thread_block.h"

namespace echo {

// Bits of ThreadBlock::phase; 0: stores are not announced.
enum BarrierPhase : std::uint8_t {
  kBarrierIdle = 0,
  kBarrierAudit = 1,   // every overwritten slot is logged, so that the barrier verifier can compare two stops
  kBarrierMarking = 2, // old values that may be white are logged
  kBarrierClearing = 4 // weak slots are being cleared: weak loads answer by liveness
};

struct BarrierState {
  DeletionLog log;
  std::uint64_t cold_calls = 0;
};

// Where the records of a heap go, and which of them matter.
struct BarrierHeap {
  DeletionSink sink;
  Snapshot snapshot;
  std::atomic<bool> clearing{false}; // true only from the stop that ends a mark to the last weak slot
};

// Whole, also where a copy changes a part of the word only and the rest is another variable's.
__attribute__((no_sanitize("address"))) inline Address load_slot(Address slot) {
  return __atomic_load_n(reinterpret_cast<const Address*>(slot), __ATOMIC_RELAXED);
}

// On the thread itself: whether weak slots are still being cleared. [weak.over.1]
inline bool is_clearing(ThreadBlock& block, const BarrierHeap& heap) {
  if ((block.phase & kBarrierClearing) != 0 && !heap.clearing.load(std::memory_order_acquire)) {
    block.phase = static_cast<std::uint8_t>(block.phase & ~kBarrierClearing);
  }
  return (block.phase & kBarrierClearing) != 0;
}

// The cold path. NO-SAFEPOINT.
inline void store_barrier_cold(ThreadBlock& block, BarrierState& state, BarrierHeap& heap, Address slot) {
  ++state.cold_calls;
  const Address old_value = load_slot(slot);
  if ((block.phase & kBarrierAudit) != 0) {
    state.log.add({slot, old_value}, heap.sink);
  } else if ((block.phase & kBarrierMarking) != 0 && heap.snapshot.may_concern(slot, old_value)) {
    state.log.add_to_sift({slot, old_value}, heap.snapshot, heap.sink);
  }
  (void)is_clearing(block, heap);
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

// In place of the load of a weak slot while the collector wants to hear of stores. Marking: what it returns is alive from
// then on, as if it had been overwritten. Clearing: null for a dead object. NO-SAFEPOINT.
// What is dead is cleared before anything of it is marked for its finalizer, or freed: a word that is still there when its
// liveness has been asked was judged by this mark. [weak.load.1]
inline Address weak_load_barrier_cold(ThreadBlock& block, BarrierState& state, BarrierHeap& heap,
                                      Address slot) {
  Address word = 0;
  do {
    const bool clearing = is_clearing(block, heap);
    word = __atomic_load_n(reinterpret_cast<const Address*>(slot), __ATOMIC_ACQUIRE);
    if (!clearing) {
      break;
    }
    // Asked again: once clearing is over, what was born where a dead object lay has its address.
    if (heap.snapshot.is_dead(word) && heap.clearing.load(std::memory_order_acquire)) {
      return 0;
    }
  } while (__atomic_load_n(reinterpret_cast<const Address*>(slot), __ATOMIC_ACQUIRE) != word);
  if (word != 0 && ((block.phase & kBarrierAudit) != 0 ||
                    ((block.phase & kBarrierMarking) != 0 && heap.snapshot.concerns(word)))) {
    state.log.add({slot, word}, heap.sink);
  }
  return word;
}

// The whole store. NO-SAFEPOINT.
inline void store_reference(ThreadBlock& block, BarrierState& state, BarrierHeap& heap, Address slot,
                            ObjectRef value) {
  if (block.phase != kBarrierIdle) {
    store_barrier_cold(block, state, heap, slot);
  }
  __atomic_store_n(reinterpret_cast<Address*>(slot), value.address, __ATOMIC_RELAXED);
}

} // namespace echo
