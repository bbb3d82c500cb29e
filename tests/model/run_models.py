#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""run_models.py [MODEL...] - explores the models of the collector's protocols, and proves that each of them bites.

A model is a Promela file; a row of MODELS is one exploration of it. Without switch the property must hold in every
reachable state (`Holds`); each switch breaks one rule, and a run that violates the named property must be found
(`Violates`), with a trail that replays to the same end. What models say is in docs/models.md.

Invariants: [model.whole.1] A base is explored to the end: no bitstate hashing, no depth or memory cut, and every
statement of every process is reached. [model.bite.1] A switch violates exactly the property of its row, and its trail
replays.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
MEMORY_MB = 1000
DEPTH = 200000
HASH = 22  # 32 MB to begin with
SAFETY = ["-DSAFETY", "-DNOFAIR", "-DNOCLAIM"]  # assertions and dead ends, not claims
DEAD_END = "invalid end state"
CYCLE = "acceptance cycle"


class Holds:
    """A base. `claim`: a property of whole runs, under weak fairness, besides the assertions and dead ends."""

    def __init__(self, invariant, *scope, claim=None):
        self.invariant, self.switches, self.claim = invariant, scope, claim


class Violates:
    """A broken variant: the assertion (by its variable), DEAD_END, or CYCLE that must be found."""

    def __init__(self, invariant, expected, *switches):
        self.invariant, self.expected, self.switches = invariant, expected, switches


M1 = "m1_reachable_is_marked"
M2_LOADED, M2_CLEARED = "m2_loaded_is_alive", "m2_cleared_is_dead"
M6 = "m6_no_mark_is_lost"
M7, M7_KIND = "m7_header_is_of_the_snapshot", "kind_is_known"
M9_QUEUED, M9_HELD = "m9_queued_is_marked", "m9_held_is_marked"
M10, M10_WATERMARK = "m10_nobody_runs", "watermark_is_current"
M11 = "m11_mark_ends"
M13_LOADED, M13_STORED = "m13_dead_is_not_loaded", "m13_stored_stays"
M14_VALUE, M14_LOADED = "m14_value_is_alive", "m14_loaded_is_alive"
M15_MARKED, M15_ONCE, M15_BESIDE = "m15_all_is_marked", "m15_scanned_once", "m15_nobody_beside"
M16_OLD, M16_BORN, M16_START = "m16_old_is_kept", "m16_born_is_kept", "m16_start_is_known"

MANAGED_ONLY = ("NOFRAMES", "NOTHREADS")
WEAK = ("WEAK", "NOFRAMES")

