# SPDX-License-Identifier: MIT
"""The report: JSON names and relations between them, the text for people, progress on a terminal."""
import json
import os
import pty
import re
import subprocess
import time

from support import (ECHO_RUN, DriverTest, checksum, main, program, run, scratch, write)

TOP = {
    "schema": int, "program": str, "arguments": list, "heap_options": str, "heap_plugin": dict, "optimise": int, "operations": str,
    "stack_bytes": int, "exit": int, "ending": str, "checksum": int, "checksum_hex": str, "checksum_values": int,
    "profile": str, "threads": int, "prepare_s": float, "wall_s": float, "mutator_s": float, "gc_cpu_s": float, "user_cpu_s": float,
    "system_cpu_s": float, "mark_s": float, "sweep_s": float, "objects_allocated": int, "bytes_allocated": int,
    "objects_per_s": float, "bytes_per_s": float, "collections": dict, "pause_us": dict,
    "pause_net_us": dict, "holds_over_cap": int, "mmu": dict, "stall_us": dict,
    "time_to_safepoint_us": dict, "live_bytes": int, "used_bytes": int, "object_bytes": int, "committed_bytes": int,
    "reserve_bytes": int, "nursery_bytes": int, "metadata_bytes": int, "peak_bytes": int, "fragmentation": float,
    "utilisation": float, "objects_marked": int, "bytes_marked": int, "barrier_cold": int, "poll_cold": int,
    "allocate_cold": int, "log_entries": int, "scoped_handles": int, "global_root_words": int,
    "ambiguous_words": int, "ambiguous_hits": int, "pinned": dict, "large_objects": int,
    "large_bytes": int, "bytes_returned": int, "threads_attached": int, "jit": dict,
}
DISTRIBUTION = ["count", "p50", "p90", "p99", "p99_9", "max", "sum"]
JIT = ["functions", "sites", "map_bytes", "code_bytes", "derived_pairs", "polls_inserted", "barriers_emitted",
       "barriers_elided", "parse_ms", "optimise_ms", "lower_ms", "link_ms"]


class Json(DriverTest):
    @classmethod
    def setUpClass(cls):
        path = scratch("churn.json")
        result = run(program("churn"), "--heap=max_heap=32m", "--json=" + path, "--", "4000000", "2")
        assert result.status == 0, result.err
        cls.text = result.err
        with open(path, encoding="utf-8") as file:
            cls.report = json.load(file)

    def test_names_and_types(self):
        """Every documented name is there with its type; every name that is there is documented. [run.json.1]"""
        for name, kind in TOP.items():
            with self.subTest(name=name):
                self.assertIn(name, self.report)
                kinds = (int, float) if kind is float else (kind,)
                self.assertIsInstance(self.report[name], kinds)
        self.assertEqual(set(self.report) - set(TOP), {"error"})
        for name in ("pause_us", "pause_net_us", "stall_us", "time_to_safepoint_us"):
            self.assertEqual([key for key in self.report[name] if key != "by_cause"], DISTRIBUTION)
        self.assertEqual(list(self.report["jit"]), JIT)
        self.assertEqual(list(self.report["collections"]), ["full", "young", "compact", "by_cause"])
        self.assertEqual(self.report["pinned"],
                         {"objects": 0, "slabs": 0, "by": dict.fromkeys(["register", "stack", "range", "object"], 0)})

    def test_documented(self):
        path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "docs", "echo-run.md")
        with open(path, encoding="utf-8") as file:
            text = file.read()
        for name in list(TOP) + ["error"] + DISTRIBUTION + JIT:
            with self.subTest(name=name):
                self.assertIn("`%s`" % name, text)

    def test_schema(self):
        self.assertEqual(self.report["schema"], 1)

    def test_allocation(self):
        """4,000,000 nodes of 32 bytes, an array of 1000 references, and nothing else."""
        self.assertEqual(self.report["objects_allocated"], 4000001)
        self.assertEqual(self.report["bytes_allocated"], 4000000 * 32 + 16 + 8000)

    def test_checksum(self):
        kept = sum(range(4000000 - 1000, 4000000))
        self.assertEqual(self.report["checksum"], checksum([kept]))
        self.assertEqual(int(self.report["checksum_hex"], 16), self.report["checksum"])
        self.assertEqual(self.report["checksum_values"], 1)

    def test_collections(self):
        collections = self.report["collections"]
        self.assertEqual(collections["by_cause"]["requested"], 2)
        self.assertGreaterEqual(collections["by_cause"]["heap_full"], 3)  # 128 MB through 32 MiB
        total = collections["full"] + collections["young"] + collections["compact"]
        self.assertEqual(sum(collections["by_cause"].values()), total)

    def test_pauses(self):
        pauses = self.report["pause_us"]
        self.assertGreaterEqual(pauses["count"], self.report["collections"]["full"])
        self.assertGreater(pauses["max"], 0)
        self.assertLessEqual(pauses["p50"], pauses["p99"] * 1.0001)
        self.assertLessEqual(pauses["p99"], pauses["max"] * 1.02)
        self.assertEqual(sum(one["count"] for one in pauses["by_cause"].values()), pauses["count"])

    def test_times(self):
        """[run.mutator.1] with one thread: mutator = time in main less its pauses, and wall holds both."""
        report = self.report
        self.assertGreater(report["mutator_s"], 0)
        self.assertLessEqual(report["mutator_s"] + report["pause_us"]["sum"] * 1e-6, report["wall_s"] + 1e-3)
        self.assertGreater(report["mutator_s"] + report["pause_us"]["sum"] * 1e-6, report["wall_s"] * 0.8 - 0.01)
        self.assertAlmostEqual(report["objects_per_s"], report["objects_allocated"] / report["mutator_s"], delta=1)
        self.assertGreater(report["gc_cpu_s"], 0)
        self.assertLessEqual(report["gc_cpu_s"], report["user_cpu_s"] + report["system_cpu_s"] + 0.05)

    def test_memory(self):
        report = self.report
        parts = report["used_bytes"] + report["reserve_bytes"] + report["nursery_bytes"] + report["metadata_bytes"]
        self.assertEqual(report["committed_bytes"], parts)
        self.assertGreaterEqual(report["peak_bytes"], report["committed_bytes"])
        # the last collection found 1000 nodes and their array
        self.assertEqual(report["live_bytes"], 1000 * 32 + 16 + 8000)
        self.assertTrue(0 <= report["fragmentation"] <= 1)
        self.assertTrue(0 < report["utilisation"] <= 1)
        self.assertAlmostEqual(report["fragmentation"] + report["utilisation"], 1, places=6)

    def test_jit(self):
        self.assertGreater(self.report["jit"]["functions"], 0)
        self.assertGreater(self.report["jit"]["sites"], 0)
        self.assertGreater(self.report["jit"]["code_bytes"], 0)

    def test_text(self):
        for words in ("main returned 0", "4,000,001 objects", "objects/s", " full, 0 young", "2 requested", "p99.9",
                      "heap_full", "time to safepoint", "s CPU", "live 39.1 KiB", "committed", "peak", "fragmentation",
                      "utilisation", self.report["checksum_hex"]):
            with self.subTest(words=words):
                self.assertIn(words, self.text)
        self.assertNotIn("\x1b", self.text)
        for line in self.text.splitlines():
            self.assertLess(len(line), 220)


