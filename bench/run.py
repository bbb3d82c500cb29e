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
import programs
from measure import run, show

ROOT = pathlib.Path(__file__).resolve().parent


def printed(name, command, work, results):
    """A program that prints its part itself; its figures join the others."""
    figures = work / f"{name}.json"
    if subprocess.run([str(c) for c in [*command, f"--json={figures}"]]).returncode != 0:
        sys.exit(f"bench: {name} failed")
    results[name] = json.loads(figures.read_text())


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


# --- unmodified Echo programs, beside libgc

def echo_programs(build, work, results, quick):
    """The same driver, compiler and runtime layer on this heap and on libgc; control: this heap against itself."""
    samples = ROOT.parent / "conformance/echo"
    peer = build / "bench/echo/libecho_heap_libgc.so"
    if not peer.exists():
        print("\nEcho programs: not measured, libgc-dev was not there when this was built")
        return
    report = work / "echo.json"
    limit = "max_heap=16m"
    heap = [build / "bin/echo-run", "--quiet", f"--json={report}", f"--heap={limit}"]
    contenders = {
        "heap": (["--echo"], {}),
        "again": (["--echo"], {}),
        "libgc": (["--echo", f"--heap-plugin={peer}"], {}),
        "libgc 16 MiB": (["--echo", f"--heap-plugin={peer}"], {"GC_INITIAL_HEAP_SIZE": str(16 << 20)}),
    }

    def measure(program, options, environment):
        run([*heap, *options, program], env={**os.environ, "ECHO_HEAP_OPTIONS": "", **environment})
        told = json.loads(report.read_text())
        return {"ms": told["wall_s"] * 1e3, "peak_kib": told["peak_bytes"] / 1024, "pause_us": told["pause_us"]["max"],
                "collections": told["collections"]["full"]}

    def medians(runs):
        return {key: statistics.median(one[key] for one in runs) for key in runs[0]}

    print(f"\nEcho programs as the compiler emits them, {limit}: beside libgc (Boehm-Demers-Weiser) as it comes, and with the")
    print("same 16 MiB from its start; the same runtime layer on each. Run time, peak of the heap, longest pause, collections")
    for sample in sorted(samples.glob("*.bc")):
        runs = {name: [] for name in contenders}
        for _ in range(3 if quick else 9):
            for name, (options, environment) in contenders.items():
                runs[name].append(measure(sample, options, environment))
        found = {name: medians(every) for name, every in runs.items()}
        results[f"echo {sample.stem}"] = found
        print(f"  {sample.stem}")
        for name in ("heap", "libgc", "libgc 16 MiB"):
            one = found[name]
            show(f"  {name}", f"{one['ms']:.1f} ms {one['peak_kib']:.0f} KiB {one['pause_us']:.0f} us {one['collections']:.0f}")
        if found["heap"]["ms"] < 5:
            continue  # the start of a program, no more
        show("  time: heap / libgc", f"{found['heap']['ms'] / found['libgc']['ms']:.2f} x")
        show("  time: heap / libgc with 16 MiB", f"{found['heap']['ms'] / found['libgc 16 MiB']['ms']:.2f} x")
        show("  control: heap / heap", f"{found['heap']['ms'] / found['again']['ms']:.2f} x")
    runs = {"unmodified": [], "precise": [], "again": []}
    for _ in range(3 if quick else 9):
        runs["unmodified"].append(measure(samples / "concat_churn.bc", ["--echo"], {}))
        runs["precise"].append(measure(samples / "concat_churn_precise.ll", [], {}))
        runs["again"].append(measure(samples / "concat_churn_precise.ll", [], {}))
    found = {name: medians(every) for name, every in runs.items()}
    results["echo profiles"] = found
    print("  concat_churn in both profiles")
    for name in ("unmodified", "precise"):
        one = found[name]
        show(f"  {name}", f"{one['ms']:.1f} ms {one['peak_kib']:.0f} KiB {one['pause_us']:.0f} us {one['collections']:.0f}")
    show("  time: precise / unmodified", f"{found['precise']['ms'] / found['unmodified']['ms']:.2f} x")
    show("  control: precise / precise", f"{found['precise']['ms'] / found['again']['ms']:.2f} x")


