// SPDX-License-Identifier: MIT
//
// Purpose     Chunks and empty slabs: where memory enters the heap, is accounted against the limit, and
//             leaves it.
// Invariants  [heap.pool.1] used + request <= limit whenever something is handed out. [heap.pool.2] A chunk
//             is free, in use, or returning; free slabs are exactly the set bits of the free masks.
//             [heap.pool.3] Memory handed out is committed. [heap.pool.4] Giving back happens outside stops
//             and never holds the lock meanwhile. [heap.ahead.1] Populating changes no contents and no
//             ownership: it may overlap with use. It runs on the background thread, which also gives
//             back, in steps of at most one chunk.
//             [heap.node.1] On a machine with several NUMA nodes a slab comes from a chunk of the caller's
//             node, then from a new chunk bound to it, and only then from another node. A refused binding is
//             counted and costs speed only. One node, or a kernel without NUMA: nothing is asked or bound.
//             [heap.near.1] A thread that asks for empty slabs gets those it filled before the last collection first,
//             if they are empty, committed and on its node: its processor's caches may hold them.
// Equations   wanted ahead = min(target, trigger - used, keep);  target' = 2 target when a slab was handed out before
//             its pages were there, target - target/8 at a collection without that; between the option `populate` and 8
//             times it
//             used_bytes = 64 KiB * slabs with objects + pages of large objects
//             committed  = 2 MiB * (chunks committed - chunks returned) - 64 KiB * slabs given back of other chunks
#pragma once

#include "heap/config.h"
#include "heap/mutex.h"
#include "heap/native/topology.h"
#include "heap/slab_table.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <span>
#include <vector>

namespace echo {

enum class Grant : std::uint8_t {
  Ok,
  OverTrigger, // a collection is due first
  OverLimit,   // the heap limit
  Fragmented,  // no run of free chunks is left in the reserved address space
  Refused      // the operating system
};

// How far an allocation may go.
enum class Urgency : std::uint8_t {
  Normal, // up to the trigger
  Beside, // beside a collection: up to 7/8 of the limit. Slabs opened then are rarely emptied: the rest is for large objects
  Forced  // up to the limit
};

class SlabPool {
public:
  ~SlabPool();
  // The machine, before open. Without it there is one node.
  void use_topology(native::Topology& topology) {
    topology_ = &topology;
    nodes_ = topology.has_numa() ? topology.node_count() : 1;
  }
  bool open(const Config& config);

  unsigned node_count() const { return nodes_; }
  // The node of the calling thread; 0 if there is one node.
  unsigned current_node() const { return nodes_ > 1 ? topology_->current_node() : 0; }
  // The node of a slab in use.
  unsigned node_of(SlabIndex slab) const {
    return nodes_ > 1 ? chunk_nodes_[slab.number / kSlabsPerChunk].load(std::memory_order_relaxed) : 0;
  }
  struct NodeCounters {
    std::uint64_t local_slabs = 0;    // handed to a thread of their own node
    std::uint64_t remote_slabs = 0;   // handed to a thread of another node
    std::uint64_t migrated_slabs = 0; // handed to a thread of another node than their last owner's
    std::uint64_t bind_refusals = 0;
  };
  NodeCounters node_counters() ECHO_EXCLUDES(mutex_);

  SlabTable& slabs() { return slabs_; }
  const SlabTable& slabs() const { return slabs_; }

  // Up to `want` empty slabs, fewer where little is left to the bound, at least one; their contents are unspecified.
  // Those of `preferred` that are empty come first [heap.near.1]. *count is 0 if the grant is not Ok.
  Grant take_slabs(Urgency urgency, std::size_t want, SlabIndex* out, std::size_t* count,
                   std::span<const SlabIndex> preferred = {}) ECHO_EXCLUDES(mutex_);
  Grant take_slab(Urgency urgency, SlabIndex* out) ECHO_EXCLUDES(mutex_) {
    std::size_t count = 0;
    return take_slabs(urgency, 1, out, &count);
  }
  // `count` neighbouring empty chunks for the large-object space; *zeroed: nothing was written to them yet.
  // Accounts nothing: the large-object space accounts pages.
  Grant take_chunks(std::size_t count, Address* out, bool* zeroed) ECHO_EXCLUDES(mutex_);
  // Puts empty chunks back.
  void put_chunks(Address first, std::size_t count) ECHO_EXCLUDES(mutex_);
  // Puts a slab back. Its kind becomes FREE.
  void put_slab(SlabIndex slab) ECHO_EXCLUDES(mutex_);

