#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""run_clang_tidy.py ROOT BUILD_DIR [--program P] [--jobs N] [--seconds S] [PATTERN ...]

Runs clang-tidy with the project's .clang-tidy over our own translation units of BUILD_DIR's compilation database
(those whose path contains a PATTERN, if any is given). Any finding fails; so does running out of time, with the names
of the units not reached.
"""

import argparse
import concurrent.futures
import json
import os
import re
import subprocess
import sys
import time

OWN_FOLDERS = (
    "vm_iface heap barriers gc async_objects jit_hooks conformance tests bench examples tools".split()
)


def units(root, build_dir, patterns):
    """Our translation units, relative to root, each once."""
    with open(os.path.join(build_dir, "compile_commands.json"), encoding="utf-8") as stream:
        database = json.load(stream)
    root, build_dir = os.path.realpath(root), os.path.realpath(build_dir)
    found = set()
    for entry in database:
        path = os.path.realpath(os.path.join(entry["directory"], entry["file"]))
        relative = os.path.relpath(path, root)
        if not relative.startswith("..") and not path.startswith(build_dir + os.sep) and not relative.endswith(".S"):
            found.add(relative)
    return sorted(u for u in found if not patterns or any(p in u for p in patterns))


def main(arguments):
    parser = argparse.ArgumentParser(prog="run_clang_tidy.py")
    parser.add_argument("root")
    parser.add_argument("build_dir")
    parser.add_argument("patterns", nargs="*")
    parser.add_argument("--program", default="clang-tidy-19")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--seconds", type=float, default=1200)
    options = parser.parse_args(arguments[1:])
    todo = units(options.root, options.build_dir, options.patterns)
    if not todo:
        print("run_clang_tidy: no translation unit to check", file=sys.stderr)
        return 2
    headers = f"^{re.escape(os.path.realpath(options.root))}/({'|'.join(OWN_FOLDERS)})/"
    deadline, failed, late = time.monotonic() + options.seconds, [], []

    def tidy(unit):
        left = deadline - time.monotonic()
        if left <= 0:
            return unit, None, ""
        command = [options.program, "--quiet", "-p", options.build_dir, os.path.join(options.root, unit)]
        command.append(f"--header-filter={headers}")
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=left)
        except subprocess.TimeoutExpired:
            return unit, None, ""
        return unit, done.returncode, done.stdout + (done.stderr if done.returncode else "")

    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for unit, status, output in pool.map(tidy, todo):
            if status is None:
                late.append(unit)
            elif status != 0 or "warning:" in output or "error:" in output:
                failed.append(unit)
                print(output, flush=True)
    for unit in late:
        print(f"{unit}: not reached within {options.seconds:.0f} s")
    print(f"run_clang_tidy: {len(todo)} translation units, {len(failed)} with findings, {len(late)} not reached")
    return 1 if failed or late else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
