#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""hot_path_test.py LIBRARY - the hot paths of the C API in machine code: no lock, no atomic read-modify-write, no call.

The hot path of a function, that of a pair of allocation and free, is what lies between its entry and its first return:
the compiler moves unlikely code behind it or into functions that it jumps to. Locks and atomic read-modify-writes are
looked for in the whole function, which is all of L1. [native.free.2]
"""

import re
import subprocess
import sys

# The longest hot path allowed, in instructions.
FUNCTIONS = {
    "thread_local_object_pool_allocate": 24,
    "thread_local_object_pool_deallocate": 44,
    "global_slab_allocator_allocate": 30,
    "global_slab_allocator_deallocate": 51,
    "industrial_memory_pool_allocate_task": 24,
    "industrial_memory_pool_deallocate_task": 44,
}
ATOMIC = re.compile(r"^(lock\b|xchg\b.*\(|cmpxchg|xadd|mfence|sfence|lfence|syscall)")
FORBIDDEN = re.compile(ATOMIC.pattern + r"|^call")


def hot_path(text, function):
    body = re.search(rf"<{function}>:\n(.*?)(?=\n\n|\Z)", text, re.S)
    if body is None:
        return None
    path = []
    whole = []
    returned = False
    for line in body.group(1).splitlines():
        instruction = line.split("\t", 1)[1].strip() if "\t" in line else line.split(":", 1)[-1].strip()
        if instruction.startswith(("nop", "data16", "cs nop", "endbr")):
            continue
        whole.append(instruction)
        if not returned:
            path.append(instruction)
            returned = instruction.startswith("ret")
    return (path, whole) if returned else None


def main(arguments):
    if len(arguments) != 2:
        print("usage: hot_path_test.py LIBRARY", file=sys.stderr)
        return 2
    text = subprocess.run(["objdump", "-d", "--no-show-raw-insn", arguments[1]],
                          capture_output=True, text=True, check=True).stdout
    failed = 0
    for function, longest in FUNCTIONS.items():
        found = hot_path(text, function)
        if found is None:
            print(f"{function}: not found")
            failed += 1
            continue
        path, whole = found
        bad = [i for i in path if FORBIDDEN.match(i)] + [i for i in whole if ATOMIC.match(i)]
        print(f"{function}: {len(path)} instructions{', but: ' + '; '.join(bad) if bad else ''}")
        if bad or len(path) > longest:
            failed += 1
            print("\n".join("    " + i for i in path))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
