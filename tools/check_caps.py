#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""check_caps.py ROOT - the caps of docs/pauses.md are those of the code.

Invariants: [docs.caps.1] each row of ECHO_HOLD_TABLE (gc/work_units.h) has one row in the table of docs/pauses.md that begins with
`kind`, with the same caps, and there are no others.
"""

import re
import sys

import check_requirements
import project_tree

TABLE, DOCUMENT = "gc/work_units.h", "docs/pauses.md"
ROW = re.compile(r"^\s*X\((\w+), (\d+), (\d+), ", re.MULTILINE)
CAP = re.compile(r"^(\d+)(?: \+ (\d+) per thread)?$")


def check(root):
    code = {kind: (int(fixed), int(each)) for kind, fixed, each in ROW.findall(project_tree.read(root, TABLE))}
    if not code:
        yield f"{TABLE}:1: no row of ECHO_HOLD_TABLE was found [docs.caps.1]"
    documented, header = {}, None
    for number, line in enumerate(project_tree.read(root, DOCUMENT).splitlines(), 1):
        if not line.startswith("|"):
            header = None
            continue
        cells = check_requirements.cells(line)
        if header is None:
            header = cells
        elif header[0] == "kind" and not set(line) <= set("|-: "):
            kind, cap = cells[0].strip("`"), CAP.match(cells[-1])
            where = f"{DOCUMENT}:{number}"
            if cap is None or kind in documented:
                yield f"{where}: '{cells[-1]}' of {kind} is no cap, or its second one [docs.caps.1]"
                continue
            documented[kind] = (int(cap[1]), int(cap[2] or 0))
            if documented[kind] != code.get(kind):
                yield f"{where}: the cap of {kind} is {documented[kind]}, in {TABLE} {code.get(kind)} [docs.caps.1]"
    for kind in code.keys() - documented.keys():
        yield f"{DOCUMENT}:1: no row for the kind {kind} [docs.caps.1]"


def main(arguments):
    if len(arguments) != 2:
        print("usage: check_caps.py ROOT", file=sys.stderr)
        return 2
    return project_tree.finish("check_caps", list(check(arguments[1])), "the caps of docs/pauses.md are those of the code")


if __name__ == "__main__":
    sys.exit(main(sys.argv))
