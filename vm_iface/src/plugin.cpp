// SPDX-License-Identifier: MIT
//
// Purpose     The table of functions, and the one symbol that a VM looks up.
// Invariants  [abi.table.1] [abi.version.1] [abi.feature.1]
#include "vm_iface/src/calls.h"

#include "echo/plugin.h"

namespace echo {
namespace {

#ifndef ECHO_BUILD_ID
#define ECHO_BUILD_ID "0.1.0"
#endif

constexpr std::uint64_t kFeatures =
    ECHO_FEATURE_COLLECTS | ECHO_FEATURE_STORE_BARRIER | ECHO_FEATURE_SCOPED_HANDLES |
    ECHO_FEATURE_GLOBAL_ROOTS | ECHO_FEATURE_FRAME_SOURCE | ECHO_FEATURE_VERIFIER | ECHO_FEATURE_STRESS |
    ECHO_FEATURE_AMBIGUOUS_ROOTS | ECHO_FEATURE_IDENTITY_HASH | ECHO_FEATURE_CONCURRENT | ECHO_FEATURE_WEAK |
    ECHO_FEATURE_STEPPING | ECHO_FEATURE_INCREMENTAL | ECHO_FEATURE_FINALIZERS | ECHO_FEATURE_EPHEMERONS |
    ECHO_FEATURE_PERSISTENT_HANDLES | ECHO_FEATURE_PINS | ECHO_FEATURE_ROOT_CALLBACKS |
    ECHO_FEATURE_TRACE_CALLBACKS | ECHO_FEATURE_OBJECT_WALK | ECHO_FEATURE_EXTERNAL_MEMORY |
    ECHO_FEATURE_OUT_OF_MEMORY_HANDLER | ECHO_FEATURE_EVENTS | ECHO_FEATURE_FORK;

constexpr echo_heap_api kApi = {
    sizeof(echo_heap_api), ECHO_ABI_MAJOR, ECHO_ABI_MINOR, ECHO_BUILD_ID, kFeatures, ECHO_HEAP_FUNCTIONS,
};

} // namespace
} // namespace echo

using echo::report;

extern "C" {

const echo_heap_api* echo_heap_plugin(uint32_t wanted_major, uint32_t wanted_minor, echo_error* why) {
  if (wanted_major != ECHO_ABI_MAJOR || wanted_minor > ECHO_ABI_MINOR) {
    char text[160];
    std::snprintf(text, sizeof text, "this plugin serves ABI %u.0 to %u.%u, the VM asks for %u.%u",
                  ECHO_ABI_MAJOR, ECHO_ABI_MAJOR, ECHO_ABI_MINOR, wanted_major, wanted_minor);
    (void)report(why, ECHO_VERSION_MISMATCH, text);
    return nullptr;
  }
  return &echo::kApi;
}

} // extern "C"
