// SPDX-License-Identifier: MIT
//
// Purpose     The search, and the bookkeeping of epochs.
#include "heap/object_starts.h"

#include "heap/os_memory.h"

#include <bit>

namespace echo {

Address last_start(const MarkBits& bits, Address slab, Address word) {
  const std::uint64_t* const marks = bits.slab_marks(slab);
  const std::uint64_t* const odds = bits.slab_odd(slab);
  const auto marked = [marks](std::size_t w) { return __atomic_load_n(&marks[w], __ATOMIC_ACQUIRE); };
  const auto odd = [odds](std::size_t w) { return __atomic_load_n(&odds[w], __ATOMIC_RELAXED); };
  const std::size_t cell = (word - slab) / MarkBits::kCellBytes;
  std::size_t w = cell / 64;
  const std::size_t own = cell % 64;
  std::uint64_t at = marked(w) & (~std::uint64_t{0} >> (63 - own));
  // In the word's own cell the object may start above it.
  if ((at >> own & 1) != 0 && (odd(w) >> own & 1) != 0 && (word & kGranule) == 0) {
    at &= ~(std::uint64_t{1} << own);
  }
  while (at == 0) {
    if (w == 0) {
      return 0;
    }
    at = marked(--w);
  }
  const auto bit = static_cast<std::size_t>(63 - std::countl_zero(at));
  const std::size_t upper = (odd(w) >> bit & 1) * kGranule;
  return slab + w * MarkBits::kBytesPerWord + bit * MarkBits::kCellBytes + upper;
}

ObjectStarts::~ObjectStarts() {
  if (epochs_ != nullptr) {
    os::release(epochs_, epoch_bytes_);
  }
}

bool ObjectStarts::open(Address heap_base, std::size_t heap_bytes, SideMetadata::LargePages large_pages) {
  base_ = heap_base;
  epoch_bytes_ = round_up(heap_bytes / kSlabBytes * sizeof(std::uint32_t), kPageBytes);
  void* const table = os::map_zeroed(epoch_bytes_, kPageBytes);
  if (table == nullptr) {
    return false;
  }
  if (!bits_.is_open() && !bits_.open(heap_base, heap_bytes, large_pages)) {
    os::release(table, epoch_bytes_);
    return false;
  }
  epochs_ = static_cast<std::uint32_t*>(table);
  open_.store(true, std::memory_order_release);
  return true;
}

void ObjectStarts::enter(Address slab) {
  std::uint32_t& epoch = epochs_[index_of(slab)]; // written under the lock
  if (epoch != epoch_) {
    bits_.clear_slab(slab);
    __atomic_store_n(&epoch, epoch_, __ATOMIC_RELEASE);
  }
}

void ObjectStarts::copy_slab(const MarkBits& marks, Address slab) {
  enter(slab);
  bits_.add_slab(marks, slab);
}

void ObjectStarts::add(Address object) {
  const Address slab = base_ + (object - base_) / kSlabBytes * kSlabBytes;
  enter(slab);
  bits_.note_start(object); // before its bit: a reader that finds the one knows the other
  std::atomic_thread_fence(std::memory_order_release);
  (void)bits_.mark(object);
}

} // namespace echo
