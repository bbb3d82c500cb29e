#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""check_format.py ROOT [CLANG_FORMAT] - every source of C and C++ is as the formatter wants it.

Invariant: [tree.format.1] `clang-format --dry-run --Werror` has nothing to say about any of them.
"""

import os
import subprocess
import sys

import project_tree

FORMATTED = (".h", ".hpp", ".c", ".cc", ".cpp")


def check(root, formatter):
    files = [path for path in project_tree.files(root) if path.endswith(FORMATTED)]
    done = subprocess.run([formatter, "--dry-run", "--Werror", *files], cwd=root, text=True, capture_output=True,
                          check=False)
    violations = [line.replace("error: code should be clang-formatted", "not as the formatter wants it: run it")
                  for line in done.stderr.splitlines() if "clang-format-violations" in line]
    if done.returncode != 0 and not violations:
        violations = [f"{formatter} failed: {done.stderr.strip()}"]
    return violations, f"{len(files)} files are formatted"


def main(arguments):
    if len(arguments) not in (2, 3) or not os.path.isdir(arguments[1]):
        print("usage: check_format.py ROOT [CLANG_FORMAT]", file=sys.stderr)
        return 2
    violations, summary = check(arguments[1], arguments[2] if len(arguments) == 3 else "clang-format-19")
    return project_tree.finish("check_format", violations, summary)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
