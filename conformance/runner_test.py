#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""runner_test.py RUNNER NULL_PLUGIN - the runner's own promises: command line, numbering, TAP, JUnit, expectations."""

import os
import re
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree

RUNNER, NULL_PLUGIN = "", ""
LISTED = re.compile(r"^ *(\d+) (\w+)\.(\w+) - (.+?) ((?:\[[a-z][\w.]*\.\d+\] ?)+)$")


def run(*arguments):
    environment = dict(os.environ, ECHO_HEAP_OPTIONS="")
    return subprocess.run(
        [RUNNER, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        env=environment,
        timeout=300,
        check=False,
    )


class CommandLine(unittest.TestCase):
    def refused(self, sentence, *arguments):
        result = run(*arguments)
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertIn(sentence, result.stderr)
        self.assertEqual(result.stdout, "")

    def test_wrong_command_lines(self):
        self.refused("no plugin is given")
        self.refused("cannot read the plugin", "no_such_plugin.so")
        self.refused("cannot read no_such_jit.so", NULL_PLUGIN, "--jit=no_such_jit.so")
        self.refused("no suite and no test is named 'rots'", NULL_PLUGIN, "--suite=rots")
        self.refused("no suite and no test is named 'roots.'", NULL_PLUGIN, "--suite=roots.")
        for option in ("--seed=x", "--repeat=0", "--patience=-1", "--no-such-option"):
            self.assertEqual(run(NULL_PLUGIN, option).returncode, 2, option)

    def test_what_is_no_plugin_fails_every_test(self):
        with tempfile.NamedTemporaryFile(suffix=".so") as file:
            file.write(b"not a library")
            file.flush()
            result = run(file.name, "--suite=versioning", "--tap")
        self.assertEqual(result.returncode, 1)
        self.assertNotIn("\nok ", result.stdout)
        self.assertIn("file too short", result.stdout)

    def test_list_needs_no_plugin(self):
        lines = run("--list").stdout.splitlines()
        rows = [LISTED.match(line) for line in lines]
        self.assertNotIn(None, rows, [line for line, row in zip(lines, rows) if row is None])
        self.assertEqual([int(row[1]) for row in rows], list(range(1, len(rows) + 1)))  # [kit.run.1]
        self.assertEqual(len({(row[2], row[3]) for row in rows}), len(rows))
        self.assertEqual(run("--list", NULL_PLUGIN).stdout.splitlines(), lines)


class Reports(unittest.TestCase):
    # Fast tests; the last one fails in the null plugin.
    SUITES = "--suite=versioning,layouts.lies_are_refused,roots.misuse_of_scopes,roots.handles_keep_alive"

    def test_tap(self):
        result = run(NULL_PLUGIN, self.SUITES, "--tap", "--seed=7", "--repeat=2")
        self.assertEqual(result.returncode, 1)
        lines = result.stdout.splitlines()
        self.assertEqual(lines[0], "TAP version 13")
        plan = re.fullmatch(r"1\.\.(\d+)", lines[1])
        numbers = [int(match[1]) for match in re.finditer(r"^(?:not )?ok (\d+) - ", result.stdout, re.MULTILINE)]
        self.assertEqual(numbers, list(range(1, int(plan[1]) + 1)))
        self.assertIn("# seed: 7", lines)
        self.assertEqual(len(re.findall(r"^not ok \d+ - roots\.handles_keep_alive: ", result.stdout, re.MULTILINE)), 2)
        self.assertIn("\n  seed: 8\n", result.stdout)  # of the second turn

    def test_the_same_seed_gives_the_same_run(self):
        def told(seed):
            text = run(NULL_PLUGIN, self.SUITES + ",layouts.fuzzed_noise,options.fuzzed_text", "--tap", seed).stdout
            return re.sub(r"seconds: [\d.]+|[\d.]+ s$", "", text, flags=re.MULTILINE)

        self.assertEqual(told("--seed=5"), told("--seed=5"))

    def test_junit(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "report.xml")
            result = run(NULL_PLUGIN, self.SUITES, f"--junit={path}")
            self.assertEqual(result.returncode, 1)
            root = xml.etree.ElementTree.parse(path).getroot()
        self.assertEqual(root.get("failures"), "1")
        cases = root.findall("testsuite/testcase")
        self.assertEqual(len(cases), int(root.get("tests")))
        self.assertEqual(len(root.findall("testsuite/testcase/failure")), 1)
        self.assertEqual(run(NULL_PLUGIN, self.SUITES, "--junit=/no/such/folder/x").returncode, 2)

    def test_junit_has_every_turn_and_the_seed_of_each_failure(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "report.xml")
            run(f"--plugin={NULL_PLUGIN}", self.SUITES, f"--junit={path}", "--seed=11", "--repeat=3")
            root = xml.etree.ElementTree.parse(path).getroot()
        self.assertEqual(root.get("failures"), "3")
        cases = root.findall("testsuite/testcase")
        self.assertEqual(len(cases), int(root.get("tests")))
        self.assertEqual({suite.get("name") for suite in root}, {"versioning", "layouts", "roots"})
        told = [failure.text for failure in root.findall("testsuite/testcase/failure")]
        self.assertEqual(told, [f"again: --suite=roots.handles_keep_alive --seed={seed}" for seed in (11, 12, 13)])
        self.assertEqual({p.get("value") for p in root.findall("testsuite/properties/property")}, {"11"})

    def test_the_plugin_by_option(self):
        by_option = run("--plugin", NULL_PLUGIN, "--suite=versioning", "--tap", "--seed=1")
        self.assertEqual(by_option.returncode, 0, by_option.stderr)
        self.assertEqual(
            re.sub(r"[\d.]+ s$", "", by_option.stdout, flags=re.MULTILINE),
            re.sub(r"[\d.]+ s$", "", run(NULL_PLUGIN, "--suite=versioning", "--tap", "--seed=1").stdout, flags=re.MULTILINE),
        )
        self.assertEqual(run(NULL_PLUGIN, NULL_PLUGIN).returncode, 2)


class Expectations(unittest.TestCase):
    FAILS = "roots.handles_keep_alive"

    def run_with(self, text, *arguments):
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
            file.write(text)
            file.flush()
            return run(NULL_PLUGIN, f"--expect={file.name}", *arguments)

    def test_exactly_these_fail(self):  # [kit.expect.1]
        line = f"{self.FAILS} [abi.handle.1] it never collects"
        result = self.run_with(f"# a comment\n\n{line} # and another\n", f"--suite={self.FAILS}", "--tap")
        self.assertEqual(result.returncode, 0, result.stdout)
        self.assertIn("expected: [abi.handle.1] it never collects", result.stdout)
        self.assertEqual(self.run_with("", f"--suite={self.FAILS}").returncode, 1)
        passes = "versioning.table_is_static [abi.table.1] it does not fail"
        result = self.run_with(passes, "--suite=versioning.table_is_static", "--tap")
        self.assertEqual(result.returncode, 1)
        self.assertIn("expected to fail", result.stdout)
        skipped = "jit.headers [abi.recipe.1] it is skipped without --jit"
        self.assertEqual(self.run_with(skipped, "--suite=jit.headers").returncode, 1)

    def test_bad_lines(self):  # [kit.expect.2]
        for text, sentence in (
            ("roots.no_such_test [abi.handle.1] reason", ":1: no test is named roots.no_such_test"),
            (f"\n{self.FAILS} [abi.table.1] reason", ":2: roots.handles_keep_alive does not cite the clause '[abi.table.1]'"),
            (f"{self.FAILS} reason", "does not cite the clause 'reason'"),
            (f"{self.FAILS} [abi.handle.1]  # nothing", "has no reason"),
            (f"{self.FAILS} [abi.handle.1] a\n{self.FAILS} [abi.handle.1] b", ":2: roots.handles_keep_alive is listed twice"),
        ):
            result = self.run_with(text)
            self.assertEqual(result.returncode, 2, text)
            self.assertIn(sentence, result.stderr)
        self.assertEqual(run(NULL_PLUGIN, "--expect=no_such_file").returncode, 2)


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    RUNNER, NULL_PLUGIN = sys.argv[1:3]
    unittest.main(argv=sys.argv[:1] + sys.argv[3:])
