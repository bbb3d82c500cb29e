# SPDX-License-Identifier: MIT
"""What the tests of echo-run share: where things are, compiling a program once, running, and what every run must obey."""
import json
import os
import re
import subprocess
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
BIN = os.environ["ECHO_TEST_BIN"]
PLUGINS = os.environ.get("ECHO_TEST_PLUGINS", "")
ECHO_RUN = os.path.join(BIN, "echo-run")
ECHO_CC = os.path.join(BIN, "echo-cc")
SANITIZED = bool(os.environ.get("ECHO_TEST_SANITIZE"))
LINE = re.compile(r"^echo-run: ([A-Z][A-Z0-9_]*): \S.*\S$")
MASK = (1 << 64) - 1

_work = tempfile.TemporaryDirectory(prefix="echo-run-test-")
WORK = _work.name
_compiled = {}


def scratch(name):
    return os.path.join(WORK, name)


def write(name, text):
    path = scratch(name)
    with open(path, "wb" if isinstance(text, bytes) else "w") as file:
        file.write(text)
    return path


def read(path):
    with open(path, "rb") as file:
        return file.read()


def source(name):
    return os.path.join(HERE, "programs", name + ".c")


def program(name, suffix="bc", define=None):
    """programs/NAME.c compiled by echo-cc, once for each macro that is to be defined."""
    key = (name, suffix, define)
    if key not in _compiled:
        path = scratch("%s%s.%s" % (name, "-" + define if define else "", suffix))
        subprocess.run([ECHO_CC, source(name), "-o", path] + (["-D" + define] if define else []), check=True, timeout=60)
        _compiled[key] = path
    return _compiled[key]


class Run:
    def __init__(self, finished):
        self.status = finished.returncode
        self.out = finished.stdout
        self.err = finished.stderr
        self.error_lines = [line for line in self.err.split("\n") if LINE.match(line)]


def run(*arguments, env=None, stdin=subprocess.DEVNULL, timeout=120, executable=ECHO_RUN):
    environment = dict(os.environ)
    environment.pop("ECHO_HEAP_OPTIONS", None)
    environment.update(env or {})
    return Run(subprocess.run([executable, *arguments], capture_output=True, text=True, errors="replace", stdin=stdin,
                              env=environment, timeout=timeout))


def rotl(value, count):
    return ((value << count) | (value >> (64 - count))) & MASK


def checksum(values):
    """[run.checksum.1], written again."""
    total = 0
    for value in values:
        total = rotl(total, 5) ^ ((value * 0x9E3779B97F4A7C15) & MASK)
    return total


class DriverTest(unittest.TestCase):
    maxDiff = None

    def assert_refused(self, result, code, *words):
        """Status 2, nothing on standard output, and one line that names the code and every one of `words`."""
        self.assertEqual(result.status, 2, result.err)
        self.assertEqual(result.out, "")
        self.assert_one_line(result, code, *words)

    def assert_one_line(self, result, code, *words):
        """Nothing but one line on standard error. [run.error.1]"""
        self.assertTrue(result.err.endswith("\n"), result.err)
        self.assertEqual(result.err.count("\n"), 1, result.err)
        self.assert_error(result, code, *words)

    def assert_error(self, result, code, *words):
        """Exactly one error line, among whatever report there is."""
        self.assertEqual(len(result.error_lines), 1, result.err)
        line = result.error_lines[0]
        self.assertEqual(LINE.match(line).group(1), code, line)
        for word in words:
            self.assertIn(word, line)

    def assert_runs(self, result, status=0):
        self.assertEqual(result.status, status, result.err)
        self.assertEqual(result.error_lines, [], result.err)

    def run_json(self, *arguments, status=0, **options):
        """Runs with --json and returns (run, report)."""
        path = scratch("report.json")
        split = arguments.index("--") if "--" in arguments else len(arguments)
        result = run(*arguments[:split], "--json=" + path, *arguments[split:], **options)
        self.assertEqual(result.status, status, result.err)
        with open(path, encoding="utf-8") as file:
            return result, json.load(file)


def main():
    unittest.main(module="__main__")
