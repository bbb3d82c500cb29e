#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""constants_test.py c|go ECHO_HEAPCTL PLUGIN GENERATED SOURCE_DIR COMPILER

The generated constants compile, and each has the value of the ABI's JSON: the C ones beside the public headers, where
each enumerator, size and offset must also agree with what the compiler says. [heapctl.emit.1]
Ends with status 77 (skipped) if there is no Go compiler; fails then where ECHO_REQUIRE_GO is set, as in .ci/run.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile

SKIPPED = 77


def numbers(path, pattern):
    with open(path, encoding="utf-8") as stream:
        return {name: int(value) for name, value in re.findall(pattern, stream.read(), re.MULTILINE)}


def run(command, **more):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, **more)
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)}:\n{done.stdout}{done.stderr}")
    return done.stdout


def check_c(generated, source, compiler, abi, folder):
    found = numbers(os.path.join(generated, "echo_constants.h"), r"^#define ECHOABI_(\w+) (\d+)u(?:ll)?$")
    lines = ['#include "echo_constants.h"', '#include "echo/heap.h"']
    lines += [f'_Static_assert(ECHOABI_{name} == {value}u, "{name}");' for name, value in found.items() if value < 2**32]
    for struct in abi["structs"]:
        name = struct["name"]
        lines.append(f'_Static_assert(ECHOABI_SIZE_{name} == sizeof({name}), "{name}");')
        for field in struct["fields"]:
            lines.append(f'_Static_assert(ECHOABI_OFFSET_{name}_{field["name"]} == offsetof({name}, {field["name"]}), "{name}");')
    for group in abi["constants"]:
        lines += [f'_Static_assert(ECHOABI_{row["name"]} == (unsigned){row["name"]}, "{row["name"]}");' for row in group["values"]]
    for row in abi["status"]:
        lines.append(f'_Static_assert(ECHOABI_STATUS_{row["name"]} == ECHO_{row["name"]}, "{row["name"]}");')
    unit = os.path.join(folder, "constants.c")
    with open(unit, "w", encoding="utf-8") as stream:
        stream.write("\n".join(lines) + "\n")
    flags = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-I", generated, "-I", os.path.join(source, "vm_iface/include")]
    run([compiler, *flags, "-c", unit, "-o", os.path.join(folder, "constants.o")])
    return found


def check_go(generated, abi, folder, compiler):
    package = os.path.join(folder, "src", "echoabi")
    os.makedirs(package)
    shutil.copy(os.path.join(generated, "echoabi", "constants.go"), package)
    found = numbers(os.path.join(package, "constants.go"), r"^\t(\w+) += (\d+)$")
    program = os.path.join(folder, "src", "show")
    os.makedirs(program)
    with open(os.path.join(program, "main.go"), "w", encoding="utf-8") as stream:
        stream.write('package main\n\nimport (\n\t"echoabi"\n\t"fmt"\n)\n\nfunc main() {\n')
        stream.writelines(f'\tfmt.Println("{name}", uint64(echoabi.{name}))\n' for name in found)
        stream.write("}\n")
    environment = dict(os.environ, GOPATH=folder, GO111MODULE="off", GOCACHE=os.path.join(folder, "cache"), GOFLAGS="")
    shown = run([compiler, "run", "show"], cwd=program, env=environment)
    assert {line.split()[0]: int(line.split()[1]) for line in shown.splitlines()} == found, "Go shows other values"
    assert found["StatusHeapLimit"] == next(row["value"] for row in abi["status"] if row["name"] == "HEAP_LIMIT")
    run([compiler, "vet", "echoabi"], cwd=program, env=environment)
    return found


def main():
    language, heapctl, plugin, generated, source, compiler = sys.argv[1:]
    if language == "go" and shutil.which(compiler) is None:
        print("there is no Go compiler (Debian: golang-go, or ./bootstrap deps --extra)")
        return 1 if os.environ.get("ECHO_REQUIRE_GO") else SKIPPED
    abi = json.loads(run([heapctl, "--plugin=" + plugin, "abi", "--json"]))
    with tempfile.TemporaryDirectory(dir=os.getcwd()) as folder:
        found = check_c(generated, source, compiler, abi, folder) if language == "c" else check_go(generated, abi, folder, compiler)
    other = numbers(os.path.join(generated, "echo_constants.h"), r"^#define ECHOABI_(\w+) (\d+)u(?:ll)?$")
    assert list(found.values()) == list(other.values()) and len(found) > 200, "C and Go differ"
    print(f"{len(found)} constants in {language}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
