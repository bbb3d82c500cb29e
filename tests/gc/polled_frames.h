// SPDX-License-Identifier: MIT
//
// Purpose     Managed frames whose returns are polled, without a compiler.
#pragma once

#include "tests/gc/test_heap.h"

#include <algorithm>
#include <vector>

namespace echo::test {

// A stack of frames with one reference each; pc of a frame is its number, the oldest has number 1.
struct PolledFrames {
  std::vector<echo_ref> slots;
  std::uint64_t visits = 0, most_at_once = 0;
  echo_frame_source source() { return {sizeof(echo_frame_source), ECHO_FRAMES_POLLED_RETURNS, this, walk}; }
  static std::uint64_t fp_of(std::uint64_t number) { return (std::uint64_t{1} << 40) - number * 16; }
  void publish(Mutator& m) const {
    m.anchor_pc = slots.size();
    m.anchor_fp = slots.empty() ? 0 : fp_of(slots.size());
    m.anchor_sp = m.anchor_fp;
  }
  // The return of the youngest frame, with its poll.
  ObjectRef pop(Mutator& m) {
    if (m.anchor_fp > m.poll_word.load()) {
      m.collector.poll(m);
    }
    const ObjectRef object = as_object(slots.back());
    slots.pop_back();
    publish(m);
    return object;
  }
  static echo_status walk(void* self, echo_thread*, echo_frame_cursor* cursor, std::uint32_t most,
                          std::uint32_t* visited, echo_visit_slot_fn visit, void* visitor, echo_error*) {
    PolledFrames& frames = *static_cast<PolledFrames*>(self);
    for (*visited = 0; cursor->pc != 0 && *visited < most; ++*visited) {
      visit(visitor, &frames.slots[cursor->pc - 1], nullptr);
      --cursor->pc;
      cursor->fp = cursor->sp = fp_of(cursor->pc);
    }
    frames.visits += *visited;
    frames.most_at_once = std::max<std::uint64_t>(frames.most_at_once, *visited);
    return ECHO_OK;
  }
};

} // namespace echo::test
