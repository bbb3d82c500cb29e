/* SPDX-License-Identifier: MIT
 *
 * echo/services.h - what a VM and its heap do for each other beside allocation: roots and objects that the VM enumerates
 * itself, the walk over all objects, memory outside the heap, and the handler that is asked before memory is refused.
 *
 * Invariants  [roots.callback.1] Whatever a root callback visits in the stop in which a mark starts is alive in that mark.
 *             [layout.trace.1] Whatever a trace callback visits of a live object is alive. [walk.all.1] A walk visits every
 *             object that is reachable, each once, and none that the last collection found dead.
 *             [external.push.1] Memory outside the heap brings the next collection nearer; it is never counted under zero.
 *             [oom.handler.1] No memory is refused before the handler was asked.
 */
#ifndef ECHO_SERVICES_H
#define ECHO_SERVICES_H

#include "echo/base.h"
#include "echo/layout.h"

ECHO_BEGIN_DECLS

/* --- roots that the VM enumerates -------------------------------------------------------------------------------- */

/* Given by the heap: says that `root` (null is ignored) is a root. Any number of times. */
typedef void (*echo_visit_ref_fn)(void* visitor, echo_ref root);
/* Calls visit(visitor, root) for each of its roots. Called with every managed thread stopped, on any thread, at least once per
 * collection and more often by the verifier; what it costs is part of that pause. Native threads run meanwhile: what they
 * change has a lock of the VM that no managed thread holds at a safepoint. It calls no function of the heap but `visit` and
 * getters that take an echo_heap*. References it finds need no barrier when they are overwritten. */
typedef void (*echo_roots_fn)(void* context, echo_visit_ref_fn visit, void* visitor);

/* Feature ROOT_CALLBACKS. From the next collection on `roots` is called. At most 64. Any thread, any state; waits for a stop in
 * progress. NO-SAFEPOINT. INVALID_ARGUMENT (null; the same function and context are registered), LIMIT_EXCEEDED,
 * SYSTEM_MEMORY, NOT_SUPPORTED. */
ECHO_EXPORT echo_status echo_roots_callback_add(echo_heap* heap, echo_roots_fn roots, void* context,
                                                echo_error* why);
/* It is not called any more. As above; INVALID_ARGUMENT if it is not registered. Not from a callback. */
ECHO_EXPORT echo_status echo_roots_callback_remove(echo_heap* heap, echo_roots_fn roots, void* context,
                                                   echo_error* why);

/* --- objects that the VM traces ---------------------------------------------------------------------------------- */

/* Calls visit(visitor, reference) for each reference that `object` holds beside the slots of its layout, in its bytes or
 * outside the heap; nulls are ignored, and so is what lies outside the heap. It runs on a thread of the heap, beside the program
 * (option mode=concurrent) or in a stop; once per object and mark, and again in the verifier. So:
 *   - it reads words that managed threads may write meanwhile by aligned 8-byte loads (relaxed atomics), and takes no lock that a
 *     managed thread holds at a safepoint, nor waits for one in another way;
 *   - each reference that it would have visited when the mark started is visited, or was announced when it was overwritten:
 *     by echo_store, by the store recipe, or outside the heap by echo_store_outside. Memory it reads stays readable
 *     while its object may be traced;
 *   - it calls no function of the heap but `visit` and getters that take an echo_heap*. */
typedef void (*echo_trace_fn)(void* context, echo_ref object, echo_visit_ref_fn visit, void* visitor);

/* Feature TRACE_CALLBACKS. As echo_layout_register, for objects with references that slots can not describe. Any kind but
 * AMBIGUOUS; not LEAF. Descriptors share a number only if function and context are the same too. echo_store takes every
 * aligned word behind header and length of such an object for a slot. INVALID_ARGUMENT (null heap, layout, trace or out),
 * and as there. */
ECHO_EXPORT echo_status echo_layout_register_traced(echo_heap* heap, const echo_layout* layout,
                                                    echo_trace_fn trace, void* context, echo_layout_id* out,
                                                    echo_error* why);
/* Stores into a word outside the heap that a trace callback visits, with the barrier. Managed. NO-SAFEPOINT. INVALID_ARGUMENT
 * (null thread or slot, misaligned slot), WRONG_THREAD, WRONG_STATE, NOT_SUPPORTED. */
ECHO_EXPORT echo_status echo_store_outside(echo_thread* thread, echo_ref* slot, echo_ref value);

/* --- all objects -------------------------------------------------------------------------------------------------- */

/* Called with every managed thread stopped; calls no function of the heap but getters that take an echo_heap*. Not 0: the walk
 * ends. An object that is unreachable, but not yet known to be, may be among them: it stays alive if a root word or root
 * callback holds it when the call returns. */
typedef uint32_t (*echo_walk_fn)(void* context, echo_ref object, echo_layout_id layout, uint64_t bytes);

/* Where a walk is. Objects that are allocated or freed between two calls are seen or not. */
typedef struct echo_walk {
  uint32_t size;     /* sizeof(echo_walk) */
  uint32_t slabs;    /* of 64 KiB that one call visits at most; 0: all that are left */
  uint64_t position; /* 0 at first; UINT64_MAX when all was visited */
} echo_walk;

/* Feature OBJECT_WALK. Visits objects in one stop, which is as long as the part that is walked: `slabs` bounds it. Waits for the
 * end of a collection in progress. SAFEPOINT. INVALID_ARGUMENT (null; size), WRONG_THREAD, WRONG_STATE (not managed; the last
 * collection could not read every root), HEAP_CORRUPT, NOT_SUPPORTED. */
ECHO_EXPORT echo_status echo_walk_objects(echo_thread* thread, echo_walk* walk, echo_walk_fn visit,
                                          void* context, echo_error* why);

/* --- memory outside the heap --------------------------------------------------------------------------------------- */

/* Feature EXTERNAL_MEMORY. Bytes outside the heap that objects hold, more or (negative) fewer. What exceeds the amount at the end
 * of the last collection times `growth` percent counts like allocation towards the next collection; it does not count
 * towards max_heap. Any thread, any state. NO-SAFEPOINT. INVALID_ARGUMENT: null heap; the sum would be under zero or over
 * 2^63 - 1, and stays as it was. NOT_SUPPORTED. */
ECHO_EXPORT echo_status echo_external_memory(echo_heap* heap, int64_t delta, echo_error* why);

/* --- out of memory ------------------------------------------------------------------------------------------------- */

/* Asked when an allocation of `bytes` failed after full collections, before null is returned. It runs on the allocating thread,
 * managed, at a SAFEPOINT; it may destroy handles, unpin, clear root words and objects, collect, and wait as a safepoint may.
 * What it allocates itself is refused without asking again. Not 0: try again, after a collection; at most 16 times per
 * allocation. 0: refuse. `status`: HEAP_LIMIT or SYSTEM_MEMORY. */
typedef uint32_t (*echo_out_of_memory_fn)(void* context, echo_thread* thread, uint64_t bytes,
                                          uint32_t status);

/* Feature OUT_OF_MEMORY_HANDLER. Sets the handler; null removes it. An allocation that is being refused may still ask the one
 * before. Any thread, any state. NO-SAFEPOINT. INVALID_ARGUMENT (null heap), NOT_SUPPORTED. */
ECHO_EXPORT echo_status echo_out_of_memory_set(echo_heap* heap, echo_out_of_memory_fn handler, void* context,
                                               echo_error* why);

ECHO_END_DECLS

#endif /* ECHO_SERVICES_H */
