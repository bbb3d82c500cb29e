// SPDX-License-Identifier: MIT
//
// Purpose     Mapping of the bitmaps.
#include "heap/side_metadata.h"

#include "heap/os_memory.h"

#include <initializer_list>

namespace echo {

SideMetadata::~SideMetadata() {
  if (marks_ != nullptr) {
    os::release(marks_, mapped_bytes_);
  }
  if (odd_ != nullptr) {
    os::release(odd_, mapped_bytes_);
  }
}

bool SideMetadata::open(Address heap_base, std::size_t heap_bytes) {
  heap_base_ = heap_base;
  mapped_bytes_ = round_up(bytes_for(heap_bytes) / 2, kChunkBytes);
  for (std::uint64_t** map : {&marks_, &odd_}) {
    if (*map == nullptr) { // else of an attempt that failed half way
      *map = static_cast<std::uint64_t*>(os::map_zeroed(mapped_bytes_, kChunkBytes));
    }
  }
  if (!is_open()) {
    return false;
  }
  // A bitmap on small pages costs the marker a second TLB miss per object.
  (void)os::advise_huge(marks_, mapped_bytes_);
  (void)os::advise_huge(odd_, mapped_bytes_);
  return true;
}

} // namespace echo
