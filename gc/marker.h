// SPDX-License-Identifier: MIT
//
// Purpose     Finds every object reachable from what is pushed: sets M and counts live granules per slab.
// Algorithm   An edge waits with its region (gc/edge_stacks.h). Popped, it waits in a first queue while its mark word is
//             fetched and, if newly marked, in a second while the object is fetched (prefetch-on-grey: Cher, Hosking and
//             Vitek, ISMM 2004, extended by a queue for the side bitmap). Arrays over kSliceWords go in slices, so one
//             array neither floods the stacks nor the queues.
//
// Invariants  [mark.colour.1] White: M clear. Grey: in a queue, on a stack, or in slices. Black: scanned, or of the
//             fresh kind. An object is scanned once per mark. [mark.kind.1] Only words into slabs of kind OLD (by
//             whatever name) or LARGE are followed. [mark.colour.2] The kind is asked before the object is touched, so
//             never is one that was born after the mark had started. [mark.bound.1] There is at most one edge per traced
//             slot, besides roots and log entries, of which at most kMostRoots wait, and one slice per array of more
//             than kSliceWords slots: the memory for both is set aside when the heap is made. What trace callbacks visit waits
//             in native memory of its own. [mark.error.1] A word that
//             is no object ends in corruption(), never in a wild read of its contents.
// Threads     One thread marks at a time, by the owner's lock. Mutators run beside it: slots, headers and lengths are read
//             as relaxed atomics; a slot that changes meanwhile yields its old or its new value, and the old one of the
//             snapshot is in a deletion log.
#pragma once

#include "gc/edge_stacks.h"
#include "gc/ephemerons.h"
#include "gc/weak_slots.h"
#include "heap/memory.h"

#include <string>
#include <vector>

namespace echo {

class Marker {
public:
  explicit Marker(Memory& memory) : memory_(memory), weak_(memory), ephemerons_(memory) {}
  ~Marker();
  bool open(const Config& config);

  // A root, or the old value of a logged slot. Nothing is marked before a drain, unless kMostRoots wait.
  void push_root(ObjectRef ref);
  void drain() { (void)drain(SIZE_MAX); }
  // Works off about `budget` edges; true if nothing is left.
  bool drain(std::size_t budget);

  // "" or what was found: a word that is no object. The mark is then worthless. [mark.error.1]
  const std::string& corruption() const { return corruption_; }
  // No native memory for what trace callbacks visited: the mark is worthless.
  bool is_exhausted() const { return exhausted_; }
  std::uint64_t objects() const { return objects_; }
  std::uint64_t bytes() const { return bytes_; }
  // Worked off since reset, as a budget counts them.
  std::uint64_t edges() const { return edges_done_; }
  // Starts a new mark; `beside`: mutators allocate meanwhile.
  void reset(bool beside);
  // The weak slots of what was marked: cleared behind the mark.
  WeakSlots& weak() { return weak_; }
  // Its pairs are followed while marking, and cleared behind the mark.
  Ephemerons& ephemerons() { return ephemerons_; }
  // Gives the edges' memory back when much was used, at most about `most` bytes at a time: true when that is done.
  bool trim_some(std::size_t most);

private:
  static constexpr std::size_t kQueue = 16;
  static constexpr std::size_t kSliceWords = 256;
  static constexpr std::size_t kSliceBatch =
      64; // slices pushed before their edges are followed: regions want many
  static constexpr std::size_t kMostRoots = std::size_t{1} << 21;
  struct Slice {
    Address array;
    std::size_t next;
  };

  template <class Edges> bool drain_into(Edges edges, std::size_t budget);
  // Each takes the stacks and returns them: the loop keeps their words in registers.
  template <class Edges> Edges scan_general(Address object, const LayoutRecord& record, Edges edges);
  template <class Edges> Edges scan_slice(Slice slice, Edges edges);
  template <class Edges> Edges push_traced(Edges edges, std::size_t* budget);
  void run_trace(Address object, const LayoutRecord& record);
  template <class Edges> Edges push_hits(Address from, std::size_t words, Edges edges);
  template <class Edges> Edges scan_long_slots(Address object, const LayoutRecord& record, Edges edges) const;
  template <class Edges> Edges scan_ephemerons(Address object, const LayoutRecord& record, Edges edges);
  bool accept_unusual(Address word, SlabKind kind);
  void reject_header(Address object);
  void corrupt(Address object, const char* what);

  Memory& memory_;
  WeakSlots weak_;
  Ephemerons ephemerons_;
  EdgeStacks edges_;
  void* mapped_ = nullptr; // blocks of edges, then slices
  std::size_t mapped_bytes_ = 0;
  Slice* slices_ = nullptr;
  Slice* slices_top_ = nullptr;
  Slice* slices_end_ = nullptr;
  std::size_t trimmed_ = 0;      // bytes, since the mark ended
  std::size_t roots_ = 0;        // since the last drain
  std::size_t region_bytes_ = 0; // the option
  std::uint64_t objects_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint64_t edges_done_ = 0;
  std::string corruption_;
  std::vector<Address> traced_; // visited by trace callbacks, to be followed: any number [mark.bound.1]
  bool exhausted_ = false;
};

} // namespace echo
