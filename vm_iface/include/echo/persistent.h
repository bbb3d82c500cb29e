/* SPDX-License-Identifier: MIT
 *
 * echo/persistent.h - handles that belong to no scope and no thread, and pins.
 *
 * Purpose     What native code keeps for as long as it likes: a persistent handle is a root until it is destroyed; a pinned
 *             object stays alive and where it is until it is unpinned.
 * Drawing     an echo_persistent (64 bits):  | serial of the cell's use 32 | index of the cell + 1, 32 |
 * Invariants  [handles.persistent.1] A handle is valid from its creation to its destruction; one that was destroyed, or is
 *             another heap's, is HANDLE_MISUSE. [handles.persistent.2] Creating, reading, setting and destroying are O(1).
 *             [handles.persistent.3] Creating and destroying work in every state of a thread, also beside a stop, and
 *             destroying on any thread. [pin.count.1] An object stays pinned until it was unpinned as often as it was
 *             pinned.
 */
#ifndef ECHO_PERSISTENT_H
#define ECHO_PERSISTENT_H

#include "echo/base.h"

ECHO_BEGIN_DECLS

/* A persistent handle; null is none. */
typedef struct echo_persistent_cell* echo_persistent;
struct echo_handle_cell; /* what an echo_handle points to (echo/heap.h) */

/* Feature PERSISTENT_HANDLES. Creates a handle to `object`, to be destroyed by echo_persistent_destroy. Managed; in any other
 * state `object` must be null. On the thread itself. NO-SAFEPOINT. INVALID_ARGUMENT (null argument), WRONG_THREAD,
 * WRONG_STATE, LIMIT_EXCEEDED (2^32 - 2 handles), SYSTEM_MEMORY, NOT_SUPPORTED. */
ECHO_EXPORT echo_status echo_persistent_new(echo_thread* thread, echo_ref object, echo_persistent* out,
                                            echo_error* why);
/* The same to what a scoped handle of this thread refers to, in any state. As above; HANDLE_MISUSE if its scope is closed. */
ECHO_EXPORT echo_status echo_persistent_of(echo_thread* thread, struct echo_handle_cell* scoped,
                                           echo_persistent* out, echo_error* why);
/* The same to what a persistent handle of the heap refers to, on any thread, attached or not, in any state. NO-SAFEPOINT.
 * INVALID_ARGUMENT, HANDLE_MISUSE, LIMIT_EXCEEDED, SYSTEM_MEMORY, NOT_SUPPORTED. */
ECHO_EXPORT echo_status echo_persistent_copy(echo_heap* heap, echo_persistent from, echo_persistent* out,
                                             echo_error* why);
/* The reference. Managed. Takes no lock. NO-SAFEPOINT. Null with an error of the thread: HANDLE_MISUSE, WRONG_STATE,
 * NOT_SUPPORTED. */
ECHO_EXPORT echo_ref echo_persistent_get(echo_thread* thread, echo_persistent handle);
/* Makes it refer to `object`. Managed; in any other state `object` must be null. NO-SAFEPOINT. INVALID_ARGUMENT (null thread),
 * HANDLE_MISUSE, WRONG_THREAD, WRONG_STATE, SYSTEM_MEMORY, NOT_SUPPORTED. */
ECHO_EXPORT echo_status echo_persistent_set(echo_thread* thread, echo_persistent handle, echo_ref object);
/* Destroys the handle, on any thread, attached or not, in any state. NO-SAFEPOINT. INVALID_ARGUMENT (null heap),
 * HANDLE_MISUSE, SYSTEM_MEMORY (nothing was destroyed), NOT_SUPPORTED. */
ECHO_EXPORT echo_status echo_persistent_destroy(echo_heap* heap, echo_persistent handle, echo_error* why);

/* Feature PINS. The object stays alive and at its address until echo_unpin_object was called as often as this. Managed, on the thread
 * itself. O(1). NO-SAFEPOINT. INVALID_ARGUMENT (null thread or object), WRONG_THREAD, WRONG_STATE, LIMIT_EXCEEDED,
 * SYSTEM_MEMORY, NOT_SUPPORTED. */
ECHO_EXPORT echo_status echo_pin_object(echo_thread* thread, echo_ref object, echo_error* why);
/* Takes back one echo_pin_object of the object, on any thread, attached or not, in any state. O(1). NO-SAFEPOINT.
 * INVALID_ARGUMENT (null heap; the object is not pinned), SYSTEM_MEMORY, NOT_SUPPORTED. */
ECHO_EXPORT echo_status echo_unpin_object(echo_heap* heap, echo_ref object, echo_error* why);

ECHO_END_DECLS

#endif /* ECHO_PERSISTENT_H */