class Checksums(DriverTest):
    def check(self, values):
        _, report = self.run_json(program("checksum"), "--quiet", "--", *[str(value) for value in values])
        self.assertEqual(report["checksum"], checksum(values))
        self.assertEqual(report["checksum_values"], len(values))

    def test_formula(self):
        self.check([])
        self.check([1])
        self.check([0, 0, 1])
        self.check([-1, 2**63 - 1, -(2**63), 12345])
        self.check(list(range(100)))

    def test_order_matters(self):
        self.assertNotEqual(checksum([1, 2]), checksum([2, 1]))
        self.check([1, 2])
        self.check([2, 1])


class Output(DriverTest):
    def test_quiet(self):
        self.assertEqual(run(program("churn"), "--quiet").err, "")

    def test_json_replaces_the_file(self):
        path = write("report.json", "x" * 100000)
        self.assert_runs(run(program("no_arguments"), "--quiet", "--json=" + path), 41)
        with open(path, encoding="utf-8") as file:
            self.assertEqual(json.load(file)["exit"], 41)

    def test_json_into_a_pipe(self):
        finished = subprocess.run([ECHO_RUN, program("no_arguments"), "--quiet", "--json=/dev/stderr"],
                                  capture_output=True, text=True, check=False)
        self.assertEqual(json.loads(finished.stderr)["exit"], 41)

    def test_output_comes_before_the_report(self):
        """Both into one pipe: the program's output is complete before the report begins. [run.exit.2]"""
        finished = subprocess.run([ECHO_RUN, program("ends"), "--", "exit"], stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT, text=True, check=False)
        self.assertTrue(finished.stdout.startswith("begunecho-run: "), finished.stdout)

    def test_dumps(self):
        for option in ("--dump-objects", "--dump-ir"):
            with self.subTest(option=option):
                directory = scratch(option.strip("-"))
                os.mkdir(directory)
                self.assert_runs(run(program("churn"), "--quiet", option + "=" + directory))
                self.assertTrue(os.listdir(directory))

    def test_heap_plugin_by_path(self):
        library = os.path.join(os.path.dirname(os.path.dirname(ECHO_RUN)), "lib", "libecho_heap.so")
        _, report = self.run_json(program("churn"), "--heap-plugin=" + library)
        self.assertEqual(report["heap_plugin"]["path"], library)
        self.assertIn("COLLECTS", report["heap_plugin"]["features"])


class Progress(DriverTest):
    def terminal(self, *arguments):
        """Runs with standard error on a terminal; what the terminal got."""
        try:
            leader, follower = pty.openpty()
        except OSError as why:
            self.skipTest(f"this machine has no pseudo-terminals: {why}")
        process = subprocess.Popen([ECHO_RUN, *arguments], stdout=subprocess.DEVNULL, stderr=follower)
        os.close(follower)
        got = b""
        while True:
            try:
                piece = os.read(leader, 65536)
            except OSError:
                break
            if not piece:
                break
            got += piece
        os.close(leader)
        return process.wait(timeout=120), got.decode(errors="replace")

    def test_long_runs_show_progress(self):
        count = 40000000
        while True:  # long enough on this machine
            began = time.monotonic()
            status, text = self.terminal(program("churn"), "--heap=max_heap=64m", "--", str(count))
            took = time.monotonic() - began
            self.assertEqual(status, 0, text)
            if took > 3.5:
                break
            count = int(count * max(2.0, 4.5 / took))
        self.assertRegex(text, r"\r\x1b\[Kecho-run: [0-9.]+ s, ")
        self.assertIn(" allocated, ", text)
        # the line is cleared before the report
        self.assertRegex(text, r"\r\x1b\[Kecho-run: \S+: main returned 0")

    def test_short_runs_show_none(self):
        status, text = self.terminal(program("churn"))
        self.assertEqual(status, 0)
        self.assertNotIn("\x1b", text)

    def test_no_progress_into_a_file(self):
        self.assertIsNone(re.search(r"[\r\x1b]", run(program("churn"), "--", "1000000").err))


if __name__ == "__main__":
    main()
