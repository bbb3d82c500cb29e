#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""check_headers.py ROOT [COMPILER ...] - every public header compiles alone, as C11 and as C++20.

COMPILER is a C compiler whose C++ driver sits beside it (gcc/g++, clang-19/clang++-19); default: all of these that
are installed. Invariant [abi.header.1]: a header included alone, twice, gives no warning with -pedantic.
echo/cc.h is for C programs compiled by echo-cc: it must compile as C with clang and be refused, with its own sentence,
by any other compiler.
"""

import os
import shutil
import subprocess
import sys

import project_tree

FOLDER = "vm_iface/include"
WARNINGS = ["-Wall", "-Wextra", "-Wshadow", "-Wconversion", "-pedantic", "-Werror", "-fsyntax-only"]
LANGUAGES = {"c11": ["-x", "c", "-std=c11", "-Wstrict-prototypes"], "c++20": ["-x", "c++", "-std=c++20"]}
ONLY_ECHO_CC = {"echo/cc.h": "compile this program with echo-cc"}
DEFAULT = ("gcc", "clang-19")


def cxx_of(compiler):
    folder, name = os.path.split(compiler)
    name = name.replace("clang", "clang++") if "clang" in name else name.replace("gcc", "g++")
    return os.path.join(folder, name)


def compile_alone(root, header, driver, language):
    source = f'#include "{header}"\n#include "{header}"\nint echo_header_is_not_empty;\n'
    command = [driver] + LANGUAGES[language] + WARNINGS + ["-I", os.path.join(root, FOLDER), "-"]
    done = subprocess.run(command, input=source, capture_output=True, text=True, check=False)
    return done.returncode, done.stderr


def first_error(text):
    lines = [line for line in text.splitlines() if "error" in line or "warning" in line]
    return (lines or text.splitlines() or ["no message"])[0]


def check(root, compilers):
    violations, done = [], 0
    headers = [p[len(FOLDER) + 1 :] for p in project_tree.files(root) if p.startswith(FOLDER + "/") and p.endswith(".h")]
    for header in headers:
        for compiler in compilers:
            for language in LANGUAGES:
                driver = compiler if language == "c11" else cxx_of(compiler)
                status, message = compile_alone(root, header, driver, language)
                done += 1
                refusal = ONLY_ECHO_CC.get(header)
                if refusal and not ("clang" in compiler and language == "c11"):
                    if "clang" not in compiler and (status == 0 or refusal not in message):
                        violations.append(f"{FOLDER}/{header}: {driver} must refuse it saying '{refusal}'")
                elif status != 0:
                    violations.append(f"{FOLDER}/{header}: not alone as {language} with {driver}: {first_error(message)}")
    return violations, f"{len(headers)} public headers, {done} compilations"


def main(arguments):
    if len(arguments) < 2 or not os.path.isdir(os.path.join(arguments[1], FOLDER)):
        print(f"usage: check_headers.py ROOT [COMPILER ...] (a folder with {FOLDER})", file=sys.stderr)
        return 2
    compilers = arguments[2:] or [c for c in DEFAULT if shutil.which(c) and shutil.which(cxx_of(c))]
    missing = [c for c in compilers if not (shutil.which(c) and shutil.which(cxx_of(c)))]
    if missing or not compilers:
        print(f"check_headers: no such compiler: {' '.join(missing) or ' '.join(DEFAULT)}", file=sys.stderr)
        return 2
    violations, summary = check(arguments[1], compilers)
    return project_tree.finish("check_headers", violations, f"{summary} with {' and '.join(compilers)}")


if __name__ == "__main__":
    sys.exit(main(sys.argv))
