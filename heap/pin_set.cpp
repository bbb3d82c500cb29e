// SPDX-License-Identifier: MIT
//
// Purpose     Pins and their counts.
#include "heap/pin_set.h"

#include "heap/os_memory.h"

#include <cstring>

namespace echo {

static_assert(sizeof(echo_statistics::pinned_by) / sizeof(std::uint64_t) >= ECHO_PIN_COUNT);

PinSet::~PinSet() {
  if (slabs_ != nullptr) {
    os::release(slabs_, slab_bytes_);
  }
  if (bits_ != nullptr) {
    os::release(bits_, bit_bytes_);
  }
}

bool PinSet::open(Address heap_base, std::size_t heap_bytes) {
  base_ = heap_base;
  bit_bytes_ = round_up(heap_bytes / (kCellBytes * 8), kPageBytes);
  slab_bytes_ = round_up(heap_bytes / kSlabBytes, kPageBytes);
  if (slabs_ == nullptr) {
    slabs_ = static_cast<std::uint8_t*>(os::map_zeroed(slab_bytes_, kPageBytes));
  }
  if (slabs_ != nullptr && bits_ == nullptr) {
    bits_ = static_cast<std::uint64_t*>(os::map_zeroed(bit_bytes_, kPageBytes));
  }
  open_.store(bits_ != nullptr, std::memory_order_release);
  return bits_ != nullptr;
}

void PinSet::begin(std::size_t slabs) {
  for (std::size_t s = 0; s < slabs; ++s) {
    if (slabs_[s] != 0) {
      slabs_[s] = 0;
      std::memset(&bits_[s * (kSlabBytes / kBytesPerWord)], 0, kSlabBytes / (kCellBytes * 8));
    }
  }
  seen_ = hits_ = pinned_slabs_ = 0;
  pinned_.fill(0);
}

void PinSet::pin(ObjectRef object, echo_pin where) {
  ++hits_;
  std::uint64_t& word = word_of(object.address);
  if ((word & bit_of(object.address)) != 0) {
    return; // [pins.once.1]
  }
  word |= bit_of(object.address);
  ++pinned_[where];
  std::uint8_t& slab = slabs_[(object.address - base_) / kSlabBytes];
  if (slab == 0) {
    slab = 1;
    ++pinned_slabs_;
  }
}

void PinSet::publish() {
  all_seen_.fetch_add(seen_, std::memory_order_relaxed);
  all_hits_.fetch_add(hits_, std::memory_order_relaxed);
  last_slabs_.store(pinned_slabs_, std::memory_order_relaxed);
  for (std::size_t i = 0; i < pinned_.size(); ++i) {
    last_pinned_[i].store(pinned_[i], std::memory_order_relaxed);
  }
}

void PinSet::report(echo_statistics* out) const {
  out->ambiguous_words = all_seen_.load(std::memory_order_relaxed);
  out->ambiguous_hits = all_hits_.load(std::memory_order_relaxed);
  out->pinned_slabs = last_slabs_.load(std::memory_order_relaxed);
  for (std::size_t i = 0; i < last_pinned_.size(); ++i) {
    out->pinned_by[i] = last_pinned_[i].load(std::memory_order_relaxed);
    out->pinned_objects += out->pinned_by[i];
  }
}

} // namespace echo
