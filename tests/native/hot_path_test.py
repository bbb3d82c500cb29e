#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""hot_path_test.py LIBRARY - the hot paths of the C API in machine code: no lock, no atomic read-modify-write, no call.

The hot path of a function is what lies between its entry and its first return: the compiler moves unlikely code behind it
or into functions that it jumps to. [native.free.2]
"""

import re
import subprocess
import sys

# The longest hot path allowed, in instructions.
FUNCTIONS = {
    "thread_local_object_pool_allocate": 45,
    "thread_local_object_pool_deallocate": 55,
    "global_slab_allocator_allocate": 50,
    "global_slab_allocator_deallocate": 68,
    "industrial_memory_pool_allocate_task": 45,
    "industrial_memory_pool_deallocate_task": 55,
}
FORBIDDEN = re.compile(r"^(lock\b|xchg\b.*\(|cmpxchg|xadd|mfence|sfence|lfence|call|syscall)")


def hot_path(text, function):
    body = re.search(rf"<{function}>:\n(.*?)(?=\n\n|\Z)", text, re.S)
    if body is None:
        return None
    path = []
    for line in body.group(1).splitlines():
        instruction = line.split("\t", 1)[1].strip() if "\t" in line else line.split(":", 1)[-1].strip()
        if instruction.startswith(("nop", "data16", "cs nop", "endbr")):
            continue
        path.append(instruction)
        if instruction.startswith("ret"):
            return path
    return None


def main(arguments):
    if len(arguments) != 2:
        print("usage: hot_path_test.py LIBRARY", file=sys.stderr)
        return 2
    text = subprocess.run(["objdump", "-d", "--no-show-raw-insn", arguments[1]],
                          capture_output=True, text=True, check=True).stdout
    failed = 0
    for function, longest in FUNCTIONS.items():
        path = hot_path(text, function)
        if path is None:
            print(f"{function}: not found")
            failed += 1
            continue
        bad = [i for i in path if FORBIDDEN.match(i)]
        print(f"{function}: {len(path)} instructions{', but: ' + '; '.join(bad) if bad else ''}")
        if bad or len(path) > longest:
            failed += 1
            print("\n".join("    " + i for i in path))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