# test -> (file, rows)
MODELS = {
    "marking": ("marking.pml", [
        Holds("M1"),
        Holds("M1", *MANAGED_ONLY, "RAGEND"),
        Violates("M1", M1, "PROMBLACK"),
        Violates("M1", M1, *MANAGED_ONLY, "RAGGED"),
        Violates("M1", M1, *MANAGED_ONLY, "RAGGED", "RAGGEDBAR"),
        Violates("M1", M1, "NODEL"),
        Violates("M1", M1, "ENDNOFLUSH"),
        Violates("M1", M1, "BAROFF"),
        Violates("M1", M1, "DETACHDROP"),
        Violates("M1", M1, "ATTACHOLD"),
        Violates("M1", M1, "PASSNOVISIT"),
        Violates("M1", M1, "ENDUNVISITED"),
        Violates("M1", M1, "NOBAR"),
        Violates("M1", M1, "PROMOLD"),
    ]),
    "weak": ("marking.pml", [
        Holds("M2", *WEAK),
        Violates("M2", M1, *WEAK, "NOWEAKBAR"),
        Violates("M2", M1, *WEAK, "RAGEND"),
        Violates("M2", M2_CLEARED, *WEAK, "CLEARFIRST"),
        Violates("M2", M2_LOADED, *WEAK, "CLEARLOADS"),
        Violates("M2", M2_CLEARED, *WEAK, "CLEARPLAIN"),
    ]),
    "weak_over": ("weak_over.pml", [
        Holds("M13"),
        Violates("M13", M13_LOADED, "NORELOAD"),
        Violates("M13", M13_LOADED, "FLAGLATE"),
        Violates("M13", M13_LOADED, "UNTOLD"),
        Violates("M13", M13_LOADED, "EARLYOVER"),
        Violates("M13", M13_LOADED, "MARKFIRST"),
        Violates("M13", M13_STORED, "CLEARPLAIN"),
    ]),
    "holes": ("holes.pml", [
        Holds("M16"),
        Violates("M16", M16_OLD, "BYMARKS"),
        Violates("M16", M16_OLD, "DUELATE"),
        Violates("M16", M16_START, "CLEARFIRST"),
        Violates("M16", M16_START, "NOAGAIN"),
        Violates("M16", M16_BORN, "NOTMIXED"),
        Violates("M16", M16_BORN, "TAKESWEPT"),
    ]),
    "ephemeron": ("ephemeron.pml", [
        Holds("M14"),
        Violates("M14", M14_VALUE, "NOKEYLOG"),
        Violates("M14", M14_LOADED, "NOLOADLOG"),
        Violates("M14", M14_VALUE, "NORELEASE"),
        Violates("M14", M14_VALUE, "ENDUNLOOKED"),
    ]),
    "mark_word": ("mark_word.pml", [
        Holds("M6"),
        Violates("M6", M6, "EVACWRITES"),
        Violates("M6", M6, "ALLOCOLD"),
        Violates("M6", M6, "ALLOCWHITE"),
        Violates("M6", M6, "LARGESHARED"),
        Violates("M6", M6, "CLEARLATE"),
    ]),
    "header": ("header.pml", [
        Holds("M7"),
        Violates("M7", M7, "FRESHIGNORED"),
        Violates("M7", M7, "TURNSOLD"),
        Violates("M7", M7, "BYTELATE"),
        Violates("M7", M7, "REUSEFREED"),
        Violates("M7", M7_KIND, "NOFENCE", "CLASS=SMALL"),
        Violates("M7", M7, "NOFENCE", "CLASS=LARGE"),
        Violates("M7", M7, "NOFENCE", "CLASS=ROOT"),
    ]),
    "queue": ("queue.pml", [
        Holds("M9"),
        Holds("M9", "HOLD"),
        Violates("M9", M9_QUEUED, "NOLINKLOG"),
        Violates("M9", M9_QUEUED, "NOHEADLOG"),
        Violates("M9", M9_HELD, "HOLD", "HOLDUNATTACHED"),
        Violates("M9", M9_HELD, "HOLD", "HOLDNOLOG"),
    ]),
    "safepoint": ("safepoint.pml", [
        Holds("M10"),
        Holds("M10", "BESIDE"),
        Violates("M10", M10, "LEAVENOLOOK"),
        Violates("M10", M10, "LEAVENOFENCE"),
        Violates("M10", DEAD_END, "ENTERNOFENCE"),
        Violates("M10", M10, "ASKNOFENCE"),
        Violates("M10", M10, "STOPAFTERSCAN"),
        Violates("M10", DEAD_END, "POLLLATE"),
        Violates("M10", M10, "ASKUNLOCKED"),
        Violates("M10", M10, "REGISTERLATE"),
        Violates("M10", M10, "REGISTERONCE"),
        Violates("M10", M10_WATERMARK, "BESIDE", "VISITUNLOCKED"),
    ]),
    "markers": ("markers.pml", [
        Holds("M15"),
        Violates("M15", M15_MARKED, "LEAVEHOLDING"),
        Violates("M15", M15_MARKED, "ENDBESIDE"),
        Violates("M15", M15_MARKED, "HANDNOTHING"),
        Violates("M15", M15_MARKED, "COMESHELD"),
        Violates("M15", M15_BESIDE, "LOOKBESIDE"),
        Violates("M15", M15_ONCE, "TAKESHARED"),
        Violates("M15", DEAD_END, "LEAVESILENT"),
        Violates("M15", DEAD_END, "SLEEPLATE"),
    ]),
    "termination": ("termination.pml", [
        Holds("M11", claim=M11),
        Violates("M11", CYCLE, "NOUNMARKED"),
        Violates("M11", CYCLE, "STALLMANAGED"),
    ]),
}


class Broken(Exception):
    pass


