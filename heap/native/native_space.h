// SPDX-License-Identifier: MIT
//
// Purpose     Where native memory comes from: one reservation of chunks, handed out as slabs of 64 KiB or as
//             whole chunks, by NUMA node; and how it goes back to the system.
//
//             Beside it two tables of bits, 1 KiB per slab each: live and remote (slab_record.h). They are committed
//             with their chunk and touched with their slab: 1.6 % each.
//
//             A chunk (2 MiB) is   Untouched -> Free <-> Slabs | Runs | Large,   Free <-> Returning
//
// Invariants  [native.space.1] A slab or chunk is handed out once until it is put back, and is then
//             readable and writable. [native.space.2] Chunks in use Slabs belong to one shard; the set bits
//             of their free mask are exactly the slabs nobody has. [native.space.3] Local first: a slab
//             comes from the caller's node, then from a new chunk bound to it, and only then from another
//             node.
//             [native.space.4] Giving memory back to the system happens in steps of at most one chunk, and
//             never with a lock of the space held. [native.space.5] What the machine refuses (binding, huge pages) is
//             counted and costs speed only.
//             [native.space.6] By itself the space gives back only what has stayed free for a whole window: a
//             program that fills and empties the same memory does not pay for its pages each time.
// Equations   committed = 2 MiB * (chunks not Untouched);  resident_free = 2 MiB * (Free chunks not yet
//             returned)
#pragma once

#include "heap/mutex.h"
#include "heap/native/metadata_arena.h"
#include "heap/native/slab_record.h"
#include "heap/native/topology.h"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace echo::native {

enum class PageKind : std::uint8_t {
  Base,        // what the system gives
  Transparent, // 2 MiB where the system can
  Gigantic     // 1 GiB where the system has them set aside, else Transparent
};

struct SpaceConfig {
  std::size_t reserve_bytes = 0; // address space; 0: the larger of 64 GiB and twice the machine's memory
  std::size_t keep_bytes = std::size_t{32} << 20; // free memory kept before it goes back to the system
  std::uint64_t window_ns = 500'000'000;          // beyond that, what has stayed free for so long goes back
  PageKind pages = PageKind::Transparent;
};

struct SpaceCounters {
  std::uint64_t local_slabs = 0;    // handed to a thread of their own node
  std::uint64_t remote_slabs = 0;   // handed to a thread of another node
  std::uint64_t migrated_slabs = 0; // whose owner changed to one on another node
  std::uint64_t bind_refusals = 0;
  std::uint64_t huge_refusals = 0;
  std::uint64_t gigantic_pages = 0;
  std::uint64_t returned_bytes = 0; // to the system, ever
  std::size_t committed_bytes = 0;
  std::size_t free_resident_bytes = 0;
};

class NativeSpace {
public:
  explicit NativeSpace(Topology& topology) : topology_(topology) {}
  NativeSpace(const NativeSpace&) = delete;
  NativeSpace& operator=(const NativeSpace&) = delete;
  ~NativeSpace();
  // False if the system refused even a small reservation.
  bool open(const SpaceConfig& config);

  Address base() const { return base_; }
  std::size_t slab_count() const { return slab_count_; }
  SlabEntry* table() const { return table_; }
  BitWord* live_bits() const { return live_bits_; }
  BitWord* live_of(SlabIndex slab) const { return live_bits_ + std::size_t{slab.number} * kSlabWords; }
  BitWord* remote_of(SlabIndex slab) const { return remote_bits_ + std::size_t{slab.number} * kSlabWords; }
  Topology& topology() { return topology_; }
  MetadataArena& arena() { return arena_; }
  MetadataArena& records() { return records_; } // slab records only [native.record.1]
  Address slab_start(SlabIndex slab) const { return base_ + std::size_t{slab.number} * kSlabBytes; }
  bool contains(Address p) const { return p - base_ < slab_count_ * kSlabBytes; }

  // A slab near `node`; `spread` picks the shard. *node_out: the node it lies on. False: out of memory.
  bool take_slab(unsigned node, unsigned spread, SlabIndex* out, std::uint8_t* node_out);
  void put_slab(SlabIndex slab);

  // `count` neighbouring chunks near `node`, with `owner` as their note. False: out of memory.
  bool take_chunks(std::size_t count, unsigned node, void* owner, Address* out);
  void put_chunks(Address first, std::size_t count);
  // The note of the chunk around p if it was handed out by take_chunks, else null.
  void* chunk_owner(Address p) const;

  // Gives at most one chunk back if more than `keep` bytes lie free; the bytes given back.
  std::size_t return_step(std::size_t keep);
  // The step that belongs to every path on which memory becomes free: gives at most one chunk back, of what nobody has
  // needed for a window, and keeps what the configuration says. [native.space.6]
  void settle() {
    if (free_resident_hint_.load(std::memory_order_relaxed) > config_.keep_bytes) {
      return_idle();
    }
  }
  // Gives free memory back in such steps until only `keep` bytes are left or the clock has passed `deadline_ns`,
  // but does one step that gives something, if there is one: calls that are always late get on, too.
  std::size_t return_all(std::uint64_t deadline_ns, std::size_t keep = 0);

  void note_migration() { migrated_.fetch_add(1, std::memory_order_relaxed); }
  SpaceCounters counters();
  // "" if the free masks and lists agree, else what does not. Deep.
  const char* check();

