// SPDX-License-Identifier: MIT
//
// Purpose     Scoped handles.
#include "heap/fault.h"
#include "vm_iface/src/calls.h"

using echo::guarded;
using echo::managed;
using echo::Mutator;

extern "C" {

echo_status echo_scope_open(echo_thread* thread, echo_scope* out) {
  Mutator* m = nullptr;
  if (const echo_status status = managed(thread, &m, nullptr); status != ECHO_OK) {
    return status;
  }
  if (out == nullptr) {
    return ECHO_INVALID_ARGUMENT;
  }
  return guarded(nullptr, [&](std::string*) { return m->handles.open(out); });
}

echo_status echo_scope_close(echo_thread* thread, echo_scope scope) {
  Mutator* m = nullptr;
  if (const echo_status status = managed(thread, &m, nullptr); status != ECHO_OK) {
    return status;
  }
  return m->handles.close(scope);
}

echo_handle echo_handle_new(echo_thread* thread, echo_ref object) {
  Mutator* m = nullptr;
  if (!echo::managed_or_error(thread, &m)) {
    return nullptr;
  }
  echo_handle handle = nullptr;
  echo::ObjectRef replaced;
  if (guarded(&m->last_error, [&](std::string* message) {
        const echo_status status = m->handles.make(echo::ref_of(object), &handle, &replaced);
        *message = status == ECHO_HANDLE_MISUSE ? "no handle scope is open" : "";
        return status;
      }) != ECHO_OK) {
    return nullptr;
  }
  if (!echo::has_fault(echo::Fault::HandleUnlogged)) {
    echo::log_leaving_root(*m, m->barrier, m->collector.barriers, replaced); // [handles.trace.1]
  }
  return handle;
}

echo_ref echo_handle_get(echo_thread* thread, echo_handle handle) {
  Mutator* m = nullptr;
  if (!echo::managed_or_error(thread, &m)) {
    return nullptr;
  }
  echo::ObjectRef object;
  if (!m->handles.get(handle, &object)) {
    echo::set_error(*m, ECHO_HANDLE_MISUSE,
                    "the handle's scope is closed, or it is not a handle of this thread");
    return nullptr;
  }
  return echo::as_ref(object);
}

echo_status echo_handle_set(echo_thread* thread, echo_handle handle, echo_ref object) {
  Mutator* m = nullptr;
  if (const echo_status status = managed(thread, &m, nullptr); status != ECHO_OK) {
    return status;
  }
  echo::ObjectRef replaced;
  if (!m->handles.set(handle, echo::ref_of(object), &replaced)) {
    return ECHO_HANDLE_MISUSE;
  }
  if (!echo::has_fault(echo::Fault::HandleUnlogged)) {
    echo::log_leaving_root(*m, m->barrier, m->collector.barriers, replaced);
  }
  return ECHO_OK;
}

} // extern "C"
