#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Benchmarks of one build: python3 bench/run.py BUILD_DIR [--quick] [--json=FILE]

Every figure is a median and stands beside its peer or limit of the same run; alternating runs keep the machine's mood
out of the ratio. Figures vary between machines, ratios much less. Targets are printed with the figures they bind.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

import compiled
from measure import run, show

ROOT = pathlib.Path(__file__).resolve().parent


# --- binary trees against a native bump loop

def trees(build, work, results, quick):
    print("Binary trees: ns per node (build, visit), mutator part against a native bump loop")
    bitcode = work / "trees.bc"
    run([build / "bin/echo-cc", ROOT / "trees/trees.c", "-o", bitcode])
    report = work / "trees.json"
    for depth, rounds in ((16, 60 if quick else 200),):
        nodes = (2 ** (depth + 1) - 1) * rounds
        mutator, total, native = [], [], []
        for _ in range(3 if quick else 9):
            run([build / "bin/echo-run", bitcode, "--quiet", f"--json={report}", "--heap=max_heap=256m,census=off", "--",
                 depth, rounds])
            figures = json.loads(report.read_text())
            mutator.append(figures["mutator_s"] * 1e9 / nodes)
            total.append((figures["mutator_s"] + figures["gc_cpu_s"]) * 1e9 / nodes)
            seconds, _sum = run([build / "bin/echo-bench-trees-native", depth, rounds]).split()
            native.append(float(seconds) * 1e9 / nodes)
        ratio = statistics.median(mutator) / statistics.median(native)
        best = min(mutator) / min(native)
        results[f"trees {depth}"] = {"mutator_ns": statistics.median(mutator), "total_ns": statistics.median(total),
                                     "native_ns": statistics.median(native), "ratio": ratio, "ratio_of_best": best}
        show(f"depth {depth}: native bump loop, ring as large as the trigger", f"{statistics.median(native):.2f} ns")
        show(f"depth {depth}: mutator", f"{statistics.median(mutator):.2f} ns")
        show(f"depth {depth}: mutator and collector", f"{statistics.median(total):.2f} ns")
        show(f"depth {depth}: mutator / native (of medians; of best {best:.2f})", f"{ratio:.2f} x", "<= 1.15", ratio <= 1.15)


# --- marking

def marking(build, results, quick):
    print("Marking: 64-byte objects, three random edges each, one thread")
    for megabytes in ((256,) if quick else (256, 1024)):
        figures = json.loads(run([build / "bin/echo-bench-mark", megabytes, 3 if quick else 7]))
        results[f"marking {megabytes} MiB"] = figures
        rate, cpu, limit = (figures[k] / 1e6 for k in ("objects_per_s", "objects_per_cpu_s", "limit_objects_per_s"))
        show(f"{megabytes} MiB: bare traversal from one stack", f"{limit:.1f} M objects/s")
        show(f"{megabytes} MiB: heap", f"{rate:.1f} M objects/s", ">= 20" if megabytes == 1024 else None,
             rate >= 20 if megabytes == 1024 else None)
        show(f"{megabytes} MiB: heap, per CPU second", f"{cpu:.1f} M objects/s")
        show(f"{megabytes} MiB: heap / bare traversal", f"{rate / limit:.2f} x")


# --- allocation: collected and native, against the distribution's allocators

def allocators(build, work, results, quick, program, title):
    """A program of its own prints the table, targets included; its figures join the others."""
    print(title, flush=True)
    figures = work / f"{program}.json"
    command = [build / "bin" / program, f"--json={figures}", *(["--quick", "--rounds=2"] if quick else [])]
    if subprocess.run([str(c) for c in command]).returncode != 0:
        sys.exit(f"bench: {program} failed")
    results[program] = json.loads(figures.read_text())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions and sizes")
    parser.add_argument("--json", type=pathlib.Path, help="write the figures here as well")
    arguments = parser.parse_args()
    build = arguments.build.resolve()
    results = {"processors": os.cpu_count()}
    with tempfile.TemporaryDirectory() as directory:
        work = pathlib.Path(directory)
        compiled.measure(build, work, results, arguments.quick)
        trees(build, work, results, arguments.quick)
        allocators(build, work, results, arguments.quick, "echo-bench-allocation",
                   "\nAllocation with reclamation: the heap against malloc and free, ns per object")
        allocators(build, work, results, arguments.quick, "echo-bench-native",
                   "\nNative slabs: the C API against malloc and free, ns per object")
    marking(build, results, arguments.quick)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
