// SPDX-License-Identifier: MIT
//
// service_calls.cpp - persistent handles, pins, root callbacks, the walk, memory outside the heap, events.
//
// What persistent handles, pins and callbacks root the checker does not follow: from the first one on nothing is called dead. Trace
// callbacks, the out-of-memory handler and fork are not served: the features' bits are clear.
#include "calls.h"

#include <cstdio>

namespace check {

namespace {

echo_status not_served(echo_error* why, const char* what) {
  if (why != nullptr) {
    why->code = ECHO_NOT_SUPPORTED;
    std::snprintf(why->message, sizeof why->message, "the checker does not serve %s", what);
  }
  return ECHO_NOT_SUPPORTED;
}

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
  const Site site = ECHO_CHECK_SITE();
  takes(thread, object, "echo_persistent_new", site);
  return judged(CheckedThread::of(thread), real->persistent_new(real_of(thread), object, out, why),
                "echo_persistent_new", site);
}
echo_status persistent_of(echo_thread* thread, echo_handle scoped, echo_persistent* out, echo_error* why) {
  const Site site = ECHO_CHECK_SITE();
  CheckedThread* const t = CheckedThread::of(thread);
  if (t != nullptr)
    t->heap->be_inexact();
  return judged(t, real->persistent_of(real_of(thread), scoped, out, why), "echo_persistent_of", site);
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
  const Site site = ECHO_CHECK_SITE();
  takes(thread, object, "echo_persistent_set", site);
  return judged(CheckedThread::of(thread), real->persistent_set(real_of(thread), handle, object),
                "echo_persistent_set", site);
}
echo_status persistent_destroy(echo_heap* heap, echo_persistent handle, echo_error* why) {
  return real->persistent_destroy(real_of(heap), handle, why);
}
echo_status pin_object(echo_thread* thread, echo_ref object, echo_error* why) {
  const Site site = ECHO_CHECK_SITE();
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
echo_status layout_register_traced(echo_heap*, const echo_layout*, echo_trace_fn, void*, echo_layout_id*,
                                   echo_error* why) {
  return not_served(why, "trace callbacks");
}
echo_status store_outside(echo_thread*, echo_ref*, echo_ref) {
  return ECHO_NOT_SUPPORTED;
}
echo_status walk_objects(echo_thread* thread, echo_walk* walk, echo_walk_fn visit, void* context,
                         echo_error* why) {
  const Site site = ECHO_CHECK_SITE();
  return judged(
      CheckedThread::of(thread),
      at_safepoint(thread, "echo_walk_objects", site,
                   [&](echo_thread* mine) { return real->walk_objects(mine, walk, visit, context, why); }),
      "echo_walk_objects", site);
}
echo_status external_memory(echo_heap* heap, std::int64_t delta, echo_error* why) {
  return real->external_memory(real_of(heap), delta, why);
}
echo_status out_of_memory_set(echo_heap*, echo_out_of_memory_fn, void*, echo_error* why) {
  return not_served(why, "the out-of-memory handler");
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

echo_status fork_prepare(echo_thread*, echo_error* why) {
  return not_served(why, "fork");
}
echo_status fork_parent(echo_thread*, echo_error* why) {
  return not_served(why, "fork");
}
echo_status fork_child(echo_thread*, echo_error* why) {
  return not_served(why, "fork");
}

} // namespace check
