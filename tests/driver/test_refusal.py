# SPDX-License-Identifier: MIT
"""Everything echo-run refuses: status 2 and exactly one line `echo-run: CODE: what, where, what to do`. [run.error.1]"""
import json
import os
import shutil
import struct
import subprocess

from support import (BIN, ECHO_RUN, PLUGINS, SANITIZED, DriverTest, main, program, read, run, scratch, write)

NO_MAIN = "define i32 @start() {\n  ret i32 0\n}\n"
HELLO = "define i32 @main() {\n  ret i32 0\n}\n"


class CommandLine(DriverTest):
    def test_no_program(self):
        self.assert_refused(run(), "INVALID_ARGUMENT", "no program")

    def test_unknown_option(self):
        self.assert_refused(run("--heep=x", "a.ll"), "UNKNOWN_OPTION", "'--heep=x'", "--help")

    def test_arguments_without_dashes(self):
        self.assert_refused(run("a.ll", "b"), "INVALID_ARGUMENT", "'b'", "--")

    def test_option_given_twice(self):
        self.assert_refused(run("--json=a", "--json=b", "a.ll"), "BAD_OPTION_VALUE", "--json")

    def test_option_without_value(self):
        self.assert_refused(run("a.ll", "--json"), "BAD_OPTION_VALUE", "--json")

    def test_empty_value(self):
        self.assert_refused(run("--stack=", "a.ll"), "BAD_OPTION_VALUE", "'--stack='")

    def test_stack_sizes(self):
        for size in ("0", "1", "255k", "65g", "18446744073709551616", "17179869185g", "1t", "-1m", "1.5g", "m", "0x100"):
            with self.subTest(size=size):
                self.assert_refused(run("--stack=" + size, "a.ll"), "BAD_OPTION_VALUE", "'" + size + "'", "--stack")

    def test_optimisation_level(self):
        self.assert_refused(run("--opt=1", "a.ll"), "BAD_OPTION_VALUE", "--opt", "0 or 2")

    def test_operations(self):
        self.assert_refused(run("--operations=outline", "a.ll"), "BAD_OPTION_VALUE", "'outline'", "inline or called")

    def test_unknown_switch(self):
        self.assert_refused(run("--unsafe=omit-barriers,nonsense", "a.ll"), "BAD_OPTION_VALUE", "'nonsense'",
                            "omit-barriers")

    def test_hostile_bytes_stay_one_line(self):
        self.assert_refused(run("--opt=1\necho-run: OK: all is well\x1b[2J", "a.ll"), "BAD_OPTION_VALUE")


class Files(DriverTest):
    def test_missing_program(self):
        self.assert_refused(run(scratch("nowhere.ll")), "IO_ERROR", "nowhere.ll", "No such file")

    def test_directory(self):
        self.assert_refused(run(scratch("")), "IO_ERROR", "directory")

    def test_unreadable_program(self):
        path = write("secret.ll", HELLO)
        os.chmod(path, 0)
        if os.access(path, os.R_OK):
            self.skipTest("this user reads everything")
        self.assert_refused(run(path), "IO_ERROR", "secret.ll")

    def test_json_cannot_be_opened(self):
        path = scratch("no/such/directory/report.json")
        self.assert_refused(run(write("hello.ll", HELLO), "--json=" + path), "IO_ERROR", path, "--json")

    def test_dump_directories(self):
        for option in ("--dump-objects", "--dump-ir", "--cache"):
            with self.subTest(option=option):
                self.assert_refused(run(write("hello.ll", HELLO), option + "=" + scratch("nowhere")), "IO_ERROR",
                                    "nowhere", option)
                self.assert_refused(run(write("hello.ll", HELLO), option + "=" + write("file", "")), "IO_ERROR",
                                    "Not a directory", option)

    def test_refusal_is_in_the_json(self):
        path = write("report.json", "x" * 10000)
        self.assert_refused(run(write("nomain.ll", NO_MAIN), "--json=" + path), "MISSING_SYMBOL")
        with open(path, encoding="utf-8") as file:
            report = json.load(file)
        self.assertEqual(report["schema"], 1)
        self.assertEqual(report["exit"], 2)
        self.assertEqual(report["error"]["code"], "MISSING_SYMBOL")
        self.assertEqual(report["error"]["number"], 111)
        self.assertIn("main", report["error"]["message"])


