# SPDX-License-Identifier: MIT
"""Program code under the thread sanitizer: a race between two program threads is reported, its absence is not. [jit.race.1] [jit.race.2]"""
import os
import sys

from support import DriverTest, main, program, run

if "thread" not in os.environ.get("ECHO_TEST_SANITIZE", ""):
    print("this build has no thread sanitizer")
    sys.exit(77)

# The report must not end a thread that others wait for: it is looked for in the output, and shows in the status.
os.environ["TSAN_OPTIONS"] = "halt_on_error=0:exitcode=66:report_signal_unsafe=0"


class Races(DriverTest):
    HEAPS = ("--heap=max_heap=64m,trigger=512k", "--heap=stress_collect=7,poison=on", "--heap=stress_barriers=on")
    LEVELS = (("--opt=2",), ("--opt=0",), ("--opt=2", "--operations=called"))

    def test_a_race_is_reported(self):
        for level in self.LEVELS:
            with self.subTest(level=level):
                result = run(program("races", define="RACY"), "--quiet", *level)
                self.assertEqual(result.status, 66, result.err[-2000:])
                self.assertIn("WARNING: ThreadSanitizer: data race", result.err)

    def test_ordered_accesses_are_not(self):
        for level in self.LEVELS:
            for heap in self.HEAPS:
                with self.subTest(level=level, heap=heap):
                    result = run(program("races"), "--quiet", heap, *level, "--", "500")
                    self.assertEqual(result.err, "")
                    self.assertEqual(result.status, 0)
                    self.assertEqual(result.out, "1000\n")

    def test_threads_that_share_nothing_are_not(self):
        """The collector reads and the allocator recycles what all of them wrote."""
        for heap in self.HEAPS:
            with self.subTest(heap=heap):
                result = run(program("threads"), "--quiet", heap, "--", "3", "3000")
                self.assertEqual(result.err, "")
                self.assertEqual(result.out, "9000\n")

    def test_exceptions_and_abandoned_frames(self):
        for _ in range(2):
            result = run(program("recurse"), "--quiet", "--stack=256k")
            self.assertNotIn("ThreadSanitizer", result.err)


if __name__ == "__main__":
    main()
