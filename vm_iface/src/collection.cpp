// SPDX-License-Identifier: MIT
//
// Purpose     Collections, statistics, the verifier.
#include "vm_iface/src/calls.h"

#include <cstring>

using echo::guarded;
using echo::managed;
using echo::Mutator;
using echo::report;

extern "C" {

echo_status echo_collect(echo_thread* thread, uint32_t kind, echo_error* why) {
  Mutator* m = nullptr;
  if (const echo_status status = managed(thread, &m, why); status != ECHO_OK) {
    return status;
  }
  constexpr uint32_t kFlags = ECHO_COLLECT_IN_STOP | ECHO_COLLECT_BESIDE | ECHO_COLLECT_BEGIN;
  const uint32_t flag = kind & kFlags;
  kind &= ~kFlags;
  if ((flag & (flag - 1)) != 0) {
    return report(why, ECHO_INVALID_ARGUMENT, "more than one flag says how to collect");
  }
  if (kind == ECHO_COLLECT_YOUNG || kind == ECHO_COLLECT_COMPACT) {
    return report(why, ECHO_NOT_SUPPORTED,
                  kind == ECHO_COLLECT_YOUNG ? "this plugin has no young generation"
                                             : "this plugin does not move objects");
  }
  if (kind != ECHO_COLLECT_FULL) {
    return report(why, ECHO_INVALID_ARGUMENT,
                  "kind " + std::to_string(kind) + " is none of echo_collect_kind");
  }
  return guarded(why, [&](std::string* message) {
    if (flag == ECHO_COLLECT_BEGIN) {
      const bool begun = m->collector.begin_collection(*m);
      *message = begun ? "" : "in mode stw a collection is one stop: it cannot be begun and left";
      return begun ? ECHO_OK : ECHO_NOT_SUPPORTED;
    }
    return m->collector.collect(*m, ECHO_CAUSE_requested, message,
                                flag == ECHO_COLLECT_IN_STOP  ? echo::Collector::Where::InStop
                                : flag == ECHO_COLLECT_BESIDE ? echo::Collector::Where::Beside
                                                              : echo::Collector::Where::AsConfigured);
  });
}

echo_status echo_get_statistics(echo_heap* heap, echo_statistics* out) {
  if (heap == nullptr || out == nullptr || out->size < sizeof out->size) {
    return ECHO_INVALID_ARGUMENT;
  }
  if (const echo_status status = echo::unusable(heap, nullptr); status != ECHO_OK) {
    return status;
  }
  return guarded(nullptr, [&](std::string*) {
    const std::uint32_t wanted = out->size;
    echo_statistics all{};
    heap->collector.statistics(&all);
    all.size = wanted < sizeof all ? wanted : static_cast<std::uint32_t>(sizeof all);
    std::memcpy(out, &all, all.size);
    return ECHO_OK;
  });
}

echo_status echo_verify(echo_thread* thread, uint32_t level, echo_error* why) {
  Mutator* m = nullptr;
  if (const echo_status status = managed(thread, &m, why); status != ECHO_OK) {
    return status;
  }
  return guarded(why, [&](std::string* message) {
    *message = m->collector.verify(*m, level != 0);
    return message->empty() ? ECHO_OK : ECHO_HEAP_CORRUPT;
  });
}

} // extern "C"
