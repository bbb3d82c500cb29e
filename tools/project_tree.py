# SPDX-License-Identifier: MIT
"""What the checks share: which files belong to the project, and how a check reports.

Invariant: a check either prints nothing but its one closing line and returns 0, or prints one line
`PATH:LINE: what is wrong; what to do` per violation and returns 1.
"""

import os
import re
import sys

SKIPPED_FOLDERS = {".git", ".cache", "build", "__pycache__"}
CODE_SUFFIXES = {".h", ".hpp", ".inc", ".c", ".cc", ".cpp", ".S"}
# Text files without a place for a comment, or which are the licence itself.
WITHOUT_COMMENTS = {".json", ".md", ".txt", ".expected"}
# Headers of released ABIs: they say what was true then.
FROZEN = re.compile(r"^tests/abi/\d+\.\d+/include/")


def files(root):
    """Paths of all project files, relative to root, sorted, '/' as separator."""
    found = []
    for folder, folders, names in os.walk(root):
        relative = os.path.relpath(folder, root)
        folders[:] = sorted(
            name
            for name in folders
            if name not in SKIPPED_FOLDERS and not (relative == "." and name.startswith("build-"))
        )
        for name in names:
            path = name if relative == "." else f"{relative}/{name}"
            if os.path.isfile(os.path.join(root, path)):
                found.append(path.replace(os.sep, "/"))
    return sorted(found)


def read(root, path):
    """The text of a file, or None if it is binary."""
    with open(os.path.join(root, path), "rb") as stream:
        data = stream.read()
    if b"\0" in data:
        return None
    return data.decode("utf-8", errors="replace")


def is_frozen(path):
    return FROZEN.match(path) is not None


def is_code(path):
    return os.path.splitext(path)[1] in CODE_SUFFIXES


def finish(name, violations, summary):
    """Prints the violations and returns the exit status."""
    for line in violations:
        print(line)
    if violations:
        print(f"{name}: {len(violations)} violation(s)", file=sys.stderr)
        return 1
    print(f"{name}: {summary}")
    return 0
