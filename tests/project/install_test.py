#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""install_test.py SOURCE_DIR BUILD_DIR CC - an embedder's day: install, find the package both ways, build, run.

The install tree is moved before it is used, so nothing in it may remember where it was made.
"""

import os
import shutil
import subprocess
import sys


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, check=False, **options)
    if done.returncode != 0:
        sys.exit(f"install_test: {' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout


def expect(condition, sentence):
    if not condition:
        sys.exit(f"install_test: {sentence}")


def main(source, build, compiler):
    scratch = os.path.join(os.getcwd(), "install-test")
    shutil.rmtree(scratch, ignore_errors=True)
    made, prefix = os.path.join(scratch, "made"), os.path.join(scratch, "moved")
    run("cmake", "--install", build, "--prefix", made)
    os.rename(made, prefix)
    example = os.path.join(source, "examples", "embed.c")

    # By CMake: linked, and as a plugin by dlopen with the headers alone.
    tree = os.path.join(scratch, "by-cmake")
    features = os.path.join(source, "tests", "project", "print_features.c")
    run("cmake", "-S", os.path.join(source, "tests", "project", "consumer"), "-B", tree, "-G", "Ninja",
        f"-DCMAKE_PREFIX_PATH={prefix}", f"-DCMAKE_C_COMPILER={compiler}", f"-DEXAMPLE={example}", f"-DFEATURES={features}",
        f"-DFUNCTIONS={os.path.join(source, 'examples', 'echo_functions.c')}")
    run("cmake", "--build", tree)
    by_cmake = run(os.path.join(tree, "embed"))
    expect("value 999997" in run(os.path.join(tree, "functions")), "the installed functions of Echo programs do not run")
    with open(os.path.join(tree, "plugin.txt"), encoding="utf-8") as stream:
        plugin = stream.read()
    expect(plugin.startswith(prefix), f"EchoHeap_PLUGIN is {plugin}, outside the install tree")
    expect("COLLECTS 1" in run(os.path.join(tree, "features"), plugin), "the installed plugin does not collect")

    # A version that is not served is refused by the package.
    refused = subprocess.run(
        ["cmake", "-S", os.path.join(source, "tests", "project", "consumer"), "-B", tree + "-9", "-G", "Ninja",
         f"-DCMAKE_PREFIX_PATH={prefix}", f"-DCMAKE_C_COMPILER={compiler}", "-DWANTED=9.0"],
        capture_output=True, text=True, check=False)
    expect(refused.returncode != 0 and "9.0" in refused.stderr, "version 9.0 of the package was found")

    # By pkg-config.
    environment = dict(os.environ, PKG_CONFIG_PATH=os.path.join(prefix, "lib", "pkgconfig"))
    flags = run("pkg-config", "--cflags", "--libs", "echo-heap", env=environment).split()
    version = run("pkg-config", "--modversion", "echo-heap", env=environment).strip()
    expect(version.count(".") == 2, f"pkg-config says version {version}")
    program = os.path.join(scratch, "embed")
    libraries = os.path.join(prefix, "lib")
    run(compiler, "-std=c11", "-Wall", "-Wextra", "-Werror", "-pedantic", example, "-o", program, *flags, f"-Wl,-rpath,{libraries}")
    by_pkg_config = run(program)
    expect(by_cmake.splitlines()[:1] == by_pkg_config.splitlines()[:1] and by_cmake, "the two programs disagree")

    # Installed files name no folder of this machine.
    for folder, _, names in os.walk(os.path.join(prefix, "lib")):
        for name in names:
            if name.endswith((".pc", ".cmake")):
                with open(os.path.join(folder, name), encoding="utf-8") as stream:
                    expect(source not in stream.read(), f"{name} points into the source tree")
    shutil.rmtree(scratch)
    print(f"install_test: EchoHeap {version} found, built and run by CMake and by pkg-config")


if __name__ == "__main__":
    main(*sys.argv[1:4])
