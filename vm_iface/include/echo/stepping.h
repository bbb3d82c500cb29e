/* SPDX-License-Identifier: MIT
 *
 * echo/stepping.h - a collection step by step, for tests of a VM: start it, mark as much as the test wants, hold the marker
 *                   there, finish it.
 *
 * Purpose     A barrier that a VM forgets is only missed when the marker happens to stand in the wrong place. Here the test
 *             says where it stands: start, do what the program does, finish; what was reachable must still be there.
 * Drawing     echo_test_cycle_start      stop: mark begins, roots of the stop are read, barriers go on
 *               the program runs         nothing is marked meanwhile
 *             echo_test_cycle_step       marks `units` references more
 *               the program runs
 *             echo_test_cycle_finish     marks the rest, stop: mark ends, sweeps; the cycle is over
 *
 * Invariants  [step.option.1] Only heaps created with stepping=on serve these calls: others answer WRONG_STATE with a
 *             sentence, and a plugin without ECHO_FEATURE_STEPPING answers NOT_SUPPORTED. [step.open.1] Between start and
 *             finish the marker moves in echo_test_cycle_step only; but a collection that somebody waits for - a full heap,
 *             echo_collect - finishes the open cycle first, so a test never hangs. [step.hold.1] While the heap is held, a
 *             cycle that begins by itself stays at its start like one of echo_test_cycle_start.
 *             All of them: on the thread itself, managed; SAFEPOINT; they wait for a cycle that is being driven.
 */
#ifndef ECHO_STEPPING_H
#define ECHO_STEPPING_H

#include "echo/base.h"

ECHO_BEGIN_DECLS

typedef enum echo_step_state {
  ECHO_STEP_MORE = 0,    /* there is more to mark */
  ECHO_STEP_WAITING = 1, /* nothing, but for frames that threads visit at their polls */
  ECHO_STEP_DONE = 2     /* nothing, unless threads log more: finish ends the mark */
} echo_step_state;

/* Begins a full collection and leaves the marker held. WRONG_STATE: a cycle is open already, or the heap has no steps
 * (stepping=off, mode=stw); what echo_collect answers if the roots cannot be read, and then no cycle is open. */
ECHO_EXPORT echo_status echo_test_cycle_start(echo_thread* thread, echo_error* why);
/* Marks at most about `units` references (1 .. 2^32) of the open cycle. *state (not null): an echo_step_state.
 * WRONG_STATE: no cycle is open; INVALID_ARGUMENT. */
ECHO_EXPORT echo_status echo_test_cycle_step(echo_thread* thread, uint64_t units, uint32_t* state,
                                             echo_error* why);
/* Marks what is left, ends the mark and sweeps. What echo_collect answers; WRONG_STATE: no cycle is open. */
ECHO_EXPORT echo_status echo_test_cycle_finish(echo_thread* thread, echo_error* why);
/* `on` 1: cycles that begin by themselves are held at their start. 0: no longer, and the cycle that is open is finished.
 * INVALID_ARGUMENT; WRONG_STATE: the heap has no steps. */
ECHO_EXPORT echo_status echo_test_cycle_hold(echo_thread* thread, uint32_t on, echo_error* why);

ECHO_END_DECLS

#endif /* ECHO_STEPPING_H */
