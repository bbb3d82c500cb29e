// SPDX-License-Identifier: MIT
//
// Purpose     The protocol of watermark.h.
#include "gc/watermark.h"

#include <algorithm>

namespace echo {

void Watermark::clear() {
  word_.store(kPollIdle, std::memory_order_relaxed);
  next_ = {};
}

echo_status Watermark::step(std::uint32_t most, FrameWalk& frames, std::uint32_t* visited, std::string* why) {
  echo_status status = frames.walk(&next_, most, visited, why);
  if (status == ECHO_OK && *visited == 0 && next_.pc != 0) {
    *why = "the frame source makes no progress";
    status = ECHO_FRAME_WITHOUT_MAP;
  }
  if (status != ECHO_OK) {
    clear();
  }
  return status;
}

// The last frame is walked apart: its frame pointer is the new watermark.
echo_status Watermark::visit(std::uint32_t most, FrameWalk& frames, std::string* why) {
  std::uint32_t visited = 0;
  for (std::uint32_t left = most; next_.pc != 0 && left > 1; left -= std::min(visited, left - 1)) {
    if (const echo_status status = step(left - 1, frames, &visited, why); status != ECHO_OK) {
      return status;
    }
  }
  if (next_.pc != 0) {
    word_.store(next_.fp - 1, std::memory_order_relaxed);
    if (const echo_status status = step(1, frames, &visited, why); status != ECHO_OK) {
      return status;
    }
  }
  if (next_.pc == 0) {
    clear(); // [roots.frames.6]
  }
  return ECHO_OK;
}

echo_status Watermark::set(const echo_frame_cursor& anchor, std::uint32_t most, FrameWalk& frames,
                           std::string* why) {
  next_ = anchor;
  return visit(most, frames, why);
}

echo_status Watermark::advance_from(const echo_frame_cursor& anchor, std::uint32_t most, FrameWalk& frames,
                                    std::string* why) {
  if (!is_set() || anchor.pc == 0) {
    clear();
    return ECHO_OK;
  }
  if (next_.fp <= anchor.fp) {
    next_ = anchor; // [roots.frames.5]
  }
  return visit(most, frames, why);
}

echo_status Watermark::pass(const echo_frame_cursor& anchor, FrameWalk& frames, std::string* why) {
  if (!is_set() || anchor.pc == 0) {
    clear();
    return ECHO_OK;
  }
  if (anchor.fp <= word()) {
    return ECHO_OK; // a stop, not the watermark, sent the thread here
  }
  return advance_from(anchor, kFramesPerVisit, frames, why);
}

} // namespace echo
