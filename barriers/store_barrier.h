// SPDX-License-Identifier: MIT
//
// Purpose     What a reference store must do, in C++: the same recipe that compilers emit.
// Invariants  [bar.fast.1] A store tests one byte of its own thread block; it is 0 unless the collector wants
//             to hear of stores. [bar.order.1] The cold path runs before the store and reads the old value
//             itself. [bar.cold.1] The cold path neither polls nor blocks on a stop nor allocates from the
//             heap.
#pragma once

#include "barriers/deletion_log.h"
#include "heap/thread_block.h"

namespace echo {

// Values of ThreadBlock::phase.
enum class BarrierPhase : std::uint8_t {
  Idle = 0, // stores are not announced
  Audit = 1 // every overwritten slot is logged, so that the barrier verifier can compare two stops
};

struct BarrierState {
  DeletionLog log;
  std::uint64_t cold_calls = 0;
};

inline Address load_slot(Address slot) {
  return __atomic_load_n(reinterpret_cast<const Address*>(slot), __ATOMIC_RELAXED);
}

// The cold path. NO-SAFEPOINT.
inline void store_barrier_cold(BarrierState& state, DeletionSink& sink, Address slot) {
  ++state.cold_calls;
  state.log.add({slot, load_slot(slot)}, sink);
}

// In place of the load of a weak slot while the collector wants to hear of stores: what it returns is alive from then on,
// as if it had been overwritten. [weak.load.1] NO-SAFEPOINT.
inline Address weak_load_barrier_cold(BarrierState& state, DeletionSink& sink, Address slot) {
  const Address word = load_slot(slot);
  if (word != 0) {
    state.log.add({slot, word}, sink);
  }
  return word;
}

// The whole store. NO-SAFEPOINT.
inline void store_reference(ThreadBlock& block, BarrierState& state, DeletionSink& sink, Address slot,
                            ObjectRef value) {
  if (block.phase != static_cast<std::uint8_t>(BarrierPhase::Idle)) {
    store_barrier_cold(state, sink, slot);
  }
  __atomic_store_n(reinterpret_cast<Address*>(slot), value.address, __ATOMIC_RELAXED);
}

} // namespace echo
