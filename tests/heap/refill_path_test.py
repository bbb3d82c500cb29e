#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""refill_path_test.py ARCHIVE - the second allocation level in machine code: no lock, no atomic read-modify-write.

RunAllocator::refill_from_own and everything it calls is followed; calls may lead only to functions that are followed too
or that are named below. [alloc.levels.1]
"""

import re
import subprocess
import sys

ENTRY = "echo::RunAllocator::refill_from_own(unsigned long, unsigned long)"
# Not followed: what ends the process, and the memory functions of libc.
ALLOWED = re.compile(r"assertion_failed|__stack_chk_fail|mem(set|cpy|move)")
FORBIDDEN = re.compile(r"^(lock\b|xchg\b.*\(|cmpxchg|xadd|mfence|sfence|lfence|syscall)")
CALLS_BY_POINTER = re.compile(r"^(call|jmp)\s+\*")
# Called by pointer: the form of run listing chosen at start-up.
BY_POINTER = ["echo::(anonymous namespace)::list_scalar(", "echo::x86::list_avx2(", "echo::x86::list_avx512("]


def functions(text):
    found = {}
    for name, body in re.findall(r"^[0-9a-f]+ <(.*)>:\n((?:.+\n)*)", text, re.M):
        found.setdefault(re.sub(r" \[clone .*", "", name), []).extend(body.splitlines())
    return found


def main(arguments):
    if len(arguments) != 2:
        print("usage: refill_path_test.py ARCHIVE", file=sys.stderr)
        return 2
    text = subprocess.run(["objdump", "-dr", "-C", "--no-show-raw-insn", arguments[1]], capture_output=True, text=True,
                          check=True).stdout
    known = functions(text)
    if ENTRY not in known:
        print(f"{ENTRY}: not found")
        return 1
    pending, seen, failed = [ENTRY], set(), 0
    pending += [name for name in known if any(name.startswith(start) for start in BY_POINTER)]
    if len(pending) < 4:
        print("the forms of run listing are not all there")
        failed += 1
    while pending:
        name = pending.pop()
        if name in seen:
            continue
        seen.add(name)
        instructions = 0
        by_pointer = 0
        for line in known[name]:
            relocation = re.search(r"R_X86_64_(?:PLT32|PC32|GOTPCRELX|REX_GOTPCRELX)\s+(.*?)(?:-0x[0-9a-f]+)?$", line)
            if relocation:
                target = relocation.group(1)
                if previous.startswith(("call", "jmp")) and not ALLOWED.search(target) and not target.startswith("."):
                    if target in known:
                        pending.append(target)
                    else:
                        print(f"{name}: calls {target}")
                        failed += 1
                continue
            if "\t" not in line:
                continue
            previous = line.split("\t", 1)[1].strip()
            instructions += 1
            if FORBIDDEN.match(previous):
                print(f"{name}: {previous}")
                failed += 1
            by_pointer += 1 if CALLS_BY_POINTER.match(previous) and "(" in previous else 0
        print(f"{name}: {instructions} instructions")
        if by_pointer and "list_free_runs" not in name and "list_holes" not in name:
            print(f"{name}: calls by pointer")
            failed += 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
