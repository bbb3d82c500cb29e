// SPDX-License-Identifier: MIT
//
// Purpose     The functions of echo/events.h.
#include "gc/histogram_log.h"
#include "heap/os_memory.h"
#include "vm_iface/src/calls.h"

#include <cstring>
#include <ctime>

namespace echo {
namespace {

const char* name_of(std::uint32_t histogram, std::uint32_t cause) {
  static constexpr const char* kNames[] = {"pauses",     nullptr, "stalls", "time_to_safepoint",
                                           "pauses_net", nullptr};
  static constexpr const char* kCauses[] = {
#define ECHO_NAME(name, sentence) "pauses_" #name,
      ECHO_CAUSE_TABLE(ECHO_NAME)
#undef ECHO_NAME
  };
  static constexpr const char* kNetCauses[] = {
#define ECHO_NAME(name, sentence) "pauses_net_" #name,
      ECHO_CAUSE_TABLE(ECHO_NAME)
#undef ECHO_NAME
  };
  return histogram == ECHO_HISTOGRAM_PAUSES_BY_CAUSE       ? kCauses[cause]
         : histogram == ECHO_HISTOGRAM_PAUSES_NET_BY_CAUSE ? kNetCauses[cause]
                                                           : kNames[histogram];
}

} // namespace
} // namespace echo

using echo::guarded;
using echo::null_argument;
using echo::report;

extern "C" {

echo_status echo_listener_add(echo_heap* heap, uint64_t kinds, echo_listener_fn listener, void* context,
                              uint32_t* out, echo_error* why) {
  if (heap == nullptr || listener == nullptr || out == nullptr) {
    return null_argument(why, heap == nullptr ? "heap" : listener == nullptr ? "listener" : "out");
  }
  *out = 0;
  if (const echo_status status = echo::unusable(heap, why); status != ECHO_OK) {
    return status;
  }
  if ((kinds & ((std::uint64_t{1} << ECHO_EVENT_COUNT) - 1)) == 0) {
    return report(why, ECHO_INVALID_ARGUMENT, "kinds has no bit of a kind that this heap raises");
  }
  return guarded(why, [&](std::string* message) {
    return heap->collector.events.add(kinds, listener, context, out, message);
  });
}

echo_status echo_listener_remove(echo_heap* heap, uint32_t listener, echo_error* why) {
  if (const echo_status status = echo::unusable(heap, why); status != ECHO_OK) {
    return status;
  }
  return guarded(why, [&](std::string* message) { return heap->collector.events.remove(listener, message); });
}

echo_status echo_histogram_export(echo_heap* heap, uint32_t histogram, uint32_t cause, char* buffer,
                                  uint64_t* bytes, echo_error* why) {
  if (heap == nullptr || bytes == nullptr) {
    return null_argument(why, heap == nullptr ? "heap" : "bytes");
  }
  if (const echo_status status = echo::unusable(heap, why); status != ECHO_OK) {
    return status;
  }
  const bool by_cause =
      histogram == ECHO_HISTOGRAM_PAUSES_BY_CAUSE || histogram == ECHO_HISTOGRAM_PAUSES_NET_BY_CAUSE;
  if (histogram > ECHO_HISTOGRAM_PAUSES_NET_BY_CAUSE || (by_cause && cause >= ECHO_CAUSE_COUNT)) {
    return report(why, ECHO_INVALID_ARGUMENT,
                  "histogram " + std::to_string(histogram) + " with cause " + std::to_string(cause) +
                      " is none of echo_histogram and echo_cause");
  }
  return guarded(why, [&](std::string* message) {
    auto copy = std::make_unique<echo::Histogram>();
    heap->collector.pauses.copy(static_cast<echo_histogram>(histogram), cause, copy.get());
    const double seconds = static_cast<double>(echo::os::monotonic_ns() - heap->created_ns) / 1e9;
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    const double start = static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) / 1e9 - seconds;
    const std::string text = echo::histogram_log(*copy, echo::name_of(histogram, cause), start, seconds);
    const std::uint64_t room = buffer == nullptr ? 0 : *bytes;
    *bytes = text.size() + 1;
    if (room < *bytes) {
      *message =
          "the buffer has " + std::to_string(room) + " bytes, the text takes " + std::to_string(*bytes);
      return ECHO_OUT_OF_BOUNDS;
    }
    std::memcpy(buffer, text.c_str(), *bytes);
    return ECHO_OK;
  });
}

} // extern "C"