  // Accounts pages of large objects. [heap.pool.1]
  Grant charge(std::size_t bytes, Urgency urgency) ECHO_EXCLUDES(mutex_);
  void uncharge(std::size_t bytes) ECHO_EXCLUDES(mutex_);

  void set_trigger(std::size_t bytes) ECHO_EXCLUDES(mutex_);
  // Bytes that count like used ones against the trigger only. Any thread, no lock. [external.push.1]
  void set_pressure(std::size_t bytes) { pressure_.store(bytes, std::memory_order_relaxed); }
  // No more room up to the trigger.
  bool is_over_trigger() ECHO_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    return admit(kSlabBytes, Urgency::Normal) != Grant::Ok;
  }
  // While a collection runs beside the program Normal is Beside, until set_trigger is called again.
  void lift_trigger() ECHO_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    trigger_ = std::max(trigger_, beside_bound());
  }
  std::size_t trigger() ECHO_EXCLUDES(mutex_);
  // What may still be allocated beside a collection.
  std::size_t room_beside() ECHO_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    return beside_bound() - std::min(used_, beside_bound());
  }
  std::size_t limit() const { return limit_; }
  std::size_t used_bytes() ECHO_EXCLUDES(mutex_);
  std::size_t committed_bytes() ECHO_EXCLUDES(mutex_);
  std::size_t peak_committed_bytes() ECHO_EXCLUDES(mutex_);
  std::size_t returned_bytes() ECHO_EXCLUDES(mutex_);
  // Slabs below this index have been handed out at some time.
  std::uint32_t slab_high_water() ECHO_EXCLUDES(mutex_);

  // Empty memory worth keeping: the option keep_free, or what may be allocated until the next collection.
  std::size_t keep() ECHO_EXCLUDES(mutex_);
  // Bytes of committed chunks that are wholly empty.
  std::size_t empty_bytes() ECHO_EXCLUDES(mutex_);
  // Gives back one empty chunk if more than `keep` bytes of empty chunks are committed; true if it did.
  bool return_one_chunk(std::size_t keep) ECHO_EXCLUDES(mutex_);
  // For a program that is idle. Empty memory to keep then: the option keep_free, or populate.
  std::size_t idle_keep() const { return keep_free_ != 0 ? keep_free_ : populate_; }
  // Little is populated ahead from now on, until the program is late again.
  void expect_little() ECHO_EXCLUDES(mutex_);
  // Gives back the empty slabs of one chunk below *chunk (SIZE_MAX at first) that holds others, but not what is populated
  // ahead; false: there is none.
  bool return_free_slabs(std::size_t* chunk) ECHO_EXCLUDES(mutex_);
  // Bytes that went to the program, cumulative. Any thread, no lock.
  std::uint64_t handed_out() const { return handed_out_.load(std::memory_order_relaxed); }

  // Populates the next free memory that is to be handed out; false if enough of it is there, or the system
  // refuses. At most one chunk.
  bool populate_step() ECHO_EXCLUDES(mutex_);
  // Memory of a large object that nobody has touched yet, for populate_step to bring in.
  void request_populate(Address at, std::size_t bytes) ECHO_EXCLUDES(mutex_);
  // Less than half of what is wanted is populated. Any thread, no lock.
  bool is_behind() const {
    return 2 * ahead_.load(std::memory_order_relaxed) < wanted_.load(std::memory_order_relaxed);
  }
  std::uint64_t populated_bytes() const { return populated_bytes_.load(std::memory_order_relaxed); }
  // Slabs handed out before their pages were there.
  std::uint64_t late_slabs() const { return late_slabs_.load(std::memory_order_relaxed); }

  // "" if the pool's equations hold, else what is broken. Deep: walks all slabs.
  const char* check() ECHO_EXCLUDES(mutex_);

