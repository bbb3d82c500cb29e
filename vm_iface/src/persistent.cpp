// SPDX-License-Identifier: MIT
//
// Purpose     Persistent handles and pins.
#include "vm_iface/src/calls.h"

namespace echo {
namespace {

// A thread that may pass `object`: managed, or with null in whatever state.
echo_status may_pass(echo_thread* thread, echo_ref object, Mutator** out, echo_error* why) {
  if (object != nullptr) {
    if (!is_aligned(reinterpret_cast<Address>(object), kGranule)) {
      return report(why, ECHO_INVALID_ARGUMENT, "object is no reference: it is not aligned to 8 bytes");
    }
    return managed(thread, out, why);
  }
  if (thread == nullptr) {
    return null_argument(why, "thread");
  }
  *out = Mutator::from(thread);
  return (*out)->is_current_thread()
             ? ECHO_OK
             : report(why, ECHO_WRONG_THREAD, "the call belongs to the thread that attached");
}

} // namespace
} // namespace echo

using echo::guarded;
using echo::managed;
using echo::Mutator;
using echo::null_argument;

extern "C" {

echo_status echo_persistent_new(echo_thread* thread, echo_ref object, echo_persistent* out, echo_error* why) {
  if (out == nullptr) {
    return null_argument(why, "out");
  }
  *out = nullptr;
  Mutator* m = nullptr;
  if (const echo_status status = echo::may_pass(thread, object, &m, why); status != ECHO_OK) {
    return status;
  }
  return guarded(why, [&](std::string* message) {
    return m->collector.roots.persistent.make(echo::ref_of(object), out, message);
  });
}

echo_status echo_persistent_of(echo_thread* thread, echo_handle scoped, echo_persistent* out,
                               echo_error* why) {
  if (out == nullptr) {
    return null_argument(why, "out");
  }
  *out = nullptr;
  Mutator* m = nullptr;
  if (const echo_status status = echo::may_pass(thread, nullptr, &m, why); status != ECHO_OK) {
    return status;
  }
  return guarded(why, [&](std::string* message) {
    echo::ObjectRef object;
    if (!m->handles.get(scoped, &object)) {
      *message = "the handle's scope is closed, or it is not a handle of this thread";
      return ECHO_HANDLE_MISUSE;
    }
    return m->collector.roots.persistent.make(object, out, message);
  });
}

echo_status echo_persistent_copy(echo_heap* heap, echo_persistent from, echo_persistent* out,
                                 echo_error* why) {
  if (heap == nullptr || out == nullptr) {
    return null_argument(why, heap == nullptr ? "heap" : "out");
  }
  *out = nullptr;
  if (const echo_status status = echo::unusable(heap, why); status != ECHO_OK) {
    return status;
  }
  return guarded(
      why, [&](std::string* message) { return heap->collector.roots.persistent.copy(from, out, message); });
}

echo_ref echo_persistent_get(echo_thread* thread, echo_persistent handle) {
  Mutator* m = nullptr;
  if (!echo::managed_or_error(thread, &m)) {
    return nullptr;
  }
  echo::ObjectRef object;
  if (!m->collector.roots.persistent.get(handle, &object)) {
    echo::set_error(*m, ECHO_HANDLE_MISUSE,
                    "the handle was destroyed before, or is none of this heap's persistent handles");
    return nullptr;
  }
  return echo::as_ref(object);
}

echo_status echo_persistent_set(echo_thread* thread, echo_persistent handle, echo_ref object) {
  Mutator* m = nullptr;
  if (const echo_status status = echo::may_pass(thread, object, &m, nullptr); status != ECHO_OK) {
    return status;
  }
  return guarded(nullptr, [&](std::string* message) {
    return m->collector.roots.persistent.set(handle, echo::ref_of(object), message);
  });
}

echo_status echo_persistent_destroy(echo_heap* heap, echo_persistent handle, echo_error* why) {
  if (const echo_status status = echo::unusable(heap, why); status != ECHO_OK) {
    return status;
  }
  return guarded(
      why, [&](std::string* message) { return heap->collector.roots.persistent.destroy(handle, message); });
}

echo_status echo_pin_object(echo_thread* thread, echo_ref object, echo_error* why) {
  if (object == nullptr) {
    return null_argument(why, thread == nullptr ? "thread" : "object");
  }
  Mutator* m = nullptr;
  if (const echo_status status = echo::may_pass(thread, object, &m, why); status != ECHO_OK) {
    return status;
  }
  return guarded(why, [&](std::string* message) {
    return m->collector.roots.pinned.pin(echo::ref_of(object), message);
  });
}

echo_status echo_unpin_object(echo_heap* heap, echo_ref object, echo_error* why) {
  if (const echo_status status = echo::unusable(heap, why); status != ECHO_OK) {
    return status;
  }
  return guarded(why, [&](std::string* message) {
    return heap->collector.roots.pinned.unpin(echo::ref_of(object), message);
  });
}

} // extern "C"
