/* SPDX-License-Identifier: MIT
 *
 * maps/frame_walker.h - the frame source of JIT-compiled code: echo_frame_source.walk.
 *
 * Method      From the anchor down the chain of frame pointers: every collected function keeps rbp. The
 * caller's rsp at its call is the callee's rbp + 16. An entry frame leads to the anchor its call found: C++
 * frames are never walked. Invariants  [jit.walk.1] Every managed frame has a site for its pc, or the walk
 * fails with FRAME_WITHOUT_MAP and names the address. [jit.walk.2] Frame pointers grow strictly towards older
 * frames of one entry and are 8-aligned; a broken chain fails, it does not run away. [jit.walk.3] With deep
 * checks: sp + recorded size == fp + 8 wherever LLVM recorded a size. [jit.walk.4] Neither locks nor
 * allocates.
 */
#ifndef ECHO_JIT_FRAME_WALKER_H
#define ECHO_JIT_FRAME_WALKER_H

#include "echo/frames.h"
#include "maps/code_index.h"

namespace echo::jit {

/* echo_frame_source.walk; `context` is the CodeIndex. */
echo_status walk_frames(void* context, echo_thread* thread, echo_frame_cursor* cursor, uint32_t max_frames,
                        uint32_t* visited, echo_visit_slot_fn visit, void* visitor, echo_error* why);

} // namespace echo::jit

#endif // ECHO_JIT_FRAME_WALKER_H
