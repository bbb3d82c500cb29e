# SPDX-License-Identifier: MIT
"""Programs compiled ahead of time: they run and collect as under echo-run, and start only on the heap they fit."""
import json
import os
import subprocess
import sys

from support import BIN, ECHO_CC, HERE, SANITIZED, DriverTest, Run, main, program, run, scratch, source, write

CONFORMANCE = os.path.join(HERE, "..", "..", "conformance")
sys.path.insert(0, CONFORMANCE)
import run_programs  # noqa: E402

BUILD = os.path.dirname(BIN)
LIB = os.path.join(BUILD, "lib")
PASS = os.path.join(LIB, "libecho_pass.so")
AOT = os.path.join(LIB, "libecho_aot.so")
_built = {}


def cc(*arguments):
    return subprocess.run([ECHO_CC, *arguments], capture_output=True, text=True, check=False, timeout=120)


def compiled(path, *options, expect=0):
    """The program that echo-cc makes of a C file, once for each set of options."""
    key = (path, options)
    if key not in _built:
        out = scratch("program%d" % len(_built))
        result = cc(path, *options, "-o", out)
        if result.returncode != expect:
            raise AssertionError(result.stderr)
        _built[key] = out
    return _built[key]


def start(path, *arguments, env=None):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ECHO_")}
    environment.update(env or {})
    return Run(subprocess.run([path, *map(str, arguments)], capture_output=True, text=True, errors="replace",
                              stdin=subprocess.DEVNULL, env=environment, timeout=120))


def tool(name, *arguments):
    return subprocess.run([name, *arguments], capture_output=True, text=True, check=False, timeout=120)


def end_of_maps(elf):
    """Of an object file: where the addend of the one relocation to the end of its stack maps is, the value of the symbol
    that it is added to, and the size of the maps."""
    def number(at, size):
        return int.from_bytes(elf[at:at + size], "little")

    headers = [number(0x28, 8) + i * number(0x3a, 2) for i in range(number(0x3c, 2))]
    names = number(headers[number(0x3e, 2)] + 24, 8)

    def name(header):
        at = names + number(header, 4)
        return elf[at:elf.index(0, at)].decode()

    maps = [name(header) for header in headers].index(".llvm_stackmaps")
    size = number(headers[maps] + 32, 8)
    found = []
    for header in headers:
        if number(header + 4, 4) != 4:  # SHT_RELA
            continue
        symbols = number(headers[number(header + 40, 4)] + 24, 8)
        begin, length = number(header + 24, 8), number(header + 32, 8)
        for entry in range(begin, begin + length, 24):
            symbol = symbols + 24 * number(entry + 12, 4)
            if number(symbol + 6, 2) == maps and number(symbol + 8, 8) + number(entry + 16, 8) == size:
                found.append((entry + 16, number(symbol + 8, 8)))
    assert len(found) == 1, found
    return (*found[0], size)


class AheadTest(DriverTest):
    def assert_line(self, result, status, code, *words):
        """Nothing but one line, by the program's own name."""
        self.assertEqual(result.status, status, result.err)
        self.assertEqual(result.err.count("\n"), 1, result.err)
        self.assertRegex(result.err, r"^[\w-]+: %s: " % code)
        for word in words:
            self.assertIn(word, result.err)


