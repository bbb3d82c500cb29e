// SPDX-License-Identifier: MIT
//
// services.cpp - what the null plugin does not have: persistent handles, pins, callbacks, the walk, events. Each
// function says so. [null.honest.1]
#include "null_heap.h"
#include "report.h"

using null_heap::fail;

namespace {

echo_status lacks(const void* subject, echo_error* why, const char* what) {
  return subject == nullptr ? fail(why, ECHO_INVALID_ARGUMENT, "thread or heap is null")
                            : fail(why, ECHO_NOT_SUPPORTED, std::string("this heap has no ") + what);
}

} // namespace

echo_status echo_persistent_new(echo_thread* thread, echo_ref, echo_persistent*, echo_error* why) {
  return lacks(thread, why, "persistent handles");
}
echo_status echo_persistent_of(echo_thread* thread, echo_handle, echo_persistent*, echo_error* why) {
  return lacks(thread, why, "persistent handles");
}
echo_status echo_persistent_copy(echo_heap* heap, echo_persistent, echo_persistent*, echo_error* why) {
  return lacks(heap, why, "persistent handles");
}
echo_ref echo_persistent_get(echo_thread* thread, echo_persistent) {
  if (thread != nullptr)
    fail(&thread->last_error, ECHO_NOT_SUPPORTED, "this heap has no persistent handles");
  return nullptr;
}
echo_status echo_persistent_set(echo_thread* thread, echo_persistent, echo_ref) {
  return lacks(thread, nullptr, "persistent handles");
}
echo_status echo_persistent_destroy(echo_heap* heap, echo_persistent, echo_error* why) {
  return lacks(heap, why, "persistent handles");
}
echo_status echo_pin_object(echo_thread* thread, echo_ref, echo_error* why) {
  return lacks(thread, why, "pins");
}
echo_status echo_unpin_object(echo_heap* heap, echo_ref, echo_error* why) {
  return lacks(heap, why, "pins");
}

echo_status echo_roots_callback_add(echo_heap* heap, echo_roots_fn, void*, echo_error* why) {
  return lacks(heap, why, "root callbacks");
}
echo_status echo_roots_callback_remove(echo_heap* heap, echo_roots_fn, void*, echo_error* why) {
  return lacks(heap, why, "root callbacks");
}
echo_status echo_layout_register_traced(echo_heap* heap, const echo_layout*, echo_trace_fn, void*,
                                        echo_layout_id*, echo_error* why) {
  return lacks(heap, why, "trace callbacks");
}
echo_status echo_store_outside(echo_thread* thread, echo_ref*, echo_ref) {
  return lacks(thread, nullptr, "trace callbacks");
}
echo_status echo_walk_objects(echo_thread* thread, echo_walk*, echo_walk_fn, void*, echo_error* why) {
  return lacks(thread, why, "walk over its objects");
}
echo_status echo_external_memory(echo_heap* heap, std::int64_t, echo_error* why) {
  return lacks(heap, why, "account of memory outside it");
}
echo_status echo_out_of_memory_set(echo_heap* heap, echo_out_of_memory_fn, void*, echo_error* why) {
  return lacks(heap, why, "out-of-memory handler");
}

echo_status echo_listener_add(echo_heap* heap, std::uint64_t, echo_listener_fn, void*, std::uint32_t*,
                              echo_error* why) {
  return lacks(heap, why, "events");
}
echo_status echo_listener_remove(echo_heap* heap, std::uint32_t, echo_error* why) {
  return lacks(heap, why, "events");
}
echo_status echo_histogram_export(echo_heap* heap, std::uint32_t, std::uint32_t, char*, std::uint64_t*,
                                  echo_error* why) {
  return lacks(heap, why, "histograms");
}

echo_status echo_fork_prepare(echo_thread* thread, echo_error* why) {
  return lacks(thread, why, "way over a fork");
}
echo_status echo_fork_parent(echo_thread* thread, echo_error* why) {
  return lacks(thread, why, "way over a fork");
}
echo_status echo_fork_child(echo_thread* thread, echo_error* why) {
  return lacks(thread, why, "way over a fork");
}
