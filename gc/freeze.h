// SPDX-License-Identifier: MIT
//
// Purpose     Roots that are compared with marks in a stop: who changes them from outside that stop, native or not attached,
//             waits until that is over. [verify.mark.1]
#pragma once

#include "heap/mutex.h"

#include <sched.h>

namespace echo {

// Under the mutex of the roots in question.
class Freeze {
public:
  void set(bool on) { on_ = on; }
  // Gives the mutex away meanwhile.
  void wait(Mutex& mutex) const ECHO_REQUIRES(mutex) {
    while (on_) {
      mutex.unlock();
      ::sched_yield();
      mutex.lock();
    }
  }

private:
  bool on_ = false;
};

} // namespace echo
