# SPDX-License-Identifier: MIT
"""Everything echo-run refuses: status 2 and exactly one line `echo-run: CODE: what, where, what to do`. [run.error.1]"""
import json
import os
import shutil
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
        for option in ("--dump-objects", "--dump-ir"):
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
        self.assert_refused(run(program("local_array"), "--quiet"), "REF_IN_STACK_SLOT", "pick", "hidden",
                            "line 13")

    def test_wrong_operation_type(self):
        text = ("declare i64 @echo.gc.new(i64)\ndefine i32 @main() {\n  %a = call i64 @echo.gc.new(i64 1)\n"
                "  ret i32 0\n}\n")
        self.assert_refused(run(write("wrong.ll", text)), "BAD_ABSTRACT_OPERATION", "echo.gc.new")


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
        for part in (1, 40, 64, 100, 600, 4096, len(whole) // 2):
            with self.subTest(part=part):
                self.refused(write("cut.so", whole[:part]), "IO_ERROR")

    def test_no_symbol(self):
        self.refused("driver_no_symbol.so", "MISSING_SYMBOL", "echo_heap_plugin")

    def test_other_version(self):
        self.refused("driver_other_version.so", "VERSION_MISMATCH", "version 2.0")

    def test_table_of_another_version(self):
        self.refused("driver_lying_version_1.so", "VERSION_MISMATCH", "7.0", "1.0")

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
        self.assertRegex(run("--version").out, r"^echo-run \d+\.\d+\.\d+, heap ABI 1\.0\n$")

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
