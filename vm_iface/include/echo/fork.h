/* SPDX-License-Identifier: MIT
 *
 * echo/fork.h - a process with heaps that forks.
 *
 * Purpose     The child has the forking thread only, and memory as it was at that moment. The VM tells each heap before, and on
 *             both sides after:
 *
 *                 for each heap: echo_fork_prepare(thread, &why)
 *                 child = fork()
 *                 for each heap, in reverse: child == 0 ? echo_fork_child(thread, &why) : echo_fork_parent(thread)
 *
 * Invariants  [fork.prepare.1] Between prepare and parent or child every managed thread stands at a safepoint, and no thread is
 *             inside the heap. [fork.child.1] In the child the heap has all objects and handles, the calling thread, and threads
 *             of its own; other threads are gone, with their scoped handles and frames; a collection that was running is
 *             dropped. [fork.stranger.1] In a child that was not told of, calls answer WRONG_STATE, and none hangs.
 */
#ifndef ECHO_FORK_H
#define ECHO_FORK_H

#include "echo/base.h"

ECHO_BEGIN_DECLS

/* Feature FORK. Stops every managed thread of the heap, waits for its background threads to come to the end of a step (below a
 * millisecond, or as long as a sweep), and holds all of them. Managed. SAFEPOINT. Afterwards the caller calls fork, and echo_fork_*
 * of this and other heaps, nothing else of this heap. The VM's own locks, and those of libecho_jit, are the VM's business: it forks
 * while no thread compiles. INVALID_ARGUMENT (null), WRONG_THREAD, WRONG_STATE (not managed, prepared
 * already). */
ECHO_EXPORT echo_status echo_fork_prepare(echo_thread* thread, echo_error* why);
/* In the parent, or where fork failed: everybody goes on. WRONG_STATE without echo_fork_prepare. NO-SAFEPOINT. */
ECHO_EXPORT echo_status echo_fork_parent(echo_thread* thread, echo_error* why);
/* In the child: the heap is usable from now on; further threads may attach. SYSTEM_MEMORY: a background thread could not be started,
 * and the heap stays unusable. WRONG_STATE without echo_fork_prepare. NO-SAFEPOINT. */
ECHO_EXPORT echo_status echo_fork_child(echo_thread* thread, echo_error* why);

ECHO_END_DECLS

#endif /* ECHO_FORK_H */
