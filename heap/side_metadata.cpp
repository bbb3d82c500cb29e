// SPDX-License-Identifier: MIT
//
// Purpose     Mapping of the bitmaps.
#include "heap/side_metadata.h"

#include "heap/os_memory.h"

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
    // A bitmap on small pages costs the marker a second TLB miss per object.
    (void)os::advise_huge(*words, mapped_bytes_);
  }
  return true;
}

bool SideMetadata::open(Address heap_base, std::size_t heap_bytes) {
  mapped_bytes_ = round_up(bytes_for(heap_bytes) / 2, kChunkBytes);
  return map(this, heap_base) && map(&previous_, heap_base);
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
  std::memset(reinterpret_cast<char*>(previous_.marks_) + from, 0, to - from);
  std::memset(reinterpret_cast<char*>(previous_.odd_) + from, 0, to - from);
  return to;
}

void SideMetadata::clear_previous(std::size_t heap_bytes) const {
  (void)clear_previous_some(0, SIZE_MAX / 2, heap_bytes);
}

} // namespace echo
