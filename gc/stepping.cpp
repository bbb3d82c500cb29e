// SPDX-License-Identifier: MIT
//
// Purpose     A cycle beside the program whose driver is a test: echo/stepping.h.
// Invariants  [step.open.1] An open cycle has begun and is driven by nobody: whoever drives the next one finishes it first.
//             [step.hold.1] A cycle that the collector's thread begins while the heap is held stays open.
#include "gc/collector.h"

namespace echo {

echo_status Collector::steps_of(std::string* why) const {
  if (!config.stepping) {
    *why = "the heap does not step its cycles: that is for tests, create it with stepping=on";
    return ECHO_WRONG_STATE;
  }
  if (config.mode != MarkMode::Concurrent) {
    *why = config.mode == MarkMode::Stw ? "mode=stw marks in one stop: a cycle has no steps"
                                        : "mode=incremental takes its own steps: use mode=concurrent";
    return ECHO_WRONG_STATE;
  }
  return ECHO_OK;
}

// Runs `body` at rest, with nobody driving a cycle.
template <class Body> echo_status Collector::as_driver(Mutator& mutator, std::string* why, Body body) {
  echo_status status = steps_of(why);
  if (status == ECHO_OK) {
    safepoints.at_rest(mutator, [&] {
      const MutexLock driver(driver_mutex_);
      status = body();
    });
  }
  return status;
}

echo_status Collector::start_stepped(Mutator& mutator, std::string* why) {
  return as_driver(mutator, why, [&]() ECHO_REQUIRES(driver_mutex_) {
    if (is_open_) {
      *why = "a cycle is open already: finish it first";
      return ECHO_WRONG_STATE;
    }
    is_open_ = begin_beside(ECHO_CAUSE_requested);
    if (!is_open_) {
      finish_beside();
      return failure(why);
    }
    return ECHO_OK;
  });
}

echo_status Collector::step(Mutator& mutator, std::uint64_t units, MarkState* state, std::string* why) {
  return as_driver(mutator, why, [&]() ECHO_REQUIRES(driver_mutex_) {
    if (!is_open_) {
      *why = "no cycle is open: start one first";
      return ECHO_WRONG_STATE;
    }
    *state = mark_slice(units);
    return ECHO_OK;
  });
}

echo_status Collector::finish_stepped(Mutator& mutator, std::string* why) {
  return as_driver(mutator, why, [&]() ECHO_REQUIRES(driver_mutex_) {
    if (!is_open_) {
      *why = "no cycle is open: start one first";
      return ECHO_WRONG_STATE;
    }
    finish_open_cycle();
    return failure(why);
  });
}

echo_status Collector::hold(Mutator& mutator, bool on, std::string* why) {
  return as_driver(mutator, why, [&]() ECHO_REQUIRES(driver_mutex_) {
    is_held_ = on;
    if (!on) {
      finish_open_cycle();
    }
    return ECHO_OK;
  });
}

void Collector::finish_open_cycle() {
  if (is_open_) {
    is_open_ = is_left_ = false;
    if (!cycle_.whole || cycle_.is_marked || mark_beside()) {
      finish_beside();
    }
  }
}

} // namespace echo
