#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""faulty_plugin_test.py RUNNER FAULTY_PLUGIN GOOD_PLUGIN - breaks one promise at a time; the named tests must notice.

Invariants: [kit.bites.1] Every fault of faulty_plugin/faults.h has a row here, and every test of a row fails with the
fault and passes without it.
"""

import concurrent.futures
import os
import re
import subprocess
import sys

# fault -> tests that must fail
NOTICED_BY = {
    "any_major": ["versioning.refuses_other_majors", "versioning.refuses_newer_minors"],
    "null_function": ["versioning.table_is_complete"],
    "unknown_feature": ["versioning.knows_its_features"],
    "writes_error": ["options.byte_suffixes"],
    "no_message": ["options.unknown_option_is_named"],
    "endless_options": ["options.table_is_readable"],
    "swallows_options": ["options.unknown_option_is_named"],
    "accepts_any_layout": ["layouts.lies_are_refused", "layouts.huge_slot_counts", "layouts.fuzzed_noise"],
    "drops_a_slot": ["layouts.every_kind_registers", "layouts.fuzzed_honest", "allocation.stores_are_checked"],
    "shares_layouts": ["layouts.identical_layouts_share"],
    "dirty_payload": ["allocation.fixed_objects", "allocation.arrays", "collection.reused_memory_is_zero"],
    "wrong_length": ["allocation.arrays"],
    "misaligned": ["allocation.fixed_objects"],
    "same_object_twice": ["allocation.limit_is_a_value", "collection.random_graph"],
    "overflow_wraps": ["allocation.overflowing_lengths"],
    "limit_is_unknown": ["allocation.limit_is_a_value", "collection.full_heap_recovers"],
    "stores_anywhere": ["allocation.stores_are_checked"],
    "recipe_changes": ["recipes.recipes_are_constant"],
    "no_barrier": ["recipes.recipes_are_complete", "recipes.stores_by_recipe"],
    "stale_handles": ["roots.misuse_of_handles"],
    "handles_are_counted_up": ["roots.many_handles"],
    "handles_forget": ["roots.handles_keep_alive", "collection.wide_arrays_are_marked"],
    "scopes_in_any_order": ["roots.misuse_of_scopes"],
    "roots_forget": ["roots.root_words_keep_alive", "threads.objects_change_hands"],
    "roots_unbounded": ["roots.root_words_are_bounded"],
    "skips_a_frame": ["frames.frames_keep_alive", "frames.deep_stacks_are_walked", "frames.native_frames_are_walked"],
    "ignores_missing_maps": ["frames.missing_map_frees_nothing", "frames.missing_map_ends_allocation"],
    "forgets_ranges": ["ambiguous.ranges_keep_alive", "ambiguous.unknown_layouts"],
    "keeps_ranges": ["ambiguous.ranges_are_removed"],
    "forgets_stacks": [
        "ambiguous.stacks_keep_alive", "ambiguous.registers_keep_alive", "ambiguous.native_threads_move_words",
        "ambiguous.deep_stacks", "ambiguous.stacks_are_declared", "ambiguous.unknowing_program_under_stress",
    ],
    "traces_nothing_unknown": ["ambiguous.unknown_layouts", "ambiguous.long_unknown_objects", "ambiguous.unknowing_program"],
    "resolves_starts": ["ambiguous.interior_words", "ambiguous.large_objects"],
    "resolves_past_ends": ["ambiguous.interior_words", "ambiguous.large_objects"],
    "pairs_are_weak": ["ephemerons.values_live_with_their_keys", "ephemerons.chains_are_followed"],
    "values_are_strong": ["ephemerons.values_do_not_keep_their_keys"],
    "finalizes_nothing": ["finalizers.due_once", "finalizers.large_objects_and_arrays"],
    "finalizes_twice": ["finalizers.due_once", "finalizers.threads_share_the_queue"],
    "finalizes_without_order": ["finalizers.in_order_and_in_circles"],
    "finalizes_shells": ["finalizers.they_keep_what_they_reach", "finalizers.the_resurrected_are_objects_like_any"],
    "miscounts_due": ["finalizers.due_once"],
    "persistents_forget": ["persistent.they_keep_alive"],
    "stale_persistents": ["persistent.misuse_of_persistents"],
    "pins_once": ["persistent.pins_are_counted"],
    "skips_root_callbacks": ["services.root_callbacks_keep_alive"],
    "skips_traces": ["services.traced_objects_keep_alive", "services.traced_arrays_and_stores"],
    "walk_stops_early": ["services.walks_see_everything"],
    "external_under_zero": ["services.external_memory_collects"],
    "never_asks": ["services.the_handler_is_asked"],
    "swallows_events": ["events.listeners_hear"],
    "other_histograms": ["events.histograms_decode"],
    "never_collects": ["roots.closing_frees", "statistics.live_bytes_are_reachable_bytes"],
    "crashes_on_collect": ["roots.handles_keep_alive"],
    "hangs_on_collect": ["roots.handles_keep_alive"],
    "exits_on_collect": ["roots.handles_keep_alive"],
    "native_is_managed": ["threads.stops_do_not_wait_for_native"],
    "poll_does_nothing": ["threads.polls_stop"],
    "attach_twice": ["threads.attached_once"],
    "destroys_in_use": ["heaps.attached_threads_hold_a_heap"],
    "leaks_a_mapping": ["heaps.destroyed_heaps_leave_nothing"],
    "stays_loaded": ["heaps.loads_again"],
    "miscounts_objects": ["statistics.allocation_is_counted"],
    "miscounts_live": ["statistics.live_bytes_are_reachable_bytes", "roots.closing_frees"],
    "net_over_raw": ["statistics.pauses_are_distributions"],
    "works_over_cap": ["statistics.allocation_is_counted", "statistics.pauses_are_distributions"],
    "utilisation_over_one": ["statistics.pauses_are_distributions"],
    "writes_behind_size": ["statistics.older_structs_are_filled"],
}
# Tests that hang with their fault are killed after 60 s times this.
PATIENCE = {"hangs_on_collect": 0.05, "native_is_managed": 0.1, "poll_does_nothing": 0.1}


def run(runner, faulty, good, fault, tests):
    """name -> True if the test passed"""
    # In one stop: a mark beside the program may end too late for a test to meet what it lost.
    environment = dict(os.environ, ECHO_FAULTY_INNER=good, ECHO_FAULT=fault, ECHO_HEAP_OPTIONS="mode=stw")
    command = [runner, faulty, "--tap", "--seed=1", "--suite=" + ",".join(tests)]
    command.append(f"--patience={PATIENCE.get(fault, 1)}")
    result = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", env=environment, timeout=600
    )
    found = re.findall(r"^(not ok|ok) \d+ - ([\w.]+):.*?(# SKIP)?$", result.stdout, re.MULTILINE)
    return {name: mark == "ok" and not skip for mark, name, skip in found}


def main():
    if len(sys.argv) != 4:
        print(__doc__.splitlines()[0], file=sys.stderr)
        return 2
    runner, faulty, good = sys.argv[1:]
    folder = os.path.dirname(os.path.abspath(__file__))
    with open(os.path.join(folder, "faulty_plugin", "faults.h"), encoding="utf-8") as file:
        known = set(re.findall(r"^  X\((\w+),", file.read(), re.MULTILINE)) - {"none"}
    wrong = [f"the fault {fault} has no row, or a row has no fault" for fault in sorted(known ^ set(NOTICED_BY))]
    everything = sorted({test for tests in NOTICED_BY.values() for test in tests})
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        control = pool.submit(run, runner, faulty, good, "none", everything)
        runs = {fault: pool.submit(run, runner, faulty, good, fault, NOTICED_BY[fault]) for fault in NOTICED_BY}
        passed = control.result()
        for test in everything:
            if not passed.get(test, False):
                wrong.append(f"{test} does not pass without a fault")
        for fault, tests in NOTICED_BY.items():
            passed = runs[fault].result()
            for test in tests:
                if passed.get(test) is not False:
                    wrong.append(f"{test} does not notice the fault {fault}")
            print(f"{fault}: {', '.join(tests)}")
    for line in wrong:
        print(f"WRONG: {line}")
    print(f"{len(NOTICED_BY)} faults, {len(wrong)} problems")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
