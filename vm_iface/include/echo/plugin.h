/* SPDX-License-Identifier: MIT
 *
 * echo/plugin.h - for authors of plugins: the functions of the table by their names.
 *
 * Purpose     A plugin that defines all functions of echo/heap.h fills its table with ECHO_HEAP_FUNCTIONS behind the size, the
 *             version, the build id and the features:
 *
 *                 static const echo_heap_api table = {sizeof table, ECHO_ABI_MAJOR, ECHO_ABI_MINOR, "mine", features,
 *                                                     ECHO_HEAP_FUNCTIONS};
 */
#ifndef ECHO_PLUGIN_H
#define ECHO_PLUGIN_H

#include "echo/heap.h"

/* In the order of echo_heap_api; the compiler sees to their types. */
/* clang-format off */
#define ECHO_HEAP_FUNCTIONS \
  echo_heap_create, echo_heap_destroy, echo_option_get_info, echo_layout_register, echo_layout_get, \
  echo_layout_get_slot, echo_layout_count, echo_attach, echo_detach, echo_enter_native, \
  echo_leave_native, echo_enter_blocked, echo_leave_blocked, echo_poll, echo_heap_of, echo_vm_word, \
  echo_set_vm_word, echo_last_error, echo_allocate, echo_store, echo_array_store, \
  echo_object_bytes, echo_object_layout, echo_array_length, echo_scope_open, echo_scope_close, \
  echo_handle_new, echo_handle_get, echo_handle_set, echo_roots_add, echo_roots_remove, \
  echo_frame_source_set, echo_collect, echo_get_statistics, echo_verify, echo_get_recipes, \
  echo_identity_hash, echo_ambiguous_stack, echo_ambiguous_range_add, echo_ambiguous_range_remove, \
  echo_resolve, echo_weak_load, echo_test_cycle_start, echo_test_cycle_step, \
  echo_test_cycle_finish, echo_test_cycle_hold, echo_step, echo_finalizer_next, \
  echo_finalizers_due, echo_persistent_new, echo_persistent_of, echo_persistent_copy, \
  echo_persistent_get, echo_persistent_set, echo_persistent_destroy, echo_pin_object, \
  echo_unpin_object, echo_roots_callback_add, echo_roots_callback_remove, \
  echo_layout_register_traced, echo_store_outside, echo_walk_objects, echo_external_memory, \
  echo_out_of_memory_set, echo_listener_add, echo_listener_remove, echo_histogram_export, \
  echo_fork_prepare, echo_fork_parent, echo_fork_child
/* clang-format on */

#endif /* ECHO_PLUGIN_H */
