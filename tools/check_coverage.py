#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""check_coverage.py ROOT RUNNER [--table FILE] - which test judges which clause of the ABI.

The clauses are those that docs/abi.md and docs/conformance.md define and that are not planned. Invariants: [docs.cover.1] a clause of
docs/abi.md is cited by a test: one of the runner's, as `RUNNER --list` tells, or a file of the tests or a check that a test runs. --table writes the table, as Markdown.
"""

import argparse
import os
import re
import subprocess
import sys

import check_tags
import project_tree

SOURCES = ("docs/abi.md", "docs/conformance.md")
LISTED = re.compile(r"^ *\d+ (\w+\.\w+) - .*?((?: \[[a-z][\w.]*\.\d+\])+)$")
# Files that are tests, or that a test runs on this tree or on what was built.
TEST_FILE = re.compile(r"^(tests/.*\.(c|cpp|h|py)|conformance/(.*/)?\w+_test\.py|conformance/run_programs\.py|tools/(check_\w+|abi_snapshot)\.py)$")
HEAD = """# Which test judges which clause

Made by tools/check_coverage.py from the tags. A clause of abi.md without a test is an error [docs.cover.1]. Names with a dot are tests
of echo-conformance and judge any plugin; files are tests of this one.
"""


def clauses(root, document):
    """Tags that a document defines, without the planned ones, in order."""
    text = project_tree.read(root, document)
    return [match.group(1) for match in check_tags.DEFINITION.finditer(text) if not match.group(2)]


def listed(text):
    """tag -> names of the runner's tests"""
    found = {}
    for line in text.splitlines():
        row = LISTED.match(line)
        if not row:
            raise ValueError(f"the runner lists a line that is no test: {line}")
        for tag in re.findall(r"\[([^\]]+)\]", row.group(2)):
            found.setdefault(tag, []).append(row.group(1))
    return found


def cited(root):
    """tag -> files of tests that cite it"""
    found = {}
    for path in project_tree.files(root):
        if not TEST_FILE.match(path) or project_tree.is_frozen(path):
            continue
        for match in check_tags.CITATION.finditer(project_tree.read(root, path) or ""):
            for tag in re.split(r",\s*", match.group(1)):
                files = found.setdefault(tag, [])
                if path not in files:
                    files.append(path)
    return found


def table(root, tests):
    """(text of the document, violations)"""
    lines, violations, files = [HEAD], [], cited(root)
    for document in SOURCES:
        lines += [f"## {os.path.basename(document)}", "", "| clause | tests of echo-conformance | files |", "| --- | --- | --- |"]
        for tag in clauses(root, document):
            named, by_file = tests.get(tag, []), sorted(files.get(tag, []))
            lines.append(f"| {tag} | {' '.join(f'`{n}`' for n in named)} | {' '.join(f'`{f}`' for f in by_file)} |")
            if document == SOURCES[0] and not named and not by_file:
                violations.append(f"{document}: no test cites [{tag}]; write one, or mark the clause planned [docs.cover.1]")
        lines.append("")
    return "\n".join(lines), violations


def main(arguments):
    parser = argparse.ArgumentParser(prog="check_coverage.py")
    parser.add_argument("root")
    parser.add_argument("runner")
    parser.add_argument("--table", metavar="FILE")
    options = parser.parse_args(arguments[1:])
    try:
        told = subprocess.run([options.runner, "--list"], capture_output=True, text=True, check=True, stdin=subprocess.DEVNULL)
        text, violations = table(options.root, listed(told.stdout))
    except (OSError, ValueError, subprocess.CalledProcessError) as failure:
        print(f"check_coverage: {failure}", file=sys.stderr)
        return 2
    if options.table:
        with open(options.table, "w", encoding="utf-8") as stream:
            stream.write(text)
    return project_tree.finish("check_coverage", violations, f"{text.count(chr(10) + '| ') - 2 * len(SOURCES)} clauses and their tests")


if __name__ == "__main__":
    sys.exit(main(sys.argv))
