// SPDX-License-Identifier: MIT
//
// Purpose     The functions of echo/fork.h.
#include "vm_iface/src/calls.h"

namespace echo {
namespace {

using Step = echo_status (Collector::*)(Mutator&, std::string*);

// On the thread itself; in a child it is not checked whose process this is.
echo_status over_fork(echo_thread* thread, Step step, echo_error* why) {
  if (thread == nullptr) {
    return null_argument(why, "thread");
  }
  Mutator& m = *Mutator::from(thread);
  if (!m.is_current_thread()) {
    return report(why, ECHO_WRONG_THREAD, "the call belongs to the thread that attached");
  }
  if (m.state.load(std::memory_order_relaxed) != ThreadState::Managed) {
    return report(why, ECHO_WRONG_STATE, "the thread is not managed: leave native state first");
  }
  return guarded(why, [&](std::string* message) { return (m.collector.*step)(m, message); });
}

} // namespace
} // namespace echo

extern "C" {

echo_status echo_fork_prepare(echo_thread* thread, echo_error* why) {
  echo::Mutator* m = nullptr;
  if (const echo_status status = echo::managed(thread, &m, why); status != ECHO_OK) {
    return status;
  }
  return echo::over_fork(thread, &echo::Collector::fork_prepare, why);
}

echo_status echo_fork_parent(echo_thread* thread, echo_error* why) {
  return echo::over_fork(thread, &echo::Collector::fork_parent, why);
}

echo_status echo_fork_child(echo_thread* thread, echo_error* why) {
  return echo::over_fork(thread, &echo::Collector::fork_child, why);
}

} // extern "C"
