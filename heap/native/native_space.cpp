// SPDX-License-Identifier: MIT
//
// Purpose     Chunks and slabs of native memory: handing out, taking back, returning to the system.
#include "heap/native/native_space.h"

#include "heap/native/resident.h"
#include "heap/os_memory.h"

#include <algorithm>
#include <bit>
#include <unistd.h>

namespace echo::native {

namespace {

constexpr std::size_t kGigantic = std::size_t{1} << 30;
constexpr std::uint32_t kChunksPerGigantic = kGigantic / kChunkBytes;
constexpr std::size_t kBitBytesPerSlab = kSlabWords * sizeof(BitWord); // of one of the two tables
constexpr std::size_t kBitBytesPerChunk = kSlabsPerChunk * kBitBytesPerSlab;
static_assert(kBitBytesPerChunk % kPageBytes == 0);

std::size_t default_reserve() {
  const long pages = ::sysconf(_SC_PHYS_PAGES);
  const std::size_t memory = pages > 0 ? static_cast<std::size_t>(pages) * kPageBytes : 0;
  return std::max(std::size_t{64} << 30, round_up(2 * memory, kGigantic));
}

} // namespace

NativeSpace::~NativeSpace() {
  if (base_ != 0) {
    os::release(reinterpret_cast<void*>(base_), slab_count_ * kSlabBytes);
  }
  if (live_bits_ != nullptr) {
    os::release(live_bits_, 2 * slab_count_ * kBitBytesPerSlab);
  }
  if (table_ != nullptr) {
    os::release(table_, round_up(slab_count_ * sizeof(SlabEntry), kPageBytes));
  }
  if (chunks_ != nullptr) {
    os::release(chunks_, round_up(chunk_count_ * sizeof(Chunk), kPageBytes));
  }
}

bool NativeSpace::open(const SpaceConfig& config) {
  config_ = config;
  nodes_ = std::min(topology_.node_count(), kMaxNodes);
  std::size_t bytes =
      round_up(config.reserve_bytes == 0 ? default_reserve() : config.reserve_bytes, kChunkBytes);
  const std::size_t alignment = config.pages == PageKind::Gigantic ? kGigantic : kChunkBytes;
  void* reservation = nullptr;
  void* bits = nullptr;
  // A limited address space gets what fits.
  for (;; bytes = round_up(bytes / 2, kChunkBytes)) {
    reservation = os::reserve(bytes, alignment);
    bits = reservation == nullptr ? nullptr
                                  : os::reserve(2 * (bytes / kSlabBytes) * kBitBytesPerSlab, kPageBytes);
    if (bits != nullptr) {
      break;
    }
    if (reservation != nullptr) {
      os::release(reservation, bytes);
    }
    if (bytes <= 16 * kChunkBytes) {
      return false;
    }
  }
  base_ = reinterpret_cast<Address>(reservation);
  slab_count_ = bytes / kSlabBytes;
  live_bits_ = static_cast<BitWord*>(bits);
  remote_bits_ = live_bits_ + slab_count_ * kSlabWords;
  chunk_count_ = static_cast<std::uint32_t>(bytes / kChunkBytes);
  // Zeroed memory is an empty table: the entries are atomics of zero, and a chunk is made when first touched.
  table_ = static_cast<SlabEntry*>(
      os::map_zeroed(round_up(slab_count_ * sizeof(SlabEntry), kPageBytes), kPageBytes));
  chunks_ =
      static_cast<Chunk*>(os::map_zeroed(round_up(chunk_count_ * sizeof(Chunk), kPageBytes), kPageBytes));
  const MutexLock lock(free_mutex_);
  free_first_.fill(kNone);
  free_resident_first_.fill(kNone);
  return table_ != nullptr && chunks_ != nullptr;
}

void NativeSpace::push(std::uint32_t* first, std::uint32_t chunk) {
  chunks_[chunk].previous = kNone;
  chunks_[chunk].next = *first;
  if (*first != kNone) {
    chunks_[*first].previous = chunk;
  }
  *first = chunk;
}

void NativeSpace::unlink(std::uint32_t* first, std::uint32_t chunk) {
  const Chunk& c = chunks_[chunk];
  (c.previous == kNone ? *first : chunks_[c.previous].next) = c.next;
  if (c.next != kNone) {
    chunks_[c.next].previous = c.previous;
  }
}

// --- slabs
// ---------------------------------------------------------------------------------------------------

bool NativeSpace::take_from_shard(unsigned shard, SlabIndex* out) {
  Shard& s = shards_[shard];
  const MutexLock lock(s.mutex);
  if (s.first == kNone) {
    return false;
  }
  const std::uint32_t chunk = s.first;
  Chunk& c = chunks_[chunk];
  const auto bit = static_cast<std::uint32_t>(std::countr_zero(c.free_mask));
  c.free_mask &= c.free_mask - 1;
  if (c.free_mask == 0) {
    unlink(&s.first, chunk);
  }
  out->number = chunk * static_cast<std::uint32_t>(kSlabsPerChunk) + bit;
  return true;
}

bool NativeSpace::take_slab(unsigned node, unsigned spread, SlabIndex* out, std::uint8_t* node_out) {
  node = clamp(node);
  const auto found = [&](unsigned where) {
    (where == node ? local_ : remote_).fetch_add(1, std::memory_order_relaxed);
    *node_out = static_cast<std::uint8_t>(where);
    return true;
  };
  for (unsigned i = 0; i < kShardsPerNode; ++i) {
    if (take_from_shard(node * kShardsPerNode + (spread + i) % kShardsPerNode, out)) {
      return found(node);
    }
  }
  std::uint32_t chunk = kNone;
  if (acquire_chunk(node, false, Use::Slabs, &chunk)) {
    open_for_slabs(chunk, node * kShardsPerNode + spread % kShardsPerNode, out);
    return found(node);
  }
  // Nothing near: another node's free slabs, then its free chunks.
  for (unsigned i = 0; i < nodes_ * kShardsPerNode; ++i) {
    if (take_from_shard(i, out)) {
      return found(i / kShardsPerNode);
    }
  }
  if (acquire_chunk(node, true, Use::Slabs, &chunk)) {
    const unsigned where = chunks_[chunk].node;
    open_for_slabs(chunk, where * kShardsPerNode, out);
    return found(where);
  }
  return false;
}

void NativeSpace::open_for_slabs(std::uint32_t chunk, unsigned shard, SlabIndex* out) {
  const MutexLock lock(shards_[shard].mutex);
  Chunk& c = chunks_[chunk];
  c.shard = static_cast<std::uint8_t>(shard);
  c.free_mask = kAllSlabs & ~std::uint32_t{1};
  c.dirty_mask = c.resident ? kAllSlabs : 0;
  push(&shards_[shard].first, chunk);
  out->number = chunk * static_cast<std::uint32_t>(kSlabsPerChunk);
}

void NativeSpace::put_slab(SlabIndex slab) {
  const std::uint32_t chunk = chunk_of(slab);
  const std::uint32_t bit = std::uint32_t{1} << (slab.number % kSlabsPerChunk);
  Chunk& c = chunks_[chunk];
  // The shard of a chunk is constant while a slab of it is out.
  Shard& shard = shards_[c.shard];
  bool empty = false;
  {
    const MutexLock lock(shard.mutex);
    if (c.free_mask == 0) {
      push(&shard.first, chunk);
    }
    c.free_mask |= bit;
    c.dirty_mask |= bit;
    empty = c.free_mask == kAllSlabs;
    if (empty) {
      unlink(&shard.first, chunk);
    }
  }
  if (empty) {
    const MutexLock lock(free_mutex_);
    c.resident = true;
    release_chunk(chunk);
  }
}

// --- chunks
// --------------------------------------------------------------------------------------------------

// The bits are 0 when their pages are touched, and again whenever a slab is put back.
bool NativeSpace::commit_bits(std::uint32_t chunk, std::size_t count) const {
  const std::size_t first = std::size_t{chunk} * kSlabsPerChunk * kSlabWords;
  return os::commit(live_bits_ + first, count * kBitBytesPerChunk) &&
         os::commit(remote_bits_ + first, count * kBitBytesPerChunk);
}

bool NativeSpace::commit_gigantic(std::uint32_t chunk, unsigned node) {
  void* const at = reinterpret_cast<void*>(chunk_start(chunk));
  if (chunk_count_ - chunk < kChunksPerGigantic || !is_aligned(chunk_start(chunk), kGigantic)) {
    return false;
  }
  if (!commit_bits(chunk, kChunksPerGigantic)) {
    return false;
  }
  if (!topology_.map_huge(at, kGigantic, kGigantic)) {
    ++huge_refusals_;
    return false;
  }
  ++gigantic_pages_;
  if (topology_.has_numa() && !topology_.bind(at, kGigantic, node)) {
    ++bind_refusals_;
  }
  return true;
}

bool NativeSpace::commit(std::uint32_t chunk, std::size_t count, unsigned node) {
  void* const at = reinterpret_cast<void*>(chunk_start(chunk));
  if (!commit_bits(chunk, count) || !os::commit(at, count * kChunkBytes)) {
    return false;
  }
  if (config_.pages == PageKind::Base) {
    topology_.advise_base(at, count * kChunkBytes);
  } else if (!topology_.advise_huge(at, count * kChunkBytes)) {
    ++huge_refusals_;
  }
  if (topology_.has_numa() && !topology_.bind(at, count * kChunkBytes, node)) {
    ++bind_refusals_;
  }
  return true;
}

bool NativeSpace::acquire_chunk(unsigned node, bool anywhere, Use use, std::uint32_t* out) {
  const MutexLock lock(free_mutex_);
  const auto take_from = [&](std::uint32_t* first) {
    if (*first == kNone) {
      return false;
    }
    *out = *first;
    unlink(first, *first);
    return true;
  };
  const auto take = [&](unsigned where) ECHO_NO_THREAD_ANALYSIS {
    if (take_from(&free_resident_first_[where])) {
      free_resident_ -= kChunkBytes;
      least_free_ = std::min(least_free_, free_resident_);
    } else if (!take_from(&free_first_[where])) {
      return false;
    }
    chunks_[*out].use = use;
    return true;
  };
  if (take(node)) {
    return true;
  }
  if (high_water_ < chunk_count_) {
    const std::uint32_t chunk = high_water_;
    if (config_.pages == PageKind::Gigantic && commit_gigantic(chunk, node)) {
      for (std::uint32_t i = 0; i < kChunksPerGigantic; ++i) {
        chunks_[chunk + i].node = static_cast<std::uint8_t>(node);
        chunks_[chunk + i].gigantic = true;
        release_chunk(chunk + i);
      }
      high_water_ += kChunksPerGigantic;
      return take(node);
    }
    if (commit(chunk, 1, node)) {
      ++high_water_;
      chunks_[chunk].node = static_cast<std::uint8_t>(node);
      chunks_[chunk].use = use;
      *out = chunk;
      return true;
    }
  }
  for (unsigned i = 0; anywhere && i < nodes_; ++i) {
    if (take(i)) {
      return true;
    }
  }
  return false;
}

// Free and listed.
void NativeSpace::release_chunk(std::uint32_t chunk) {
  Chunk& c = chunks_[chunk];
  c.use = Use::Free;
  c.owner.store(nullptr, std::memory_order_release);
  if (c.resident) {
    free_resident_ += kChunkBytes;
  }
  free_resident_hint_.store(free_resident_, std::memory_order_relaxed);
  push(free_list(c), chunk);
}

bool NativeSpace::take_chunks(std::size_t count, unsigned node, void* owner, Address* out) {
  node = clamp(node);
  std::uint32_t first = kNone;
  if (count == 1) {
    if (!acquire_chunk(node, true, Use::Large, &first)) {
      return false;
    }
    chunks_[first].owner.store(owner, std::memory_order_release);
    *out = chunk_start(first);
    return true;
  }
  if (count > chunk_count_) {
    return false;
  }
  const MutexLock lock(free_mutex_);
  // First fit among the free chunks; the run may end beyond the high-water mark.
  std::uint32_t run = 0;
  std::uint32_t chunk = 0;
  while (chunk < chunk_count_ && run < count) {
    run = chunk >= high_water_ || chunks_[chunk].use == Use::Free ? run + 1 : 0;
    ++chunk;
    if (chunk > high_water_ && run < count) {
      const auto rest = static_cast<std::uint32_t>(count - run);
      if (rest > chunk_count_ - chunk) {
        return false;
      }
      chunk += rest;
      run += rest;
    }
  }
  if (run < count) {
    return false;
  }
  first = chunk - static_cast<std::uint32_t>(count);
  const std::uint32_t fresh = std::max(first, high_water_);
  if (fresh < chunk && !commit(fresh, chunk - fresh, node)) {
    return false;
  }
  for (std::uint32_t i = first; i < chunk; ++i) {
    Chunk& c = chunks_[i];
    if (i < fresh) {
      unlink(free_list(c), i);
      free_resident_ -= c.resident ? kChunkBytes : 0;
      least_free_ = std::min(least_free_, free_resident_);
    } else {
      c.node = static_cast<std::uint8_t>(node);
    }
    c.use = Use::Large;
    c.owner.store(owner, std::memory_order_release);
  }
  high_water_ = std::max(high_water_, chunk);
  *out = chunk_start(first);
  return true;
}

void NativeSpace::put_chunks(Address first, std::size_t count) {
  const auto chunk = static_cast<std::uint32_t>((first - base_) / kChunkBytes);
  const MutexLock lock(free_mutex_);
  for (std::size_t i = count; i-- > 0;) {
    chunks_[chunk + i].resident = true;
    release_chunk(chunk + static_cast<std::uint32_t>(i));
  }
}

void* NativeSpace::chunk_owner(Address p) const {
  return contains(p) ? chunks_[(p - base_) / kChunkBytes].owner.load(std::memory_order_acquire) : nullptr;
}

// --- giving back
// ---------------------------------------------------------------------------------------------

bool NativeSpace::return_chunk(std::size_t keep, std::size_t* bytes) {
  std::uint32_t chunk = kNone;
  {
    const MutexLock lock(free_mutex_);
    if (free_resident_ <= keep) {
      return false;
    }
    for (unsigned node = 0; node < nodes_ && chunk == kNone; ++node) {
      for (chunk = free_resident_first_[node]; chunk != kNone && chunks_[chunk].gigantic;) {
        chunk = chunks_[chunk].next;
      }
    }
    if (chunk == kNone) {
      return false; // the rest lies in gigantic pages, which go back as a whole when the space closes
    }
    unlink(free_list(chunks_[chunk]), chunk);
    free_resident_ -= kChunkBytes;
    chunks_[chunk].use = Use::Returning;
  }
  void* const at = reinterpret_cast<void*>(chunk_start(chunk));
  const std::size_t resident = resident_bytes(at, kChunkBytes);
  const bool done = resident == 0 || os::discard(at, kChunkBytes);
  const MutexLock lock(free_mutex_);
  chunks_[chunk].resident = !done;
  release_chunk(chunk);
  *bytes += done ? resident : 0;
  returned_.fetch_add(done ? resident : 0, std::memory_order_relaxed);
  return done;
}

void NativeSpace::return_idle() {
  const std::uint64_t now = os::monotonic_ns();
  std::size_t keep = 0;
  {
    const MutexLock lock(free_mutex_);
    if (now - window_start_ >= config_.window_ns) {
      idle_ = least_free_;
      least_free_ = free_resident_;
      window_start_ = now;
    }
    if (idle_ <= config_.keep_bytes) {
      return;
    }
    idle_ -= std::min(idle_, kChunkBytes);
    keep = std::max(config_.keep_bytes, free_resident_ - std::min(free_resident_, kChunkBytes));
  }
  return_step(keep);
}

std::size_t NativeSpace::return_step(std::size_t keep) {
  std::size_t bytes = 0;
  return_chunk(keep, &bytes);
  return bytes;
}

std::size_t NativeSpace::return_all(std::uint64_t deadline_ns, std::size_t keep) {
  std::size_t total = 0;
  const auto in_time = [deadline_ns] { return os::monotonic_ns() < deadline_ns; };
  while ((total == 0 || in_time()) && return_chunk(keep, &total)) {
  }
  for (unsigned i = 0; keep == 0 && i < nodes_ * kShardsPerNode && (total == 0 || in_time()); ++i) {
    total += return_slabs_of_shard(shards_[i], deadline_ns);
  }
  return total;
}

// Free slabs of chunks that are partly in use. While their pages are on the way back, nobody can take them.
std::size_t NativeSpace::return_slabs_of_shard(Shard& shard, std::uint64_t deadline_ns) {
  std::size_t total = 0;
  while (os::monotonic_ns() < deadline_ns) {
    std::uint32_t chunk = kNone;
    std::uint32_t slabs = 0;
    {
      const MutexLock lock(shard.mutex);
      for (chunk = shard.first; chunk != kNone; chunk = chunks_[chunk].next) {
        Chunk& c = chunks_[chunk];
        if ((c.free_mask & c.dirty_mask) != 0 && !c.gigantic) {
          slabs = c.free_mask & c.dirty_mask;
          c.free_mask &= ~slabs;
          if (c.free_mask == 0) {
            unlink(&shard.first, chunk);
          }
          break;
        }
      }
    }
    if (chunk == kNone) {
      break;
    }
    std::uint32_t returned = 0;
    for (std::uint32_t rest = slabs; rest != 0;) {
      const auto from = static_cast<unsigned>(std::countr_zero(rest));
      const auto length = static_cast<unsigned>(std::countr_one(rest >> from));
      const std::uint32_t bits = (length == kSlabsPerChunk ? kAllSlabs : ((std::uint32_t{1} << length) - 1))
                                 << from;
      void* const at = reinterpret_cast<void*>(chunk_start(chunk) + from * kSlabBytes);
      const std::size_t resident = resident_bytes(at, length * kSlabBytes);
      if (resident == 0 || os::discard(at, length * kSlabBytes)) {
        returned |= bits;
        total += resident;
      }
      rest &= ~bits;
    }
    bool empty = false;
    {
      const MutexLock lock(shard.mutex);
      Chunk& c = chunks_[chunk];
      if (c.free_mask == 0) {
        push(&shard.first, chunk);
      }
      c.free_mask |= slabs;
      c.dirty_mask &= ~returned;
      empty = c.free_mask == kAllSlabs;
      if (empty) {
        unlink(&shard.first, chunk);
      }
    }
    if (empty) {
      const MutexLock lock(free_mutex_);
      chunks_[chunk].resident = chunks_[chunk].dirty_mask != 0;
      release_chunk(chunk);
    }
    if (returned != slabs) {
      break; // the system refuses; asking again would not end
    }
  }
  returned_.fetch_add(total, std::memory_order_relaxed);
  return total;
}

// --- accounts
// ------------------------------------------------------------------------------------------------

SpaceCounters NativeSpace::counters() {
  SpaceCounters out;
  out.local_slabs = local_.load(std::memory_order_relaxed);
  out.remote_slabs = remote_.load(std::memory_order_relaxed);
  out.migrated_slabs = migrated_.load(std::memory_order_relaxed);
  out.returned_bytes = returned_.load(std::memory_order_relaxed);
  const MutexLock lock(free_mutex_);
  out.bind_refusals = bind_refusals_;
  out.huge_refusals = huge_refusals_;
  out.gigantic_pages = gigantic_pages_;
  out.committed_bytes = std::size_t{high_water_} * kChunkBytes;
  out.free_resident_bytes = free_resident_;
  return out;
}

const char* NativeSpace::check() {
  for (unsigned i = 0; i < nodes_ * kShardsPerNode; ++i) {
    Shard& shard = shards_[i];
    const MutexLock lock(shard.mutex);
    for (std::uint32_t chunk = shard.first, previous = kNone; chunk != kNone; chunk = chunks_[chunk].next) {
      const Chunk& c = chunks_[chunk];
      if (c.use != Use::Slabs || c.shard != i || c.free_mask == 0 || c.previous != previous) {
        return "a chunk in a shard's list is not one of its chunks with free slabs [native.space.2]";
      }
      for (std::uint32_t rest = c.free_mask; rest != 0; rest &= rest - 1) {
        const std::size_t slab = chunk * kSlabsPerChunk + static_cast<std::size_t>(std::countr_zero(rest));
        if (table_[slab].record.load(std::memory_order_relaxed) != nullptr) {
          return "a free slab has a record [native.space.2]";
        }
      }
      previous = chunk;
    }
  }
  const MutexLock lock(free_mutex_);
  std::size_t resident = 0;
  for (unsigned node = 0; node < nodes_; ++node) {
    for (const std::uint32_t first : {free_first_[node], free_resident_first_[node]}) {
      for (std::uint32_t chunk = first; chunk != kNone; chunk = chunks_[chunk].next) {
        const Chunk& c = chunks_[chunk];
        if (c.use != Use::Free || c.node != node || c.owner.load(std::memory_order_relaxed) != nullptr) {
          return "a chunk in a free list is not free [native.space.1]";
        }
        resident += c.resident ? kChunkBytes : 0;
      }
    }
  }
  return resident == free_resident_ ? "" : "the free resident bytes are miscounted";
}

std::size_t NativeSpace::discard(Address from, std::size_t bytes) {
  if (chunks_[(from - base_) / kChunkBytes].gigantic) {
    return 0;
  }
  const std::size_t returned = discard_resident(reinterpret_cast<void*>(from), bytes);
  returned_.fetch_add(returned, std::memory_order_relaxed);
  return returned;
}

void NativeSpace::lock_all() {
  if (fork_holders_++ != 0) {
    return;
  }
  for (Shard& shard : shards_) {
    shard.mutex.lock();
  }
  free_mutex_.lock();
  arena_.mutex().lock();
  records_.mutex().lock();
}

void NativeSpace::unlock_all() {
  if (--fork_holders_ != 0) {
    return;
  }
  records_.mutex().unlock();
  arena_.mutex().unlock();
  free_mutex_.unlock();
  for (Shard& shard : shards_) {
    shard.mutex.unlock();
  }
}

} // namespace echo::native
