// SPDX-License-Identifier: MIT
//
// Purpose     Mapping of the bitmaps and the long case of setting L.
#include "heap/side_metadata.h"

#include "heap/os_memory.h"

#include <algorithm>

namespace echo {

SideMetadata::~SideMetadata() {
  if (pages_ != nullptr) {
    os::release(pages_, mapped_bytes_);
  }
}

bool SideMetadata::open(Address heap_base, std::size_t heap_bytes) {
  heap_base_ = heap_base;
  mapped_bytes_ = round_up(bytes_for(heap_bytes), kChunkBytes);
  pages_ = static_cast<PageBits*>(os::map_zeroed(mapped_bytes_, kChunkBytes));
  if (pages_ == nullptr) {
    return false;
  }
  // A bitmap on small pages costs the marker a second TLB miss per object.
  os::advise_huge(pages_, mapped_bytes_);
  return true;
}

void SideMetadata::set_live_long(Address a, std::size_t granules) const {
  while (granules != 0) {
    const std::size_t first = (a / kGranule) & 63;
    const std::size_t here = std::min(granules, 64 - first);
    const std::uint64_t mask = here == 64 ? ~std::uint64_t{0} : ((std::uint64_t{1} << here) - 1) << first;
    page_of(a).live[word_in_page(a)] |= mask;
    a += here * kGranule;
    granules -= here;
  }
}

} // namespace echo
