# SPDX-License-Identifier: MIT
"""How the conformance programs are held: time to safepoint, pauses, stalls; as many threads as processors."""
import json
import os
import sys
from pathlib import Path

from measure import run, show

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "conformance"))
import run_programs  # noqa: E402

MODES = ("concurrent", "incremental")
HEAP = "max_heap=256m"


def measure(build, work, results, quick):
    threads = os.cpu_count() or 1
    report = work / "program.json"
    print(f"\nConformance programs, {threads} threads, {HEAP}: pauses raw and net, us")
    for mode in MODES:
        for name, about in run_programs.PROGRAMS.items():
            size, rounds = about["quick" if quick else "ordinary"]
            bitcode = run_programs.compile_program(str(build), name)
            run([build / "bin/echo-run", bitcode, "--quiet", f"--json={report}", f"--heap={HEAP},mode={mode}", "--",
                 size, threads, rounds])
            told = json.loads(report.read_text())
            results[f"program {name} {mode}"] = {key: told[key] for key in (
                "wall_s", "pause_us", "pause_net_us", "time_to_safepoint_us", "stall_us", "mmu", "holds_over_cap")}
            raw, net, stalls = told["pause_us"], told["pause_net_us"], told["stall_us"]
            text = (f"{name}, {mode}: p99 / p99.9 / max raw {raw['p99']:.0f} / {raw['p99_9']:.0f} / {raw['max']:.0f}, "
                    f"net {net['p99']:.0f} / {net['p99_9']:.0f} / {net['max']:.0f}; {stalls['count']} stalls, "
                    f"MMU(10 ms) {told['mmu']['10ms']:.2f}; time to safepoint p99")
            reached = told["time_to_safepoint_us"]["p99"]
            show(text, f"{reached:.0f} us", "< 50", reached < 50)
