// SPDX-License-Identifier: MIT
//
// Purpose     The table of functions, and the one symbol that a VM looks up.
// Invariants  [abi.table.1] [abi.version.1] [abi.feature.1]
#include "vm_iface/src/calls.h"

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
    sizeof(echo_heap_api),
    ECHO_ABI_MAJOR,
    ECHO_ABI_MINOR,
    ECHO_BUILD_ID,
    kFeatures,
    echo_heap_create,
    echo_heap_destroy,
    echo_option_get_info,
    echo_layout_register,
    echo_layout_get,
    echo_layout_get_slot,
    echo_layout_count,
    echo_attach,
    echo_detach,
    echo_enter_native,
    echo_leave_native,
    echo_enter_blocked,
    echo_leave_blocked,
    echo_poll,
    echo_heap_of,
    echo_vm_word,
    echo_set_vm_word,
    echo_last_error,
    echo_allocate,
    echo_store,
    echo_array_store,
    echo_object_bytes,
    echo_object_layout,
    echo_array_length,
    echo_scope_open,
    echo_scope_close,
    echo_handle_new,
    echo_handle_get,
    echo_handle_set,
    echo_roots_add,
    echo_roots_remove,
    echo_frame_source_set,
    echo_collect,
    echo_get_statistics,
    echo_verify,
    echo_get_recipes,
    echo_identity_hash,
    echo_ambiguous_stack,
    echo_ambiguous_range_add,
    echo_ambiguous_range_remove,
    echo_resolve,
    echo_weak_load,
    echo_test_cycle_start,
    echo_test_cycle_step,
    echo_test_cycle_finish,
    echo_test_cycle_hold,
    echo_step,
    echo_finalizer_next,
    echo_finalizers_due,
    echo_persistent_new,
    echo_persistent_of,
    echo_persistent_copy,
    echo_persistent_get,
    echo_persistent_set,
    echo_persistent_destroy,
    echo_pin_object,
    echo_unpin_object,
    echo_roots_callback_add,
    echo_roots_callback_remove,
    echo_layout_register_traced,
    echo_store_outside,
    echo_walk_objects,
    echo_external_memory,
    echo_out_of_memory_set,
    echo_listener_add,
    echo_listener_remove,
    echo_histogram_export,
    echo_fork_prepare,
    echo_fork_parent,
    echo_fork_child,
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
