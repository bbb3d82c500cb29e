// SPDX-License-Identifier: MIT
//
// Purpose     The blocks of edge_stacks.h, off the marking loop.
#include "gc/edge_stacks.h"

#include <algorithm>
#include <bit>

namespace echo {

void EdgeStacks::use(void* memory, std::size_t bytes, Address heap_base, std::size_t heap_bytes) {
  first_block_ = static_cast<char*>(memory);
  end_ = first_block_ + bytes / kBlockBytes * kBlockBytes;
  base_ = heap_base;
  heap_bytes_ = heap_bytes;
  ECHO_CHECK(heap_bytes <= kMaxRegions << 32, "[mark.edge.1] a region has more than 4 GiB");
  begin(0, 0);
}

void EdgeStacks::begin(std::size_t high_water, std::size_t covered, std::size_t region_bytes) {
  next_block_ = first_block_;
  covered_ = std::min(covered, heap_bytes_);
  wild_ = 0;
  free_blocks_ = nullptr;
  tops_.fill(nullptr);
  tops_[kMaxRegions] = &dropped_[1];
  std::size_t bytes = region_bytes;
  if (bytes == 0) {
    bytes = high_water <= kOneRegionBytes ? std::max(covered_, kChunkBytes) : kRegionBytes;
  }
  constexpr std::size_t kMostRegionBytes = std::size_t{1} << 32;
  const std::size_t least = std::bit_ceil(std::max<std::size_t>(covered_ / kMaxRegions, 1));
  bytes = std::max(std::bit_ceil(std::min(bytes, kMostRegionBytes)), least);
  shift_ = static_cast<unsigned>(std::countr_zero(bytes));
  last_region_ = covered_ == 0 ? 0 : (covered_ - 1) >> shift_;
}

bool EdgeStacks::is_empty() const {
  return std::all_of(tops_.begin(), tops_.end() - 1, [](const std::uint32_t* top) { return top == nullptr; });
}

EdgeStacks::Top EdgeStacks::grow(Top below) {
  char* block = free_blocks_;
  if (block != nullptr) {
    free_blocks_ = *reinterpret_cast<char**>(block);
  } else {
    ECHO_CHECK(next_block_ != end_, "[mark.bound.1] more edges than traced slots");
    block = next_block_;
    next_block_ += kBlockBytes;
  }
  *reinterpret_cast<Top*>(block) = below;
  return reinterpret_cast<Top>(block + sizeof(void*));
}

EdgeStacks::Top EdgeStacks::shrink(const std::uint32_t* top) {
  char* const block = first_block_ + (reinterpret_cast<const char*>(top) - first_block_) - sizeof(void*);
  const Top below = *reinterpret_cast<Top*>(block);
  *reinterpret_cast<char**>(block) = free_blocks_;
  free_blocks_ = block;
  return below;
}

} // namespace echo
