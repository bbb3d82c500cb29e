// SPDX-License-Identifier: MIT
//
// Purpose     Mapping of the bitmaps.
#include "heap/side_metadata.h"

#include "heap/os_memory.h"

#include <algorithm>
#include <initializer_list>
#include <utility>

namespace echo {

SideMetadata::~SideMetadata() {
  unmap(*this);
  unmap(previous_);
}

void SideMetadata::unmap(const MarkBits& bits) const {
  for (std::uint64_t* words : {bits.marks_, bits.odd_}) {
    if (words != nullptr) {
      os::release(words, mapped_bytes_);
    }
  }
}

bool SideMetadata::map(MarkBits* bits, Address heap_base) const {
  bits->heap_base_ = heap_base;
  for (std::uint64_t** words : {&bits->marks_, &bits->odd_}) {
    if (*words == nullptr) { // else of an attempt that failed half way
      *words = static_cast<std::uint64_t*>(os::map_zeroed(mapped_bytes_, kChunkBytes));
    }
    if (*words == nullptr) {
      return false;
    }
    if (large_pages_ == LargePages::AtOnce) {
      (void)os::advise_huge(*words, mapped_bytes_);
    }
  }
  return true;
}

bool SideMetadata::open(Address heap_base, std::size_t heap_bytes, LargePages large_pages) {
  mapped_bytes_ = round_up(bytes_for(heap_bytes) / 2, kChunkBytes);
  large_pages_ = large_pages;
  if (!map(this, heap_base) || !map(&previous_, heap_base)) {
    return false;
  }
  mapped_ = {marks_, odd_, previous_.marks_, previous_.odd_};
  return true;
}

// A bitmap on small pages costs the marker a second TLB miss per object.
bool SideMetadata::bring_in_step(std::size_t heap_bytes, bool both_cycles) {
  const std::size_t from = brought_in_.load(std::memory_order_relaxed);
  std::size_t to = bytes_of_each(heap_bytes);
  if (from >= to) {
    return false;
  }
  const std::size_t end = (from / kChunkBytes + 1) * kChunkBytes;
  to = large_pages_ == LargePages::AsBroughtIn ? end : std::min(to, end);
  for (std::size_t i = 0; i < (both_cycles ? mapped_.size() : 2); ++i) {
    void* const at = reinterpret_cast<char*>(mapped_[i]) + from;
    if (large_pages_ == LargePages::AsBroughtIn) {
      (void)os::advise_huge(at, to - from);
    }
    (void)os::populate(at, to - from); // refused: the first touch brings it in
  }
  brought_in_.store(to, std::memory_order_relaxed);
  return true;
}

void SideMetadata::swap_cycles() {
  std::swap(marks_, previous_.marks_);
  std::swap(odd_, previous_.odd_);
}

std::size_t SideMetadata::clear_previous_some(std::size_t from, std::size_t bytes,
                                              std::size_t heap_bytes) const {
  const std::size_t end = bytes_for(heap_bytes) / 2;
  const std::size_t half = round_up(bytes / 2 + 1, sizeof(std::uint64_t));
  const std::size_t to = end - from < half ? end : from + half;
  for (std::uint64_t* const words : {previous_.marks_, previous_.odd_}) {
    // Word by word: threads may read them, who find out then that it was in vain. [heap.mixed.3]
    for (std::size_t at = from; at < to; at += sizeof(std::uint64_t)) {
      store(words[at / sizeof(std::uint64_t)], 0);
    }
  }
  return to;
}

void SideMetadata::clear_previous(std::size_t heap_bytes) const {
  (void)clear_previous_some(0, SIZE_MAX / 2, heap_bytes);
}

} // namespace echo
