#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The heap against other collected systems: python3 bench/peers.py BUILD_DIR [--quick] [--json=FILE]

Programs, the same in each language (bench/peers/):
  churn   256 MiB alive, heap limited to three times that where the system has such a limit: a table of nodes with leaves of
          16-512 bytes; random nodes are replaced, get a new leaf, or swap (bench/pauses/main.cpp). Printed: ns per operation;
          the longest operation and those of at least 100 us per second, as the program itself sees them; CPU seconds per
          second; peak RSS / 256 MiB (ZGC maps its heap three times, and RSS counts each).
  trees   binary trees of depth 21, as in the Computer Language Benchmarks Game: seconds, CPU seconds, peak RSS.
Peers: OpenJDK 17 with its four collectors, Go, and the Boehm-Demers-Weiser collector with C, as Debian packages them. None
of them has ephemerons, so no program uses any. A system that is missing is named and left out.
"""
import argparse
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent / "peers"
LIVE_MIB = 256
RATIO = 3
ENTRY_BYTES = 8 + 24 + (16 + 24 + 32 + 48 + 96 + 128 + 256 + 512) // 8  # of bench/pauses/main.cpp
ENTRIES = LIVE_MIB * 1024 * 1024 // ENTRY_BYTES
LIMIT_MIB = LIVE_MIB * RATIO
TREES_MIB = 2048
JAVA = (("Parallel", "-XX:+UseParallelGC"), ("G1", "-XX:+UseG1GC"), ("Shenandoah", "-XX:+UseShenandoahGC"),
        ("ZGC", "-XX:+UseZGC"))


class Failed(Exception):
    pass


def measured(command, environment=None):
    """Runs it; what it printed, wall seconds, CPU seconds, peak RSS in bytes."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as said:
        began = time.monotonic()
        process = subprocess.Popen([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=out, stderr=said,
                                   env={**os.environ, **(environment or {})})
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.monotonic() - began
        out.seek(0)
        said.seek(0)
        if process.returncode != 0:
            raise Failed(f"{command[0]} ended with {process.returncode}: {said.read().decode(errors='replace')[-400:]}")
        return out.read().decode(), wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024


def echo(build, work):
    bitcode = work / "trees.bc"
    subprocess.run([build / "bin/echo-cc", ROOT.parent / "trees/trees.c", "-o", bitcode], check=True)

    def churn(seconds):
        return [build / "bin/echo-bench-pauses", f"--live={LIVE_MIB}", f"--ratio={RATIO}", f"--seconds={seconds}"], {}

    def trees(depth):
        return [build / "bin/echo-run", bitcode, "--quiet", f"--heap=max_heap={TREES_MIB}m,census=off", "--", depth, 0], {}

    return [("Echo heap", churn, trees)]


def java(work):
    subprocess.run(["javac", "-d", work, ROOT / "Peer.java"], check=True)

    def system(flag):
        def command(limit, *words):
            return ["java", flag, f"-Xms{limit}m", f"-Xmx{limit}m", "-Xss64m", "-cp", work, "Peer", *words], {}
        return (lambda seconds: command(LIMIT_MIB, "churn", seconds, ENTRIES), lambda depth: command(TREES_MIB, "trees", depth))

    return [(f"OpenJDK {name}", *system(flag)) for name, flag in JAVA]


def go(work):
    program = work / "peer_go"
    subprocess.run(["go", "build", "-o", program, ROOT / "peer.go"], check=True,
                   env={**os.environ, "GOCACHE": str(work / "go"), "GO111MODULE": "off"})
    # GOGC: the heap grows to live * (1 + GOGC / 100).
    return [("Go", lambda seconds: ([program, "churn", seconds, ENTRIES], {"GOGC": str(100 * (RATIO - 1))}),
             lambda depth: ([program, "trees", depth], {}))]


def boehm(work):
    program = work / "peer_gc"
    subprocess.run(["cc", "-O2", ROOT / "peer_gc.c", "-o", program, "-lgc"], check=True)
    size = f"{LIMIT_MIB}M"
    return [("libgc", lambda seconds: ([program, "churn", seconds, ENTRIES], {"GC_MAXIMUM_HEAP_SIZE": size}),
             lambda depth: ([program, "trees", depth], {}))]


def systems(build, work):
    found = echo(build, work)
    for needs, package, make in (("javac", "openjdk-17-jdk-headless", java), ("go", "golang-go", go), ("cc", "libgc-dev", boehm)):
        try:
            if shutil.which(needs) is None:
                raise Failed(f"{needs} is not there")
            found += make(work)
        except (Failed, subprocess.CalledProcessError) as why:
            print(f"  left out: {why} (Debian package {package})", flush=True)
    return found


def churn_figures(output, wall, cpu, rss, seconds):
    said = json.loads(output)
    if "operation_us" in said:  # echo-bench-pauses
        said = {"ns_per_operation": said["ns_per_operation"], "longest_us": said["operation_us"]["max"],
                "over_100us": said["gaps_over_100us"]}
    return {**said, "over_100us_per_s": said["over_100us"] / seconds, "cpu_per_s": cpu / wall,
            "rss_per_live": rss / (LIVE_MIB * 1024 * 1024)}


def median_of(rows):
    return {key: statistics.median(row[key] for row in rows) for key in rows[0]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--quick", action="store_true", help="shorter, once, smaller trees")
    parser.add_argument("--json", type=pathlib.Path, help="write the figures here as well")
    arguments = parser.parse_args()
    seconds, rounds, depth = (2, 1, 16) if arguments.quick else (8, 3, 21)
    results = {}
    with tempfile.TemporaryDirectory() as directory:
        found = systems(arguments.build.resolve(), pathlib.Path(directory))
        print(f"Churn, {LIVE_MIB} MiB alive, {RATIO}x heap, {seconds} s, medians of {rounds} alternating runs")
        print(f"  {'':<20}{'ns/operation':>14}{'longest, us':>14}{'>= 100 us per s':>18}{'CPU s / s':>12}{'RSS / live':>12}")
        runs = {name: [] for name, _, _ in found}
        for _ in range(rounds):
            for name, churn, _ in found:
                try:
                    runs[name].append(churn_figures(*measured(*churn(seconds)), seconds))
                except Failed as why:
                    print(f"  {name:<20}{why}", flush=True)
        for name, rows in runs.items():
            if rows:
                f = results[f"churn {name}"] = median_of(rows)
                print(f"  {name:<20}{f['ns_per_operation']:>14.0f}{f['longest_us']:>14.0f}{f['over_100us_per_s']:>18.1f}"
                      f"{f['cpu_per_s']:>12.2f}{f['rss_per_live']:>12.2f}", flush=True)
        print(f"Binary trees of depth {depth}, heap limit {TREES_MIB} MiB where there is one, one run")
        print(f"  {'':<20}{'s':>14}{'CPU s':>14}{'peak RSS, MiB':>18}")
        for name, _, trees in found:
            try:
                _, wall, cpu, rss = measured(*trees(depth))
            except Failed as why:
                print(f"  {name:<20}{why}", flush=True)
                continue
            results[f"trees {name}"] = {"s": wall, "cpu_s": cpu, "rss": rss}
            print(f"  {name:<20}{wall:>14.2f}{cpu:>14.2f}{rss / 1048576:>18.0f}", flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
