# SPDX-License-Identifier: MIT
"""Figures of compiled code and of the compiler: instructions, polls, compile time, start-up, stack maps, frames, cache."""
import json
import pathlib
import re
import statistics
import time

from measure import run, show

HERE = pathlib.Path(__file__).resolve().parent / "compiled"
PROGRAMS = HERE.parent.parent / "conformance/programs"


# --- instructions of the fast paths, from the disassembly

def fast_path(lines, first, last):
    """Instructions from the first match of `first` to the next match of `last`, both included; jumps fall through."""
    start = next((i for i, text in enumerate(lines) if re.search(first, text)), None)
    if start is None:
        return None
    end = next((i for i in range(start, len(lines)) if re.search(last, lines[i])), None)
    return None if end is None else lines[start:end + 1]


# Operation, function, first and last instruction, instructions in between that are not the operation's (the exchange
# itself, the program's stores, the comparison that begins a poll), target in the JIT and ahead of time (docs/abi.md).
POLL = r"cmpq %rbp, \S*\(%r13\)|cmpq \S*\(%r13\), %rbp"
PHASE = r"cmpb \$0x0, \S*\(%r13\)"
CURSOR = r"movq \S*\(%r13\), "
PATHS = [
    ("allocation, header included", "op_allocate", CURSOR, POLL, 3, 6, 7),
    ("three allocations, fields stored", "op_three", CURSOR, POLL, 7, 10, 11),
    ("store: barrier", "op_store", PHASE, r"mov\w+ %\w+, \S*\(%r", 1, 2, 2),
    ("exchange: barrier", "op_exchange", PHASE, r"xchgq", 1, 2, 2),
    ("compare-exchange: barrier", "op_compare", PHASE, r"cmpxchgq", 2, 2, 2), # lock is a line of its own
    ("tagged store: barrier and tag", "op_tagged", r"andq|leaq|orq|" + PHASE, r"mov\w+ %\w+, \S*\(%r", 1, 4, 4),
    ("poll", "op_poll", POLL, r"^j[ab]e? ", 0, 2, 2),
]


def disassembled(objects):
    text = "".join(run(["llvm-objdump-19", "-d", "--no-show-raw-insn", "--no-leading-addr", path]) for path in objects)
    functions = dict(re.findall(r"<(op_\w+)>:\n(.*?)(?=\n\n|\Z)", text, re.S))
    return {name: [" ".join(line.split()) for line in body.splitlines() if line.strip()] for name, body in functions.items()}


def instructions(build, work, results):
    print("Instructions in emitted code (x86-64, O2; the thread is in r13)")
    bitcode = work / "ops.bc"
    run([build / "bin/echo-cc", HERE / "ops.c", "-o", bitcode])
    objects = work / "objects"
    objects.mkdir()
    run([build / "bin/echo-run", bitcode, "--quiet", f"--dump-objects={objects}"])
    ahead = work / "ops"
    run([build / "bin/echo-cc", "-O2", HERE / "ops.c", "-o", ahead])
    for mode, files, column in (("JIT", sorted(objects.iterdir()), 5), ("ahead of time", [ahead], 6)):
        bodies = disassembled(files)
        for row in PATHS:
            name, function, first, last, useful = row[:5]
            target = row[column]
            found = fast_path(bodies.get(function, []), first, last)
            count = None if found is None else len(found) - useful
            results[f"instructions {name}, {mode}"] = count
            show(f"{name}, {mode}", "pattern not found" if count is None else str(count), f"<= {target}",
                 count is not None and count <= target)
            if count is None or count > target:
                print("\n".join("      " + line for line in found or bodies.get(function, ["(no such function)"])))


# --- polls

def polls(build, work, results, quick):
    print("A pointer chase with polls against the same loop without, ns per step")
    bitcode = work / "chase.bc"
    run([build / "bin/echo-cc", HERE / "chase.c", "-o", bitcode])
    for objects, rounds in ((1024, 80000), (262144, 40)):
        times = {"polls": [], "none": []}
        for _ in range(3 if quick else 9):
            for kind, seconds in times.items():
                out = run([build / "bin/echo-run", bitcode, "--quiet", "--", kind, objects, rounds])
                seconds.append(float(out) * 1e9 / (objects * rounds))
        with_polls, without = statistics.median(times["polls"]), statistics.median(times["none"])
        results[f"chase {objects}"] = {"polls_ns": with_polls, "none_ns": without, "ratio": with_polls / without}
        show(f"{objects} objects: with polls / without ({with_polls:.2f} / {without:.2f} ns)", f"{with_polls / without:.2f} x")


# --- barriers