private:
  enum class ChunkState : std::uint8_t { Untouched, Committed, Returned, Returning };
  static constexpr std::uint32_t kAllFree = 0xFFFFFFFFu;
  static constexpr std::size_t kLeastKept = std::size_t{32} << 20;

  std::size_t choose_chunk(std::size_t first, unsigned node) const ECHO_REQUIRES(mutex_);
  void place(std::size_t chunk, unsigned node) ECHO_REQUIRES(mutex_);
  void note_owner(SlabIndex slab, unsigned node) ECHO_REQUIRES(mutex_);
  Grant take_one(Urgency urgency, unsigned node, SlabIndex* out) ECHO_REQUIRES(mutex_);
  bool is_at_hand(SlabIndex slab, unsigned node) const ECHO_REQUIRES(mutex_);
  void hand_out(SlabIndex slab, unsigned node) ECHO_REQUIRES(mutex_);
  std::size_t beside_bound() const { return limit_ - limit_ / 8; }
  std::size_t bound_of(Urgency urgency) const ECHO_REQUIRES(mutex_);
  Grant admit(std::size_t bytes, Urgency urgency) const ECHO_REQUIRES(mutex_);
  std::size_t wanted_ahead() const ECHO_REQUIRES(mutex_);
  std::size_t measure_ahead(std::size_t wanted, std::size_t* gap) const ECHO_REQUIRES(mutex_);
  void note_ahead(std::size_t wanted, std::size_t ahead) ECHO_REQUIRES(mutex_);
  bool next_step(Address* at, std::size_t* bytes) ECHO_REQUIRES(mutex_);
  Grant make_usable(std::size_t chunk, unsigned node) ECHO_REQUIRES(mutex_);
  void note_free(std::size_t chunk) ECHO_REQUIRES(mutex_);
  void note_handed_out(std::size_t bytes) ECHO_REQUIRES(mutex_) {
    handed_out_.store(handed_out_.load(std::memory_order_relaxed) + bytes, std::memory_order_relaxed);
  }
  void take_back(std::size_t chunk, std::uint32_t mask) ECHO_REQUIRES(mutex_);
  void set_uses(std::size_t chunk, std::uint32_t mask, SlabUse use) ECHO_REQUIRES(mutex_);
  Grant extend(std::size_t count, std::size_t* first) ECHO_REQUIRES(mutex_);

  Mutex mutex_;
  SlabTable slabs_;
  void* reservation_ = nullptr;
  std::size_t reservation_bytes_ = 0;
  std::size_t limit_ = 0;
  std::size_t keep_free_ = 0;
  bool huge_pages_ = true;
  std::size_t trigger_ ECHO_GUARDED_BY(mutex_) = 0;
  std::size_t used_ ECHO_GUARDED_BY(mutex_) = 0;
  std::size_t committed_ ECHO_GUARDED_BY(mutex_) = 0;
  std::size_t peak_committed_ ECHO_GUARDED_BY(mutex_) = 0;
  std::size_t returned_ ECHO_GUARDED_BY(mutex_) = 0;
  std::size_t empty_chunks_ ECHO_GUARDED_BY(mutex_) = 0;         // committed and wholly free
  std::vector<std::uint32_t> free_mask_ ECHO_GUARDED_BY(mutex_); // per chunk below the high water
  std::vector<ChunkState> chunk_state_ ECHO_GUARDED_BY(mutex_);
  std::vector<std::uint32_t>
      populated_ ECHO_GUARDED_BY(mutex_); // per chunk: slabs whose pages are known to be there
  std::vector<std::uint32_t>
      discarded_ ECHO_GUARDED_BY(mutex_);           // per chunk: its empty slabs that were given back
  std::vector<bool> clean_ ECHO_GUARDED_BY(mutex_); // per chunk: nothing was written since it was zero
  native::Topology plain_machine_;
  native::Topology* topology_ = &plain_machine_;
  unsigned nodes_ = 1;
  std::unique_ptr<std::atomic<std::uint8_t>[]> chunk_nodes_;      // with several nodes
  std::vector<std::uint8_t> owner_nodes_ ECHO_GUARDED_BY(mutex_); // per slab, with several nodes
  unsigned last_node_ ECHO_GUARDED_BY(mutex_) = 0;                // of the last thread that took slabs
  NodeCounters node_counters_ ECHO_GUARDED_BY(mutex_);
  struct Request {
    Address at;
    std::size_t bytes;
  };
  std::vector<Request> requests_ ECHO_GUARDED_BY(mutex_);
  std::size_t target_ ECHO_GUARDED_BY(mutex_) = 0;
  bool was_late_ ECHO_GUARDED_BY(mutex_) = false; // since the last collection
  bool can_populate_ ECHO_GUARDED_BY(mutex_) = false;
  std::size_t populate_ = 0; // the option
  std::atomic<std::size_t> ahead_{0}, wanted_{0};
  std::atomic<std::size_t> pressure_{0};
  std::atomic<std::uint64_t> populated_bytes_{0}, late_slabs_{0}, handed_out_{0};
  std::size_t first_free_hint_ ECHO_GUARDED_BY(mutex_) = 0; // no chunk below has a free slab
};

} // namespace echo
