// SPDX-License-Identifier: MIT
//
// Purpose     Bump allocation from regions, with one free list per number of lines.
#include "heap/native/metadata_arena.h"

#include "heap/os_memory.h"

#include <cstring>

namespace echo::native {

MetadataArena::~MetadataArena() {
  while (regions_ != nullptr) {
    Region* const next = regions_->next;
    os::release(regions_, kRegionBytes);
    regions_ = next;
  }
}

void* MetadataArena::take(std::size_t bytes, bool clear) {
  const std::size_t lines = round_up(bytes, kCacheLine) / kCacheLine;
  if (lines > kMaxLines) {
    return os::map_zeroed(round_up(bytes, kPageBytes), kPageBytes);
  }
  const MutexLock lock(mutex_);
  if (FreeBlock* const block = free_[lines]; block != nullptr) {
    free_[lines] = block->next;
    std::memset(static_cast<void*>(block), 0, clear ? lines * kCacheLine : sizeof(FreeBlock));
    return block;
  }
  if (kRegionBytes - used_ < lines * kCacheLine) {
    auto* const region = static_cast<Region*>(os::map_zeroed(kRegionBytes, kPageBytes));
    if (region == nullptr) {
      return nullptr;
    }
    region->next = regions_;
    regions_ = region;
    used_ = kCacheLine;
    mapped_ += kRegionBytes;
  }
  void* const block = reinterpret_cast<std::byte*>(regions_) + used_;
  used_ += lines * kCacheLine;
  return block;
}

void MetadataArena::give(void* block, std::size_t bytes) {
  const std::size_t lines = round_up(bytes, kCacheLine) / kCacheLine;
  if (lines > kMaxLines) {
    os::release(block, round_up(bytes, kPageBytes));
    return;
  }
  const MutexLock lock(mutex_);
  auto* const entry = static_cast<FreeBlock*>(block);
  entry->next = free_[lines];
  free_[lines] = entry;
}

std::size_t MetadataArena::mapped_bytes() {
  const MutexLock lock(mutex_);
  return mapped_;
}

} // namespace echo::native
