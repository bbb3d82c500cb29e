// SPDX-License-Identifier: MIT
//
// Purpose     The watermark of a thread's managed frames: which frames control may come back to without a visit.
//
// Drawing     younger                                                    older
//             [top] [ ] [ ] [F] | [G] [ ] [ ] ...                        F: the oldest frame visited
//                               W = fp(F) - 1                            G: the next one, where the cursor stands
//             A poll whose frame pointer is above W is cold: that of F at its return, or of any older frame that an
//             exception or an abandoned call made the youngest.
//
// Invariants  [roots.frames.1] Control does not reach a frame above W before it was visited. A cold poll visits at
//             most kFramesPerVisit frames and raises W to the last of them. [roots.frames.5] Frames that went away
//             without a poll are not visited: the visit begins at the polling frame if that is older than the cursor.
//             [roots.frames.6] Without managed frames, or with all of them visited, the word is kPollIdle.
#pragma once

#include "echo/frames.h"
#include "heap/thread_block.h"

#include <atomic>
#include <cstdint>
#include <string>

namespace echo {

// Walks at most `most` frames from the cursor on; sets *visited.
class FrameWalk {
public:
  virtual ~FrameWalk() = default;
  virtual echo_status walk(echo_frame_cursor* cursor, std::uint32_t most, std::uint32_t* visited,
                           std::string* why) = 0;
};

class Watermark {
public:
  static constexpr std::uint32_t kFramesPerVisit = 32;
  static constexpr std::uint32_t kFramesAtStop = 4;

  // What the poll word holds while no stop is asked for.
  std::uint64_t word() const { return word_.load(std::memory_order_relaxed); }
  bool is_set() const { return word() != kPollIdle; }

  // In a stop: the youngest kFramesAtStop frames are visited, the others wait for their thread.
  echo_status set(const echo_frame_cursor& anchor, FrameWalk& frames, std::string* why) {
    return set(anchor, kFramesAtStop, frames, why);
  }
  // The same with `most` frames.
  echo_status set(const echo_frame_cursor& anchor, std::uint32_t most, FrameWalk& frames, std::string* why);
  // Visits `most` more frames. The thread stands still.
  echo_status advance(std::uint32_t most, FrameWalk& frames, std::string* why) {
    return visit(most, frames, why);
  }
  // On the thread itself, at a poll of the frame `anchor`: the same, but for frames that are gone. [roots.frames.5]
  echo_status advance_from(const echo_frame_cursor& anchor, std::uint32_t most, FrameWalk& frames,
                           std::string* why);
  // On the thread itself, at a cold poll of the frame `anchor`: visits what control may come to next.
  echo_status pass(const echo_frame_cursor& anchor, FrameWalk& frames, std::string* why);
  void clear();

private:
  echo_status visit(std::uint32_t most, FrameWalk& frames, std::string* why);
  echo_status step(std::uint32_t most, FrameWalk& frames, std::uint32_t* visited, std::string* why);

  // Written in stops and by the thread; read by the thread while a stop may be on, and then once more after it.
  std::atomic<std::uint64_t> word_{kPollIdle};
  echo_frame_cursor next_{}; // the youngest frame not visited
};

} // namespace echo
