#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""run_programs.py BUILD - compiles the programs with echo-cc, runs them on the heap, compares them with their twins.

  run_programs.py BUILD [--only NAME,...] [--jobs N] [--quick] [--threads N]   every program in every configuration once
  run_programs.py BUILD --full                                   and at each level, with each number of threads
  run_programs.py --show BUILD [SIZE THREADS ROUNDS]             one program, with echo-run's report

A run passes if the program ends with status 0, its standard output is its twin's, its checksum is its twin's, and the
report shows what the configuration is for, and no hold of a thread that did more than its cap. Invariants: [kit.program.1] program and twin share no header, and twins run
at test time: no expected number is written down. [kit.program.2] What is printed does not depend on time or on the
order in which runs end. [kit.program.3] The limited configuration allocates at least 50 times its heap limit and is
collected only because it allocates. [kit.program.4] Without --full each level of optimisation and each number of threads
meets each kind of configuration, and code that is the same in several runs is compiled once.
"""

import argparse
import concurrent.futures
import json
import os
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TIMEOUT = 300
FIFTY = 50

# Per program: sizes [size, rounds] for ordinary runs, for a collection at every allocation, and a heap limit that
# leaves little room; `every`: how often a verified run collects, where a part of what is alive has a fixed size. Ordinary sizes
# are the program's defaults.
PROGRAMS = {
    "binary_trees": {"ordinary": (16, 4), "quick": (12, 2), "stress": (8, 1), "limit": "16m"},
    "gcbench": {"ordinary": (16384, 24), "quick": (2000, 4), "stress": (20, 1), "limit": "64m", "every": 101},
    "lists_queues": {"ordinary": (50000, 20), "quick": (5000, 4), "stress": (400, 2), "limit": "12m"},
    "graph_mutation": {"ordinary": (64, 2), "quick": (4, 2), "stress": (0, 12), "limit": "192m"},
    "deep_recursion": {"ordinary": (100000, 40), "quick": (100000, 2), "stress": (2000, 1), "limit": "24m"},
    "quicksort_boxed": {"ordinary": (60000, 6), "quick": (6000, 4), "stress": (400, 2), "limit": "10m"},
    "string_map": {"ordinary": (40000, 4), "quick": (5000, 2), "stress": (600, 2), "limit": "12m"},
    "array_moves": {"ordinary": (60000, 4), "quick": (6000, 2), "stress": (1500, 2), "limit": "4m"},
    "interpreter": {"ordinary": (18, 4), "quick": (12, 2), "stress": (6, 1), "limit": "4m"},
    "producer_consumer": {"ordinary": (1000000, 2), "quick": (100000, 2), "stress": (3000, 1), "limit": "4m"},
}
STRESS = "max_heap=64m,stress_collect=1,poison=on"
CHECKED = "max_heap=64m,stress_collect={every},poison=on,verify=on,stress_yield=on,stress_barriers=on"
DEMO = ("binary_trees", 16, 2, 4, "16m")  # program, size, threads, rounds, heap limit


class Failure(Exception):
    """What is wrong, in one line."""


def bytes_of(text):
    return int(text[:-1]) << {"k": 10, "m": 20, "g": 30}[text[-1]] if text[-1] in "kmg" else int(text)


def tool(build, *path):
    found = os.path.join(build, *path)
    if not os.path.exists(found):
        raise Failure(f"there is no {found}: build the project first")
    return found


def newest(paths):
    return max(os.stat(path).st_mtime_ns for path in paths)


def compile_program(build, name):
    """BUILD/conformance/programs/NAME.bc, compiled again if anything it is made from is newer."""
    folder = os.path.join(HERE, "programs")
    source = os.path.join(folder, name + ".c")
    out = os.path.join(build, "conformance", "programs", name + ".bc")
    compiler = tool(build, "bin", "echo-cc")
    headers = os.path.join(build, "include", "echo")
    inputs = [source, os.path.join(folder, "program.h"), compiler]
    inputs += [os.path.join(headers, header) for header in os.listdir(headers)] if os.path.isdir(headers) else []
    if os.path.exists(out) and os.stat(out).st_mtime_ns > newest(inputs):
        return out
    os.makedirs(os.path.dirname(out), exist_ok=True)
    # Two runs of this script may compile at the same time: each makes its own file, the last one stays.
    with tempfile.TemporaryDirectory(dir=os.path.dirname(out)) as scratch:
        made = os.path.join(scratch, name + ".bc")
        result = subprocess.run([compiler, source, "-o", made], stdin=subprocess.DEVNULL, capture_output=True, text=True)
        if result.returncode != 0:
            raise Failure(f"echo-cc refuses {name}.c:\n{result.stderr.strip()}")
        os.replace(made, out)
    return out


def run_twin(build, name, size, rounds):
    """Standard output and checksum of the twin."""
    command = [tool(build, "bin", "twins", name), str(size), "1", str(rounds)]
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT)
    words = result.stderr.split()
    if result.returncode != 0 or len(words) != 2 or words[0] != "checksum":
        raise Failure(f"the twin of {name} ends with status {result.returncode}: {result.stderr.strip()}")
    return result.stdout, int(words[1])


def echo_run(build, bitcode, size, threads, rounds, options, opt, report=None, show=False, operations="inline", cache=None):
    command = [tool(build, "bin", "echo-run"), bitcode, f"--heap={options}", f"--opt={opt}"]
    command += [] if show else ["--quiet"]
    command += [f"--operations={operations}"] if operations != "inline" else []
    command += [f"--cache={cache}"] if cache else []
    command += [f"--json={report}"] if report else []
    return command + ["--", str(size), str(threads), str(rounds)]


def judge(result, report, expected, at_least=None, stressed=False):
    """None, or what is wrong with a run."""
    output, checksum = expected
    if result.returncode != 0:
        return f"status {result.returncode}: {(result.stderr or result.stdout or '').strip()[-400:]}"
    with open(report, encoding="utf-8") as file:
        told = json.load(file)
    if result.stdout is not None and result.stdout != output:
        return f"the output differs from the twin's:\n{result.stdout}instead of\n{output}"
    if told["checksum"] != checksum:
        return f"checksum {told['checksum']}, the twin has {checksum}"
    if told["holds_over_cap"] != 0:
        return f"{told['holds_over_cap']} holds of a thread did more work than their cap [stop.budget.1]"
    causes = told["collections"]["by_cause"]
    if stressed and causes["stress"] == 0:
        return "no collection was due to stress_collect"
    if at_least is not None:
        if told["bytes_allocated"] < at_least:
            return f"{told['bytes_allocated']} bytes were allocated, less than {at_least}"
        others = sum(causes.values()) - causes["heap_full"] - causes["emergency"]
        if causes["heap_full"] == 0 or others != 0:
            return f"not collected only because it allocates: {causes}"
    return None


class Case:
    """One run: a program, a configuration and what to expect of it."""

    def __init__(self, name, label, kind, options, opt, threads, stressed=False, at_least=None, operations="inline"):
        self.name, self.label, self.options, self.opt, self.threads = name, label, options, opt, threads
        self.size, self.rounds = PROGRAMS[name][kind]
        self.stressed, self.at_least, self.operations = stressed, at_least, operations

    def __str__(self):
        return f"{self.name} {self.label} opt={self.opt} threads={self.threads} [{self.size} {self.rounds}]"

    def run(self, build, bitcode, expected, cache):
        handle, report = tempfile.mkstemp(suffix=".json", dir=os.path.dirname(bitcode))
        os.close(handle)
        try:
            command = echo_run(
                build, bitcode, self.size, self.threads, self.rounds, self.options, self.opt, report=report,
                operations=self.operations, cache=cache,
            )
            result = subprocess.run(
                command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT, errors="replace"
            )
            wrong = judge(result, report, expected, self.at_least, self.stressed)
            return wrong and f"{wrong}\n     command: {' '.join(arg for arg in command if not arg.startswith(('--json', '--cache')))}"
        except subprocess.TimeoutExpired:
            return f"still running after {TIMEOUT} seconds: killed"
        finally:
            os.unlink(report)


def cases_of(name, quick, full, every_threads):
    kind = "quick" if quick else "ordinary"
    levels = [(opt, threads) for opt in (0, 2) for threads in every_threads]
    if not full:
        levels = [(0, every_threads[0]), (2, every_threads[-1])]
    checked = CHECKED.format(every=PROGRAMS[name].get("every", 17))
    for opt, threads in levels:
        yield Case(name, "ordinary", kind if full or opt == 2 else "quick", "max_heap=512m", opt, threads)
        yield Case(name, "collect-at-every-allocation", "stress", STRESS, opt, threads, stressed=True)
    for opt in (0, 2) if full else (2,):
        yield Case(name, "verified", "stress", checked, opt, 2, stressed=True)
        yield Case(name, "called, verified", "stress", checked, opt, 2, stressed=True, operations="called")
    for opt in (0, 2) if full else (0,):
        yield Case(name, "called", "quick", "max_heap=512m", opt, 2, operations="called")
    limit = PROGRAMS[name]["limit"]
    is_demo = name == DEMO[0] and not quick
    at_least = FIFTY * bytes_of(limit) if is_demo else 0
    for threads in every_threads if full else every_threads[-1:]:
        yield Case(name, f"limit={limit}", kind, f"max_heap={limit}", 2, threads, at_least=at_least if not quick else None)


def run_all(build, names, jobs, quick, full, every_threads):
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool, tempfile.TemporaryDirectory() as scratch:
        cache = None if full else scratch
        bitcodes = {name: pool.submit(compile_program, build, name) for name in names}
        cases = [case for name in names for case in cases_of(name, quick, full, every_threads)]
        wanted = sorted({(case.name, case.size, case.rounds) for case in cases})
        twins = {key: pool.submit(run_twin, build, *key) for key in wanted}
        bitcodes = {name: future.result() for name, future in bitcodes.items()}
        twins = {key: future.result() for key, future in twins.items()}
        runs = [pool.submit(case.run, build, bitcodes[case.name], twins[case.name, case.size, case.rounds], cache) for case in cases]
        failed = 0
        for case, run in zip(cases, runs):  # [kit.program.2]
            wrong = run.result()
            failed += wrong is not None
            checksum = twins[case.name, case.size, case.rounds][1]
            print(f"ok   {case}: checksum {checksum:#018x}" if wrong is None else f"FAIL {case}: {wrong}", flush=True)
    print(f"{len(cases) - failed} passed, {failed} failed")
    return 1 if failed else 0


def show(build, arguments):
    name, size, threads, rounds, limit = DEMO
    chosen = [int(word) for word in arguments if word != "--"]
    size, threads, rounds = (chosen + [size, threads, rounds][len(chosen) :])[:3]
    bitcode = compile_program(build, name)
    expected = run_twin(build, name, size, rounds)
    at_least = None if chosen else FIFTY * bytes_of(limit)
    with tempfile.TemporaryDirectory(dir=os.path.dirname(bitcode)) as scratch:
        report = os.path.join(scratch, "report.json")
        command = echo_run(build, bitcode, size, threads, rounds, f"max_heap={limit}", 2, report=report, show=True)
        print(f"{name}.c, size {size}, {threads} threads, {rounds} rounds, in a heap of at most {limit}:\n", flush=True)
        result = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, timeout=TIMEOUT)
        print(result.stdout, end="", flush=True)
        wrong = judge(result, report, expected, at_least)
        if wrong is not None:
            raise Failure(wrong)
        with open(report, encoding="utf-8") as file:
            told = json.load(file)
    times = told["bytes_allocated"] / bytes_of(limit)
    print(f"\nchecksum {expected[1]:#018x}, the same as in plain C++; it allocated {times:.0f} times its heap limit.")
    return 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("build", help="the build directory")
    parser.add_argument("arguments", nargs="*", help="with --show: size, threads, rounds")
    parser.add_argument("--show", action="store_true", help="run one program and show its report")
    parser.add_argument("--only", default=",".join(PROGRAMS), help="names of programs")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="runs at a time")
    parser.add_argument("--threads", type=int, choices=(1, 2), help="only with so many threads")
    parser.add_argument("--quick", action="store_true", help="small sizes, for slow builds")
    parser.add_argument("--full", action="store_true", help="every configuration at each level, with each number of threads")
    options = parser.parse_args()
    unknown = [name for name in options.only.split(",") if name not in PROGRAMS]
    if unknown:
        parser.error(f"no program is named {unknown[0]}; there are {', '.join(PROGRAMS)}")
    if options.arguments and not options.show:
        parser.error("arguments for the program go with --show")
    if shutil.which("clang-19") is None and "ECHO_CLANG" not in os.environ:
        raise Failure("there is no clang-19 in PATH: run ./bootstrap deps")
    build = os.path.abspath(options.build)
    if options.show:
        return show(build, options.arguments)
    every_threads = (options.threads,) if options.threads else (1, 2)
    return run_all(build, options.only.split(","), options.jobs, options.quick, options.full, every_threads)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (Failure, OSError, ValueError, subprocess.SubprocessError) as error:
        print(f"run_programs: {error}", file=sys.stderr)
        sys.exit(1)
