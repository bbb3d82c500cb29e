// SPDX-License-Identifier: MIT
//
// Purpose     Weak slots: they keep nothing alive, and hold null once their object is dead.
// Algorithm   The marker notes each marked object that has weak slots and does not follow them. Behind the mark, each
//             noted slot whose object is not marked becomes null. What was born since the mark started is not noted and
//             needs not be: it got its weak references by loads that made them alive. [weak.load.1]
// Invariants  [weak.clear.1] Dead targets are cleared before their memory may be used again, by compare-and-swap: what a
//             program stores meanwhile stays. [weak.note.1] An object is noted at most once per mark, and takes at least
//             16 bytes: the memory for all is set aside when the heap is made, so noting cannot fail.
#pragma once

#include "heap/assert.h"
#include "heap/memory.h"

namespace echo {

class WeakSlots {
public:
  explicit WeakSlots(Memory& memory) : memory_(memory) {}
  ~WeakSlots();
  WeakSlots(const WeakSlots&) = delete;
  WeakSlots& operator=(const WeakSlots&) = delete;
  // False if the operating system refused the address space.
  bool open(const Config& config);

  void reset() { top_ = objects_; }
  // A marked object with weak slots.
  void note(Address object) {
    ECHO_CHECK(top_ != end_, "[weak.note.1] more objects with weak slots than fit the heap");
    *top_++ = object;
  }
  // After a whole mark, before anything is swept. The number of slots that were cleared.
  std::size_t clear();
  // Gives memory back when much was used.
  void trim();

private:
  bool is_dead(Address object) const;

  Memory& memory_;
  Address* objects_ = nullptr;
  Address* top_ = nullptr;
  Address* end_ = nullptr;
  std::size_t mapped_bytes_ = 0;
};

} // namespace echo
