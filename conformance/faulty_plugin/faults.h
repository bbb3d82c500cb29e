// SPDX-License-Identifier: MIT
//
// faults.h - the promises that the faulty plugin can break, one at a time.
//
// Purpose     A test that cannot fail is worth nothing. The faulty plugin puts itself between the runner and
//             a good plugin and breaks one promise; faulty_plugin_test.py names the tests that have to
//             notice.
#ifndef ECHO_FAULTY_FAULTS_H
#define ECHO_FAULTY_FAULTS_H

#include <string_view>

// X(name, what it does wrong)
#define ECHO_FAULT_TABLE(X)                                                                                  \
  X(none, "nothing: the control")                                                                            \
  X(any_major, "serves every version")                                                                       \
  X(null_function, "the table has a hole")                                                                   \
  X(unknown_feature, "claims a feature that does not exist")                                                 \
  X(writes_error, "writes the error although heap_create succeeds")                                          \
  X(no_message, "leaves the message empty")                                                                  \
  X(endless_options, "the option table does not end")                                                        \
  X(swallows_options, "ignores options that it does not know")                                               \
  X(accepts_any_layout, "registers something for a layout that lies")                                        \
  X(drops_a_slot, "forgets the last slot of a layout")                                                       \
  X(shares_layouts, "gives every layout of one size the same number")                                        \
  X(dirty_payload, "the last word of a new object is not zero")                                              \
  X(wrong_length, "the length word is one too many")                                                         \
  X(misaligned, "the object begins 8 bytes late")                                                            \
  X(same_object_twice, "gives out the object of the last call again, now and then")                          \
  X(overflow_wraps, "an impossible length wraps around")                                                     \
  X(limit_is_unknown, "reports a full heap as UNKNOWN_LAYOUT")                                               \
  X(stores_anywhere, "takes any offset for a slot")                                                          \
  X(recipe_changes, "the granule of the recipes grows from call to call")                                    \
  X(no_barrier, "the recipes say that stores need no barrier")                                               \
  X(stale_handles, "a handle after its scope still answers")                                                 \
  X(handles_forget, "a handle holds null while a collection runs")                                           \
  X(handles_are_counted_up, "each new handle takes the longer the more there are")                           \
  X(scopes_in_any_order, "accepts any scope number for closing")                                             \
  X(roots_forget, "takes root words and does not register them")                                             \
  X(roots_unbounded, "takes any number of root words")                                                       \
  X(skips_a_frame, "does not report the oldest frame")                                                       \
  X(ignores_missing_maps, "takes a frame without map for the end of the stack")                              \
  X(forgets_ranges, "registers ambiguous ranges and does not read them")                                     \
  X(keeps_ranges, "does not remove ambiguous ranges")                                                        \
  X(forgets_stacks, "does not read stacks that were declared ambiguous")                                     \
  X(traces_nothing_unknown, "takes objects without a known layout for raw bytes")                            \
  X(resolves_starts, "resolves only the addresses of objects, nothing inside them")                          \
  X(resolves_past_ends, "resolves one past an object's end to the object")                                   \
  X(pairs_are_weak, "keeps the value of an ephemeron no better than a weak slot")                            \
  X(values_are_strong, "keeps the values of ephemerons whatever becomes of their keys")                      \
  X(finalizes_nothing, "nothing of a finalizable layout is ever due")                                        \
  X(finalizes_twice, "each object that is due is handed out twice")                                          \
  X(finalizes_without_order, "hands the youngest object that is due out first")                              \
  X(finalizes_shells, "an object that is due has lost what it refers to")                                    \
  X(miscounts_due, "one more object is due than is true")                                                    \
  X(persistents_forget, "a persistent handle holds null while a collection runs")                            \
  X(stale_persistents, "a destroyed persistent handle still answers")                                        \
  X(pins_once, "counts no pins: the first unpin releases")                                                   \
  X(skips_root_callbacks, "registers root callbacks and does not call them")                                 \
  X(skips_traces, "registers traced layouts without their callback")                                         \
  X(walk_stops_early, "ends each walk in its middle")                                                        \
  X(external_under_zero, "takes any change of external memory")                                              \
  X(never_asks, "does not ask the out-of-memory handler")                                                    \
  X(swallows_events, "adds listeners and does not call them")                                                \
  X(other_histograms, "exports another histogram than the one asked for")                                    \
  X(never_collects, "says that it collected and did not")                                                    \
  X(crashes_on_collect, "dies in collect")                                                                   \
  X(hangs_on_collect, "never returns from collect")                                                          \
  X(exits_on_collect, "ends the process in collect")                                                         \
  X(native_is_managed, "a thread that enters native is still waited for")                                    \
  X(poll_does_nothing, "a poll does not reach a safepoint")                                                  \
  X(attach_twice, "a second attach gives the same block")                                                    \
  X(destroys_in_use, "heap_destroy succeeds while threads are attached, and does nothing")                   \
  X(leaks_a_mapping, "each heap leaves 64 MiB of addresses behind")                                          \
  X(stays_loaded, "cannot be unloaded")                                                                      \
  X(miscounts_objects, "counts one object too few")                                                          \
  X(miscounts_live, "live_bytes is 8 too high")                                                              \
  X(net_over_raw, "a net pause may be longer than its raw one")                                              \
  X(works_over_cap, "a stop did more work than its cap")                                                     \
  X(utilisation_over_one, "a thread had more of a window than all of it")                                    \
  X(writes_behind_size, "fills the statistics beyond the size given")

enum class Fault {
#define ECHO_FAULT_ENUM(name, sentence) name,
  ECHO_FAULT_TABLE(ECHO_FAULT_ENUM)
#undef ECHO_FAULT_ENUM
};

// The fault of this name; `none` if there is none of the name.
inline Fault fault_named(std::string_view wanted) {
#define ECHO_FAULT_MATCH(name, sentence)                                                                     \
  if (wanted == #name)                                                                                       \
    return Fault::name;
  ECHO_FAULT_TABLE(ECHO_FAULT_MATCH)
#undef ECHO_FAULT_MATCH
  return Fault::none;
}

#endif // ECHO_FAULTY_FAULTS_H
