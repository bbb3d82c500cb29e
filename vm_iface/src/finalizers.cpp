// SPDX-License-Identifier: MIT
//
// Purpose     The functions of echo/finalizers.h.
// Invariants  [final.once.1] [final.root.1] of gc/finalizer_queue.h.
#include "vm_iface/src/calls.h"

using echo::Mutator;

extern "C" {

echo_status echo_finalizer_next(echo_thread* thread, echo_ref* out) {
  Mutator* m = nullptr;
  if (const echo_status status = echo::managed(thread, &m, nullptr); status != ECHO_OK) {
    return status;
  }
  if (out == nullptr) {
    return ECHO_INVALID_ARGUMENT;
  }
  echo::ObjectRef object;
  (void)m->collector.roots.finalizers.take(&object);
  echo::log_leaving_root(*m, m->barrier, m->collector.barriers, object);
  *out = echo::as_ref(object);
  return ECHO_OK;
}

uint64_t echo_finalizers_due(echo_heap* heap) {
  return heap == nullptr ? 0 : heap->collector.roots.finalizers.size();
}

} // extern "C"
