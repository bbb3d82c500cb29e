// SPDX-License-Identifier: MIT
//
// callbacks.cpp - see callbacks.h.
#include "callbacks.h"

#include "calls.h"

#include <algorithm>

namespace check {

void TraceCallback::trace(void* self, echo_ref object, echo_visit_ref_fn visit, void* visitor) {
  auto& callback = *static_cast<TraceCallback*>(self);
  const std::lock_guard lock(callback.one_at_a_time_);
  callback.trace_(callback.context_, object, visit, visitor);
}

std::vector<std::uintptr_t> TraceCallback::references_of(std::uintptr_t object) {
  std::vector<std::uintptr_t> found;
  const auto note = [](void* to, echo_ref root) {
    if (root != nullptr)
      static_cast<std::vector<std::uintptr_t>*>(to)->push_back(reinterpret_cast<std::uintptr_t>(root));
  };
  trace(this, reinterpret_cast<echo_ref>(object), note, &found);
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  return found;
}

// [check.callback.3]
std::uint32_t OutOfMemoryCallback::ask(void* self, echo_thread* of_real, std::uint64_t bytes,
                                       std::uint32_t status) {
  const auto& callback = *static_cast<OutOfMemoryCallback*>(self);
  CheckedThread* const thread = callback.heap_.thread_of(of_real);
  if (thread == nullptr) // attached beside the checker
    return 0;
  const Site site = thread->last_call;
  callback.heap_.resume(*thread);
  const std::uint32_t again = callback.handler_(callback.context_, thread->as_handle(), bytes, status);
  publish_anchor(*thread);
  callback.heap_.park(*thread, site, false);
  return again;
}

} // namespace check
