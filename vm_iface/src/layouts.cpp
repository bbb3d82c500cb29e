// SPDX-License-Identifier: MIT
//
// Purpose     Layouts: registration and enumeration.
#include "vm_iface/src/calls.h"

using echo::guarded;
using echo::null_argument;

extern "C" {

echo_status echo_layout_register(echo_heap* heap, const echo_layout* layout, echo_layout_id* out,
                                 echo_error* why) {
  if (heap == nullptr || layout == nullptr || out == nullptr) {
    return null_argument(why, heap == nullptr ? "heap" : layout == nullptr ? "layout" : "out");
  }
  if (const echo_status status = echo::unusable(heap, why); status != ECHO_OK) {
    return status;
  }
  return guarded(why, [&](std::string* message) {
    echo::LayoutId id;
    if (layout->size >= sizeof(echo_layout) && layout->kind == ECHO_LAYOUT_AMBIGUOUS) {
      if (const echo_status status = heap->collector.starts.use(message); status != ECHO_OK) {
        return status;
      }
    }
    const echo_status status = heap->collector.register_layout(*layout, &id, message);
    *out = id.number;
    return status;
  });
}

echo_status echo_layout_get(echo_heap* heap, echo_layout_id id, echo_layout_info* out) {
  if (heap == nullptr || out == nullptr || out->size < sizeof(echo_layout_info)) {
    return ECHO_INVALID_ARGUMENT;
  }
  const echo::LayoutTable& layouts = heap->collector.memory.layouts;
  if (!layouts.knows({id})) {
    return ECHO_UNKNOWN_LAYOUT;
  }
  const echo::LayoutRecord& r = layouts.record({id});
  *out = echo_layout_info{out->size,
                          id,
                          r.kind,
                          r.flags,
                          r.name,
                          r.exact_fixed_bytes,
                          r.element_bytes,
                          r.alignment,
                          r.slot_count,
                          0,
                          echo::HeaderWord::born({id}).bits};
  return ECHO_OK;
}

echo_status echo_layout_get_slot(echo_heap* heap, echo_layout_id id, uint32_t index, echo_slot* out) {
  if (heap == nullptr || out == nullptr) {
    return ECHO_INVALID_ARGUMENT;
  }
  const echo::LayoutTable& layouts = heap->collector.memory.layouts;
  if (!layouts.knows({id})) {
    return ECHO_UNKNOWN_LAYOUT;
  }
  const echo::LayoutRecord& r = layouts.record({id});
  if (index >= r.slot_count) {
    return ECHO_OUT_OF_BOUNDS;
  }
  *out = r.slots[index];
  return ECHO_OK;
}

uint32_t echo_layout_count(echo_heap* heap) {
  return heap == nullptr ? 0 : heap->collector.memory.layouts.count();
}

} // extern "C"
