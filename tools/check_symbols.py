#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""check_symbols.py LIBRARY [--headers FILE ...] [--named-in FILE ...] [--never NAME ...]

What a shared library shows to the world. Invariants: [abi.symbols.1] only echo_* is exported; with --named-in, only
names that one of these headers declares. [abi.symbols.2] no unique symbols: they keep a library mapped
after dlclose. [abi.symbols.3] every ECHO_EXPORT function of the given headers is there. [abi.symbols.4] no segment is
writable and executable, relocations become read-only at load. --never: a library that must not be needed.
"""

import argparse
import re
import subprocess
import sys

import project_tree

DECLARATION = re.compile(r"ECHO_EXPORT\b[^;()]*?\b(echo_\w+)\s*\(")


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def exported(library):
    """(name, nm letter) of each dynamic symbol defined; version nodes left out."""
    for line in run("nm", "-D", "--defined-only", library).splitlines():
        parts = line.split()
        if len(parts) >= 2:
            letter, name = parts[-2], parts[-1].split("@")[0]
            if letter != "A":
                yield name, letter


def words(headers):
    found = set()
    for header in headers:
        with open(header, encoding="utf-8") as stream:
            found.update(re.findall(r"\w+", re.sub(r"/\*.*?\*/", "", stream.read(), flags=re.DOTALL)))
    return found


def check(library, headers, never, named_in=()):
    violations, names, declared = [], set(), words(named_in)
    for name, letter in exported(library):
        names.add(name)
        if not (name in declared if named_in else name.startswith("echo_")):
            allowed = "what its headers declare" if named_in else "echo_*"
            violations.append(f"{library}: exports {name}; only {allowed} may leave it [abi.symbols.1]")
        if letter == "u":
            violations.append(f"{library}: {name} is a unique symbol: it would never be unloaded [abi.symbols.2]")
    for header in headers:
        with open(header, encoding="utf-8") as stream:
            for name in DECLARATION.findall(re.sub(r"/\*.*?\*/", "", stream.read(), flags=re.DOTALL)):
                if name not in names:
                    violations.append(f"{library}: does not export {name} of {header} [abi.symbols.3]")
    segments = run("readelf", "-lW", library)
    for line in segments.splitlines():
        kind = line.split()[0] if line.split() else ""
        if kind in ("LOAD", "GNU_STACK") and re.search(r"\bRWE\b", line):
            violations.append(f"{library}: a {kind} segment is writable and executable [abi.symbols.4]")
    dynamic = run("readelf", "-dW", library)
    if "GNU_RELRO" not in segments or not re.search(r"\bBIND_NOW\b|\bNOW\b", dynamic):
        violations.append(f"{library}: relocations stay writable; link with -z relro -z now [abi.symbols.4]")
    needed = re.findall(r"\(NEEDED\).*\[([^\]]+)\]", dynamic)
    for name in never:
        violations += [f"{library}: needs {n}, which is none of its business" for n in needed if name in n]
    return violations, f"{library.rsplit('/', 1)[-1]}: {len(names)} symbols, needs {' '.join(needed)}"


def main(arguments):
    parser = argparse.ArgumentParser(prog="check_symbols.py")
    parser.add_argument("library")
    parser.add_argument("--headers", nargs="*", default=[])
    parser.add_argument("--named-in", nargs="*", default=[])
    parser.add_argument("--never", nargs="*", default=[])
    options = parser.parse_args(arguments[1:])
    violations, summary = check(options.library, options.headers, options.never, options.named_in)
    return project_tree.finish("check_symbols", violations, summary)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
