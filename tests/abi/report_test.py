#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""report_test.py RELEASED_LIBRARY CURRENT_LIBRARY HEADERS COMPILER - libabigail's opinion of the headers since a release.

The libraries have every function of the headers with an empty body and debug information (make_stubs.py). abidiff must find nothing
but additions [abi.evolve.1, abi.evolve.2]; and it must object to each of a row of changed headers. Without abidiff (Debian:
abigail-tools, ./bootstrap deps --extra) the test is skipped.
"""

import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
SKIPPED = 77
REMOVED = 8  # abidiff's bit for an incompatible change
CHANGED = 4

# A change to a header that breaks callers: (file, text, what stands there instead).
BREAKS = {
    "a parameter grows": ("heap.h", "echo_collect(echo_thread* thread, uint32_t kind,", "echo_collect(echo_thread* thread, uint64_t kind,"),
    "a function goes": ("heap.h", "ECHO_EXPORT uint32_t echo_layout_count(echo_heap* heap);", ""),
    "a field stands in the middle": ("statistics.h", "uint32_t threads_attached;", "uint32_t threads_attached; uint64_t more;"),
    "a field has another type": ("layout.h", "uint32_t element_bytes; /* 0", "float element_bytes; /* 0"),
    "an enumerator has another value": ("layout.h", "ECHO_SLOT_TAGGED = 1,", "ECHO_SLOT_TAGGED = 6,"),
    "a struct without a size grows": ("layout.h", "uint32_t kind;   /* echo_slot_kind */", "uint32_t kind; uint64_t more;"),
    "a result has another type": ("heap.h", "ECHO_EXPORT uint64_t echo_array_length(", "ECHO_EXPORT uint32_t echo_array_length("),
    "a function of the table has another type": ("heap.h", "void (*poll)(echo_thread* thread);", "void (*poll)(echo_heap* thread);"),
}


def run(*command):
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=100)


def verdict(released, current):
    """What abidiff objects to, or an empty string."""
    done = run("abidiff", "--no-added-syms", "--suppressions", os.path.join(HERE, "additions.suppr"), released, current)
    if done.returncode & ~(CHANGED | REMOVED):
        raise SystemExit(f"abidiff fails: {done.stdout}{done.stderr}")
    return done.stdout if done.returncode else ""


def build(compiler, headers, folder):
    source, library = os.path.join(folder, "stubs.c"), os.path.join(folder, "stubs.so")
    for command in (
        [sys.executable, "-B", os.path.join(HERE, "make_stubs.py"), os.path.join(headers, "echo", "heap.h"), source],
        [compiler, "-g", "-shared", "-fPIC", "-I", headers, source, "-o", library],
    ):
        done = run(*command)
        if done.returncode != 0:
            raise SystemExit(f"{' '.join(command)}: {done.stderr}")
    return library


def main():
    released, current, headers, compiler = sys.argv[1:]
    if shutil.which("abidiff") is None:
        print("skipped: there is no abidiff (Debian: abigail-tools, or ./bootstrap deps --extra)")
        return SKIPPED
    print(run("abidiff", released, current).stdout or "nothing has changed since the release")
    wrong = []
    objection = verdict(released, current)
    if objection:
        wrong.append(f"the headers changed what a release promised:\n{objection}")
    for name, (file, text, instead) in BREAKS.items():
        with tempfile.TemporaryDirectory(dir=os.getcwd()) as folder:
            changed = shutil.copytree(headers, os.path.join(folder, "include"))
            path = os.path.join(changed, "echo", file)
            with open(path, encoding="utf-8") as stream:
                before = stream.read()
            if before.count(text) != 1:
                wrong.append(f"'{name}': {file} does not have '{text}' once")
                continue
            with open(path, "w", encoding="utf-8") as stream:
                stream.write(before.replace(text, instead))
            if not verdict(released, build(compiler, changed, folder)):
                wrong.append(f"abidiff does not notice that {name}")
    for line in wrong:
        print(f"WRONG: {line}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
