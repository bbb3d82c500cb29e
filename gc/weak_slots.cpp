// SPDX-License-Identifier: MIT
//
// Purpose     See weak_slots.h.
#include "gc/weak_slots.h"

#include "barriers/store_barrier.h"
#include "heap/fault.h"
#include "heap/os_memory.h"

namespace echo {

WeakSlots::~WeakSlots() {
  if (objects_ != nullptr) {
    os::release(objects_, mapped_bytes_);
  }
}

bool WeakSlots::open(const Config& config) {
  const std::size_t most = config.max_heap / LayoutTable::kMinObjectBytes + 1; // [weak.note.1]
  mapped_bytes_ = round_up(most * sizeof(Address), kPageBytes);
  objects_ = static_cast<Address*>(os::map_zeroed(mapped_bytes_, kPageBytes));
  reset();
  end_ = objects_ == nullptr ? nullptr : objects_ + most;
  return objects_ != nullptr;
}

bool clear_slot(Address slot, Address target) {
  return __atomic_compare_exchange_n(reinterpret_cast<Address*>(slot), &target, Address{0}, false,
                                     __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
}

void WeakSlots::clear_slots(Address object) {
  const LayoutRecord& record = memory_.layouts.record({load_header({object}).layout_number()});
  for (std::uint32_t i = 0; i < record.slot_count; ++i) {
    if (record.slots[i].kind == ECHO_SLOT_WEAK) {
      const Address slot = object + record.slots[i].offset;
      const Address target = load_slot(slot);
      const bool is_dead = target != 0 && snapshot_.is_dead(target) && !has_fault(Fault::WeakNotCleared);
      cleared_ += is_dead && clear_slot(slot, target) ? 1 : 0;
    }
  }
}

void WeakSlots::clear_some(std::size_t most) {
  for (; most != 0 && has_work(); --most) {
    clear_slots(*next_++);
  }
}

void WeakSlots::trim() {
  constexpr std::size_t kKeep = std::size_t{1} << 20;
  const std::size_t used = round_up(static_cast<std::size_t>(top_ - objects_) * sizeof(Address), kPageBytes);
  if (used > kKeep) {
    (void)os::discard(reinterpret_cast<char*>(objects_) + kKeep, used - kKeep);
  }
  reset();
}

} // namespace echo
