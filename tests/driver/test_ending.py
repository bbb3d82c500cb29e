# SPDX-License-Identifier: MIT
"""How a program ends: its statuses, exit(), errors while running, exhausted stacks, other signals."""
import signal
import subprocess
import time

from support import (ECHO_RUN, SANITIZED, DriverTest, main, program, run)


class Statuses(DriverTest):
    def test_arguments_and_status(self):
        result = run(program("arguments"), "--quiet", "--", "--quiet", "", "two words", "--")
        self.assert_runs(result, 5)
        self.assertEqual(result.out, "0:%s\n1:--quiet\n2:\n3:two words\n4:--\n" % program("arguments"))
        self.assertEqual(result.err, "")

    def test_options_after_the_program(self):
        self.assert_runs(run(program("arguments"), "--quiet"), 1)

    def test_text_and_bitcode_agree(self):
        self.assert_runs(run(program("arguments", "ll"), "--quiet", "--", "a"), 2)

    def test_main_without_arguments(self):
        self.assert_runs(run(program("no_arguments"), "--quiet"), 41)
        self.assert_runs(run(program("no_arguments"), "--quiet", "--", "ignored"), 41)

    def test_both_optimisation_levels(self):
        for level in "02":
            with self.subTest(level=level):
                _, report = self.run_json(program("churn"), "--opt=" + level, "--", "5000")
                self.assertEqual(report["optimise"], int(level))
                self.assertEqual(report["checksum_values"], 1)