class Running(AheadTest):
    def judge(self, name, options, kind, heap, threads=1):
        path = compiled(os.path.join(CONFORMANCE, "programs", name + ".c"), *options)
        size, rounds = run_programs.PROGRAMS[name][kind]
        output, checksum = run_programs.run_twin(BUILD, name, size, rounds)
        report = scratch("ahead.json")
        result = start(path, size, threads, rounds, env={"ECHO_HEAP_OPTIONS": heap, "ECHO_JSON": report})
        self.assertEqual(result.status, 0, (options, result.err))
        self.assertEqual(result.err, "")
        self.assertEqual(result.out, output)
        with open(report, encoding="utf-8") as file:
            told = json.load(file)
        self.assertEqual(told["checksum"], checksum)
        self.assertGreater(told["collections"]["full"], 0)
        self.assertGreater(told["jit"]["sites"], 0)
        return told

    def both(self, name, options, threads=1):
        limit = "max_heap=" + run_programs.PROGRAMS[name]["limit"]
        self.judge(name, options, "quick", limit, threads)
        told = self.judge(name, options, "stress", run_programs.STRESS, threads)
        self.assertGreater(told["collections"]["by_cause"]["stress"], 0)
        self.assertEqual(told["optimise"], 0 if "-O0" in options else 2)

    def test_every_way_to_link(self):
        for level in ("-O0", "-O2"):
            for position in ("-pie", "-no-pie"):
                for linker in ("-fuse-ld=bfd", "-fuse-ld=lld"):
                    with self.subTest(level=level, position=position, linker=linker):
                        options = (level, position, linker)
                        self.both("binary_trees", options)
                        told = tool("readelf", "-hd", compiled(
                            os.path.join(CONFORMANCE, "programs", "binary_trees.c"), *options)).stdout
                        self.assertEqual("-pie" == position, "DYN" in told.split("Type:")[1].split("\n")[0], told)
                        self.assertNotIn("TEXTREL", told)

    def test_arrays(self):
        self.both("quicksort_boxed", ("-O2", "-pie", "-fuse-ld=lld"))
        self.both("quicksort_boxed", ("-O0", "-no-pie", "-fuse-ld=bfd"))

    def test_threads(self):
        self.both("producer_consumer", ("-O2", "-pie", "-fuse-ld=bfd"), threads=2)
        self.both("producer_consumer", ("-O0", "-no-pie", "-fuse-ld=lld"), threads=2)

    def test_called_operations(self):
        self.both("binary_trees", ("-O2", "--operations=called"))

    def test_several_files_and_status(self):
        out = scratch("two")
        self.assertEqual(cc(source("first_part"), source("second_part"), "-DFACTOR=2", "-o", out).returncode, 0)
        result = start(out)
        self.assertEqual((result.status, result.out), (0, "42\n"))
        self.assertEqual(start(compiled(source("no_arguments"))).status, 41)

    def test_objects_of_several_modules(self):
        parts = []
        for name in ("first_part", "second_part"):
            parts.append(scratch(name + ".o"))
            self.assertEqual(cc(source(name), "-DFACTOR=3", "-o", parts[-1]).returncode, 0)
        out = scratch("joined")
        linked = tool("clang-19", *parts, AOT, "-Wl,-rpath," + LIB, "-o", out)
        self.assertEqual(linked.returncode, 0, linked.stderr)
        self.assertEqual(start(out).out, "62\n")

    def test_exception(self):
        thrower = write("thrower.cpp", '#include <stdexcept>\n'
                        'extern "C" void throw_now() { throw std::runtime_error("from native code"); }\n')
        native = scratch("thrower.o")
        self.assertEqual(tool("c++", "-fPIC", "-c", thrower, "-o", native).returncode, 0)
        for level in ("-O0", "-O2"):
            path = compiled(source("thrown"), level, "-fexceptions", native, "-lstdc++")
            result = start(path, env={"ECHO_HEAP_OPTIONS": run_programs.STRESS})
            self.assertEqual(result.out, "cleaned 55\n")
            self.assert_line(result, 3, "ABANDONED", "from native code")

    def test_hashes_weak_fields_and_blocking_natives(self):
        """A thread that blocks keeps its references and holds nobody up; hashes stay over collections."""
        for options in (("-O0",), ("-O2",), ("-O2", "--operations=called")):
            for heap in ("max_heap=64m", run_programs.STRESS):
                with self.subTest(options=options, heap=heap):
                    result = start(compiled(source("services"), *options), 20, env={"ECHO_HEAP_OPTIONS": heap})
                    self.assertEqual(result.err, "")
                    self.assertRegex(result.out, r"^hashes 500 4\d\d, slept 1, awake 1, kept 101, weak 1 1\n$")

    def test_report(self):
        result = start(compiled(source("checksum")), env={"ECHO_REPORT": "1"})
        self.assertEqual(result.status, 0)
        self.assertIn("checksum", result.err)

    def test_overflow(self):
        path = compiled(source("recurse"), "-O2")
        result = start(path, 100000000, env={"ECHO_STACK": "256k"})
        self.assert_line(result, 3, "STACK_OVERFLOW", "'descend'", "256k", "ECHO_STACK")


