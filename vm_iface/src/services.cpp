// SPDX-License-Identifier: MIT
//
// Purpose     The functions of echo/services.h.
#include "vm_iface/src/calls.h"

using echo::guarded;
using echo::managed;
using echo::Mutator;
using echo::null_argument;
using echo::report;

extern "C" {

echo_status echo_roots_callback_add(echo_heap* heap, echo_roots_fn roots, void* context, echo_error* why) {
  if (heap == nullptr || roots == nullptr) {
    return null_argument(why, heap == nullptr ? "heap" : "roots");
  }
  if (const echo_status status = echo::unusable(heap, why); status != ECHO_OK) {
    return status;
  }
  return guarded(why, [&](std::string* message) {
    return heap->collector.roots.callbacks.add(roots, context, message);
  });
}

echo_status echo_roots_callback_remove(echo_heap* heap, echo_roots_fn roots, void* context, echo_error* why) {
  if (const echo_status status = echo::unusable(heap, why); status != ECHO_OK) {
    return status;
  }
  return guarded(why, [&](std::string* message) {
    return heap->collector.roots.callbacks.remove(roots, context, message);
  });
}

echo_status echo_layout_register_traced(echo_heap* heap, const echo_layout* layout, echo_trace_fn trace,
                                        void* context, echo_layout_id* out, echo_error* why) {
  if (heap == nullptr || layout == nullptr || trace == nullptr || out == nullptr) {
    return null_argument(why, heap == nullptr     ? "heap"
                              : layout == nullptr ? "layout"
                              : trace == nullptr  ? "trace"
                                                  : "out");
  }
  if (const echo_status status = echo::unusable(heap, why); status != ECHO_OK) {
    return status;
  }
  return guarded(why, [&](std::string* message) {
    echo::LayoutId id;
    const echo_status status = heap->collector.register_layout(*layout, &id, message, {trace, context});
    *out = id.number;
    return status;
  });
}

echo_status echo_store_outside(echo_thread* thread, echo_ref* slot, echo_ref value) {
  Mutator* m = nullptr;
  if (const echo_status status = managed(thread, &m, nullptr); status != ECHO_OK) {
    return status;
  }
  const auto at = reinterpret_cast<echo::Address>(slot);
  if (slot == nullptr || !echo::is_aligned(at, sizeof(echo::Address))) {
    return ECHO_INVALID_ARGUMENT;
  }
  echo::store_reference(*m, m->barrier, m->collector.barriers, at, echo::ref_of(value));
  return ECHO_OK;
}

echo_status echo_walk_objects(echo_thread* thread, echo_walk* walk, echo_walk_fn visit, void* context,
                              echo_error* why) {
  if (walk == nullptr || visit == nullptr) {
    return null_argument(why, walk == nullptr ? "walk" : "visit");
  }
  if (walk->size < sizeof(echo_walk)) {
    return report(why, ECHO_INVALID_ARGUMENT,
                  "the walk's size is " + std::to_string(walk->size) + ", expected at least " +
                      std::to_string(sizeof(echo_walk)));
  }
  Mutator* m = nullptr;
  if (const echo_status status = managed(thread, &m, why); status != ECHO_OK) {
    return status;
  }
  return guarded(why, [&](std::string* message) {
    return m->collector.walk(
        *m, walk->slabs, &walk->position,
        [visit, context](echo::ObjectRef object, echo::LayoutId layout, std::size_t bytes) {
          return visit(context, echo::as_ref(object), layout.number, bytes) != 0;
        },
        message);
  });
}

echo_status echo_external_memory(echo_heap* heap, int64_t delta, echo_error* why) {
  if (const echo_status status = echo::unusable(heap, why); status != ECHO_OK) {
    return status;
  }
  return guarded(why, [&](std::string* message) { return heap->collector.add_external(delta, message); });
}

echo_status echo_out_of_memory_set(echo_heap* heap, echo_out_of_memory_fn handler, void* context,
                                   echo_error* why) {
  if (const echo_status status = echo::unusable(heap, why); status != ECHO_OK) {
    return status;
  }
  heap->collector.set_out_of_memory_handler(handler, context);
  return ECHO_OK;
}

} // extern "C"
