// SPDX-License-Identifier: MIT
//
// Purpose     First fit over the page bitmaps of shared chunks; whole chunks for objects over half a chunk.
#include "heap/large_space.h"

#include "heap/assert.h"
#include "heap/fault.h"
#include "heap/os_memory.h"

#include <algorithm>
#include <cstring>

namespace echo {

namespace {

constexpr std::size_t kSharedLimitPages = kPagesPerChunk / 2; // larger objects take chunks of their own

bool test_bit(const std::array<std::uint64_t, 8>& map, std::size_t i) {
  return (map[i / 64] >> (i % 64) & 1) != 0;
}
void set_bits(std::array<std::uint64_t, 8>& map, std::size_t first, std::size_t n, bool value) {
  for (std::size_t i = first; i < first + n; ++i) {
    const std::uint64_t bit = std::uint64_t{1} << (i % 64);
    map[i / 64] = value ? map[i / 64] | bit : map[i / 64] & ~bit;
  }
}
Address chunk_of(Address a) {
  return a & ~Address{kChunkBytes - 1};
}
std::size_t chunks_for(std::size_t pages) {
  return (pages + kPagesPerChunk - 1) / kPagesPerChunk;
}

void set_chunk_kind(SlabPool& pool, Address chunk, std::size_t count) {
  for (std::size_t s = 0; s < count * kSlabsPerChunk; ++s) {
    pool.slabs().set_kind(pool.slabs().index_of(chunk + s * kSlabBytes), SlabKind::Large);
  }
}

void fill_poison(Address at, std::size_t bytes) {
  std::fill_n(reinterpret_cast<std::uint64_t*>(at), bytes / 8, kPoisonWord);
}

} // namespace

bool LargeSpace::find_run(const PageMap& map, std::size_t pages, std::size_t* first) {
  std::size_t run = 0;
  for (std::size_t i = 0; i < kPagesPerChunk; ++i) {
    run = test_bit(map.used, i) ? 0 : run + 1;
    if (run == pages) {
      *first = i + 1 - pages;
      return true;
    }
  }
  return false;
}

Grant LargeSpace::reserve_small(std::size_t pages, Address* out, bool* zeroed) {
  auto found = shared_chunks_.end();
  std::size_t first = 0;
  for (auto it = shared_chunks_.begin(); it != shared_chunks_.end(); ++it) {
    if (it->second.free_pages >= pages && find_run(it->second, pages, &first)) {
      found = it;
      break;
    }
  }
  if (found == shared_chunks_.end()) {
    Address chunk = 0;
    bool clean = false;
    if (const Grant grant = pool_.take_chunks(1, &chunk, &clean); grant != Grant::Ok) {
      return grant;
    }
    found = shared_chunks_.emplace(chunk, PageMap{}).first;
    if (!clean) {
      found->second.dirty.fill(~std::uint64_t{0});
    }
    set_chunk_kind(pool_, chunk, 1);
    first = 0;
  }
  PageMap& map = found->second;
  *zeroed = true;
  for (std::size_t i = first; i < first + pages; ++i) {
    *zeroed = *zeroed && !test_bit(map.dirty, i);
  }
  set_bits(map.used, first, pages, true);
  set_bits(map.dirty, first, pages, true);
  set_bits(map.zeroed, first, pages, false);
  map.free_pages -= pages;
  *out = found->first + first * kPageBytes;
  return Grant::Ok;
}

Grant LargeSpace::reserve(std::size_t bytes, Urgency urgency, Address* out, bool* zeroed) {
  const std::size_t pages = (bytes + kPageBytes - 1) / kPageBytes;
  // Chunks of their own are charged whole: their tails hold nothing else.
  const bool shared = pages <= kSharedLimitPages;
  const std::size_t charged = shared ? pages * kPageBytes : chunks_for(pages) * kChunkBytes;
  const MutexLock lock(mutex_);
  if (const Grant grant = pool_.charge(charged, urgency); grant != Grant::Ok) {
    return grant;
  }
  Grant grant = Grant::Ok;
  if (shared) {
    grant = reserve_small(pages, out, zeroed);
  } else {
    grant = pool_.take_chunks(chunks_for(pages), out, zeroed);
    if (grant == Grant::Ok) {
      set_chunk_kind(pool_, *out, chunks_for(pages));
    }
  }
  if (grant != Grant::Ok) {
    pool_.uncharge(charged);
    return grant;
  }
  page_bytes_ += charged;
  extents_.emplace(*out, Extent{pages, false});
  return Grant::Ok;
}

void LargeSpace::publish(Address start) {
  const MutexLock lock(mutex_);
  const auto it = extents_.find(start);
  ECHO_CHECK(it != extents_.end(), "[heap.large.3] an unknown extent is published");
  it->second.published = true;
  it->second.birth = cycle_.load(std::memory_order_relaxed);
}

Address LargeSpace::find(Address a) {
  const MutexLock lock(mutex_);
  auto it = extents_.upper_bound(a);
  if (it == extents_.begin()) {
    return 0;
  }
  --it;
  return it->second.published && a < it->first + it->second.pages * kPageBytes ? it->first : 0;
}

std::size_t LargeSpace::extent_bytes(Address start) {
  const MutexLock lock(mutex_);
  const auto it = extents_.find(start);
  return it != extents_.end() && it->second.published ? it->second.pages * kPageBytes : 0;
}

void LargeSpace::free_extent(Address start, const Extent& extent, bool poison) {
  if (poison) {
    fill_poison(start, extent.pages * kPageBytes);
  }
  if (extent.pages > kSharedLimitPages) {
    const std::size_t chunks = chunks_for(extent.pages);
    pool_.put_chunks(start, chunks);
    pool_.uncharge(chunks * kChunkBytes);
    page_bytes_ -= chunks * kChunkBytes;
    return;
  }
  const Address chunk = chunk_of(start);
  const auto it = shared_chunks_.find(chunk);
  ECHO_CHECK(it != shared_chunks_.end(), "[heap.large.2] an object lies in no large chunk");
  set_bits(it->second.used, (start - chunk) / kPageBytes, extent.pages, false);
  it->second.free_pages += extent.pages;
  pool_.uncharge(extent.pages * kPageBytes);
  page_bytes_ -= extent.pages * kPageBytes;
  if (it->second.free_pages == kPagesPerChunk) {
    shared_chunks_.erase(it);
    pool_.put_chunks(chunk, 1);
  }
}

bool LargeSpace::sweep_some(const SideMetadata& bits, const LayoutTable& layouts, bool poison,
                            std::size_t most, Address* next, Swept* result) {
  const std::uint32_t cycle = cycle_.load(std::memory_order_relaxed);
  const MutexLock lock(mutex_);
  auto it = extents_.lower_bound(*next);
  for (std::size_t i = 0; i < most && it != extents_.end(); ++i) {
    const bool is_fresh = it->second.birth == cycle;
    if (!it->second.published || (is_fresh && !has_fault(Fault::LargeSweptFresh))) {
      ++it; // being zeroed by a mutator in its slow path, or born since the mark started
      continue;
    }
    const std::size_t bytes = layouts.object_bytes({it->first});
    if (bits.is_marked(it->first) && !is_fresh) {
      ++result->live_objects;
      result->live_bytes += bytes;
      ++it;
    } else {
      ++result->objects;
      result->bytes += bytes;
      free_extent(it->first, it->second, poison);
      it = extents_.erase(it);
    }
  }
  *next = it == extents_.end() ? 0 : it->first;
  return it == extents_.end();
}

LargeSpace::Swept LargeSpace::sweep(const SideMetadata& bits, const LayoutTable& layouts, bool poison) {
  Swept result;
  Address next = 0;
  while (!sweep_some(bits, layouts, poison, kSweepStep, &next, &result)) {
  }
  return result;
}

std::size_t LargeSpace::borrow_pages(Borrow which, Address* at) {
  constexpr std::size_t kMaxRun = kSlabBytes / kPageBytes;
  const MutexLock lock(mutex_);
  for (auto& [start, map] : shared_chunks_) {
    std::size_t first = 0;
    std::size_t run = 0;
    for (std::size_t i = 0; i < kPagesPerChunk; ++i) {
      const bool is_there = test_bit(map.dirty, i) || (which == Borrow::There && test_bit(map.zeroed, i));
      const bool wanted = !test_bit(map.used, i) && is_there;
      if (wanted && run == 0) {
        first = i;
      }
      if (wanted) {
        ++run;
      }
      if (run != 0 && (!wanted || run == kMaxRun)) {
        break;
      }
    }
    if (run != 0) {
      set_bits(map.used, first, run, true);
      map.free_pages -= run;
      *at = start + first * kPageBytes;
      return run;
    }
  }
  return 0;
}

void LargeSpace::give_borrowed_back(Address at, std::size_t pages, Became became) {
  const Address chunk = chunk_of(at);
  const std::size_t first = (at - chunk) / kPageBytes;
  const MutexLock lock(mutex_);
  const auto it = shared_chunks_.find(chunk);
  ECHO_CHECK(it != shared_chunks_.end(), "[heap.large.4] a chunk vanished while its pages were borrowed");
  set_bits(it->second.used, first, pages, false);
  if (became != Became::Nothing) {
    set_bits(it->second.dirty, first, pages, false);
    set_bits(it->second.zeroed, first, pages, became == Became::Zeroed);
  }
  it->second.free_pages += pages;
  if (it->second.free_pages == kPagesPerChunk) {
    shared_chunks_.erase(it);
    pool_.put_chunks(chunk, 1);
  }
}

bool LargeSpace::return_pages(Borrow which) {
  Address at = 0;
  const std::size_t pages = borrow_pages(which, &at);
  if (pages == 0) {
    return false;
  }
  const bool gone = os::discard(reinterpret_cast<void*>(at), pages * kPageBytes);
  give_borrowed_back(at, pages, gone ? Became::Gone : Became::Nothing);
  return gone;
}

bool LargeSpace::return_free_pages() {
  return return_pages(Borrow::Dirty);
}

bool LargeSpace::return_idle_pages() {
  return return_pages(Borrow::There);
}

bool LargeSpace::zero_free_pages() {
  Address at = 0;
  const std::size_t pages = borrow_pages(Borrow::Dirty, &at);
  if (pages == 0) {
    return false;
  }
  std::memset(reinterpret_cast<void*>(at), 0, pages * kPageBytes);
  give_borrowed_back(at, pages, Became::Zeroed);
  return true;
}

std::size_t LargeSpace::object_count() {
  const MutexLock lock(mutex_);
  return extents_.size();
}

std::size_t LargeSpace::page_bytes() {
  const MutexLock lock(mutex_);
  return page_bytes_;
}

std::size_t LargeSpace::free_page_bytes() {
  const MutexLock lock(mutex_);
  std::size_t pages = 0;
  for (const auto& [start, map] : shared_chunks_) {
    for (std::size_t w = 0; w < map.used.size(); ++w) {
      pages += static_cast<std::size_t>(__builtin_popcountll(~map.used[w] & map.dirty[w]));
    }
  }
  return pages * kPageBytes;
}

std::vector<Address> LargeSpace::snapshot() {
  const MutexLock lock(mutex_);
  std::vector<Address> all;
  for (const auto& [start, extent] : extents_) {
    if (extent.published) {
      all.push_back(start);
    }
  }
  return all;
}

} // namespace echo
