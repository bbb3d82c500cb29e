// SPDX-License-Identifier: MIT
//
// Purpose     Finds every object reachable from what is pushed: sets M and counts live granules per slab.
// Algorithm   Edges on a stack; each popped edge waits in a first queue while its mark word is fetched and,
//             if newly marked, in a second while the object is fetched (prefetch-on-grey: Cher, Hosking and
//             Vitek, ISMM 2004, extended by a queue for the side bitmap). Arrays over kSliceWords go in
//             slices, so one array neither floods the stack nor the queues.
// Drawing     one reservation:  | edges -> ....................... <- slices (array, next index) |
//
// Invariants  [mark.colour.1] White: M clear. Grey: in a queue, on the stack, or in slices. Black: scanned.
//             An object is scanned once per mark. [mark.kind.1] Only words into slabs of kind OLD or LARGE
//             are followed. [mark.bound.1] The stack holds at most one edge per traced slot and one slice per
//             array of more than kSliceWords unpushed slots, besides a batch of roots: one word per word of
//             heap can not overflow. [mark.error.1] A word that is no object ends in corruption(), never in a
//             wild read of its contents.
#pragma once

#include "heap/memory.h"

#include <string>

namespace echo {

class Marker {
public:
  explicit Marker(Memory& memory) : memory_(memory) {}
  ~Marker();
  bool open(std::size_t max_heap);

  // A root. Drains when a batch is full.
  void push_root(ObjectRef ref);
  void drain();

  // "" or what was found: a word that is no object. The mark is then worthless. [mark.error.1]
  const std::string& corruption() const { return corruption_; }
  std::uint64_t objects() const { return objects_; }
  std::uint64_t bytes() const { return bytes_; }
  // Starts a new mark.
  void reset();
  // Gives the stack's memory back when it has grown.
  void trim();

private:
  static constexpr std::size_t kQueue = 16;
  static constexpr std::size_t kSliceWords = 256;
  static constexpr std::size_t kRootBatch = 4096;
  struct Slice {
    Address array;
    std::size_t next;
  };

  // Each takes the top of the stack and returns the new one: the loop keeps it in a register.
  Address* scan_general(Address object, const LayoutRecord& record, Address* top);
  Address* scan_slice(Slice slice, Address* top);
  Address* scan_long_slots(Address object, const LayoutRecord& record, Address* top) const;
  bool accept_outside_slabs(Address word);
  void reject_header(Address object);
  void corrupt(Address object, const char* what);

  Memory& memory_;
  Address* stack_ = nullptr;
  Address* top_ = nullptr;
  Address* high_ = nullptr;     // of the last drain
  Slice* slices_end_ = nullptr; // grows downwards
  Slice* slices_ = nullptr;
  std::size_t stack_bytes_ = 0;
  std::uint64_t objects_ = 0;
  std::uint64_t bytes_ = 0;
  std::string corruption_;
};

} // namespace echo
