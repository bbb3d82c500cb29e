#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""check_spdx.py ROOT - licence lines, and nothing in the tree that points outside it.

Invariants: [tree.spdx.1] each source or script names its licence in its first lines. [tree.paths.1] no file names a
folder of one machine (a temporary, home or working folder). [tree.done.1] no file says that something is to be done
later: what is missing is a row of README.md or docs/requirements.md.
"""

import os
import re
import sys

import project_tree

LICENCE = "SPDX-License-Identifier: MIT"
LINES = 5
UNCHECKED_NAMES = {"LICENSE", ".gitignore"}
# What another compiler emitted, kept byte for byte: its sources lie beside it.
EMITTED = (".ll", ".eo")
# Spelt in pieces, so that this file passes its own check.
FOLDERS = ("wo" + "rk", "tm" + "p", "ho" + "me", "ro" + "ot")
MACHINE_PATH = re.compile(r"(?<![\w.\-~}/*)])/(?:" + "|".join(FOLDERS) + r")(?:/[\w.]|(?![\w/.\-]))")
LATER = re.compile(r"\b(?:" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X")) + r")\b")


def needs_licence(path, text):
    name, suffix = os.path.basename(path), os.path.splitext(path)[1]
    return name not in UNCHECKED_NAMES and suffix not in project_tree.WITHOUT_COMMENTS and (
        project_tree.is_code(path)
        or text.startswith("#!")
        or name in ("CMakeLists.txt", "GNUmakefile")
        or suffix in (".py", ".sh", ".cmake", ".in", ".map", ".ver", ".lds", ".ll", ".go", ".rs", ".s", ".td", ".pml")
    )


def check(root):
    violations, licensed = [], 0
    for path in project_tree.files(root):
        text = project_tree.read(root, path)
        if text is None:
            continue
        if path.endswith(EMITTED[0]) and os.path.exists(os.path.join(root, path[: -len(EMITTED[0])] + EMITTED[1])):
            continue
        if needs_licence(path, text) or os.path.basename(path) == "CMakeLists.txt":
            licensed += 1
            if LICENCE not in "\n".join(text.splitlines()[:LINES]):
                violations.append(f"{path}:1: no '{LICENCE}' in the first {LINES} lines [tree.spdx.1]")
        for number, line in enumerate(text.splitlines(), 1):
            found = MACHINE_PATH.search(line)
            if found:
                violations.append(f"{path}:{number}: '{found.group()}' is a folder of one machine [tree.paths.1]")
            found = LATER.search(line)
            if found:
                violations.append(f"{path}:{number}: '{found.group()}' belongs into docs/requirements.md [tree.done.1]")
    return violations, f"{licensed} files carry their licence; no machine paths"


def main(arguments):
    if len(arguments) != 2 or not os.path.isdir(arguments[1]):
        print("usage: check_spdx.py ROOT", file=sys.stderr)
        return 2
    violations, summary = check(arguments[1])
    return project_tree.finish("check_spdx", violations, summary)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
