# SPDX-License-Identifier: MIT
"""Threads of the program: arguments survive collections on their way, results agree, limits are errors."""
from support import (DriverTest, checksum, main, program, run)


def expected(threads, nodes):
    return checksum([sum(box * 1000003 + index for index in range(1, nodes + 1)) for box in range(threads)])


class Threads(DriverTest):
    def check(self, threads, nodes, *options):
        result, report = self.run_json(program("threads"), *options, "--", str(threads), str(nodes))
        self.assertEqual(result.out, "%d\n" % (threads * nodes))
        self.assertEqual(report["checksum"], expected(threads, nodes))
        self.assertEqual(report["threads"], threads + 1)
        self.assertEqual(report["threads_attached"], 0)
        return report

    def test_threads_agree(self):
        for threads in (1, 2, 8):
            for level in "02":
                with self.subTest(threads=threads, level=level):
                    self.check(threads, 2000, "--opt=" + level)

    def test_collections_beside_threads(self):
        report = self.check(4, 300000, "--heap=max_heap=96m,trigger=1m")
        self.assertGreater(report["collections"]["full"], 0)

    def test_the_argument_is_a_root_on_its_way(self):
        """main collects, poisoning, right after each echo_spawn, mostly before the thread has begun. [run.thread.1]"""
        count = 300
        for level in "02":
            with self.subTest(level=level):
                result, report = self.run_json(program("handover"), "--opt=" + level, "--heap=poison=on", "--", str(count))
                self.assertEqual(result.out, "%d\n" % sum(4 * index + 6 for index in range(count)))
                self.assertEqual(report["collections"]["by_cause"]["requested"], count)

    def test_stress(self):
        report = self.check(3, 200, "--heap=stress_collect=1")
        self.assertGreater(report["collections"]["by_cause"]["stress"], 100)

    def test_numbers_and_stacks_are_reused(self):
        """5000 threads, never more than one at a time, on 256 MiB of stack each."""
        _, report = self.run_json(program("many_threads"), "--", "5000", "one by one")
        self.assertEqual(report["threads"], 5001)

    def test_too_many_at_a_time(self):
        result = run(program("many_threads"), "--quiet", "--", "300")
        self.assertEqual(result.status, 3)
        self.assert_one_line(result, "LIMIT_EXCEEDED", "256")


if __name__ == "__main__":
    main()