# --- marking

def marking(build, work, results, quick):
    print("Marking: 64-byte objects, three random edges each, one marker, then two")
    for megabytes in ((256,) if quick else (256, 1024)):
        figures = json.loads(run([build / "bin/echo-bench-mark", megabytes, 3 if quick else 7, 1]))
        results[f"marking {megabytes} MiB"] = figures
        rate, cpu, limit = (figures[k] / 1e6 for k in ("objects_per_s", "objects_per_cpu_s", "limit_objects_per_s"))
        show(f"{megabytes} MiB: bare traversal from one stack", f"{limit:.1f} M objects/s")
        show(f"{megabytes} MiB: heap", f"{rate:.1f} M objects/s", ">= 20" if megabytes == 1024 else None,
             rate >= 20 if megabytes == 1024 else None)
        show(f"{megabytes} MiB: heap, per CPU second", f"{cpu:.1f} M objects/s")
        show(f"{megabytes} MiB: heap / bare traversal", f"{rate / limit:.2f} x")
        two = json.loads(run([build / "bin/echo-bench-mark", megabytes, 3 if quick else 7, 2]))
        results[f"marking {megabytes} MiB, two markers"] = two
        show(f"{megabytes} MiB: two markers / one", f"{two['objects_per_s'] / figures['objects_per_s']:.2f} x")
        show(f"{megabytes} MiB: two markers, per CPU second", f"{two['objects_per_cpu_s'] / 1e6:.1f} M objects/s")


# --- allocation: collected and native, against the distribution's allocators

def allocators(build, work, results, quick, program, title):
    """A program of its own prints the table, targets included; its figures join the others."""
    print(title, flush=True)
    printed(program, [build / "bin" / program, *(["--quick", "--rounds=2"] if quick else [])], work, results)


# --- pauses

def pauses(build, work, results, quick):
    print("\nPauses and throughput over a live set (churn and mutation, heap 2.5 x)", flush=True)
    printed("pauses", [sys.executable, ROOT / "pauses/report.py", build, *(["--quick"] if quick else [])], work, results)


def units(build, work, results, quick):
    print("\nWhat the holds of a mutator cost at their caps", flush=True)
    printed("units", [sys.executable, ROOT / "pauses/units.py", build, *(["--quick"] if quick else [])], work, results)


def steps(build, work, results, quick):
    print("\necho_step: what a call took beyond its budget", flush=True)
    results["steps"] = run([build / "bin/echo-bench-steps", *(["--seconds=1"] if quick else [])])
    print(results["steps"], end="")


def allocation(build, work, results, quick):
    allocators(build, work, results, quick, "echo-bench-allocation",
               "\nAllocation with reclamation: the heap against malloc and free, ns per object")


def native(build, work, results, quick):
    allocators(build, work, results, quick, "echo-bench-native",
               "\nNative slabs: the C API against malloc and free, ns per object")


# In the order in which they run.
PARTS = {"compiled": compiled.measure, "trees": trees, "allocation": allocation, "native": native, "echo": echo_programs,
         "units": units, "steps": steps, "programs": programs.measure, "pauses": pauses, "marking": marking}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--quick", action="store_true", help="fewer repetitions and sizes")
    parser.add_argument("--only", choices=PARTS, action="append", help="this part alone; may be repeated")
    parser.add_argument("--json", type=pathlib.Path, help="write the figures here as well")
    arguments = parser.parse_args()
    build = arguments.build.resolve()
    results = {"processors": os.cpu_count()}
    with tempfile.TemporaryDirectory() as directory:
        work = pathlib.Path(directory)
        for name in arguments.only or PARTS:
            PARTS[name](build, work, results, arguments.quick)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
