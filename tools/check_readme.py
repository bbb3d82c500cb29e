#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""check_readme.py ROOT [--features PROGRAM LIBRARY] - README.md tells the truth.

Invariants: [docs.readme.1] the one C block of README.md is examples/embed.c, byte for byte (the tests compile and run
that file). [docs.readme.2] each row of its feature table has a state: works, partly or not yet. [docs.readme.3] a row
that names a feature bit (`ECHO_FEATURE_NAME`) says "not yet" exactly if the plugin's bit is clear; every bit has a row.
PROGRAM LIBRARY prints one "NAME 0|1" line per bit.
"""

import argparse
import re
import subprocess
import sys

import check_requirements
import project_tree

EXAMPLE = "examples/embed.c"
BIT = re.compile(r"`ECHO_FEATURE_(\w+)`")


def feature_rows(text):
    """(line number, state, names of feature bits) of each row of the tables that have a state column."""
    header = None
    for number, line in enumerate(text.splitlines(), 1):
        if not line.startswith("|"):
            header = None
            continue
        found = check_requirements.cells(line)
        if header is None:
            header = [c.lower() for c in found]
        elif not set(line) <= set("|-: ") and "state" in header:
            position = header.index("state")
            yield number, found[position] if position < len(found) else "", BIT.findall(line)


def plugin_bits(program, library):
    done = subprocess.run([program, library], capture_output=True, text=True, check=True)
    return {name: value == "1" for name, value in (line.split() for line in done.stdout.splitlines())}


def check(root, bits=None):
    violations, states, named = [], 0, set()
    text = project_tree.read(root, "README.md")
    blocks = re.findall(r"^```c\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    if len(blocks) != 1:
        violations.append(f"README.md:1: {len(blocks)} C blocks where there must be one: {EXAMPLE} [docs.readme.1]")
    elif blocks[0] != project_tree.read(root, EXAMPLE):
        violations.append(f"README.md:1: the C block and {EXAMPLE} differ [docs.readme.1]")
    for number, state, names in feature_rows(text):
        states += 1
        named.update(names)
        if state not in check_requirements.STATES:
            violations.append(f"README.md:{number}: state '{state}' is none of works, partly, not yet [docs.readme.2]")
        for name in names if bits is not None else []:
            if name not in bits:
                violations.append(f"README.md:{number}: there is no feature bit {name} [docs.readme.3]")
            elif bits[name] == (state == "not yet"):
                violations.append(
                    f"README.md:{number}: says '{state}', but the plugin's bit {name} is {int(bits[name])} [docs.readme.3]"
                )
    for name in sorted(set(bits or {}) - named):
        violations.append(f"README.md:1: the feature table has no row for ECHO_FEATURE_{name} [docs.readme.3]")
    if not states:
        violations.append("README.md:1: no feature table (a table with a column 'state') [docs.readme.2]")
    return violations, f"the example is {EXAMPLE}; {states} features with a state"


def main(arguments):
    parser = argparse.ArgumentParser(prog="check_readme.py")
    parser.add_argument("root")
    parser.add_argument("--features", nargs=2, metavar=("PROGRAM", "LIBRARY"))
    options = parser.parse_args(arguments[1:])
    violations, summary = check(options.root, plugin_bits(*options.features) if options.features else None)
    return project_tree.finish("check_readme", violations, summary)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
