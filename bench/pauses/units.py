#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Cap x unit cost of each hold: python3 bench/pauses/units.py BUILD_DIR [--quick] [--json=FILE]

echo-bench-units makes each kind of hold as large as its cap lets it be, with cold caches; here its figures become the table of
docs/pauses.md: what a hold at its cap took (p50, p99.9), and what that is per unit, over the same hold with nothing to do. The sum is
that of the longest hold of each kind on its own: a thread is in one of them at a time, and a stop is one. Targets bind p99.9; the
control shows how much of that is the machine's.
"""
import argparse
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))
from measure import run, show  # noqa: E402

TARGET_US = 100


def units_of(caps, kind, threads):
    return caps[kind]["fixed"] + caps[kind]["per_thread"] * threads


def measure(build, samples):
    figures = json.loads(run([build / "bin/echo-bench-units", f"--samples={samples}"]))
    print(f"  {'hold at its cap, cold caches':<58} {'p50 / p99 / p99.9, us':>22}")

    def row(name, figure, kind=None, threads=0, bare=None, bound=True):
        text = " / ".join(f"{figure[q]:.1f}" for q in ("p50", "p99", "p99.9"))
        if kind is not None:
            units = units_of(figures["caps"], kind, threads)
            cost = (figure["p50"] - (bare["p50"] if bare else 0)) * 1000 / units
            name += f": {units} units, {cost:.0f} ns each"
        show(name, text, f"< {TARGET_US}" if bound else None, figure["p99.9"] < TARGET_US if bound else None)

    for threads in (1, 2, 4, 8):
        for kind in ("mark_start", "mark_end"):
            bare = figures[f"{kind} {threads} bare"]
            row(f"{kind}, {threads} thread{'s' * (threads > 1)}, nothing to do", bare, bound=False)
            row(f"{kind}, {threads} thread{'s' * (threads > 1)}", figures[f"{kind} {threads} full"], kind, threads, bare)
    row("frames", figures["frames"], "frames")
    for name in ("assist, 3 references", "assist, 63 references", "assist, 63 nulls", "assist, 255 nulls"):
        row(name + " an object", figures[name], "assist")
    for name in sorted((n for n in figures if n.startswith("zero")), key=lambda n: int(n.split()[1])):
        row(name, figures[name])
    row("control: a loop of 30 us", figures["control 30 us"], bound=False)
    return figures


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=pathlib.Path)
    parser.add_argument("--quick", action="store_true", help="fewer samples")
    parser.add_argument("--json", type=pathlib.Path, help="write the figures here as well")
    arguments = parser.parse_args()
    figures = measure(arguments.build.resolve(), 200 if arguments.quick else 2000)
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
