// SPDX-License-Identifier: MIT
//
// service_calls.cpp - persistent handles, pins, root callbacks, the walk, memory outside the heap, events.
//
// What persistent handles, pins and root callbacks root the checker does not follow: from the first one on nothing is called dead.
#include "calls.h"

namespace check {

namespace {

// The object that a call is given, on its own thread; and what the call roots is not followed.
void takes(echo_thread* thread, echo_ref object, const char* function, const Site& site) {
  CheckedThread* const t = CheckedThread::of(thread);
  if (t != nullptr && owns(*t, function, site) && object != nullptr) {
    (void)t->heap->uses(*t, object, "what is rooted", site);
    t->heap->be_inexact();
  }
}

} // namespace

echo_status persistent_new(echo_thread* thread, echo_ref object, echo_persistent* out, echo_error* why) {
  const Site site = ECHO_CHECK_SITE(thread);
  takes(thread, object, "echo_persistent_new", site);
  return judged(CheckedThread::of(thread), real->persistent_new(real_of(thread), object, out, why),
                "echo_persistent_new", site);
}
echo_status persistent_of(echo_thread* thread, echo_handle scoped, echo_persistent* out, echo_error* why) {
  const Site site = ECHO_CHECK_SITE(thread);
  CheckedThread* const t = CheckedThread::of(thread);
  const echo_status status =
      judged(t, real->persistent_of(real_of(thread), scoped, out, why), "echo_persistent_of", site);
  if (t != nullptr && status == ECHO_OK)
    t->heap->be_inexact();
  return status;
}
echo_status persistent_copy(echo_heap* heap, echo_persistent from, echo_persistent* out, echo_error* why) {
  return real->persistent_copy(real_of(heap), from, out, why);
}
echo_ref persistent_get(echo_thread* thread, echo_persistent handle) {
  const echo_ref found = real->persistent_get(real_of(thread), handle);
  if (found != nullptr)
    CheckedThread::of(thread)->heap->obtained(found);
  return found;
}
echo_status persistent_set(echo_thread* thread, echo_persistent handle, echo_ref object) {
  const Site site = ECHO_CHECK_SITE(thread);
  takes(thread, object, "echo_persistent_set", site);
  return judged(CheckedThread::of(thread), real->persistent_set(real_of(thread), handle, object),
                "echo_persistent_set", site);
}
echo_status persistent_destroy(echo_heap* heap, echo_persistent handle, echo_error* why) {
  return real->persistent_destroy(real_of(heap), handle, why);
}
echo_status pin_object(echo_thread* thread, echo_ref object, echo_error* why) {
  const Site site = ECHO_CHECK_SITE(thread);
  takes(thread, object, "echo_pin_object", site);
  return judged(CheckedThread::of(thread), real->pin_object(real_of(thread), object, why), "echo_pin_object",
                site);
}
echo_status unpin_object(echo_heap* heap, echo_ref object, echo_error* why) {
  return real->unpin_object(real_of(heap), object, why);
}

echo_status roots_callback_add(echo_heap* heap, echo_roots_fn roots, void* context, echo_error* why) {
  const echo_status status = real->roots_callback_add(real_of(heap), roots, context, why);
  if (status == ECHO_OK)
    CheckedHeap::of(heap)->be_inexact();
  return status;
}
echo_status roots_callback_remove(echo_heap* heap, echo_roots_fn roots, void* context, echo_error* why) {
  return real->roots_callback_remove(real_of(heap), roots, context, why);
}
echo_status layout_register_traced(echo_heap* heap, const echo_layout* layout, echo_trace_fn trace,
                                   void* context, echo_layout_id* out, echo_error* why) {
  if (heap == nullptr || trace == nullptr)
    return real->layout_register_traced(real_of(heap), layout, trace, context, out, why);
  TraceCallback& callback = CheckedHeap::of(heap)->trace_callback(trace, context);
  const echo_status status =
      real->layout_register_traced(real_of(heap), layout, TraceCallback::trace, &callback, out, why);
  if (status == ECHO_OK)
    CheckedHeap::of(heap)->know_layout(*out, &callback);
  return status;
}
echo_status store_outside(echo_thread* thread, echo_ref* slot, echo_ref value) {
  const Site site = ECHO_CHECK_SITE(thread);
  CheckedThread* const t = CheckedThread::of(thread);
  if (t != nullptr && owns(*t, "echo_store_outside", site) && t->state == kManaged && slot != nullptr &&
      reinterpret_cast<std::uintptr_t>(slot) % sizeof *slot == 0)
    t->heap->overwrites(*t, slot, value, site);
  return judged(t, real->store_outside(real_of(thread), slot, value), "echo_store_outside", site);
}
echo_status walk_objects(echo_thread* thread, echo_walk* walk, echo_walk_fn visit, void* context,
                         echo_error* why) {
  const Site site = ECHO_CHECK_SITE(thread);
  return judged(
      CheckedThread::of(thread),
      at_safepoint(thread, "echo_walk_objects", site,
                   [&](echo_thread* mine) { return real->walk_objects(mine, walk, visit, context, why); }),
      "echo_walk_objects", site);
}
echo_status external_memory(echo_heap* heap, std::int64_t delta, echo_error* why) {
  return real->external_memory(real_of(heap), delta, why);
}
echo_status out_of_memory_set(echo_heap* heap, echo_out_of_memory_fn handler, void* context,
                              echo_error* why) {
  if (heap == nullptr || handler == nullptr)
    return real->out_of_memory_set(real_of(heap), handler, context, why);
  return real->out_of_memory_set(real_of(heap), OutOfMemoryCallback::ask,
                                 &CheckedHeap::of(heap)->out_of_memory_callback(handler, context), why);
}

echo_status listener_add(echo_heap* heap, std::uint64_t kinds, echo_listener_fn listener, void* context,
                         std::uint32_t* out, echo_error* why) {
  return real->listener_add(real_of(heap), kinds, listener, context, out, why);
}
echo_status listener_remove(echo_heap* heap, std::uint32_t listener, echo_error* why) {
  return real->listener_remove(real_of(heap), listener, why);
}
echo_status histogram_export(echo_heap* heap, std::uint32_t histogram, std::uint32_t cause, char* buffer,
                             std::uint64_t* bytes, echo_error* why) {
  return real->histogram_export(real_of(heap), histogram, cause, buffer, bytes, why);
}

} // namespace check
