/* SPDX-License-Identifier: MIT
 *
 * echo/frames.h - how a VM tells the collector where the references of its frames are.
 *
 * Purpose     The heap knows no stack-map format. It hands a cursor, which starts at the thread's published anchor,
 *             to the VM's frame source; the source reports the slots of each frame and moves the cursor to the
 *             caller. Slices of frames are possible, so no stop has to visit a whole stack.
 * Invariants  [frames.source.1] walk() reports every slot of a frame or fails; a frame without a map fails with
 *             FRAME_WITHOUT_MAP and the collection frees nothing. [frames.source.2] A slot is reported at least once.
 *             [frames.source.3] walk() runs while the thread is stopped; it neither allocates from the heap nor
 *             blocks on a lock that a managed thread may hold.
 */
#ifndef ECHO_FRAMES_H
#define ECHO_FRAMES_H

#include "echo/base.h"

ECHO_BEGIN_DECLS

/* Position in a stack: the frame whose next instruction is pc. pc == 0: past the oldest managed frame. */
typedef struct echo_frame_cursor {
  uintptr_t sp, fp, pc;
} echo_frame_cursor;

/* Called once per root. `base` holds a reference or null. `derived` is null, or holds an address inside the object at
 * *base (it moves with it). The addresses stay valid until walk() returns. */
typedef void (*echo_visit_slot_fn)(void* visitor, echo_ref* base, uintptr_t* derived);

/* Flags of a frame source. POLLED_RETURNS: control comes back to a frame only behind a poll of the frame that it comes
 * from, with that frame's anchor published, and only the frame itself writes into its slots. Then no stop visits more than
 * a few frames of a stack: the others are visited before control comes back to them [roots.frames.1]. Without it a stop
 * visits all. */
enum { ECHO_FRAMES_POLLED_RETURNS = 1 };

typedef struct echo_frame_source {
  uint32_t size;     /* sizeof(echo_frame_source) */
  uint32_t reserved; /* flags, ECHO_FRAMES_*; others are refused (the name is that of version 1.0) */
  void* context;
  /* Visits at most max_frames frames beginning at *cursor; sets *cursor behind them and *visited to their number. */
  echo_status (*walk)(void* context, echo_thread* thread, echo_frame_cursor* cursor, uint32_t max_frames,
                      uint32_t* visited, echo_visit_slot_fn visit, void* visitor, echo_error* why);
} echo_frame_source;

ECHO_END_DECLS

#endif /* ECHO_FRAMES_H */
