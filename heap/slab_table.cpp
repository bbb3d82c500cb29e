// SPDX-License-Identifier: MIT
//
// Purpose     Mapping of the slab tables.
#include "heap/slab_table.h"

#include "heap/os_memory.h"

namespace echo {

SlabTable::~SlabTable() {
  if (kinds_ != nullptr) {
    os::release(kinds_, table_bytes_);
  }
}

bool SlabTable::open(Address base, std::size_t bytes) {
  base_ = base;
  bytes_ = bytes;
  const std::size_t slabs = round_up(bytes / kSlabBytes, kPageBytes);
  table_bytes_ = slabs * kBytesPerSlab;
  kinds_ = static_cast<std::uint8_t*>(os::map_zeroed(table_bytes_, kPageBytes));
  if (kinds_ == nullptr) {
    return false;
  }
  uses_ = kinds_ + slabs;
  live_ = reinterpret_cast<std::uint16_t*>(uses_ + slabs);
  holes_ = live_ + slabs;
  return true;
}

} // namespace echo