class Input(DriverTest):
    def test_no_ir(self):
        self.assert_refused(run(write("text.ll", "This is no program.\nNor is this.\n")), "IR_INVALID", "text.ll")

    def test_random_bytes(self):
        self.assert_refused(run(write("random.bc", bytes(range(256)) * 64)), "IR_INVALID", "random.bc")

    def test_truncated_text(self):
        text = read(program("churn", "ll"))
        self.assert_refused(run(write("cut.ll", text[: len(text) * 2 // 3])), "IR_INVALID", "cut.ll")

    def test_truncated_bitcode(self):
        code = read(program("churn"))
        for part in (5, len(code) // 3, len(code) - 4):
            with self.subTest(part=part):
                self.assert_refused(run(write("cut.bc", code[:part])), "IR_INVALID", "cut.bc")

    def test_empty_file(self):
        result = run(write("empty.ll", ""))
        self.assertIn(result.status, (2,), result.err)
        self.assertEqual(result.err.count("\n"), 1, result.err)

    def test_broken_ssa(self):
        text = "define i32 @main() {\n  %a = add i32 %b, 1\n  %b = add i32 %a, 1\n  ret i32 %b\n}\n"
        self.assert_refused(run(write("broken.ll", text)), "IR_INVALID", "broken.ll")

    def test_no_main(self):
        self.assert_refused(run(write("nomain.ll", NO_MAIN)), "MISSING_SYMBOL", "main", "nomain.ll")

    def test_missing_symbol(self):
        text = ("declare i32 @there_is_no_such_function(i32)\ndefine i32 @main() {\n"
                "  %a = call i32 @there_is_no_such_function(i32 1)\n  ret i32 %a\n}\n")
        self.assert_refused(run(write("missing.ll", text)), "MISSING_SYMBOL", "there_is_no_such_function")

    def test_reference_in_a_local_array_is_refused_by_name(self):
        self.assert_refused(run(program("local_array"), "--quiet"), "REF_IN_STACK_SLOT", "'pick'", "'hidden'",
                            "local_array.c:13)")

    def test_wrong_operation_type(self):
        text = ("declare i64 @echo.gc.new(i64)\ndefine i32 @main() {\n  %a = call i64 @echo.gc.new(i64 1)\n"
                "  ret i32 0\n}\n")
        self.assert_refused(run(write("wrong.ll", text)), "BAD_ABSTRACT_OPERATION", "echo.gc.new")


class Main(DriverTest):
    """What the main thread cannot be called with is refused before anything runs."""

    def refused(self, text, *words):
        for level in "02":
            with self.subTest(text=text, level=level):
                self.assert_refused(run(write("main.ll", text), "--opt=" + level), "UNSUPPORTED_OPERATION", "main", *words)

    def test_reference_parameter(self):
        self.refused("define i32 @main(ptr addrspace(1) %a) {\n  ret i32 0\n}\n", "reference", "int argc")
        self.refused("define i32 @main(i32 %n, ptr addrspace(1) %a) {\n  ret i32 0\n}\n", "reference")

    def test_reference_result(self):
        self.refused("define ptr addrspace(1) @main() {\n  ret ptr addrspace(1) null\n}\n", "reference")

    def test_too_many_parameters(self):
        self.refused("define i32 @main(i32 %n, ptr %v, ptr %e, i32 %x) {\n  ret i32 0\n}\n", "int argc")
        many = ", ".join("i64 %%p%d" % index for index in range(9))
        self.refused("define i32 @main(%s) {\n  ret i32 0\n}\n" % many)

    def test_odd_types(self):
        for parameters in ("float %x", "i32 %n, i32 %v", "ptr %v", "i8 %n", "i32 %n, ptr %v, i64 %e", "i24 %n"):
            self.refused("define i32 @main(%s) {\n  ret i32 0\n}\n" % parameters)
        self.refused("define double @main() {\n  ret double 0.0\n}\n")
        self.refused("define ptr @main() {\n  ret ptr null\n}\n")
        self.refused("define i128 @main() {\n  ret i128 0\n}\n")

    def test_no_function(self):
        self.assert_refused(run(write("main.ll", "@main = global i32 0\n")), "MISSING_SYMBOL", "main")

    def test_variable_list(self):
        self.assert_refused(run(write("main.ll", "define i32 @main(i32 %n, ...) {\n  ret i32 0\n}\n")),
                            "UNSUPPORTED_FRAME", "'main'")

    def test_what_fits_runs(self):
        for text, status in (("define i32 @main() {\n  ret i32 4\n}\n", 4),
                             ("define i64 @main(i32 %n) {\n  %r = zext i32 %n to i64\n  ret i64 %r\n}\n", 3),
                             ("define void @main(i32 %n, ptr %v) {\n  ret void\n}\n", 0),
                             ("define i32 @main(i32 %n, ptr %v, ptr %e) {\n  ret i32 %n\n}\n", 3)):
            with self.subTest(text=text):
                self.assert_runs(run(write("main.ll", text), "--quiet", "--", "a", "b"), status)


class NativeTypes(DriverTest):
    """The functions that echo-run provides, declared as something else. [jit.native.2]"""

    def test_declared_with_another_type(self):
        for name, arguments, types, expected in (
            ("echo.checksum", "ptr", "ptr null", "void (i64)"),
            ("echo.checksum", "ptr addrspace(1)", "ptr addrspace(1) null", "void (i64)"),
            ("echo.checksum", "i32", "i32 1", "void (i64)"),
            ("echo.collect", "i64", "i64 1", "void ()"),
            ("echo.thread.spawn", "ptr, i64", "ptr null, i64 1", "i64 (ptr, ptr addrspace(1))"),
            ("echo.thread.join", "ptr", "ptr null", "void (i64)"),
            ("echo.thread.yield", "i32", "i32 1", "void ()"),
            ("exit", "i64", "i64 1", "void (i32)"),
        ):
            text = ("declare void @%s(%s)\ndefine i32 @main() {\n  call void @%s(%s)\n  ret i32 0\n}\n"
                    % (name, arguments, name, types))
            with self.subTest(text=text):
                self.assert_refused(run(write("native.ll", text)), "BAD_ABSTRACT_OPERATION",
                                    "'%s' is declared as 'void (%s)'" % (name, arguments), "'" + expected + "'",
                                    "'main'", "native.ll")

    def test_called_with_another_type(self):
        text = ("declare void @echo.checksum(i64)\ndefine i32 @main() {\n"
                "  call void @echo.checksum(ptr null)\n  ret i32 0\n}\n")
        self.assert_refused(run(write("native.ll", text)), "BAD_ABSTRACT_OPERATION", "'echo.checksum' is called as",
                            "'void (ptr)'", "'void (i64)'", "'main'")

    def test_spawned_function_of_another_type(self):
        for parameters in ("i64 %x", "ptr %x", "", "ptr addrspace(1) %x, i64 %y"):
            text = ("declare i64 @echo.thread.spawn(ptr, ptr addrspace(1))\n"
                    "define void @work(%s) {\n  ret void\n}\n"
                    "define i32 @main() {\n"
                    "  %%t = call i64 @echo.thread.spawn(ptr @work, ptr addrspace(1) null)\n  ret i32 0\n}\n" % parameters)
            with self.subTest(parameters=parameters):
                result = run(write("spawn.ll", text), "--quiet")
                self.assertEqual(result.status, 3)
                self.assert_one_line(result, "INVALID_ARGUMENT", "'work'", "echo_spawn", "void (echo_any)")


class Safeguards(DriverTest):
    """What each refusal is for: with it switched off, the program loses its object on the heap plugin."""

    STRESS = "--heap=stress_collect=1,poison=on"
    LOSERS = (("VARIABLE", "allow-ref-in-stack", "REF_IN_STACK_SLOT", "'variable'"),
              ("STRUCT", "allow-ref-in-stack", "REF_IN_STACK_SLOT", "'pair'"),
              ("ARRAY", "allow-ref-in-stack", "REF_IN_STACK_SLOT", "'table'"),
              ("RAW", "allow-ref-in-raw", "REF_IN_RAW_MEMORY", "outside the heap"),
              ("INTEGER", "allow-ref-as-integer", "REF_AS_INTEGER", "integer"),
              ("CAST", "allow-addrspacecast", "REF_ADDRSPACECAST", "cast"))

    def test_refused_by_name_and_place(self):
        for macro, _, code, word in self.LOSERS:
            with self.subTest(macro=macro):
                self.assert_refused(run(program("losers", define=macro), self.STRESS), code, "'keep' (", "losers.c:", word)

    def test_object_is_lost_without_the_refusal(self):
        for macro, switch, _, _ in self.LOSERS:
            with self.subTest(macro=macro):
                result = run(program("losers", define=macro), self.STRESS, "--unsafe=" + switch, "--opt=0", "--quiet")
                self.assert_runs(result)
                self.assertEqual(result.out, "lost\n")

    def test_object_in_a_local_variable_is_kept(self):
        for level in "02":
            result = run(program("losers"), self.STRESS, "--opt=" + level, "--quiet")
            self.assert_runs(result)
            self.assertEqual(result.out, "kept\n")

    def test_every_switch_is_known(self):
        names = ("allow-ref-in-stack,allow-ref-in-raw,allow-ref-memcpy,no-barrier-elision,allow-ref-as-integer,"
                 "allow-unsupported-frame,omit-barriers,allow-musttail,allow-addrspacecast,allow-thread-local")
        self.assert_runs(run(write("hello.ll", HELLO), "--unsafe=" + names, "--quiet"))
        faults = ("cursor-as-reference,thread-before-optimiser,allocation-is-zeroed,optimise-polls,barrier-after-store,"
                  "plain-stores,elide-over-safepoints,barrier-without-effect,stubs-lose-rax,vectorise,"
                  "vector-is-one-root,stale-reference,verify,no-entry-guard,native-without-anchor,skip-promotion,"
                  "loop-polls-only,stale-in-pads,remove-under-frames,link-without-lock,cache-after-optimiser,omit-polls,omit-bases")
        for name in (names + "," + faults).split(","):
            self.assertIn(name, run("--help").out)


class HeapOptions(DriverTest):
    def test_unknown(self):
        self.assert_refused(run(program("churn"), "--heap=no_such_option=1"), "UNKNOWN_OPTION", "no_such_option",
                            "--heap=help")

    def test_bad_value(self):
        self.assert_refused(run(program("churn"), "--heap=max_heap=lots"), "BAD_OPTION_VALUE", "max_heap")

    def test_impossible_size(self):
        for size in ("1", "999999999g", "18446744073709551615"):
            with self.subTest(size=size):
                self.assert_refused(run(program("churn"), "--heap=max_heap=" + size), "BAD_OPTION_VALUE", "max_heap")

    def test_environment_is_checked_as_well(self):
        result = run(program("churn"), env={"ECHO_HEAP_OPTIONS": "no_such_option=1"})
        self.assert_refused(result, "UNKNOWN_OPTION", "no_such_option")


class HeapPlugins(DriverTest):
    def refused(self, plugin, code, *words):
        path = plugin if plugin.startswith("/") else os.path.join(PLUGINS, plugin)
        self.assert_refused(run(write("hello.ll", HELLO), "--heap-plugin=" + path), code, path, *words)

    def test_missing(self):
        self.refused(scratch("nowhere.so"), "IO_ERROR", "No such file", "--heap-plugin")

    def test_no_library(self):
        self.refused(write("text.so", "This is no library."), "IO_ERROR")

    def test_truncated_library(self):
        """The loader would die of SIGBUS. [run.plugin.3]"""
        whole = read(os.path.join(PLUGINS, "driver_no_symbol.so"))
        headers, size, count = (struct.unpack_from("<Q", whole, 32)[0], *struct.unpack_from("<HH", whole, 54))
        # p_type, p_offset and p_filesz of what is loaded; debug information lies behind.
        segments = [struct.unpack_from("<I4xQ16xQ", whole, headers + i * size) for i in range(count)]
        loaded = max(offset + length for kind, offset, length in segments if kind == 1)
        for part in (1, 40, 64, 100, 600, 4096, loaded // 2, loaded - 1):
            with self.subTest(part=part):
                self.refused(write("cut.so", whole[:part]), "IO_ERROR")

    def test_no_symbol(self):
        self.refused("driver_no_symbol.so", "MISSING_SYMBOL", "echo_heap_plugin")

    def test_other_version(self):
        self.refused("driver_other_version.so", "VERSION_MISMATCH", "version 2.0")

    def test_table_of_another_version(self):
        self.refused("driver_lying_version_1.so", "VERSION_MISMATCH", "7.0", "1.")

    def test_table_too_short(self):
        self.refused("driver_lying_version_2.so", "VERSION_MISMATCH", "24 bytes")

    def test_table_of_nulls(self):
        self.refused("driver_lying_version_3.so", "VERSION_MISMATCH", "null")

    def test_name_in_the_current_directory(self):
        shutil.copy(os.path.join(PLUGINS, "driver_no_symbol.so"), scratch("here.so"))
        result = subprocess.run([ECHO_RUN, write("hello.ll", HELLO), "--heap-plugin=here.so"], cwd=scratch(""),
                                capture_output=True, text=True, check=False)
        self.assertIn("MISSING_SYMBOL", result.stderr)


class Installation(DriverTest):
    def test_libraries_are_found_beside_the_executable(self):
        """A copy of echo-run looks into its own ../lib, and says which library is not there."""
        os.makedirs(scratch("copy/bin"), exist_ok=True)
        os.makedirs(scratch("copy/lib"), exist_ok=True)
        copy = scratch("copy/bin/echo-run")
        shutil.copy(ECHO_RUN, copy)
        hello = write("hello.ll", HELLO)
        self.assert_refused(run(hello, executable=copy), "IO_ERROR", scratch("copy/lib/libecho_heap.so"))
        library = os.path.join(os.path.dirname(BIN), "lib")
        os.symlink(os.path.join(library, "libecho_heap.so"), scratch("copy/lib/libecho_heap.so"))
        self.assert_refused(run(hello, executable=copy), "IO_ERROR", scratch("copy/lib/libecho_jit.so"))
        os.symlink(os.path.join(library, "libecho_jit.so"), scratch("copy/lib/libecho_jit.so"))
        self.assert_runs(run(hello, executable=copy))

    def test_heap_options_are_listed(self):
        result = run("--heap=help")
        self.assert_runs(result)
        self.assertIn("max_heap=", result.out)

    def test_help_documents_the_statuses(self):
        result = run("--help")
        self.assert_runs(result)
        for word in ("Exit status", "  2 ", "  3 ", "--stack", "--heap-plugin", "--json", "-- ARGS"):
            self.assertIn(word, result.out)

    def test_version(self):
        self.assertRegex(run("--version").out, r"^echo-run \d+\.\d+\.\d+, heap ABI 1\.\d+\n$")

    def test_address_space_too_small(self):
        if SANITIZED:
            self.skipTest("a sanitizer reserves address space")
        command = 'ulimit -v 4000000; exec "$0" "$@"'
        finished = subprocess.run(["bash", "-c", command, ECHO_RUN, program("churn"), "--stack=8g", "--heap=max_heap=64m"],
                                  capture_output=True, text=True, check=False)
        self.assertEqual(finished.returncode, 2, finished.stderr)
        self.assertEqual(finished.stderr.count("\n"), 1, finished.stderr)
        self.assertIn("SYSTEM_MEMORY", finished.stderr)


if __name__ == "__main__":
    main()
