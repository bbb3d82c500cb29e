#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""samples_test.py ECHO_RUN HEAPCTL PLUGIN [--slow] - the Echo compiler's samples, run as they are.

Every sample runs as text and as bitcode, not optimised and optimised, in every mode that the plugin's option table names.
Samples that request over 100 MB run in a heap of 16 MiB, which only collections can make enough; how many that took is
printed. Then every sample runs with a collection at every allocation: the heavy ones with fewer rounds, their constants
replaced in the text and the output computed here, and at full size with a collection at every so many allocations.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
from heap_modes import modes  # pylint: disable=wrong-import-position

ECHO_RUN = HEAPCTL = PLUGIN = ""
SLOW = False
HEAVY = 100 << 20
STRESS = "max_heap=16m,stress_collect=1,poison=on,verify=on,stress_barriers=on"


def digits(numbers):
    return sum(len(str(number)) for number in numbers)


def channel_stream(rounds):
    return ["channel bytes", sum(digits(range(100)) + 100 * (len("message  of round ") + len(str(r))) for r in range(rounds)), 0]


def concat_churn(rounds):
    return ["concat_churn total", sum(128 + r % 3 for r in range(rounds)), "xyz" * 5]


def deep_recursion(times, depth):
    one = digits(range(depth + 1)) + len("frame-") * (depth + 1)
    return ["deep recursion", times * one % 1000003]


def slice_churn(cycles):
    return [sum(1 + (i % 4 == 0) for i in range(cycles))]


# Of the heavy ones: a smaller program, what it prints, and every which allocation collects at full size.
SMALLER = {
    "channel_stream": ([("i32 8000)", "i32 2)")], channel_stream(2), 1009),
    "concat_churn": ([("@rounds(i32 40000)", "@rounds(i32 20)")], concat_churn(20), 499),
    "deep_recursion": ([("@many(i32 900)", "@many(i32 2)"), ("@dive(i32 2000,", "@dive(i32 60,")], deep_recursion(2, 60), 15013),
    "slice_churn": ([("@run_cycles(i32 100000)", "@run_cycles(i32 500)")], slice_churn(500), 101),
}
SAMPLES = sorted(name[: -len(".expected")] for name in os.listdir(HERE) if name.endswith(".expected"))


def expected(name):
    with open(os.path.join(HERE, name + ".expected"), "rb") as file:
        return file.read()


def lines(values):
    return "".join(f"{value}\n" for value in values).encode()


