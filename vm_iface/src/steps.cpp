// SPDX-License-Identifier: MIT
//
// Purpose     Collector work in a VM's idle time.
#include "vm_iface/src/calls.h"

using echo::guarded;
using echo::managed;
using echo::Mutator;

extern "C" {

echo_status echo_step(echo_thread* thread, uint64_t budget_us, uint32_t* done) {
  Mutator* m = nullptr;
  if (const echo_status status = managed(thread, &m, nullptr); status != ECHO_OK) {
    return status;
  }
  return guarded(nullptr, [&](std::string*) {
    const bool over = m->collector.idle_step(*m, budget_us);
    if (done != nullptr) {
      *done = over ? 1 : 0;
    }
    return ECHO_OK;
  });
}

} // extern "C"
