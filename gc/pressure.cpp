// SPDX-License-Identifier: MIT
//
// Purpose     What pushes collections besides allocation, and who is asked before memory is refused.
// Equations   pressure = max(0, external - allowed), allowed = what size.external.1 says of external at the end of the
//             last collection                                                       [external.push.1]
//             trigger' = min(trigger, max(soft limit - ahead, used + max(1 MiB, live / 16)))   [limit.soft.1]
//             ahead = 0, or beside the program what is expected to be allocated during a collection, at most half the limit
// Invariants  [oom.handler.1] No memory is refused before the handler was asked; while it runs its thread asks nobody.
#include "gc/collector.h"

#include <algorithm>

namespace echo {

namespace {
constexpr std::size_t kLeastRoom = std::size_t{1} << 20;
}

void Collector::note_pressure() {
  const auto now = static_cast<std::uint64_t>(external_.load(std::memory_order_relaxed));
  const auto base = static_cast<std::uint64_t>(external_base_.load(std::memory_order_relaxed));
  const std::uint64_t allowed = pacing_.external_allowed(base);
  memory.pool.set_pressure(now - std::min(now, allowed));
}

echo_status Collector::add_external(std::int64_t delta, std::string* why) {
  std::int64_t before = external_.load(std::memory_order_relaxed);
  std::int64_t after = 0;
  do {
    if (__builtin_add_overflow(before, delta, &after) || after < 0) {
      *why = std::to_string(before) + " bytes are announced, and a change by " + std::to_string(delta) +
             " leaves what can be counted";
      return ECHO_INVALID_ARGUMENT;
    }
  } while (!external_.compare_exchange_weak(before, after, std::memory_order_relaxed));
  note_pressure();
  if (delta > 0 && config.mode == MarkMode::Concurrent && !failed_.load(std::memory_order_relaxed) &&
      memory.pool.is_over_trigger()) {
    wake_collector(); // in the other modes the next allocation that needs memory collects
  }
  return ECHO_OK;
}

std::size_t Collector::below_soft_limit(std::size_t trigger, std::size_t used, std::size_t live) {
  if (config.soft_limit == 0) {
    return trigger;
  }
  if (used > config.soft_limit) {
    soft_limit_passed_.fetch_add(1, std::memory_order_relaxed);
    events.raise_in_stop(ECHO_EVENT_soft_limit, cycle_.cause, 0, 0, used, config.soft_limit);
  }
  // Beside the program a collection has to begin before, to end below.
  const std::size_t ahead =
      cycle_.beside ? std::min<std::size_t>(pacing_.predicted(), config.soft_limit / 2) : 0;
  return std::min(trigger, std::max(config.soft_limit - ahead, used + std::max(kLeastRoom, live / 16)));
}

void Collector::set_out_of_memory_handler(echo_out_of_memory_fn handler, void* context) {
  const MutexLock lock(handler_mutex_);
  handler_ = {handler, context};
}

bool Collector::is_rescued(Mutator& mutator, std::size_t bytes) {
  const std::int32_t status = mutator.last_error.code;
  if ((status != ECHO_HEAP_LIMIT && status != ECHO_SYSTEM_MEMORY) || bytes > memory.pool.limit()) {
    return false; // nothing that is freed helps
  }
  if (!mutator.asks_for_memory) {
    events.raise(ECHO_EVENT_out_of_memory, 0, 0, 0, bytes, static_cast<std::uint64_t>(status));
  }
  OutOfMemoryHandler handler;
  {
    const MutexLock lock(handler_mutex_);
    handler = handler_;
  }
  if (handler.ask == nullptr || mutator.asks_for_memory) {
    return false;
  }
  const echo_error refusal = mutator.last_error; // the handler's own calls may write theirs
  mutator.asks_for_memory = true;
  const bool again =
      handler.ask(handler.context, mutator.as_handle(), bytes, static_cast<std::uint32_t>(status)) != 0;
  mutator.asks_for_memory = false;
  mutator.last_error = refusal;
  if (again) {
    poor_cycles_.store(0, std::memory_order_relaxed);
  }
  return again;
}

} // namespace echo
