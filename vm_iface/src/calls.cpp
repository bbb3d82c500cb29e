// SPDX-License-Identifier: MIT
//
// Purpose     Why a call on a thread is refused: apart from calls.h, so that a call that is not pays for no sentence.
#include "vm_iface/src/calls.h"

namespace echo {

echo_status report_unmanaged(echo_thread* thread, echo_error* why) {
  if (thread == nullptr) {
    return null_argument(why, "thread");
  }
  const Mutator& m = *Mutator::from(thread);
  if (!m.is_current_thread()) {
    return report(why, ECHO_WRONG_THREAD, "the call belongs to the thread that attached");
  }
  if (m.collector.guard.is_stranger()) { // [fork.stranger.1]
    return report(why, ECHO_WRONG_STATE,
                  "the process was forked without echo_fork_prepare and echo_fork_child");
  }
  return report(why, ECHO_WRONG_STATE, "the thread is not managed: leave native state first");
}

void note_unmanaged(echo_thread* thread) {
  echo_error error{};
  if (report_unmanaged(thread, &error) == ECHO_WRONG_STATE) { // another thread's error is not touched
    set_error(*Mutator::from(thread), ECHO_WRONG_STATE, error.message);
  }
}

} // namespace echo
