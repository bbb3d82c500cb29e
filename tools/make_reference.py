#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""make_reference.py HEAPCTL PLUGIN ROOT [--update] - docs/reference.md from the tables, docs/errors.md against them.

Invariants: [docs.reference.1] docs/reference.md is what this script makes of `echo-heapctl abi --json`; --update writes it.
[docs.reference.2] Each field of echo_statistics has one row in its table, in the struct's order. [docs.errors.1] Each status code has
its row in docs/errors.md, with the number and meaning of the header, a cause and a remedy.
"""

import argparse
import json
import os
import subprocess
import sys

import check_requirements
import project_tree

REFERENCE, ERRORS = "docs/reference.md", "docs/errors.md"
COLUMNS = ["number", "code", "meaning", "cause", "remedy"]
# Title, member of the JSON, (heading, key) of the columns, a sentence.
SECTIONS = [
    ("Options", "options", [("option", "name"), ("kind", "kind"), ("default", "default"), ("range", "range"), ("meaning", "meaning")],
     "`key=value` in the creator's string, in `ECHO_HEAP_OPTIONS` or in a file: [abi.md](abi.md)."),
    ("Events", "events", [("event", "name"), ("arguments", "arguments"), ("meaning", "meaning")],
     "What a listener hears (`echo_listener_add`)."),
    ("Statistics", "statistics", [("field", "name"), ("unit", "unit"), ("meaning", "meaning")],
     "Fields of `echo_statistics`, in order. Distributions have count, p50, p90, p99, p99.9, max and sum."),
    ("Causes", "causes", [("cause", "name"), ("meaning", "meaning")],
     "Why a collection began or a mutator was held: index of the arrays by cause."),
    ("Pins", "pins", [("kind", "name"), ("meaning", "meaning")], "Which kind of ambiguous word held an object in place: index of `pinned_by`."),
    ("Features", "features", [("bit", "bit"), ("feature", "name"), ("meaning", "meaning")],
     "Bits of `features` in the plugin's table: [requirements.md](requirements.md) says which work."),
]
HEAD = """# Reference

Made by `tools/make_reference.py --update` from the tables of the headers and of the plugin; a test compares it. Status codes:
[errors.md](errors.md). The same as data: `echo-heapctl abi --json`.
"""


def cell(value):
    return str(value).replace("|", "\\|")


def reference(abi):
    lines = [HEAD]
    for title, member, columns, sentence in SECTIONS:
        if member in abi:
            lines += [f"## {title}", "", sentence, "", "| " + " | ".join(c[0] for c in columns) + " |", "| --- " * len(columns) + "|"]
            lines += ["| " + " | ".join(cell(row[key]) for _, key in columns) + " |" for row in abi[member]]
            lines.append("")
    return "\n".join(lines)


def check_statistics(abi):
    fields = next(row for row in abi["structs"] if row["name"] == "echo_statistics")["fields"]
    wanted, found = [f["name"] for f in fields], [row["name"] for row in abi["statistics"]]
    for name in wanted:
        if name not in found:
            yield f"echo_statistics.{name} has no row in ECHO_STATISTICS_TABLE of echo/statistics.h [docs.reference.2]"
    if set(wanted) == set(found) and wanted != found:
        yield "ECHO_STATISTICS_TABLE of echo/statistics.h has another order than the struct [docs.reference.2]"


def check_errors(abi, text):
    rows, header = {}, None
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("|"):
            cells = check_requirements.cells(line)
            if header == COLUMNS and not set(line) <= set("|-: ") and len(cells) == len(COLUMNS):
                rows[cells[1]] = (f"{ERRORS}:{number}", cells)
            header = cells if cells == COLUMNS else header
    for status in abi["status"]:
        name = status["name"]
        if name not in rows:
            yield f"{ERRORS}: {name} has no row [docs.errors.1]"
            continue
        where, cells = rows.pop(name)
        if cells[0] != str(status["value"]) or cells[2] != status["meaning"]:
            yield f"{where}: {name} is number {status['value']}, \"{status['meaning']}\" [docs.errors.1]"
        if name != "OK" and not (cells[3] and cells[4]):
            yield f"{where}: {name} lacks a cause or a remedy [docs.errors.1]"
    for name, (where, _) in rows.items():
        yield f"{where}: there is no status {name} [docs.errors.1]"


def main(arguments):
    parser = argparse.ArgumentParser(prog="make_reference.py")
    parser.add_argument("heapctl")
    parser.add_argument("plugin")
    parser.add_argument("root")
    parser.add_argument("--update", action="store_true")
    options = parser.parse_args(arguments[1:])
    try:
        told = subprocess.run([options.heapctl, "--plugin=" + options.plugin, "abi", "--json"], capture_output=True, text=True,
                              check=True, stdin=subprocess.DEVNULL)
        abi = json.loads(told.stdout)
        text = reference(abi)
        path = os.path.join(options.root, REFERENCE)
        if options.update:
            with open(path, "w", encoding="utf-8") as stream:
                stream.write(text)
        violations = [*check_statistics(abi), *check_errors(abi, project_tree.read(options.root, ERRORS))]
        if not os.path.exists(path) or project_tree.read(options.root, REFERENCE) != text:
            violations.append(f"{REFERENCE}: not what the tables say; run tools/make_reference.py with --update [docs.reference.1]")
    except (OSError, subprocess.CalledProcessError, ValueError) as failure:
        print(f"make_reference: {failure}", file=sys.stderr)
        return 2
    return project_tree.finish("make_reference", violations, f"{text.count(chr(10) + '| ')} rows; {len(abi['status'])} status codes")


if __name__ == "__main__":
    sys.exit(main(sys.argv))
