// SPDX-License-Identifier: MIT
//
// Purpose     Objects: allocation, stores, weak loads, sizes, hashes.
#include "vm_iface/src/calls.h"

#include "heap/identity_hash.h"

namespace echo {
namespace {

bool is_slot_of(const LayoutRecord& record, ObjectRef object, std::uint64_t offset) {
  if (record.ambiguous_elements) { // every whole word of the elements
    return offset >= record.fixed_bytes && offset % sizeof(Address) == 0 &&
           (offset - record.fixed_bytes) / sizeof(Address) < record.ambiguous_words(load_length(object));
  }
  if (record.has_trace) { // every aligned word
    std::uint64_t bytes = 0;
    const std::uint64_t first = record.is_array ? 16 : 8;
    return offset >= first && offset % sizeof(Address) == 0 &&
           LayoutTable::checked_object_bytes(record, record.is_array ? load_length(object) : 0, &bytes) &&
           offset < bytes;
  }
  for (std::uint32_t i = 0; i < record.slot_count; ++i) {
    if (record.slots[i].offset == offset) {
      return true;
    }
  }
  return false;
}

} // namespace
} // namespace echo

using echo::managed;
using echo::Mutator;

extern "C" {

echo_ref echo_allocate(echo_thread* thread, echo_layout_id layout, uint64_t length) {
  Mutator* m = nullptr;
  return echo::managed_or_error(thread, &m) ? echo::allocate_cold(thread, layout, length) : nullptr;
}

echo_status echo_store(echo_thread* thread, echo_ref object, uint64_t offset, echo_ref value) {
  Mutator* m = nullptr;
  if (const echo_status status = managed(thread, &m, nullptr); status != ECHO_OK) {
    return status;
  }
  if (object == nullptr) {
    return ECHO_INVALID_ARGUMENT;
  }
  const echo::LayoutTable& layouts = m->collector.memory.layouts;
  const echo::ObjectRef target = echo::ref_of(object);
  const std::uint32_t number = echo::load_header(target).layout_number();
  if (!layouts.knows({number})) {
    return ECHO_INVALID_ARGUMENT;
  }
  if (!echo::is_slot_of(layouts.record({number}), target, offset)) {
    return ECHO_OUT_OF_BOUNDS;
  }
  echo::store_reference(*m, m->barrier, m->collector.barriers, target.address + offset, echo::ref_of(value));
  return ECHO_OK;
}

echo_status echo_array_store(echo_thread* thread, echo_ref array, uint64_t index, echo_ref value) {
  Mutator* m = nullptr;
  if (const echo_status status = managed(thread, &m, nullptr); status != ECHO_OK) {
    return status;
  }
  if (array == nullptr) {
    return ECHO_INVALID_ARGUMENT;
  }
  const echo::LayoutTable& layouts = m->collector.memory.layouts;
  const echo::ObjectRef target = echo::ref_of(array);
  const std::uint32_t number = echo::load_header(target).layout_number();
  if (!layouts.knows({number}) || !layouts.record({number}).traced_elements) {
    return ECHO_INVALID_ARGUMENT;
  }
  if (index >= echo::load_length(target)) {
    return ECHO_OUT_OF_BOUNDS;
  }
  const echo::Address slot =
      target.address + layouts.record({number}).fixed_bytes + index * sizeof(echo::Address);
  echo::store_reference(*m, m->barrier, m->collector.barriers, slot, echo::ref_of(value));
  return ECHO_OK;
}

uint64_t echo_object_bytes(echo_heap* heap, echo_ref object) {
  return echo::layout_of(heap, object) == nullptr
             ? 0
             : heap->collector.memory.layouts.object_bytes(echo::ref_of(object));
}
echo_layout_id echo_object_layout(echo_heap* heap, echo_ref object) {
  return heap == nullptr || object == nullptr ? 0 : echo::load_header(echo::ref_of(object)).layout_number();
}
uint64_t echo_array_length(echo_heap* heap, echo_ref object) {
  const echo::LayoutRecord* r = echo::layout_of(heap, object);
  return r != nullptr && r->is_array ? echo::load_length(echo::ref_of(object)) : 0;
}

echo_ref echo_weak_load(echo_thread* thread, echo_ref object, uint64_t offset) {
  Mutator* m = nullptr;
  if (!echo::managed_or_error(thread, &m)) {
    return nullptr;
  }
  const echo::LayoutRecord* record = echo::layout_of(static_cast<echo_heap*>(m->heap), object);
  for (std::uint32_t i = 0; record != nullptr && i < record->slot_count; ++i) {
    if (record->slots[i].offset == offset && record->slots[i].kind >= ECHO_SLOT_WEAK) {
      const echo::Address slot = reinterpret_cast<echo::Address>(object) + offset;
      return m->phase != 0 ? echo::weak_load_cold(thread, reinterpret_cast<echo_ref*>(slot))
                           : reinterpret_cast<echo_ref>(echo::load_slot(slot));
    }
  }
  const std::string why = "no weak slot at offset " + std::to_string(offset);
  echo::set_error(*m, ECHO_INVALID_ARGUMENT, object == nullptr ? "object is null" : why.c_str());
  return nullptr;
}

uint64_t echo_identity_hash(echo_thread*, echo_ref object) {
  return object == nullptr ? 0 : echo::identity_hash({reinterpret_cast<echo::Address>(object)});
}

} // extern "C"
