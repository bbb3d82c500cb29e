// SPDX-License-Identifier: MIT
//
// Purpose     Roots outside objects: root words, frame sources, ambiguous words; resolving one.
#include "vm_iface/src/calls.h"

using echo::guarded;
using echo::managed;
using echo::Mutator;
using echo::report;

extern "C" {

echo_status echo_roots_add(echo_heap* heap, echo_ref* first, uint64_t count, echo_error* why) {
  if (const echo_status status = echo::unusable(heap, why); status != ECHO_OK) {
    return status;
  }
  return guarded(
      why, [&](std::string* message) { return heap->collector.roots.globals.add(first, count, message); });
}

echo_status echo_roots_remove(echo_heap* heap, echo_ref* first, echo_error* why) {
  if (const echo_status status = echo::unusable(heap, why); status != ECHO_OK) {
    return status;
  }
  return guarded(why,
                 [&](std::string* message) { return heap->collector.roots.globals.remove(first, message); });
}

echo_status echo_frame_source_set(echo_heap* heap, const echo_frame_source* source, echo_error* why) {
  if (const echo_status status = echo::unusable(heap, why); status != ECHO_OK) {
    return status;
  }
  return guarded(why,
                 [&](std::string* message) { return heap->collector.roots.frames.set(source, message); });
}

echo_status echo_ambiguous_stack(echo_thread* thread, uint32_t on, echo_error* why) {
  Mutator* m = nullptr;
  if (const echo_status status = managed(thread, &m, why); status != ECHO_OK) {
    return status;
  }
  if (on > 1) {
    return report(why, ECHO_INVALID_ARGUMENT, "on is " + std::to_string(on) + ", it must be 0 or 1");
  }
  return guarded(why,
                 [&](std::string* message) { return m->collector.ambiguous_stack(*m, on != 0, message); });
}

echo_status echo_ambiguous_range_add(echo_heap* heap, const void* start, uint64_t bytes, echo_error* why) {
  if (const echo_status status = echo::unusable(heap, why); status != ECHO_OK) {
    return status;
  }
  return guarded(
      why, [&](std::string* message) { return heap->collector.add_ambiguous_range(start, bytes, message); });
}

echo_status echo_ambiguous_range_remove(echo_heap* heap, const void* start, echo_error* why) {
  if (const echo_status status = echo::unusable(heap, why); status != ECHO_OK) {
    return status;
  }
  return guarded(
      why, [&](std::string* message) { return heap->collector.remove_ambiguous_range(start, message); });
}

echo_ref echo_resolve(echo_thread* thread, uintptr_t word) {
  Mutator* m = nullptr;
  if (!echo::managed_or_error(thread, &m)) {
    return nullptr;
  }
  echo::ObjectRef found;
  if (guarded(&m->last_error, [&](std::string* message) {
        return m->collector.starts.resolve(*m, {word}, &found, message);
      }) != ECHO_OK) {
    return nullptr;
  }
  echo::log_obtained(*m, m->barrier, m->collector.barriers, found); // [resolve.log.1]
  return echo::as_ref(found);
}

} // extern "C"
