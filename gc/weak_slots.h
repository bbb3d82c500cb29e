// SPDX-License-Identifier: MIT
//
// Purpose     Weak slots: they keep nothing alive, and hold null once their object is dead.
// Algorithm   The marker notes each marked object that has weak slots and does not follow them. Behind the mark, beside the
//             program and in slices, each noted slot whose object is not marked becomes null; until that is over weak
//             loads answer by liveness. What was born since the mark started is not noted and needs not be: it got its
//             weak references by loads that made them alive, or found them alive. [weak.load.1]
// Invariants  [weak.clear.1] Dead targets are cleared before their memory may be used again, and before anything dead is
//             marked for its finalizer, by compare-and-swap: what a program stores meanwhile stays. [weak.note.1] An object
//             is noted at most once per mark, and takes at least 16 bytes: the memory for all is set aside when the heap is
//             made, so noting cannot fail.
// Threads     The marker notes; who drives the cycle clears. Slots are shared with mutators: atomics.
#pragma once

#include "barriers/deletion_log.h"
#include "heap/assert.h"
#include "heap/memory.h"

namespace echo {

class WeakSlots {
public:
  explicit WeakSlots(Memory& memory) : memory_(memory), snapshot_(memory.pool.slabs(), memory.bits) {}
  ~WeakSlots();
  WeakSlots(const WeakSlots&) = delete;
  WeakSlots& operator=(const WeakSlots&) = delete;
  // False if the operating system refused the address space.
  bool open(const Config& config);

  void reset() {
    top_ = next_ = objects_;
    cleared_ = 0;
  }
  // A marked object with weak slots.
  void note(Address object) {
    ECHO_CHECK(top_ != end_, "[weak.note.1] more objects with weak slots than fit the heap");
    *top_++ = object;
  }
  // Whether noted objects wait for clear_some.
  bool has_work() const { return next_ != top_; }
  // After a whole mark, before anything is swept: clears the slots of at most `most` noted objects.
  void clear_some(std::size_t most);
  // Slots that were cleared since reset().
  std::size_t cleared() const { return cleared_; }
  // Gives memory back when much was used.
  void trim();

private:
  void clear_slots(Address object);

  Memory& memory_;
  const Snapshot snapshot_;
  Address* objects_ = nullptr;
  Address* next_ = nullptr; // the first that is not cleared
  Address* top_ = nullptr;
  Address* end_ = nullptr;
  std::size_t mapped_bytes_ = 0;
  std::size_t cleared_ = 0;
};

// Makes a slot null that holds `target`, by compare-and-swap; whether it did.
bool clear_slot(Address slot, Address target);

} // namespace echo
