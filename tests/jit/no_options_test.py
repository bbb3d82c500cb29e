# SPDX-License-Identifier: MIT
"""P23: names of cl::opt are global to a process with libLLVM, so libecho_jit registers none.

usage: no_options_test.py NM LIBRARY
An object that holds a cl::opt refers to llvm::cl::Option::addArgument. LLVM's own library, which has hundreds of them,
defines it: this shows that the name is still the right one.
"""
import subprocess
import sys

NAME = "_ZN4llvm2cl6Option11addArgumentEv"


def symbols(nm, library, kind):
    return subprocess.run([nm, "-D", kind, library], capture_output=True, text=True, check=True).stdout


def llvm_of(library):
    for line in subprocess.run(["ldd", library], capture_output=True, text=True, check=True).stdout.splitlines():
        if "libLLVM" in line and "=>" in line:
            return line.split("=>")[1].split("(")[0].strip()
    sys.exit(f"{library} is not linked with libLLVM")


def main():
    nm, library = sys.argv[1:]
    llvm = llvm_of(library)
    if NAME not in symbols(nm, llvm, "--defined-only"):
        sys.exit(f"{llvm} does not define {NAME}: the test looks for the wrong name")
    if NAME in symbols(nm, library, "--undefined-only"):
        sys.exit(f"{library} registers command-line options of LLVM: their names are global to the process")


if __name__ == "__main__":
    main()
