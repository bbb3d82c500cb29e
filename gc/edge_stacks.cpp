// SPDX-License-Identifier: MIT
//
// Purpose     The blocks of edge_stacks.h, off the marking loop.
#include "gc/edge_stacks.h"

#include <algorithm>
#include <bit>

namespace echo {

void EdgeStacks::use(EdgeBlocks& blocks, Address heap_base, std::size_t heap_bytes) {
  blocks_ = &blocks;
  base_ = heap_base;
  heap_bytes_ = heap_bytes;
  ECHO_CHECK(heap_bytes <= kMaxRegions << 32, "[mark.edge.1] a region has more than 4 GiB");
  begin(0, 0);
}

void EdgeStacks::begin(std::size_t high_water, std::size_t covered, std::size_t region_bytes) {
  const std::size_t before = last_region_;
  covered_ = std::min(covered, heap_bytes_);
  std::size_t bytes = region_bytes;
  if (bytes == 0) {
    bytes = high_water <= kOneRegionBytes ? std::max(covered_, kChunkBytes) : kRegionBytes;
  }
  constexpr std::size_t kMostRegionBytes = std::size_t{1} << 32;
  const std::size_t least = std::bit_ceil(std::max<std::size_t>(covered_ / kMaxRegions, 1));
  bytes = std::max(std::bit_ceil(std::min(bytes, kMostRegionBytes)), least);
  shift_ = static_cast<unsigned>(std::countr_zero(bytes));
  last_region_ = covered_ == 0 ? 0 : (covered_ - 1) >> shift_;
  forget(before);
}

void EdgeStacks::begin_like(const EdgeStacks& other) {
  ECHO_CHECK(std::size_t{1} << other.shift_ >= kSlabBytes,
             "[mark.parallel.1] a slab, whose live count has one writer, lies in two regions");
  const std::size_t before = last_region_;
  covered_ = other.covered_;
  shift_ = other.shift_;
  last_region_ = other.last_region_;
  forget(before);
}

// No edge lies in a region behind the last, before or now.
void EdgeStacks::forget(std::size_t last_before) {
  wild_ = 0;
  current_ = kNone;
  spare_ = nullptr;
  spares_ = 0;
  std::fill_n(tops_.begin(), std::max(last_before, last_region_) + 1, nullptr);
  tops_[kMaxRegions] = &dropped_[1];
}

bool EdgeStacks::is_empty() const {
  return std::all_of(tops_.begin(), tops_.begin() + kMaxRegions,
                     [](const std::uint32_t* top) { return top == nullptr; });
}

EdgeStacks::Top EdgeStacks::grow(Top below) {
  char* const block = blocks_->take();
  EdgeBlocks::below(block) = below;
  return EdgeBlocks::bottom_of(block);
}

EdgeStacks::Top EdgeStacks::shrink(Top top) {
  char* const block = EdgeBlocks::block_of(top);
  const Top below = EdgeBlocks::below(block);
  blocks_->give(block);
  return below;
}

} // namespace echo
