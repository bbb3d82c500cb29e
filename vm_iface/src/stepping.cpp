// SPDX-License-Identifier: MIT
//
// Purpose     The C functions of echo/stepping.h.
// Invariants  [step.option.1] gc/stepping.cpp refuses heaps without the option.
#include "echo/stepping.h"

#include "gc/collector.h"
#include "vm_iface/src/calls.h"

using echo::Collector;
using echo::guarded;
using echo::managed;
using echo::Mutator;
using echo::report;

namespace {

constexpr std::uint64_t kMostUnits = std::uint64_t{1} << 32;

// Runs `body(mutator, &message)` for the calling thread.
template <class Body> echo_status on_thread(echo_thread* thread, echo_error* why, Body body) {
  Mutator* m = nullptr;
  if (const echo_status status = managed(thread, &m, why); status != ECHO_OK) {
    return status;
  }
  return guarded(why, [&](std::string* message) { return body(*m, message); });
}

} // namespace

extern "C" {

echo_status echo_test_cycle_start(echo_thread* thread, echo_error* why) {
  return on_thread(thread, why,
                   [](Mutator& m, std::string* message) { return m.collector.start_stepped(m, message); });
}

echo_status echo_test_cycle_step(echo_thread* thread, uint64_t units, uint32_t* state, echo_error* why) {
  if (state == nullptr || units == 0 || units > kMostUnits) {
    return report(why, ECHO_INVALID_ARGUMENT,
                  state == nullptr ? "state is null" : "units is none of 1 .. 2^32");
  }
  return on_thread(thread, why, [&](Mutator& m, std::string* message) {
    Collector::MarkState left{};
    const echo_status status = m.collector.step(m, units, &left, message);
    if (status == ECHO_OK) {
      *state = left == Collector::MarkState::More      ? ECHO_STEP_MORE
               : left == Collector::MarkState::Waiting ? ECHO_STEP_WAITING
                                                       : ECHO_STEP_DONE;
    }
    return status;
  });
}

echo_status echo_test_cycle_finish(echo_thread* thread, echo_error* why) {
  return on_thread(thread, why,
                   [](Mutator& m, std::string* message) { return m.collector.finish_stepped(m, message); });
}

echo_status echo_test_cycle_hold(echo_thread* thread, uint32_t on, echo_error* why) {
  if (on > 1) {
    return report(why, ECHO_INVALID_ARGUMENT, "on is " + std::to_string(on) + ", it must be 0 or 1");
  }
  return on_thread(thread, why,
                   [on](Mutator& m, std::string* message) { return m.collector.hold(m, on != 0, message); });
}

} // extern "C"
