// SPDX-License-Identifier: MIT
//
// Purpose     One marker: the loop that takes edges, sets M, counts live granules per slab, and pushes the edges of what it
//             has marked.
// Algorithm   An edge waits with its region (gc/edge_stacks.h). Popped, it waits in a first queue while its mark word is
//             fetched and, if newly marked, in a second while the object is fetched (prefetch-on-grey: Cher, Hosking and
//             Vitek, ISMM 2004, extended by a queue for the side bitmap). Arrays over kSliceWords go in slices, so one
//             array neither floods the stacks nor the queues, and several markers share it.
// Invariants  [mark.colour.1] [mark.colour.2] [mark.kind.1] [mark.error.1] of marker.h; [mark.parallel.1] and [mark.parallel.4]
//             of edge_pool.h.
// Threads     One thread at a time. Mutators and other markers run beside it.
#pragma once

#include "gc/edge_pool.h"
#include "gc/edge_stacks.h"
#include "gc/ephemerons.h"
#include "gc/weak_slots.h"
#include "heap/memory.h"

#include <array>
#include <string>
#include <vector>

namespace echo {

class MarkWorker {
public:
  static constexpr std::size_t kSliceWords = 256;
  static constexpr std::size_t kWordsPerEdge = 8; // a cache line costs about what an edge costs

  // The lead alone looks into weak slots, ephemerons, and objects with trace callbacks or ambiguous words.
  MarkWorker(Memory& memory, EdgePool& pool, bool leads)
      : memory_(memory), pool_(pool), leads_(leads), weak_(memory), ephemerons_(memory) {}

  EdgeStacks& stacks() { return stacks_; }
  const EdgeStacks& stacks() const { return stacks_; }
  WeakSlots& weak() { return weak_; }
  Ephemerons& ephemerons() { return ephemerons_; }
  // A new mark.
  void begin();
  void push(Address word, bool shared);
  // Works off about `budget` edges, with others or alone. True: nothing is left; of a second, nothing that it could take.
  bool drain(std::size_t budget, bool shared);
  // The lead's last drain ended because all that is left is with others.
  bool is_starved() const { return starved_; }
  // A second, before it leaves: what it has marked for the lead goes to it.
  void hand_all();

  const std::string& corruption() const { return corruption_; }
  void corrupt(const std::string& text) {
    if (corruption_.empty()) {
      corruption_ = text;
    }
  }
  bool is_exhausted() const { return exhausted_; }
  std::uint64_t objects() const { return objects_; }
  std::uint64_t bytes() const { return bytes_; }
  std::uint64_t edges() const { return edges_done_; }

private:
  // Then neither regions nor edges change hands: one top in a register.
  bool is_alone_in_one_region(bool shared) const { return !shared && stacks_.has_one_region(); }
  static constexpr std::size_t kQueue = 16;
  static constexpr std::size_t kSliceBatch =
      64; // slices pushed before their edges are followed: regions want many

  template <class Edges> bool drain_into(Edges edges, std::size_t budget);
  // Each takes the stacks and returns them: the loop keeps their words in registers.
  bool count_general(Address object, const LayoutRecord& record);
  template <class Edges> Edges scan_general(Address object, const LayoutRecord& record, Edges edges);
  template <class Edges> Edges scan_counted(Address object, const LayoutRecord& record, Edges edges);
  template <class Edges> Edges scan_slice(EdgePool::Slice slice, Edges edges);
  template <class Edges> Edges scan_slices(Edges edges, std::size_t* budget, bool* some);
  template <class Edges> Edges scan_handed(Edges edges, std::size_t* budget, bool* some);
  template <class Edges> Edges push_traced(Edges edges, std::size_t* budget);
  void run_trace(Address object, const LayoutRecord& record);
  template <class Edges> Edges push_hits(Address from, std::size_t words, Edges edges);
  template <class Edges> Edges scan_long_slots(Address object, const LayoutRecord& record, Edges edges) const;
  template <class Edges> Edges scan_ephemerons(Address object, const LayoutRecord& record, Edges edges);
  template <class Edges> bool may_look_at_ephemerons();
  void hand(Address object);
  static std::size_t words_scanned(Address object, const LayoutRecord& record);
  bool accept_unusual(Address word, SlabKind kind);
  void reject_header(Address object);
  void corrupt(Address object, const char* what);

  Memory& memory_;
  EdgePool& pool_;
  const bool leads_;
  WeakSlots weak_;
  Ephemerons ephemerons_;
  EdgeStacks stacks_;
  std::uint64_t objects_ = 0;
  std::uint64_t bytes_ = 0;
  std::uint64_t edges_done_ = 0;
  std::string corruption_;
  std::vector<Address> traced_; // visited by trace callbacks, to be followed: any number [mark.bound.1]
  bool exhausted_ = false, starved_ = false;
  std::array<Address, 64> handed_{}; // the first handed_count_: marked and counted, for the lead
  std::size_t handed_count_ = 0;
};

} // namespace echo
