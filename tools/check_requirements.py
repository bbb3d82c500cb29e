#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""check_requirements.py ROOT --build-dir DIR [--results LastTest.log] - docs/requirements.md against the truth.

Each table row is: requirement | state | code | test | figure, with state one of works, partly, not yet.
Invariants: [docs.rows.1] a row that works names at least one test and one file; [docs.rows.2] every file and test
named anywhere exists (tests: as `ctest -N` lists them in DIR; a trailing * stands for all with that beginning);
[docs.rows.3] with --results, every test a working row names has passed in that run.
Code and tests are the words in backticks of their columns.
"""

import argparse
import json
import os
import re
import subprocess
import sys

import project_tree

DOCUMENT = "docs/requirements.md"
COLUMNS = ["requirement", "state", "code", "test", "figure"]
STATES = ("works", "partly", "not yet")
RESULT_START = re.compile(r"^(\d+)/\d+ Test(?:ing)?: (.+)$")


def cells(line):
    """The cells of a Markdown table row; a bar behind a backslash is text."""
    return [c.strip().replace("\\|", "|") for c in re.split(r"(?<!\\)\|", line.strip().strip("|"))]


def rows(text):
    """(line number, dict) of each row of each requirement table."""
    header = None
    for number, line in enumerate(text.splitlines(), 1):
        if not line.lstrip().startswith("|"):
            header = None
        elif header is None:
            header = [c.lower() for c in cells(line)]
        elif not set(line) <= set("|-: ") and header == COLUMNS:
            found = cells(line)
            yield number, dict(zip(COLUMNS, found)) if len(found) == len(COLUMNS) else None


def words(cell):
    return re.findall(r"`([^`]+)`", cell)


def known_tests(build_dir):
    done = subprocess.run(
        ["ctest", "--test-dir", build_dir, "--show-only=json-v1"], capture_output=True, text=True, check=True
    )
    return {test["name"] for test in json.loads(done.stdout)["tests"]}


def passed_tests(log):
    """Names whose section of ctest's log says that the test passed."""
    passed, name = set(), None
    with open(log, encoding="utf-8", errors="replace") as stream:
        for line in stream:
            start = RESULT_START.match(line)
            if start:
                name = start.group(2).strip()
            elif line.startswith("Test Passed.") and name:
                passed.add(name)
    return passed


def matching(name, tests):
    return {t for t in tests if t.startswith(name[:-1])} if name.endswith("*") else {name} & tests


def check(root, tests, passed=None):
    violations, count = [], dict.fromkeys(STATES, 0)
    found_rows = list(rows(project_tree.read(root, DOCUMENT)))
    for number, row in found_rows:
        where = f"{DOCUMENT}:{number}"
        if row is None:
            violations.append(f"{where}: a row has {len(COLUMNS)} cells: {' | '.join(COLUMNS)}")
            continue
        state, named = row["state"], words(row["test"])
        if state not in STATES:
            violations.append(f"{where}: state '{state}' is none of: {', '.join(STATES)}")
            continue
        count[state] += 1
        if state == "works" and not (named and words(row["code"])):
            violations.append(f"{where}: a row that works names its code and a test that shows it [docs.rows.1]")
        for path in words(row["code"]):
            if not os.path.exists(os.path.join(root, path)):
                violations.append(f"{where}: there is no file {path} [docs.rows.2]")
        for name in named:
            found = matching(name, tests)
            if not found:
                violations.append(f"{where}: ctest knows no test {name} [docs.rows.2]")
            elif state == "works" and passed is not None:
                violations += [f"{where}: {t} has not passed, yet the row works [docs.rows.3]" for t in sorted(found - passed)]
    if not found_rows:
        violations.append(f"{DOCUMENT}:1: no table with the columns {' | '.join(COLUMNS)}")
    return violations, ", ".join(f"{n} {state}" for state, n in count.items())


def main(arguments):
    parser = argparse.ArgumentParser(prog="check_requirements.py")
    parser.add_argument("root")
    parser.add_argument("--build-dir", required=True)
    parser.add_argument("--results")
    options = parser.parse_args(arguments[1:])
    try:
        passed = passed_tests(options.results) if options.results else None
        violations, summary = check(options.root, known_tests(options.build_dir), passed)
    except (OSError, subprocess.CalledProcessError) as failure:
        print(f"check_requirements: {failure}", file=sys.stderr)
        return 2
    return project_tree.finish("check_requirements", violations, summary)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
