// SPDX-License-Identifier: MIT
//
// Purpose     Finds every object reachable from what is pushed: sets M and L and counts live granules per
// slab. Algorithm   Edges on a stack; each popped edge waits in a first FIFO while its mark word is fetched
// and, if newly
//             marked, in a second while the object is fetched (prefetch-on-grey with two queues; Cher,
//             Hosking and Vitek, ISMM 2004, extended by a queue for the side bitmap). Arrays over kSliceWords
//             go in slices, so one array neither floods the stack nor the queues.
// Drawing     stack entry:  address of an object | or |  (array address | 1), next index : two words
//
// Invariants  [mark.colour.1] White: M clear. Grey: in a queue or on the stack. Black: scanned, L set. An
// object is
//             scanned once per mark. [mark.kind.1] Only words into slabs of kind OLD or LARGE are followed.
//             [mark.bound.1] The stack never holds more than one entry per traced slot: its reservation, one
//             word per word of heap in use, can not overflow while roots are pushed in batches of kRootBatch.
#pragma once

#include "heap/memory.h"

#include <array>
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
  static constexpr Address kSliceTag = 1;

  void push(Address word) { *top_++ = word; }
  void push_edge(Address word) {
    if (word == 0) {
      return;
    }
    if (!is_aligned(word, kGranule)) { // would be taken for a slice
      corrupt(word, "is not aligned to 8 bytes");
      return;
    }
    push(word);
  }
  bool test_and_mark(Address object);
  void scan(Address object);
  void scan_words(Address from, std::size_t count);
  void scan_slice(Address array, std::size_t index);
  void scan_long_slots(Address object, const LayoutRecord& record);
  void corrupt(Address object, const char* what);

  Memory& memory_;
  Address* stack_ = nullptr;
  Address* top_ = nullptr;
  Address* high_ = nullptr;
  std::size_t stack_bytes_ = 0;
  std::uint64_t objects_ = 0;
  std::uint64_t bytes_ = 0;
  std::string corruption_;
};

} // namespace echo