class Samples(unittest.TestCase):
    def runs(self, path, options, output, *arguments, opt=2, echo=True):
        """The report of a run that prints what it should and ends with status 0."""
        with tempfile.TemporaryDirectory() as scratch:
            report = os.path.join(scratch, "report.json")
            command = [ECHO_RUN, *(["--echo"] if echo else []), path, f"--heap={options}", f"--opt={opt}", "--quiet", f"--json={report}"]
            command += [f"--heap-plugin={PLUGIN}", *arguments]
            result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=300, check=False)
            told = " ".join(command)
            self.assertEqual(result.returncode, 0, told + "\n" + result.stderr.decode(errors="replace"))
            self.assertEqual(result.stdout, output, told)
            with open(report, encoding="utf-8") as file:
                return json.load(file)

    def test_models(self):
        """What the smaller programs are compared with is what the whole ones print."""
        for name, model in {
            "channel_stream": channel_stream(8000),
            "concat_churn": concat_churn(40000),
            "deep_recursion": deep_recursion(900, 2000),
            "slice_churn": slice_churn(100000),
        }.items():
            self.assertEqual(lines(model), expected(name), name)

    def test_every_form_and_mode(self):
        heavy = set()
        for mode in modes(HEAPCTL, PLUGIN) or [""]:
            for name in SAMPLES:
                counts = []
                for form in (".ll", ".bc"):
                    for opt in (0, 2):
                        options = "max_heap=16m" + ("," + mode if mode else "")
                        report = self.runs(os.path.join(HERE, name + form), options, expected(name), opt=opt)
                        counts.append(report["collections"]["full"])
                        if report["bytes_allocated"] > HEAVY:
                            heavy.add(name)
                            self.assertGreater(report["collections"]["full"], 0, name)
                if name in heavy:
                    print(f"{name} {mode or 'default'}: {counts} collections in 16 MiB (.ll O0, O2; .bc O0, O2)", file=sys.stderr)
        self.assertEqual(heavy, set(SMALLER))

    def test_a_collection_at_every_allocation(self):
        for name in SAMPLES:
            path, output = os.path.join(HERE, name + ".ll"), expected(name)
            with tempfile.TemporaryDirectory() as scratch:
                if name in SMALLER:
                    with open(path, encoding="utf-8") as file:
                        text = file.read()
                    for old, new in SMALLER[name][0]:
                        self.assertEqual(text.count(old), 1, old)
                        text = text.replace(old, new)
                    path, output = os.path.join(scratch, name + ".ll"), lines(SMALLER[name][1])
                    with open(path, "w", encoding="utf-8") as file:
                        file.write(text)
                for mode in modes(HEAPCTL, PLUGIN) or [""]:
                    for opt in (0, 2):
                        report = self.runs(path, STRESS + ("," + mode if mode else ""), output, opt=opt)
                        stressed = report["collections"]["by_cause"]["stress"]
                        self.assertGreater(stressed, 0, name)
                        self.assertGreaterEqual(stressed, report["objects_allocated"] // 2, name)

    @unittest.skipIf(SLOW, "many times slower in this build")
    def test_full_size_under_stress(self):
        for name, (_, _, every) in SMALLER.items():
            options = f"max_heap=16m,stress_collect={every},poison=on,stress_barriers=on"
            report = self.runs(os.path.join(HERE, name + ".bc"), options, expected(name))
            self.assertGreater(report["collections"]["by_cause"]["stress"], 200, name)

    def test_both_ways_to_print(self):
        for name in SAMPLES:
            path = os.path.join(HERE, name + ".ll")
            self.runs(path, "max_heap=16m", expected(name), "--echo-print=lines")
            self.runs(path, "max_heap=16m", expected(name).replace(b"\n", b""), "--echo-print=raw")

    def test_the_precise_profile(self):
        """concat_churn converted by hand prints the same, whatever moves or is collected."""
        path = os.path.join(HERE, "concat_churn_precise.ll")
        with open(path, encoding="utf-8") as file:
            text = file.read()
        with tempfile.TemporaryDirectory() as scratch:
            smaller = os.path.join(scratch, "concat_churn_precise.ll")
            with open(smaller, "w", encoding="utf-8") as file:
                file.write(text.replace("@rounds(i32 40000)", "@rounds(i32 20)"))
            for mode in modes(HEAPCTL, PLUGIN) or [""]:
                for opt in (0, 2):
                    more = "," + mode if mode else ""
                    report = self.runs(path, "max_heap=16m" + more, expected("concat_churn"), opt=opt, echo=False)
                    self.assertGreater(report["collections"]["full"], 0)
                    self.assertEqual(report["pinned"]["objects"], 0)  # nothing is guessed
                    self.runs(smaller, STRESS + more, lines(concat_churn(20)), opt=opt, echo=False)

    def test_report(self):
        report = self.runs(os.path.join(HERE, "deep_recursion.bc"), "max_heap=16m,mode=stw", expected("deep_recursion"))
        self.assertEqual(report["profile"], "unmodified")
        pinned = report["pinned"]
        self.assertGreater(pinned["objects"], 20)  # of the frames of the recursion, however deep it was just then
        self.assertGreater(pinned["slabs"], 0)
        self.assertGreater(pinned["by"]["stack"], 20)
        self.assertEqual(sum(pinned["by"].values()), pinned["objects"])
        self.assertGreater(report["ambiguous_words"], report["ambiguous_hits"])

    def test_literals_with_and_without_nul(self):
        with open(os.path.join(HERE, "u_greeting.ll"), encoding="utf-8") as file:
            self.assertTrue(re.search(r'c"alpha"', file.read()))  # no terminator, and its neighbour follows at once
        with open(os.path.join(HERE, "concat_churn.ll"), encoding="utf-8") as file:
            self.assertTrue(re.search(r'c"ab\\00"', file.read()))


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    ECHO_RUN, HEAPCTL, PLUGIN = sys.argv[1:4]
    SLOW = "--slow" in sys.argv[4:]
    unittest.main(argv=sys.argv[:1])