  // Around a fork, for each pool of the space: the child inherits a consistent space.
  void lock_all() ECHO_NO_THREAD_ANALYSIS;
  void unlock_all() ECHO_NO_THREAD_ANALYSIS;
  // Gives the range, which the caller holds, back to the system; the bytes that were in memory.
  std::size_t discard(Address from, std::size_t bytes);

private:
  enum class Use : std::uint8_t { Untouched, Free, Slabs, Large, Returning };
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};
  static constexpr std::uint32_t kAllSlabs = ~std::uint32_t{0};
  static constexpr unsigned kMaxNodes = 64;
  static constexpr unsigned kShardsPerNode = 4;

  // `use` belongs to free_mutex_. The other fields belong to the shard's lock while use is Slabs, else to
  // free_mutex_. The note is read by anyone.
  struct alignas(kCacheLine) Chunk {
    std::atomic<void*> owner{nullptr};
    std::uint32_t free_mask = 0;
    std::uint32_t dirty_mask = 0; // slabs of the mask that have been written to
    std::uint32_t next = kNone, previous = kNone;
    Use use = Use::Untouched;
    std::uint8_t node = 0;
    std::uint8_t shard = 0;
    bool resident = false; // may hold memory while Free
    bool gigantic = false;
  };
  struct alignas(kCacheLine) Shard {
    Mutex mutex;
    std::uint32_t first = kNone; // chunks with a free slab
  };

  unsigned clamp(unsigned node) const { return node < nodes_ ? node : 0; }
  std::uint32_t chunk_of(SlabIndex slab) const { return slab.number / kSlabsPerChunk; }
  Address chunk_start(std::uint32_t chunk) const { return base_ + std::size_t{chunk} * kChunkBytes; }
  void push(std::uint32_t* first, std::uint32_t chunk);
  void unlink(std::uint32_t* first, std::uint32_t chunk);

  bool take_from_shard(unsigned shard, SlabIndex* out);
  // A Free or new chunk on `node`, or on any node if `anywhere`, for `use`; it is in no list.
  bool acquire_chunk(unsigned node, bool anywhere, Use use, std::uint32_t* out);
  // Makes a chunk just acquired one of a shard's and takes its first slab.
  void open_for_slabs(std::uint32_t chunk, unsigned shard, SlabIndex* out);
  std::uint32_t* free_list(const Chunk& chunk) ECHO_REQUIRES(free_mutex_) {
    return chunk.resident ? &free_resident_first_[chunk.node] : &free_first_[chunk.node];
  }
  void release_chunk(std::uint32_t chunk) ECHO_REQUIRES(free_mutex_);
  void return_idle();
  // False: nothing left to give back, or the system refuses. Adds what was in memory to *bytes.
  bool return_chunk(std::size_t keep, std::size_t* bytes);
  bool commit_bits(std::uint32_t chunk, std::size_t count) const;
  bool commit(std::uint32_t chunk, std::size_t count, unsigned node) ECHO_REQUIRES(free_mutex_);
  bool commit_gigantic(std::uint32_t chunk, unsigned node) ECHO_REQUIRES(free_mutex_);
  std::size_t return_slabs_of_shard(Shard& shard, std::uint64_t deadline_ns);

  Topology& topology_;
  Address base_ = 0;
  std::size_t slab_count_ = 0;
  SlabEntry* table_ = nullptr;
  BitWord* live_bits_ = nullptr;   // of the whole reservation, committed with the chunks
  BitWord* remote_bits_ = nullptr; // behind it
  Chunk* chunks_ = nullptr;
  std::uint32_t chunk_count_ = 0;
  unsigned nodes_ = 1;
  SpaceConfig config_{};
  MetadataArena arena_;
  MetadataArena records_;

  alignas(kCacheLine) Mutex free_mutex_;
  std::uint32_t high_water_ ECHO_GUARDED_BY(free_mutex_) = 0; // chunks below have been committed
  std::array<std::uint32_t, kMaxNodes> free_first_ ECHO_GUARDED_BY(free_mutex_){}; // hold no memory
  std::array<std::uint32_t, kMaxNodes> free_resident_first_ ECHO_GUARDED_BY(free_mutex_){};
  std::size_t free_resident_ ECHO_GUARDED_BY(free_mutex_) = 0;
  std::size_t least_free_ ECHO_GUARDED_BY(free_mutex_) = 0; // of free_resident_ since the window began
  std::size_t
      idle_ ECHO_GUARDED_BY(free_mutex_) = 0; // was free throughout the window before, less what went back
  std::uint64_t window_start_ ECHO_GUARDED_BY(free_mutex_) = 0;
  std::atomic<std::size_t> free_resident_hint_{0};
  std::uint64_t bind_refusals_ ECHO_GUARDED_BY(free_mutex_) = 0;
  std::uint64_t huge_refusals_ ECHO_GUARDED_BY(free_mutex_) = 0;
  std::uint64_t gigantic_pages_ ECHO_GUARDED_BY(free_mutex_) = 0;

  std::array<Shard, kMaxNodes * kShardsPerNode> shards_;
  unsigned fork_holders_ = 0;
  alignas(kCacheLine) std::atomic<std::uint64_t> local_{0};
  std::atomic<std::uint64_t> remote_{0};
  std::atomic<std::uint64_t> migrated_{0};
  std::atomic<std::uint64_t> returned_{0};
};

} // namespace echo::native
