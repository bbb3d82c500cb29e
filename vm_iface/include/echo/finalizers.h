/* SPDX-License-Identifier: MIT
 *
 * echo/finalizers.h - objects that a VM wants to see once more before they go. Included by echo/heap.h.
 *
 * Purpose     Feature FINALIZERS. The heap runs nothing: it finds the objects of layouts with ECHO_LAYOUT_FINALIZABLE that
 *             nothing reaches any more, and keeps each, with all that it reaches, until the VM has taken it. What the VM then
 *             does with it, on which thread, is the VM's.
 *
 * Rules       [abi.final.1] Each object of such a layout becomes due once, by the first collection that finds that no root
 *             reaches it; taken and dropped, it is an object like any other and goes with the next collection. [abi.final.2]
 *             Until it is taken it is a root: it and what it reaches stay as they are. The taker may store it anywhere.
 *             [abi.final.3] Objects that one collection finds are due together, also if they reach each other, and come in the
 *             order in which each thread allocated them, behind those of the collections before. [abi.final.4] Weak slots,
 *             and keys of ephemerons, that show such an object are null before it is due; those of what it reaches show what
 *             lives because of it. [abi.final.5] Such an object is allocated by echo_allocate or the cold path of the recipe,
 *             never inline. [abi.final.6] What is not due when the heap is destroyed goes without.
 */
#ifndef ECHO_FINALIZERS_H
#define ECHO_FINALIZERS_H

#include "echo/base.h"

ECHO_BEGIN_DECLS

/* Takes the oldest object whose finalization is due: *out, which nothing else keeps alive, or null if none is. O(1). Any
 * managed thread: each object goes to one of them. NO-SAFEPOINT. INVALID_ARGUMENT (null), WRONG_THREAD, WRONG_STATE,
 * NOT_SUPPORTED. */
ECHO_EXPORT echo_status echo_finalizer_next(echo_thread* thread, echo_ref* out);
/* How many are due now; 0 without the feature. Any thread, any state. NO-SAFEPOINT. No errors. */
ECHO_EXPORT uint64_t echo_finalizers_due(echo_heap* heap);

ECHO_END_DECLS

#endif /* ECHO_FINALIZERS_H */
