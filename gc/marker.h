// SPDX-License-Identifier: MIT
//
// Purpose     Finds every object reachable from what is pushed: sets M and counts live granules per slab. One marker leads,
//             whoever holds the lock over marking; seconds, threads of the heap's own, take part while they are allowed to.
// Algorithm   The loop of one marker: gc/mark_worker.h. What markers share: gc/edge_pool.h; a lead alone works by it too, but in
//             a heap of one region.
//
// Invariants  [mark.colour.1] White: M clear. Grey: in a queue, on a stack, in slices, or handed to the lead. Black: scanned, or
//             of the fresh kind. An object is scanned once per mark. [mark.kind.1] Only words into slabs of kind OLD (by
//             whatever name) or LARGE are followed. [mark.colour.2] The kind is asked before the object is touched, so
//             never is one that was born after the mark had started. [mark.bound.1] There is at most one edge per traced
//             slot, besides roots and log entries, of which at most kMostRoots wait, and one slice per array of more
//             than kSliceWords slots: the memory for both is set aside when the heap is made. What trace callbacks visit waits
//             in native memory of its own. [mark.roots.1] What comes in as a root never makes its bearer mark more than twice as
//             much: logs stay where they are while no more roots may wait. [mark.error.1] A word that
//             is no object ends in corruption(), never in a wild read of its contents. [mark.parallel.2] A drain that says
//             that nothing is left says so of all markers.
// Threads     One thread leads at a time, by the owner's lock. Mutators run beside it: slots, headers and lengths are read
//             as relaxed atomics; a slot that changes meanwhile yields its old or its new value, and the old one of the
//             snapshot is in a deletion log.
#pragma once

#include "gc/background_thread.h"
#include "gc/mark_worker.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <vector>

namespace echo {

class Marker {
public:
  explicit Marker(Memory& memory) : memory_(memory), lead_(memory, pool_, true) {}
  ~Marker();
  bool open(const Config& config);

  // A root, or the old value of a logged slot. Nothing is marked before a drain, unless kMostRoots wait: then a little, for each.
  void push_root(ObjectRef ref);
  // Roots that may be pushed before that.
  std::size_t room_for_roots() const;
  // Marks to the end, and waits for the seconds that are at it.
  void drain();
  // Works off about `budget` edges; true if nothing is left, with any marker.
  bool drain(std::size_t budget);
  // The last drain found nothing more: seconds have what is left.
  bool is_starved() const { return lead_.is_starved(); }

  // "" or what was found: a word that is no object. The mark is then worthless. [mark.error.1]
  const std::string& corruption() const { return lead_.corruption(); }
  // No native memory for what trace callbacks visited: the mark is worthless.
  bool is_exhausted() const { return lead_.is_exhausted(); }
  // Of all markers; complete when nothing is left.
  std::uint64_t objects() const { return lead_.objects() + pool_.done_by_seconds().objects; }
  std::uint64_t bytes() const { return lead_.bytes() + pool_.done_by_seconds().bytes; }
  // Worked off since reset, as a budget counts them.
  std::uint64_t edges() const { return lead_.edges() + pool_.done_by_seconds().edges; }
  std::uint64_t edges_of_lead() const { return lead_.edges(); }
  std::uint64_t edges_of_seconds() const { return pool_.done_by_seconds().edges; }
  std::size_t markers_peak() const { return std::max<std::size_t>(pool_.most_at_work(), 1); }
  // Of the seconds, since the last call.
  std::uint64_t take_cpu_ns() { return cpu_ns_.exchange(0, std::memory_order_relaxed); }

  // As the options and the machine allow.
  std::size_t most_markers() const { return most_seconds_ + 1; }
  // That this process may run on, when the heap was made.
  std::size_t processors() const { return processors_; }
  // Before a mark that may be shared: has so many seconds, or as many as the system gives.
  void make_seconds(std::size_t count);
  // Starts a new mark; `beside`: mutators allocate meanwhile. `shared`: seconds may take part, once they are allowed.
  void reset(bool beside, bool shared = false);
  // So many seconds may be at work from now on.
  void allow(std::size_t seconds);
  bool is_shared() const { return shared_; }
  // Sleeps until a starved lead has something to do, at most so long. Any thread, without the lock over marking.
  void wait_for_seconds(std::uint64_t most_us) { pool_.wait_for_work(most_us); }
  // The mark is over, or given up: no second is at work after this.
  void dismiss_seconds();
  // Before the heap goes; in the child of a fork before its cycle is dropped, and after (false: no threads).
  void stop_seconds();
  void forget_seconds() { pool_.forget_seconds(); }
  bool restart_seconds();

  // The weak slots of what was marked: cleared behind the mark.
  WeakSlots& weak() { return lead_.weak(); }
  // Its pairs are followed while marking, and cleared behind the mark.
  Ephemerons& ephemerons() { return lead_.ephemerons(); }
  // Gives the edges' memory back when much was used, at most about `most` bytes at a time: true when that is done.
  bool trim_some(std::size_t most);

private:
  static constexpr std::size_t kMostRoots = std::size_t{1} << 21;
  struct Second {
    Second(Marker& marker, std::size_t i);
    MarkWorker worker;
    const std::size_t index;
    std::uint64_t mark = 0; // its number: of the last that it took part in
    EdgePool::Done reported;
    BackgroundThread thread;
  };
  void work(Second& second);
  std::size_t region_bytes(std::size_t high_water) const;

  Memory& memory_;
  EdgePool pool_;
  MarkWorker lead_;
  std::vector<std::unique_ptr<Second>> seconds_;
  std::size_t most_seconds_ = 0; // that memory was set aside for
  std::size_t processors_ = 1;
  void* mapped_ = nullptr; // blocks of edges, then slices
  std::size_t mapped_bytes_ = 0;
  std::size_t trimmed_ = 0; // bytes, since the mark ended
  std::uint64_t roots_ = 0,
                objects_before_ = 0; // pushed, and objects marked, since and before nothing was left last
  std::size_t region_bytes_ = 0;     // the option
  bool shared_ = false;
  bool seconds_first_ = false; // tests
  std::uint64_t mark_ = 0;     // marks so far; read by seconds that have entered
  std::atomic<std::uint64_t> cpu_ns_{0};
};

} // namespace echo