def barriers(build, work, results, quick):
    """Hot: the barrier may cost 0.4 ns. Scattered, bound by memory: 2 %."""
    repetitions = 3 if quick else 9
    print("Reference stores that find the heap idle, ns per store; control: without barrier against without")
    bitcode = work / "stores.bc"
    run([build / "bin/echo-cc", HERE / "stores.c", "-o", bitcode])
    emitted = {}
    for kind, objects, rounds in (("hot", 256, 200000), ("scattered", 1 << 20, 6)):
        times = {"barrier": [], "bare": [], "again": []}
        for _ in range(repetitions):
            for name, seconds in times.items():
                options = [] if name == "barrier" else ["--unsafe=omit-barriers"]
                out = run([build / "bin/echo-run", bitcode, "--quiet", "--heap=max_heap=512m", *options, "--", objects, rounds])
                seconds.append(float(out) * 1e9 / (objects * rounds))
        emitted[kind] = {name: statistics.median(seconds) for name, seconds in times.items()}
    functions = json.loads(run([build / "bin/echo-bench-barriers", repetitions]))
    for title, figures in (("emitted", emitted), ("echo/inline.h", functions)):
        results[f"stores {title}"] = figures
        for kind in ("hot", "scattered"):
            one = figures[kind]
            more = one["barrier"] - one["bare"]
            text = f"{title}, {kind}: {one['bare']:.2f} ns, with barrier {one['barrier']:.2f}, control {one['again'] / one['bare']:.2f} x"
            if kind == "hot":
                show(text, f"+{more:.2f} ns", "<= 0.4", more <= 0.4)
            else:
                show(text, f"{more / one['bare'] * 100:+.1f} %", "<= 2 %", more <= 0.02 * one["bare"])
    for kind in ("hot", "scattered"):
        one = functions[kind]
        show(f"while marking, {kind}: old value logged / marked already", f"{one['logging']:.1f} / {one['marked']:.1f} ns")


# --- the compiler

def report(build, work, bitcode, *options, arguments=()):
    file = work / "compiled.json"
    before = time.monotonic()
    run([build / "bin/echo-run", bitcode, "--quiet", f"--json={file}", *options, "--", *arguments])
    return json.loads(file.read_text()), time.monotonic() - before


def compile_ms(jit):
    return sum(jit[part] for part in ("parse_ms", "optimise_ms", "lower_ms", "link_ms"))


def compiler(build, work, results, quick):
    print("The compiler")
    repetitions = 3 if quick else 9
    nothing = work / "nothing.bc"
    run([build / "bin/echo-cc", HERE / "nothing.c", "-o", nothing])
    start = statistics.median(report(build, work, nothing)[1] for _ in range(repetitions)) * 1e3
    results["start-up ms"] = start
    show("start to end of a program that does nothing", f"{start:.0f} ms")
    interpreter = work / "interpreter.bc"
    run([build / "bin/echo-cc", PROGRAMS / "interpreter.c", "-o", interpreter])
    small = ("3",)
    for level in ("2", "0"):
        runs = [report(build, work, interpreter, f"--opt={level}", arguments=small)[0]["jit"] for _ in range(repetitions)]
        milliseconds = statistics.median(map(compile_ms, runs))
        jit = runs[0]
        each = milliseconds / jit["functions"]
        parts = {part: statistics.median(r[part + "_ms"] for r in runs) for part in ("parse", "optimise", "lower", "link")}
        results[f"compile O{level}"] = {"ms": milliseconds, "functions": jit["functions"], "ms_per_function": each, **parts}
        detail = ", ".join(f"{name} {value:.1f}" for name, value in parts.items())
        show(f"O{level}: {jit['functions']} functions ({detail} ms)", f"{each:.2f} ms per function")
        if level == "2":
            per_site = jit["map_bytes"] / jit["sites"]
            results["map bytes per site"] = per_site
            show(f"stack maps: {jit['sites']} sites in {jit['code_bytes']} bytes of code", f"{per_site:.0f} B per site")
    cache = work / "cache"
    cache.mkdir()
    missed, missed_s = report(build, work, interpreter, f"--cache={cache}", arguments=small)
    hits = [report(build, work, interpreter, f"--cache={cache}", arguments=small) for _ in range(repetitions)]
    hit_ms = statistics.median(compile_ms(r["jit"]) for r, _ in hits)
    hit_s = statistics.median(seconds for _, seconds in hits)
    results["cache"] = {"missed_ms": compile_ms(missed["jit"]), "hit_ms": hit_ms, "missed_s": missed_s, "hit_s": hit_s}
    show(f"object cache: missed {compile_ms(missed['jit']):.1f} ms, hit", f"{hit_ms:.1f} ms")
    show(f"object cache: whole run missed {missed_s * 1e3:.0f} ms, hit", f"{hit_s * 1e3:.0f} ms")


# --- frames

def frames(build, work, results, quick):
    print("Frames: what a collection's pause grows by for each")
    bitcode = work / "frames.bc"
    run([build / "bin/echo-cc", HERE / "frames.c", "-o", bitcode])
    pauses = {}
    for depth in (0, 1000, 100000):
        first, later = [], []
        for _ in range(3 if quick else 9):
            pause = report(build, work, bitcode, arguments=(depth, 30))[0]["pause_us"]
            first.append(pause["max"])
            later.append(pause["p50"])
        pauses[depth] = (statistics.median(first), statistics.median(later))
    for depth in (1000, 100000):
        first, later = ((pauses[depth][i] - pauses[0][i]) * 1e3 / depth for i in (0, 1))
        results[f"frames {depth}"] = {"longest_ns": first, "median_ns": later}
        show(f"{depth} frames of two references: longest of 30 pauses", f"{first:.1f} ns per frame")
        show(f"{depth} frames of two references: median pause", f"{later:.1f} ns per frame")


def measure(build, work, results, quick):
    instructions(build, work, results)
    polls(build, work, results, quick)
    barriers(build, work, results, quick)
    compiler(build, work, results, quick)
    frames(build, work, results, quick)
