#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Pauses and throughput over a live set: python3 bench/pauses/report.py BUILD_DIR [--quick] [--json=FILE] [--options=...] [--live=...]

64 MiB, 256 MiB and 1 GiB alive, heap 2.5 times that, on one and two threads. Beside each run of the heap, in the same
minutes: the control, which touches as much memory without a heap and so shows what the machine does to a thread; and the
same program with collection off.

  gaps       operations of at least 100 us per second and thread, raw, with the 95 % interval of a Poisson count; "met" if
             the heap's interval does not lie above the control's. net: without the time waited for a processor.
  MMU        minimum mutator utilisation: the least part of any window of 1, 10, 100 ms that a thread had for itself
  pauses     what the heap counted, by cause (echo_statistics)
  throughput operations per second, as a ratio to collection off; that pays for fresh memory instead, so it may be above 1
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys


def run(build, *options):
    command = [str(build / "bin/echo-bench-pauses"), *options]
    done = subprocess.run(command, text=True, capture_output=True, check=False)
    if done.returncode != 0:
        sys.exit(f"bench: {' '.join(command)} failed with {done.returncode}:\n{done.stderr}")
    return json.loads(done.stdout)


def interval(count, seconds):
    """95 % of a Poisson rate (Byar's approximation)."""
    low = count * (1 - 1 / (9 * count) - 1.96 / (3 * count**0.5)) ** 3 if count else 0.0
    more = count + 1
    high = more * (1 - 1 / (9 * more) + 1.96 / (3 * more**0.5)) ** 3
    return max(0.0, low) / seconds, high / seconds


def rate(runs, key):
    count = sum(r[key] for r in runs)
    seconds = sum(r["thread_seconds"] for r in runs)
    return count / seconds, *interval(count, seconds)


def worst(runs, *path):
    def value(figures):
        for key in path:
            figures = figures[key]
        return figures
    return (min if path[0] == "mmu" else max)(value(r) for r in runs)


def show(name, heap, control="", target="", met=None):
    verdict = "" if met is None else ("   met" if met else "   NOT MET")
    print(f"    {name:<40}{heap:>24}{control:>24}{'   target ' + target if target else ''}{verdict}", flush=True)


def case(build, live, threads, seconds, rounds, options):
    """Alternating runs of the three modes."""
    modes = {"heap": [], "control": [], "off": []}
    for _ in range(rounds):
        for mode, runs in modes.items():
            runs.append(run(build, f"--mode={mode}", f"--live={live}", f"--threads={threads}", f"--seconds={seconds}",
                            *([f"--options={options}"] if options and mode == "heap" else [])))
    heap, control, off = modes["heap"], modes["control"], modes["off"]
    print(f"  {live} MiB alive, {threads} thread{'s' * (threads > 1)}{'':<24}{'heap':>24}{'control':>24}")
    # One core is free, unless every core has a mutator.
    free_core = (os.cpu_count() or 1) > threads
    for quantile in ("p50", "p99", "p99.9", "p99.99", "max"):
        show(f"operation {quantile}, us", f"{worst(heap, 'operation_us', quantile):.1f}",
             f"{worst(control, 'operation_us', quantile):.1f}")
    raw, low, high = rate(heap, "gaps_over_100us")
    machine, machine_low, machine_high = rate(control, "gaps_over_100us")
    show("gaps >= 100 us per s", f"{raw:.1f} ({low:.1f}-{high:.1f})", f"{machine:.1f} ({machine_low:.1f}-{machine_high:.1f})",
         "not above control", low <= machine_high)
    show("  net", f"{rate(heap, 'net_gaps_over_100us')[0]:.1f}", f"{rate(control, 'net_gaps_over_100us')[0]:.1f}")
    show("longest net gap, us", f"{worst(heap, 'longest_net_gap_us'):.0f}", f"{worst(control, 'longest_net_gap_us'):.0f}")
    for window, target in (("1ms", None), ("10ms", 0.5), ("100ms", 0.8)):
        mmu = worst(heap, "mmu", window)
        bound = target if free_core else None
        show(f"MMU {window}", f"{mmu:.2f}", f"{worst(control, 'mmu', window):.2f}",
             f">= {bound}" if bound else "", mmu >= bound if bound else None)
    causes = sorted({cause for r in heap for cause in r["heap"]["pauses_by_cause"]})
    for cause in causes:
        of_cause = [r["heap"]["pauses_by_cause"][cause] for r in heap if cause in r["heap"]["pauses_by_cause"]]
        text = " / ".join(f"{worst(of_cause, q):.0f}" for q in ("p50", "p99", "p99.9", "max"))
        show(f"pauses: {cause} ({sum(c['count'] for c in of_cause)}), us", text)
    p999 = worst(heap, "heap", "pauses", "p99.9")
    show("pauses: all, p50 / p99 / p99.9 / max, us",
         " / ".join(f"{worst(heap, 'heap', 'pauses', q):.0f}" for q in ("p50", "p99", "p99.9", "max")), "",
         "p99.9 < 100", p999 < 100)
    show("time to safepoint p99 / max, us", " / ".join(f"{worst(heap, 'heap', 'time_to_safepoint', q):.1f}" for q in ("p99", "max")))
    show("stalls: count, longest us", f"{sum(r['heap']['stalls']['count'] for r in heap)}, {worst(heap, 'heap', 'stalls', 'max'):.0f}")
    cost = statistics.median(r["ns_per_operation"] for r in heap)
    free = statistics.median(r["ns_per_operation"] for r in off)
    show("ns per operation; collection off", f"{cost:.0f}; {free:.0f}")
    show("throughput / collection off", f"{free / cost:.2f} x")
    cpu = statistics.median(r["heap"]["collector_cpu_s"] * threads / r["thread_seconds"] for r in heap)
    show("collector CPU s per s", f"{cpu:.2f}")
    show("collections per s", f"{sum(r['heap']['collections'] for r in heap) * threads / sum(r['thread_seconds'] for r in heap):.2f}")
    show("peak RSS / live", f"{worst(heap, 'peak_rss_bytes') / (live * 1048576):.2f}")
    return modes


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--quick", action="store_true", help="64 MiB only, shorter, once")
    parser.add_argument("--json", type=pathlib.Path, help="write the figures here as well")
    parser.add_argument("--options", default="", help="more options of the heap")
    parser.add_argument("--live", help="MiB, separated by commas, instead of 64,256,1024")
    parser.add_argument("--rounds", type=int, help="alternating runs, instead of 3")
    arguments = parser.parse_args()
    sizes, seconds, rounds = ((64,), 2, 1) if arguments.quick else ((64, 256, 1024), 3, 3)
    sizes = tuple(int(word) for word in arguments.live.split(",")) if arguments.live else sizes
    rounds = arguments.rounds or rounds
    results, longest = {}, {}
    for threads in (1, 2):
        for live in sizes:
            modes = case(arguments.build.resolve(), live, threads, seconds, rounds, arguments.options)
            results[f"{live} MiB, {threads} threads"] = modes
            longest[live] = max(longest.get(live, 0), worst(modes["heap"], "heap", "pauses", "max"))
    if len(sizes) > 1:
        print("  longest pause by live set, us: " + ", ".join(f"{live} MiB {us:.0f}" for live, us in longest.items()))
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
