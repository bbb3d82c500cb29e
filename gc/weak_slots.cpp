// SPDX-License-Identifier: MIT
//
// Purpose     See weak_slots.h.
#include "gc/weak_slots.h"

#include "barriers/store_barrier.h"
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
  top_ = objects_;
  end_ = objects_ == nullptr ? nullptr : objects_ + most;
  return objects_ != nullptr;
}

// What lies outside the slabs is not the collector's, and what is of another kind was born since the mark started.
bool WeakSlots::is_dead(Address object) const {
  const SlabTable& slabs = memory_.pool.slabs();
  if (!slabs.contains(object)) {
    return false;
  }
  const SlabKind kind = slabs.kind_of_word(object);
  return (slabs.is_old(kind) || kind == SlabKind::Large) && !memory_.bits.is_marked(object);
}

std::size_t WeakSlots::clear() {
  std::size_t cleared = 0;
  for (const Address* at = objects_; at != top_; ++at) {
    const LayoutRecord& record = memory_.layouts.record({load_header({*at}).layout_number()});
    for (std::uint32_t i = 0; i < record.slot_count; ++i) {
      if (record.slots[i].kind != ECHO_SLOT_WEAK) {
        continue;
      }
      auto* const slot = reinterpret_cast<Address*>(*at + record.slots[i].offset);
      Address target = load_slot(*at + record.slots[i].offset);
      if (target != 0 && is_dead(target)) {
        cleared +=
            __atomic_compare_exchange_n(slot, &target, Address{0}, false, __ATOMIC_ACQ_REL, __ATOMIC_RELAXED)
                ? 1
                : 0;
      }
    }
  }
  return cleared;
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
