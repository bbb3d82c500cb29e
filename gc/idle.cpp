// SPDX-License-Identifier: MIT
//
// Purpose     A heap whose program has stopped to allocate: collected, if the VM wants that, and made small. On the service
//             thread.
// Invariants  [service.idle.1] of idle_watch.h. The collection runs outside the service thread's steps: a fork waits for a step
//             of it, not for all of it. [fork.prepare.1]
#include "gc/collector.h"
#include "heap/os_memory.h"

#include <algorithm>

namespace echo {

namespace {
constexpr std::uint64_t kLeastWorthACollection = std::uint64_t{1} << 20;
}

// Cumulative: bytes of memory that threads took to allocate in.
std::uint64_t Collector::handed_out() const {
  return memory.pool.handed_out() + memory.supply.handed_out();
}

std::uint64_t Collector::look_when_idle(std::uint64_t now_ns) {
  IdleWatch::Seen seen;
  seen.handed_out = handed_out();
  seen.collections = cycles();
  std::uint64_t live = 0;
  {
    const MutexLock lock(result_mutex_);
    live = result_.live_bytes;
  }
  seen.is_due = seen.handed_out - handed_out_before_.load(std::memory_order_relaxed) >=
                std::max(kLeastWorthACollection, live / 8);
  switch (idle_.look(now_ns, seen)) {
  case IdleAction::None:
    break;
  case IdleAction::Collect: {
    const std::uint64_t before = os::thread_cpu_ns();
    collect_when_idle();
    return os::thread_cpu_ns() - before;
  }
  case IdleAction::GiveBack:
    service_.give_back_when_idle();
    break;
  }
  return 0;
}

void Collector::collect_when_idle() {
  is_idle_.store(true);
  if (config.mode == MarkMode::Concurrent) {
    wanted_cause_.store(ECHO_CAUSE_requested);
    wake_collector(); // and its end wakes this thread
    return;
  }
  {
    const MutexLock driver(driver_mutex_);
    end_steps();
    drive(ECHO_CAUSE_requested, Where::AsConfigured);
  }
  events.wake();
  service_.wake();
}

} // namespace echo