class Exit(DriverTest):
    def test_exit_deep_in_the_program(self):
        result, report = self.run_json(program("ends"), "--", "exit", status=7)
        self.assertEqual(result.out, "begun")
        self.assertEqual((report["exit"], report["ending"], report["error"]), (7, "exited", None))
        self.assertIn("called exit, status 7", result.err)

    def test_exit_in_a_thread(self):
        result, report = self.run_json(program("ends"), "--", "exit-in-thread", status=9)
        self.assertEqual(result.out, "begun")
        self.assertEqual((report["exit"], report["ending"]), (9, "exited"))

    def test_exit_beside_a_thread_that_reads(self):
        """The reader holds its stream's lock for ever: the process must end nevertheless. [run.exit.3]"""
        process = subprocess.Popen([ECHO_RUN, program("ends"), "--", "exit-beside-reader"], stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        began = time.monotonic()
        status = process.wait(timeout=60)
        took = time.monotonic() - began
        out, err = process.stdout.read(), process.stderr.read()
        process.stdin.close()
        process.stdout.close()
        process.stderr.close()
        self.assertEqual(status, 5, err)
        self.assertEqual(out, "begun")
        self.assertLess(took, 20)
        self.assertIn("called exit, status 5", err)

    def test_exit_beside_a_spinning_thread(self):
        result = run(program("ends"), "--", "exit-beside-spinner")
        self.assert_runs(result, 6)
        self.assertEqual(result.out, "begun")
        self.assertIn("called exit, status 6", result.err)

    def test_main_returns_beside_a_thread(self):
        """echo-run waits for it."""
        result = run(program("ends"), "--quiet", "--", "return-beside-thread")
        self.assert_runs(result)
        self.assertEqual(result.out, "begunlate\n")


class Errors(DriverTest):
    def test_heap_limit(self):
        for level in "02":
            with self.subTest(level=level):
                result, report = self.run_json(program("keep"), "--heap=max_heap=16m", "--opt=" + level, status=3)
                self.assertEqual(result.out, "before the limit\n")
                self.assert_error(result, "HEAP_LIMIT", "max_heap")
                self.assertIn("ended by HEAP_LIMIT", result.err)  # the report still
                self.assertEqual(report["error"]["code"], "HEAP_LIMIT")
                self.assertEqual((report["exit"], report["ending"]), (3, "failed"))
                self.assertGreater(report["objects_allocated"], 100000)

    def test_quiet_keeps_the_line(self):
        result = run(program("keep"), "--heap=max_heap=16m", "--quiet")
        self.assertEqual(result.status, 3)
        self.assert_one_line(result, "HEAP_LIMIT")

    def test_join_of_nothing(self):
        result = run(program("ends"), "--quiet", "--", "join-unknown")
        self.assertEqual(result.status, 3)
        self.assert_one_line(result, "INVALID_ARGUMENT", "thread 77", "echo_join")
        self.assertEqual(result.out, "begun")

    def test_join_of_itself(self):
        result = run(program("ends"), "--quiet", "--", "join-self")
        self.assertEqual(result.status, 3)
        self.assert_one_line(result, "INVALID_ARGUMENT", "waits for itself")

    def test_join_twice(self):
        result = run(program("ends"), "--quiet", "--", "join-twice")
        self.assertEqual(result.status, 3)
        self.assert_one_line(result, "INVALID_ARGUMENT", "thread 1")

    def test_error_in_a_thread_ends_the_program(self):
        result = run(program("ends"), "--", "fail-in-thread")
        self.assertEqual(result.status, 3)
        self.assert_error(result, "INVALID_ARGUMENT", "thread 1000", "thread 1")
        self.assertIn("ended by INVALID_ARGUMENT", result.err)

    def test_abort_stays_abort(self):
        result = run(program("ends"), "--quiet", "--", "abort")
        self.assertEqual(result.status, -signal.SIGABRT)

    def test_json_that_cannot_be_written(self):
        result = run(program("no_arguments"), "--json=/dev/full", "--quiet")
        self.assertEqual(result.status, 3)
        self.assert_one_line(result, "IO_ERROR", "/dev/full", "No space left")


class Stack(DriverTest):
    def exhausts(self, *arguments, words=(), status=3, out="down\n"):
        result = run(*arguments)
        self.assertEqual(result.status, status, result.err)
        self.assert_error(result, "STACK_OVERFLOW", "--stack", *words)
        self.assertEqual(result.out, out)
        return result

    def test_names_the_function(self):
        for level in "02":
            with self.subTest(level=level):
                result = self.exhausts(program("recurse"), "--stack=1m", "--opt=" + level, "--", "100000000",
                                       words=("stack of 1m", "'descend'", "main thread"))
                self.assertIn("ended by STACK_OVERFLOW", result.err)

    def test_default_size(self):
        self.exhausts(program("recurse"), "--quiet", "--", "1000000000", words=("stack of 256m", "'descend'"))

    def test_size_decides(self):
        depth = "200000"
        self.exhausts(program("recurse"), "--stack=1m", "--", depth)
        result = run(program("recurse"), "--stack=256m", "--", depth)
        self.assert_runs(result)
        self.assertEqual(result.out, "down\nup 1\n")

    def test_in_native_code(self):
        """The fault is in the C library: the compiled function that called it is named."""
        self.exhausts(program("recurse"), "--stack=1m", "--", "100000000", "native", words=("'descend_native'",))

    def test_large_frames(self):
        """Frames of 1 MiB cannot step over the guard. [run.stack.1]"""
        self.exhausts(program("recurse"), "--stack=8m", "--", "100000", "large", words=("'descend_large'",))

    def test_in_a_thread(self):
        self.exhausts(program("recurse"), "--stack=1m", "--", "100000000", "thread", words=("'descend'", "thread 1"))

    def test_in_the_json(self):
        result, report = self.run_json(program("recurse"), "--stack=1m", "--quiet", "--", "100000000", status=3)
        self.assert_one_line(result, "STACK_OVERFLOW")
        self.assertEqual((report["exit"], report["ending"]), (3, "stack_overflow"))
        self.assertIn("descend", report["error"]["message"])

    def test_other_faults_stay_faults(self):
        if SANITIZED:
            self.skipTest("the sanitizer reports the fault itself")
        result = run(program("ends"), "--quiet", "--", "fault")
        self.assertEqual(result.status, -signal.SIGSEGV)
        self.assertNotIn("STACK_OVERFLOW", result.err)

    def test_a_sent_signal_stays_a_signal(self):
        if SANITIZED:
            self.skipTest("the sanitizer reports the signal itself")
        process = subprocess.Popen([ECHO_RUN, program("ends"), "--quiet", "--", "spin"], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        process.stdout.read(5)  # "begun": the handler is installed
        process.send_signal(signal.SIGSEGV)
        process.communicate(timeout=60)
        self.assertEqual(process.returncode, -signal.SIGSEGV)


if __name__ == "__main__":
    main()
