#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""faults_test.py RUNNER PLUGIN FOLDER FAULT_H - plugins built with one fault each (FOLDER/NAME.so); the suites must name it.

Invariants: [fault.named.1] Every fault of heap/fault.h has a row here. With the fault, each test of the row fails, and its
report - sentence, clauses and message - names the part of the heap that is faulty; without it, each passes. [fault.same.1] The
sources without a fault pass the same tests.
"""

import concurrent.futures
import os
import re
import subprocess
import sys

# fault -> (tests that fail, what their report says)
NAMED_BY = {
    "HandleMissed": (["roots.handles_keep_alive"], r"handle"),
    "FramesUnvisited": (["stepping.frames_that_return"], r"frame"),
    "RootWordMissed": (["roots.root_words_keep_alive"], r"root word"),
    "BitmapWordDropped": (["collection.random_graph", "collection.holes_are_reused"], r"graph|between survivors"),
    "MarkBitCleared": (["collection.random_graph", "collection.long_lists_are_marked"], r"graph|list of a million"),
    "FarSlotMissed": (["collection.every_slot_is_traced"], r"each place of each kind of layout"),
    "LongArrayCut": (["collection.wide_arrays_are_marked"], r"an array of 300 000 references"),
    "RunOffByOne": (["collection.mixed_holes_are_reused"], r"between survivors"),
    "FreshSwept": (["stepping.births"], r"born while the marker"),
    "HolesNotMixed": (["stepping.births_between_the_old"], r"between old ones"),
    "HolesByNewMarks": (["stepping.births_between_the_old"], r"between old ones"),
    "LargeSweptFresh": (["stepping.births"], r"born while the marker"),
    "RecordDropped": (["stepping.stores_by_call", "stepping.stores_by_recipe", "stepping.long_logs"], r"moves?d? while the marker|store recipe"),
    "StoreUnrecorded": (["stepping.stores_by_recipe", "recipes.stores_by_recipe"], r"store recipe|stores by the recipe"),
    "WeakLoadUnlogged": (["stepping.weak_loads"], r"weak"),
    "HandleUnlogged": (["stepping.handles_that_change"], r"handle"),
    "LogLostAtDetach": (["stepping.threads_that_come"], r"detach"),
    "LogLeftAtEnd": (["stepping.stores_by_call", "stepping.stores_by_recipe"], r"moves while the marker|recipe"),
    "PhaseNotSetAtAttach": (["stepping.threads_that_come"], r"attach"),
    "WeakNotCleared": (["weak.the_dead_are_cleared", "weak.they_keep_nothing_alive"], r"weak"),
    "EphemeronNotReleased": (["ephemerons.chains_are_followed"], r"link"),
    "FinalizedTwice": (["finalizers.due_once"], r"due twice"),
    "DueNotMarked": (["finalizers.they_keep_what_they_reach"], r"due|until it is taken"),
    "InteriorMissed": (["ambiguous.interior_words", "ambiguous.ranges_keep_alive"], r"every byte of an object is into it|range"),
}
BLOCK = re.compile(r"^(not ok|ok) \d+ - ([\w.]+):([^\n]*)\n((?:  [^\n]*\n)*)", re.MULTILINE)


def run(runner, plugin, tests):
    """name -> (passed, the test's part of the report)"""
    command = [runner, f"--plugin={plugin}", "--tap", "--seed=1", "--suite=" + ",".join(tests)]
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", timeout=500)
    return {m.group(2): (m.group(1) == "ok" and "# SKIP" not in m.group(3), m.group(3) + m.group(4)) for m in BLOCK.finditer(result.stdout)}


def main():
    if len(sys.argv) != 5:
        print(__doc__.splitlines()[0], file=sys.stderr)
        return 2
    runner, plugin, folder, table = sys.argv[1:]
    with open(table, encoding="utf-8") as file:
        known = set(re.findall(r"^  X\((\w+),", file.read(), re.MULTILINE)) - {"None"}
    wrong = [f"the fault {fault} has no row, or a row has no fault" for fault in sorted(known ^ set(NAMED_BY))]
    everything = sorted({test for tests, _ in NAMED_BY.values() for test in tests})
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        control = pool.submit(run, runner, plugin, everything)
        runs = {fault: pool.submit(run, runner, os.path.join(folder, fault + ".so"), tests) for fault, (tests, _) in NAMED_BY.items()}
        for test in everything:
            if not control.result().get(test, (False, ""))[0]:
                wrong.append(f"{test} does not pass without a fault: {control.result().get(test, ('', 'not run'))[1].strip()}")
        for fault, (tests, area) in NAMED_BY.items():
            for test in tests:
                passed, report = runs[fault].result().get(test, (True, "not run"))
                if passed:
                    wrong.append(f"{test} does not notice the fault {fault}: {report.strip()}")
                elif not re.search(area, report):
                    wrong.append(f"{test} notices the fault {fault}, but says nothing of '{area}': {report.strip()}")
            print(f"{fault}: {', '.join(tests)}")
    for line in wrong:
        print(f"WRONG: {line}")
    print(f"{len(NAMED_BY)} faulty builds, {len(wrong)} problems")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
