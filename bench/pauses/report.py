#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Pauses and throughput over a live set: python3 bench/pauses/report.py BUILD_DIR [--quick] [--json=FILE] [--options=...] [--live=...]

64 MiB, 256 MiB and 1 GiB alive, heap 2.5 times that, on one and two threads. Beside each run of the heap, in the same
minutes: the control, which touches as much memory without a heap and so shows what the machine does to a thread; and the
same program with collection off.

  gaps       operations of at least 100 us per second and thread, raw, with the 95 % interval of a Poisson count; "met" if
             the heap's interval does not lie above the control's. net: without the time waited for a processor.
  MMU        minimum mutator utilisation: the least part of any window of 1, 10, 100 ms that a thread had for itself
  pauses     what the heap counted, by cause (echo_statistics, exported histograms): raw, and net of what the critical path
             waited for a processor; each one over 100 us; how often these were, with their interval, beside the control's gaps
  MMU of the heap: the same from the heap's pauses alone, without what else held the thread
  throughput operations per second, as a ratio to collection off; that pays for fresh memory instead, so it may be above 1;
             and while the heap marks, as a ratio to those of the same run while it does not; its control is the program
             with collection off beside a thread that reads as much memory of its own, as a ratio to the program alone
"""
import argparse
import base64
import collections
import json
import os
import pathlib
import statistics
import struct
import subprocess
import sys
import zlib

LONG_US = 100
QUANTILES = (0.5, 0.99, 0.999, 0.9999)


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


def buckets(log):
    """{upper bound in us: count} of a log of HdrHistogram (gc/histogram_log.h)"""
    payload = base64.b64decode(log.strip().splitlines()[-1].rsplit(",", 1)[1])
    cookie, length = struct.unpack_from(">II", payload)
    body = zlib.decompress(payload[8:8 + length])
    inner, counts = struct.unpack_from(">II", body)
    if (cookie & ~0xF0, inner & ~0xF0) != (0x1C849304, 0x1C849303):
        sys.exit(f"bench: a histogram with cookies {cookie:#x}, {inner:#x}")
    found, bucket, at, end = {}, 0, 40, 40 + counts
    while at < end:
        value, shift = 0, 0
        while True:
            byte = body[at]
            at += 1
            if shift == 56:  # the ninth has eight bits
                value |= byte << shift
                break
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        value = (value >> 1) ^ -(value & 1)
        if value < 0:
            bucket -= value
            continue
        if value:
            octave = max(bucket // 128 - 1, 0)
            found[((((bucket % 128) + 129) << octave) - 1 if bucket >= 256 else bucket) / 1000] = value
        bucket += 1
    return found


class Pauses:
    """Of one cause over all runs, from the buckets; `longest` is exact."""

    def __init__(self, of_cause, log, longest):
        self.longest = longest
        self.counts = collections.Counter()
        for figures in of_cause:
            self.counts.update(buckets(figures[log]))
        self.count = sum(self.counts.values())

    def quantile(self, share):
        seen = 0
        for us in sorted(self.counts):
            seen += self.counts[us]
            if seen >= share * self.count:
                return min(us, self.longest)
        return self.longest

    def text(self):
        return " / ".join(f"{self.quantile(q):.0f}" for q in QUANTILES) + f" / {self.longest:.0f}"

    def over(self, limit):
        return {us: n for us, n in sorted(self.counts.items()) if us > limit}


def worst(runs, *path):
    def value(figures):
        for key in path:
            figures = figures[key]
        return figures
    return (min if "mmu" in path else max)(value(r) for r in runs)


def rate_ratio(figures):
    """Operations per second while the heap marks, as a share of those while it does not."""
    idle, marking = (figures[phase]["operations"] / figures[phase]["ns"] for phase in ("idle", "marking"))
    return marking / idle


def marking_share(runs):
    marking = sum(r["marking"]["ns"] for r in runs)
    return marking / (marking + sum(r["idle"]["ns"] for r in runs))


def show(name, heap, control="", target="", met=None):
    verdict = "" if met is None else ("   met" if met else "   NOT MET")
    print(f"    {name:<40}{heap:>24}{control:>24}{'   target ' + target if target else ''}{verdict}", flush=True)


def case(build, live, threads, seconds, rounds, options):
    """Alternating runs of the three modes."""
    modes = {"heap": [], "control": [], "off": [], "off --beside": []}
    for _ in range(rounds):
        for mode, runs in modes.items():
            runs.append(run(build, *f"--mode={mode}".split(), f"--live={live}", f"--threads={threads}", f"--seconds={seconds}",
                            *([f"--options={options}"] if options and mode == "heap" else [])))
    heap, control, off, beside = modes.values()
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
    for window in ("1ms", "10ms", "100ms"):
        show(f"MMU {window}, of the heap's pauses", f"{worst(heap, 'heap', 'mmu', window):.2f}")
    if not all(r["heap"]["run_queue_known"] for r in heap):
        print("    this kernel does not tell how long a thread waited for a processor: net is raw")
    show("pauses, us: p50 / p99 / p99.9 / p99.99 / max", "raw", "net")
    every, raw_of, net_of = [], {}, {}
    for cause in causes:
        of_cause = [r["heap"]["pauses_by_cause"][cause] for r in heap if cause in r["heap"]["pauses_by_cause"]]
        every += of_cause
        raw_of[cause] = Pauses(of_cause, "log", worst(of_cause, "max"))
        net_of[cause] = Pauses(of_cause, "net_log", worst(of_cause, "net", "max"))
        show(f"  {cause} ({raw_of[cause].count})", raw_of[cause].text(), net_of[cause].text())
    raw_all = Pauses(every, "log", worst(heap, "heap", "pauses", "max"))
    net_all = Pauses(every, "net_log", worst(heap, "heap", "net_pauses", "max"))
    show(f"  all ({raw_all.count})", raw_all.text(), net_all.text(), "p99.9 net < 100", net_all.quantile(0.999) < 100)
    seconds = sum(r["thread_seconds"] for r in heap)
    count = sum(raw_all.over(LONG_US).values())
    low, high = interval(count, seconds)
    show(f"raw pauses > {LONG_US} us per s; control's gaps", f"{count / seconds:.2f} ({low:.2f}-{high:.2f})",
         f"{machine:.2f} ({machine_low:.2f}-{machine_high:.2f})", "not above control", low <= machine_high)
    count = sum(net_all.over(LONG_US).values())
    show(f"net pauses > {LONG_US} us per s; control's net gaps", f"{count / seconds:.2f}",
         f"{rate(control, 'net_gaps_over_100us')[0]:.2f}", "0", count == 0)
    for name, of in (("raw", raw_of), ("net", net_of)):
        for cause, figures in of.items():
            if figures.over(LONG_US):
                listed = ", ".join(f"{us:.0f}" + (f" x {n}" if n > 1 else "") for us, n in figures.over(LONG_US).items())
                print(f"    {name} > {LONG_US} us, {cause}: {listed}")
    show("units at most: mark_start, mark_end, frames, assist",
         ", ".join(str(worst(heap, "heap", "units", kind)) for kind in ("mark_start", "mark_end", "frames", "assist")), "",
         "none over its cap", worst(heap, "heap", "holds_over_cap") == 0)
    show("edges marked by assists per s", f"{sum(r['heap']['edges_assisted'] for r in heap) / seconds:.0f}")
    show("time to safepoint p99 / max, us", " / ".join(f"{worst(heap, 'heap', 'time_to_safepoint', q):.1f}" for q in ("p99", "max")))
    show("stalls: count, longest us", f"{sum(r['heap']['stalls']['count'] for r in heap)}, {worst(heap, 'heap', 'stalls', 'max'):.0f}")
    cost = statistics.median(r["ns_per_operation"] for r in heap)
    free = statistics.median(r["ns_per_operation"] for r in off)
    show("ns per operation; collection off", f"{cost:.0f}; {free:.0f}")
    show("throughput / collection off", f"{free / cost:.2f} x")
    while_marking = [rate_ratio(r) for r in heap if r["idle"]["operations"] and r["marking"]["operations"]]
    if while_marking:
        share = statistics.median(while_marking)
        alone, neighbour = (statistics.median(r["ns_per_operation"] for r in runs) for runs in (off, beside))
        show("throughput while marking / while not", f"{share:.2f} x", f"{alone / neighbour:.2f} x",
             ">= 0.9" if free_core else "", share >= 0.9 if free_core else None)
        show("  share of the time", f"{marking_share(heap):.0%}")
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