def call(command, folder):
    done = subprocess.run(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    return done.returncode, done.stdout


def compiled(tools, folder, file, switches, spin_options, defines, optimise):
    """spin and the C compiler make folder/pan."""
    status, said = call([tools.spin, "-a", *spin_options, *("-D" + s for s in switches), file], folder)
    if status != 0 or re.search(r"^spin:.*Error", said, re.M) or not os.path.exists(os.path.join(folder, "pan.c")):
        raise Broken(f"spin refuses the model:\n{said}")
    status, said = call([tools.cc, "-w", optimise, f"-DMEMLIM={MEMORY_MB}", *defines, "-o", "pan", "pan.c"], folder)
    if status != 0:
        raise Broken(f"the explorer does not compile:\n{said}")


def explored(folder, *options):
    """What pan says."""
    _, said = call(["./pan", f"-m{DEPTH}", f"-w{HASH}", *options], folder)
    if not re.search(r"errors: \d+", said):
        raise Broken(f"the exploration did not end:\n{said[-2000:]}")
    return said


def number(pattern, said):
    found = re.search(pattern, said)
    return float(found.group(1)) if found else 0.0


def states(said):
    return int(number(r"(\d+) states, stored", said))


def memory_mb(said):
    return number(r"([0-9.]+)\ttotal actual memory", said)


def depth(said):
    return int(number(r"\(at depth (\d+)\)", said))


def violations(said):
    return int(number(r"errors: (\d+)", said))


def found_in(said):
    """The first violation: the asserted variable, DEAD_END, CYCLE, or None."""
    asserted = re.search(r"^pan:1: assertion violated (.*?) \(at depth", said, re.M)
    if asserted:
        return asserted.group(1).strip("() ")
    for kind in (DEAD_END, CYCLE):
        if re.search(rf"^pan:1: {kind}", said, re.M):
            return kind
    return None


def require_whole(said):
    """[model.whole.1]"""
    for cut in ("Search not completed", "max search depth too small", "out of memory", "reached -DMEMLIM", "Bit statespace"):
        if cut in said:
            raise Broken(f"the exploration was cut: '{cut}'\n{said[:2000]}")
    if "Full statespace search" not in said:
        raise Broken(f"not an exhaustive exploration:\n{said[:2000]}")


def unreached(said):
    """Statements that no run reaches; the end of a process that never ends is none, nor is the claim."""
    lines = []
    for process, body in re.findall(r"^unreached in (.*)\n((?:\t.*\n)*)", said, re.M):
        if not process.startswith("claim"):
            lines += [f"{process}: {line.strip()}" for line in body.splitlines()
                      if line.strip() and '"-end-"' not in line and not re.search(r"\(\d+ of \d+ states\)", line)]
    return lines


def check_holds(tools, folder, file, row):
    # -o3: each statement by itself, so that each is counted as reached or not.
    compiled(tools, folder, file, row.switches, ["-o3"], SAFETY, "-O1")
    said = explored(folder)
    if found_in(said) or violations(said) != 0:
        raise Broken(f"violates {found_in(said)}:\n{trail_text(folder)}")
    require_whole(said)
    missed = unreached(said)
    if missed:
        raise Broken("statements that no run reaches:\n  " + "\n  ".join(missed))
    if row.claim:
        compiled(tools, folder, file, row.switches, [], [], "-O1")
        whole_runs = explored(folder, "-a", "-f", "-N", row.claim)
        if found_in(whole_runs):
            raise Broken(f"{row.claim} is violated:\n{trail_text(folder)}")
        require_whole(whole_runs)
        if f"+ ({row.claim})" not in whole_runs:
            raise Broken(f"the claim {row.claim} was not explored")
    return said, "holds"


def trail_text(folder):
    _, said = call(["./pan", "-r"], folder)
    return said[-3000:]


def check_violates(tools, folder, file, row):
    """[model.bite.1]"""
    live = row.expected == CYCLE
    # -O0: a violation is found soon, so that compiling it is most of the time.
    compiled(tools, folder, file, row.switches, [], [] if live else SAFETY, "-O0")
    if live:
        said = explored(folder, "-a", "-f")
    else:
        said = explored(folder, *([] if row.expected == DEAD_END else ["-E"]))
    found = found_in(said)
    if found != row.expected:
        raise Broken(f"expected to violate {row.expected}, found {found or 'no violation'}")
    trail = os.path.join(folder, file + ".trail")
    if not os.path.exists(trail) or os.path.getsize(trail) == 0:
        raise Broken("no trail was written")
    if not live:
        replayed = trail_text(folder)
        if row.expected != DEAD_END and f"assertion violated {row.expected}" not in replayed.replace("(", "").replace(")", ""):
            raise Broken(f"the trail does not replay to {row.expected}:\n{replayed}")
    return said, f"violates {row.expected} at step {depth(said)}"


def run_row(tools, sources, file, row):
    """Returns the line of the table; raises Broken."""
    folder = tempfile.mkdtemp(prefix="model-", dir=tools.work)
    try:
        for name in os.listdir(sources):
            if name.endswith(".pml"):
                shutil.copy(os.path.join(sources, name), folder)
        began = time.monotonic()
        check = check_holds if isinstance(row, Holds) else check_violates
        said, verdict = check(tools, folder, file, row)
        return (f"  {row.invariant:<4} {' '.join(row.switches) or '-':<34} {verdict:<50}"
                f" {states(said):>9} states {memory_mb(said):>6.0f} MB {time.monotonic() - began:>6.1f} s")
    except Broken as broken:
        raise Broken(f"{file} {row.invariant} {' '.join(row.switches) or '(no switch)'}: {broken}") from broken
    finally:
        shutil.rmtree(folder)


def main(arguments):
    parser = argparse.ArgumentParser(prog="run_models.py")
    parser.add_argument("models", nargs="*", metavar="MODEL", help="of " + ", ".join(MODELS))
    parser.add_argument("--spin", default=shutil.which("spin") or "")
    parser.add_argument("--cc", default="cc")
    parser.add_argument("--work", default=os.getcwd(), help="where the explorers are built")
    tools = parser.parse_args(arguments)
    unknown = [name for name in tools.models if name not in MODELS]
    if unknown:
        print(f"run_models.py: no model is called {unknown[0]}; there are {', '.join(MODELS)}", file=sys.stderr)
        return 2
    if not os.access(tools.spin, os.X_OK):
        print("run_models.py: spin is not there; it is the Debian package spin (./bootstrap deps)", file=sys.stderr)
        return 2
    failures = []
    for name in tools.models or MODELS:
        file, rows = MODELS[name]
        print(f"{name} ({file})", flush=True)
        for row in rows:
            try:
                print(run_row(tools, HERE, file, row), flush=True)
            except Broken as broken:
                failures.append(broken)
                print(f"  FAILED {broken}", flush=True)
    if failures:
        print(f"run_models.py: {len(failures)} row(s) failed", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