class Refusing(AheadTest):
    def test_missing_plugin(self):
        path = compiled(source("churn"))
        self.assert_line(start(path, env={"ECHO_HEAP_PLUGIN": "/nowhere/heap.so"}), 2, "IO_ERROR", "/nowhere/heap.so",
                         "ECHO_HEAP_PLUGIN")

    def test_settings(self):
        path = compiled(source("churn"))
        self.assert_line(start(path, env={"ECHO_STACK": "3"}), 2, "BAD_OPTION_VALUE", "ECHO_STACK")
        self.assert_line(start(path, env={"ECHO_REPORT": "x"}), 2, "BAD_OPTION_VALUE", "ECHO_REPORT")
        self.assert_line(start(path, env={"ECHO_HEAP_OPTIONS": "nothing=1"}), 2, "UNKNOWN_OPTION", "nothing")

    def test_other_heap(self):
        """[aot.identity.1] Another heap lays its thread block out in another way."""
        other = os.path.join(LIB, "libecho_heap_null.so")
        result = start(compiled(source("churn")), env={"ECHO_HEAP_PLUGIN": other})
        self.assert_line(result, 2, "VERSION_MISMATCH", "churn.c", "compile it for this heap")

    def changed_maps(self, change):
        whole, maps, out = scratch("maps.o"), scratch("maps.bin"), scratch("maps")
        self.assertEqual(cc(source("churn"), "-o", whole).returncode, 0)
        self.assertEqual(tool("objcopy", "--dump-section", ".llvm_stackmaps=" + maps, whole).returncode, 0)
        with open(maps, "rb") as file:
            content = bytearray(file.read())
        change(content)
        with open(maps, "wb") as file:
            file.write(content)
        changed = tool("objcopy", "--update-section", ".llvm_stackmaps=" + maps, whole)
        self.assertEqual(changed.returncode, 0, changed.stderr)
        self.assertEqual(tool("clang-19", whole, AOT, "-Wl,-rpath," + LIB, "-o", out).returncode, 0)
        return start(out)

    def test_maps_that_lie(self):
        """[aot.map.1] More records or functions than there are, or another version: an error, not a crash."""
        def more(at):
            def change(content):
                content[at:at + 4] = (0x7fffffff).to_bytes(4, "little")
            return change

        def version(content):
            content[0] = 9

        for change in (more(4), more(8), more(12), version):
            self.assert_line(self.changed_maps(change), 2, "CODEGEN_FAILED", "stack map section is broken")
        self.assertEqual(self.changed_maps(lambda content: None).status, 0)

    def test_maps_cut_short(self):
        """[aot.map.1] The object says that its maps end earlier than they do: at any place an error, not a crash."""
        whole, out = scratch("short.o"), scratch("short")
        self.assertEqual(cc(source("churn"), "-o", whole).returncode, 0)
        with open(whole, "rb") as file:
            content = bytearray(file.read())
        addend, value, size = end_of_maps(content)
        for left in (1, 15, 16, size // 4, size // 2, size - 8, size):
            content[addend:addend + 8] = (left - value).to_bytes(8, "little", signed=True)
            with open(whole, "wb") as file:
                file.write(content)
            self.assertEqual(tool("clang-19", whole, AOT, "-Wl,-rpath," + LIB, "-o", out).returncode, 0)
            if left == size:
                self.assertEqual(start(out).status, 0)
            else:
                self.assert_line(start(out), 2, "CODEGEN_FAILED", "stack map section is broken")

    def test_command_line(self):
        for words, arguments in ((("-lm", "programs only"), ("-lm", "-o", scratch("x.bc"))),
                                 (("-c",), ("-c", "-o", scratch("x"))),
                                 (("-fuse-ld=gold", "bfd"), ("-fuse-ld=gold", "-o", scratch("x"))),
                                 (("--operations=x",), ("--operations=x", "-o", scratch("x")))):
            result = cc(source("churn"), *arguments)
            self.assertEqual(result.returncode, 1)
            self.assertEqual(result.stderr.count("\n"), 1, result.stderr)
            for word in words:
                self.assertIn(word, result.stderr)

    def test_link_failure(self):
        text = write("missing.c", "void nobody(void);\nint main(void) { nobody(); return 0; }\n")
        result = cc(text, "-o", scratch("missing"))
        self.assertEqual(result.returncode, 1)
        self.assertIn("nobody", result.stderr)
        self.assertIn("does not link", result.stderr.splitlines()[-1])


class Tools(AheadTest):
    """opt, llc and clang with the plugin, without echo-cc."""

    def finish(self, object_file):
        out = scratch("tooled")
        linked = tool("clang-19", object_file, AOT, "-Wl,-rpath," + LIB, "-Wl,-z,text", "-o", out)
        self.assertEqual(linked.returncode, 0, linked.stderr)
        report = scratch("tooled.json")
        result = start(out, env={"ECHO_JSON": report, "ECHO_HEAP_OPTIONS": "max_heap=4m,stress_collect=100"})
        self.assertEqual(result.status, 0, result.err)
        with open(report, encoding="utf-8") as file:
            self.assertGreater(json.load(file)["collections"]["full"], 0)

    def test_opt_and_llc(self):
        for level in ("O0", "O2"):
            lowered, out = scratch("lowered.bc"), scratch("lowered.o")
            opt = tool("opt-19", "-load-pass-plugin=" + PASS, "-passes=echo<%s>" % level, program("churn"), "-o", lowered)
            self.assertEqual(opt.returncode, 0, opt.stderr)
            llc = tool("llc-19", "-load=" + PASS, "-relocation-model=pic", "-filetype=obj", lowered, "-o", out)
            self.assertEqual(llc.returncode, 0, llc.stderr)
            self.finish(out)

    def test_clang(self):
        for level in ("-O0", "-O2"):
            out = scratch("direct.o")
            made = tool("clang-19", level, "-fPIE", "-fpass-plugin=" + PASS, "-I", os.path.join(BUILD, "include"), "-c",
                        source("churn"), "-o", out)
            self.assertEqual(made.returncode, 0, made.stderr)
            self.finish(out)

    def test_refusal(self):
        """[aot.refuse.1] The sentence of echo-run, a failing status, no stack dump, from each tool."""
        bitcode = program("local_array")
        told = run(bitcode)
        code, sentence = told.err.strip().split(": ", 2)[1:]
        where = sentence[sentence.index(": ") + 2:] if sentence.startswith(bitcode) else sentence
        where = where.split(", in ")[0]
        untracked = ("-Xclang", "-fexperimental-assignment-tracking=disabled")
        for made in (tool("opt-19", "-load-pass-plugin=" + PASS, "-passes=echo", bitcode, "-o", scratch("none.bc")),
                     tool("clang-19", "-x", "ir", "-O2", "-fpass-plugin=" + PASS, *untracked, "-c", bitcode, "-o",
                          scratch("none.o"))):
            self.assertNotIn(made.returncode, (0, 134, -6, 139, -11))
            self.assertIn("echo: %s: " % code, made.stderr)
            self.assertIn(where, made.stderr)
            self.assertNotIn("Stack dump", made.stderr)
            self.assertLess(len(made.stderr.splitlines()), 3, made.stderr)
        self.assertFalse(os.path.exists(scratch("none.o")))
        result = cc(source("local_array"), "-o", scratch("none"))
        self.assertEqual(result.returncode, 1)
        self.assertIn(where, result.stderr)

    def test_twice(self):
        lowered = scratch("once.bc")
        self.assertEqual(tool("opt-19", "-load-pass-plugin=" + PASS, "-passes=echo", program("churn"), "-o",
                              lowered).returncode, 0)
        again = tool("opt-19", "-load-pass-plugin=" + PASS, "-passes=echo", lowered, "-o", scratch("twice.bc"))
        self.assertNotEqual(again.returncode, 0)
        self.assertIn("compiled for the heap already", again.stderr)


if __name__ == "__main__":
    if SANITIZED:  # an executable would have to bring the sanitizer's run time along
        print("not in sanitized builds")
        sys.exit(77)
    main()
