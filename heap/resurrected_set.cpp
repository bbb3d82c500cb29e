// SPDX-License-Identifier: MIT
//
// Purpose     Bits, and the bookkeeping of epochs. Memory from the system is zero, which is what an atomic of 0 is.
#include "heap/resurrected_set.h"

#include "heap/os_memory.h"

namespace echo {

static_assert(sizeof(std::atomic<std::uint64_t>) == 8 && sizeof(std::atomic<std::uint32_t>) == 4);

ResurrectedSet::~ResurrectedSet() {
  if (epochs_ != nullptr) {
    os::release(epochs_, epoch_bytes_);
  }
  if (bits_ != nullptr) {
    os::release(bits_, bit_bytes_);
  }
}

bool ResurrectedSet::open(Address heap_base, std::size_t heap_bytes) {
  base_ = heap_base;
  bit_bytes_ = round_up(heap_bytes / (kCellBytes * 8), kPageBytes);
  epoch_bytes_ = round_up(heap_bytes / kSlabBytes * sizeof(std::uint32_t), kPageBytes);
  if (epochs_ == nullptr) {
    epochs_ = static_cast<std::atomic<std::uint32_t>*>(os::map_zeroed(epoch_bytes_, kPageBytes));
  }
  if (epochs_ != nullptr && bits_ == nullptr) {
    bits_ = static_cast<std::atomic<std::uint64_t>*>(os::map_zeroed(bit_bytes_, kPageBytes));
  }
  open_.store(bits_ != nullptr, std::memory_order_release);
  return bits_ != nullptr;
}

void ResurrectedSet::begin() {
  epoch_.fetch_add(1, std::memory_order_relaxed);
  is_on_ = is_open();
}

void ResurrectedSet::add(Address object) {
  const std::uint32_t now = epoch_.load(std::memory_order_relaxed);
  std::atomic<std::uint32_t>& epoch = epoch_of(object);
  if (epoch.load(std::memory_order_relaxed) != now) {
    std::atomic<std::uint64_t>* const words = &word_of(object - (object - base_) % kSlabBytes);
    for (std::size_t i = 0; i < kSlabBytes / kBytesPerWord; ++i) {
      words[i].store(0, std::memory_order_relaxed);
    }
    epoch.store(now, std::memory_order_release); // behind the zeros
  }
  std::atomic<std::uint64_t>& word = word_of(object);
  word.store(word.load(std::memory_order_relaxed) | bit_of(object), std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release); // [resurrect.order.1]
}

bool ResurrectedSet::contains(Address object) const {
  if (!is_open()) {
    return false;
  }
  std::atomic_thread_fence(std::memory_order_acquire); // behind the look at the mark bit [resurrect.order.1]
  return epoch_of(object).load(std::memory_order_acquire) == epoch_.load(std::memory_order_relaxed) &&
         (word_of(object).load(std::memory_order_relaxed) & bit_of(object)) != 0;
}

} // namespace echo
