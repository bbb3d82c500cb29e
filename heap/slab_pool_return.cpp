// SPDX-License-Identifier: MIT
//
// Purpose     What of the pool's empty memory goes back to the operating system. [heap.pool.4]
#include "heap/assert.h"
#include "heap/os_memory.h"
#include "heap/slab_pool.h"

#include <algorithm>
#include <bit>

namespace echo {

void SlabPool::set_uses(std::size_t chunk, std::uint32_t mask, SlabUse use) {
  for (std::size_t s = 0; s < kSlabsPerChunk; ++s) {
    if ((mask >> s & 1) != 0) {
      slabs_.set_use({static_cast<std::uint32_t>(chunk * kSlabsPerChunk + s)}, use);
    }
  }
}

std::size_t SlabPool::keep() {
  if (keep_free_ != 0) {
    return keep_free_;
  }
  // What goes back before the program takes it again costs both ways, so the return shrinks as the trigger does.
  const MutexLock lock(mutex_);
  return std::max(kLeastKept, trigger_ - std::min(trigger_, used_));
}

std::size_t SlabPool::empty_bytes() {
  const MutexLock lock(mutex_);
  return empty_chunks_ * kChunkBytes;
}

bool SlabPool::return_one_chunk(std::size_t keep) {
  std::size_t chunk = 0;
  {
    const MutexLock lock(mutex_);
    if (empty_chunks_ * kChunkBytes <= keep) {
      return false;
    }
    chunk = free_mask_.size();
    while (chunk > 0) { // the highest: allocation takes the lowest
      --chunk;
      if (free_mask_[chunk] == kAllFree && chunk_state_[chunk] == ChunkState::Committed) {
        break;
      }
    }
    ECHO_CHECK(free_mask_[chunk] == kAllFree && chunk_state_[chunk] == ChunkState::Committed,
               "[heap.pool.2] an empty chunk is counted but not found");
    free_mask_[chunk] = 0;
    chunk_state_[chunk] = ChunkState::Returning;
    --empty_chunks_;
    set_uses(chunk, kAllFree, SlabUse::Returning);
  }
  const bool gone = os::discard(reinterpret_cast<void*>(slabs_.base() + chunk * kChunkBytes), kChunkBytes);
  const MutexLock lock(mutex_);
  free_mask_[chunk] = kAllFree;
  first_free_hint_ = std::min(first_free_hint_, chunk);
  set_uses(chunk, kAllFree, SlabUse::Empty);
  if (gone) {
    chunk_state_[chunk] = ChunkState::Returned;
    populated_[chunk] = 0;
    const std::size_t bytes =
        kChunkBytes - static_cast<std::size_t>(std::popcount(discarded_[chunk])) * kSlabBytes;
    discarded_[chunk] = 0;
    committed_ -= bytes;
    returned_ += bytes;
  } else {
    chunk_state_[chunk] = ChunkState::Committed;
    ++empty_chunks_;
  }
  return gone;
}

// The slabs of `mask` are used or populated again.
void SlabPool::take_back(std::size_t chunk, std::uint32_t mask) {
  const auto back = static_cast<std::size_t>(std::popcount(discarded_[chunk] & mask)) * kSlabBytes;
  discarded_[chunk] &= ~mask;
  committed_ += back;
  returned_ -= back;
  peak_committed_ = std::max(peak_committed_, committed_);
}

void SlabPool::expect_little() {
  const MutexLock lock(mutex_);
  target_ = populate_;
  std::size_t gap = 0;
  const std::size_t wanted = wanted_ahead();
  note_ahead(wanted, measure_ahead(wanted, &gap));
}

// In the kernel's eyes a part of a huge page: it is split, and the rest of it stays.
bool SlabPool::return_free_slabs(std::size_t* chunk) {
  std::uint32_t mask = 0;
  std::size_t c = 0;
  {
    const MutexLock lock(mutex_);
    std::size_t first = first_free_hint_; // the first chunk behind what is populated ahead
    for (std::size_t seen = 0; first < free_mask_.size() && seen < wanted_ahead(); ++first) {
      seen += static_cast<std::size_t>(std::popcount(free_mask_[first])) * kSlabBytes;
    }
    for (c = std::min(*chunk, free_mask_.size()); c > first && mask == 0;) {
      --c;
      const bool in_part = chunk_state_[c] == ChunkState::Committed && free_mask_[c] != kAllFree;
      mask = in_part ? free_mask_[c] & populated_[c] : 0;
    }
    *chunk = c;
    if (mask == 0) {
      return false;
    }
    free_mask_[c] &= ~mask;
    set_uses(c, mask, SlabUse::Returning);
  }
  const Address start = slabs_.base() + c * kChunkBytes;
  std::uint32_t gone = 0;
  for (std::uint32_t left = mask; left != 0;) {
    const auto bit = static_cast<unsigned>(std::countr_zero(left));
    const auto run = static_cast<unsigned>(std::countr_one(left >> bit));
    const std::uint32_t bits = (run == kSlabsPerChunk ? kAllFree : (std::uint32_t{1} << run) - 1) << bit;
    gone |= os::discard(reinterpret_cast<void*>(start + bit * kSlabBytes), run * kSlabBytes) ? bits : 0;
    left &= ~bits;
  }
  const MutexLock lock(mutex_);
  free_mask_[c] |= mask;
  populated_[c] &= ~gone;
  discarded_[c] |= gone;
  const std::size_t bytes = static_cast<std::size_t>(std::popcount(gone)) * kSlabBytes;
  committed_ -= bytes;
  returned_ += bytes;
  set_uses(c, mask, SlabUse::Empty);
  note_free(c);
  return true;
}

} // namespace echo
