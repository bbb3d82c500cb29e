#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""vm_test.py ECHO_LISP HEAPCTL PLUGIN NULL_PLUGIN [--slow] - the reference VM's programs in every mode of the plugin, and its refusals.

Every program runs in a small heap, with a collection at every allocation, verified, and once for each word of each option of
the plugin that is a choice of words (such as its modes); what it prints is what a Python function computes, so that no
expected number is written down. The null plugin, which never collects, prints the same.
"""

import os
import re
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
from heap_modes import modes  # pylint: disable=wrong-import-position

LISP = HEAPCTL = PLUGIN = NULL_PLUGIN = ""
SMALL = "max_heap=1m"
STRESS = "max_heap=16m,stress_collect=1,poison=on"
CHECKED = "max_heap=16m,stress_collect=23,poison=on,verify=on,stress_barriers=on,stress_yield=on"


def primes():
    found = [n for n in range(2, 700) if all(n % d for d in range(2, int(n**0.5) + 1))]
    return [len(found), sum(found), f"({found[-1]} {found[-2]})"]


def sort():
    seed, numbers = 12345, []
    for _ in range(90):
        seed = (seed * 1103515245 + 12345) % 2147483648
        numbers.append(seed // 65536 % 10000)
    numbers.sort()
    return ["(" + " ".join(map(str, part)) + ")" for part in (numbers[:5], numbers[::-1][:5])] + [1]


def closures():
    x, fibonacci = 1, [0, 1]
    for _ in range(10):
        x = 3 * x + 1
    for _ in range(90):
        fibonacci.append(fibonacci[-1] + fibonacci[-2])
    return [3, 102, x, fibonacci[90], fibonacci[13]]


def strings():
    text = "".join(f"{n * n} " for n in range(150))
    return [len(text), f"[{-2**63}]", "b", "(quoted (lists are 1) ((data)) nil (quote x))", "nil"]


def trees():
    return [100 * (2**6 - 1), 2**8 - 1]


PROGRAMS = {function.__name__: function for function in (primes, sort, closures, strings, trees)}


def run(program, options, plugin=None):
    environment = dict(os.environ, ECHO_HEAP_OPTIONS="")
    return subprocess.run([LISP, plugin or PLUGIN, program, options], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          errors="replace", env=environment, timeout=300, check=False)


class Programs(unittest.TestCase):
    def runs(self, name, options, plugin=None):
        result = run(os.path.join(HERE, "programs", name + ".lisp"), options, plugin)
        self.assertEqual(result.returncode, 0, f"{name} with {options}: {result.stderr}")
        self.assertEqual(result.stdout.splitlines(), [str(line) for line in PROGRAMS[name]()], f"{name} with {options}")
        told = re.search(r"^echo-lisp: (\d+) objects, (\d+) collections$", result.stderr, re.MULTILINE)
        return int(told.group(1)), int(told.group(2))

    def test_every_program_has_its_twin(self):
        files = {name[: -len(".lisp")] for name in os.listdir(os.path.join(HERE, "programs"))}
        self.assertEqual(files, set(PROGRAMS))

    def test_small_heap(self):
        objects = {name: self.runs(name, SMALL)[0] for name in PROGRAMS}
        collections = self.runs("trees", SMALL)[1]
        self.assertGreater(collections, 2)  # one is asked for
        self.assertGreater(objects["trees"] * 16, 3 << 20)  # several times the heap: no object is smaller

    def test_a_collection_at_every_allocation(self):
        for name in ("primes", "sort", "closures", "strings") if not SLOW else ("strings",):
            objects, collections = self.runs(name, STRESS)
            self.assertGreaterEqual(collections, objects // 2, name)

    def test_verified(self):
        for name in PROGRAMS if not SLOW else ("strings", "closures"):
            often = "stress_collect=23" if name != "trees" else "stress_collect=211"  # it allocates ten times what the others do
            self.runs(name, CHECKED.replace("stress_collect=23", often))

    def test_every_mode(self):
        for mode in modes(HEAPCTL, PLUGIN):
            for name in PROGRAMS:
                self.runs(name, f"{SMALL},{mode}")
            self.runs("strings", f"{STRESS},{mode}")
            self.runs("closures", f"{CHECKED},{mode}")

    def test_a_plugin_that_never_collects(self):
        for name in ("primes", "sort", "closures", "strings"):
            self.runs(name, "max_heap=64m", NULL_PLUGIN)


class Refusals(unittest.TestCase):
    def fails(self, text, sentence, options=SMALL, status=1):
        with tempfile.NamedTemporaryFile(dir=os.getcwd(), suffix=".lisp") as file:
            file.write(text if isinstance(text, bytes) else text.encode())
            file.flush()
            result = run(file.name, options)
        self.assertEqual(result.returncode, status, result.stderr)
        self.assertIn(sentence, result.stderr)

    def test_text(self):  # [vm.bound.1]
        self.fails("(print 1", "the text ends inside a list")
        self.fails("'", "the text ends inside a list, or behind a quote")
        self.fails("1\n)", ":2: nothing begins with the byte 0x29")
        self.fails('(print "a\n")', "a string does not end on its line")
        self.fails("9223372036854775808", "'9223372036854775808' is no integer")
        self.fails("12ab", "'12ab' is no integer")
        self.fails("a" * 256, "longer than 255 bytes")
        self.fails(b"\xff", "byte 0xff")
        self.fails("(" * 100000, "nested too deeply")
        self.fails("'" * 100000, "nested too deeply")
        self.fails(";" + "x" * (1 << 20), "longer than 1 MiB", status=2)

    def test_programs(self):
        self.fails("(no-such-name)", "the name 'no-such-name' has no value")
        self.fails("(set x 1)", "the name 'x' has no value")
        self.fails("(define 1 2)", "a name is expected")
        self.fails("(define)", "a name is expected")
        self.fails("(1 2)", "no function")
        self.fails("((lambda (x) x))", "too few arguments")
        self.fails("((lambda (x) x) 1 2)", "too many arguments")
        self.fails("((lambda (1) x) 1)", "a name is expected")
        self.fails("(+ 1)", "+ takes 2 arguments")
        self.fails("(+ 1 'a)", "argument of + has the wrong type")
        self.fails("(+ 9223372036854775807 1)", "the result of + overflows")
        self.fails("(* 4294967296 4294967296)", "the result of * overflows")
        self.fails("(/ -9223372036854775808 -1)", "the result of / overflows")
        self.fails("(/ 1 0)", "division by zero")
        self.fails("(vector-get (make-vector 3) 3)", "no element 3")
        self.fails("(vector-set (make-vector 3) -1 nil)", "no element -1")
        self.fails("(make-vector -1)", "not -1")
        self.fails("(define f (lambda (x) (+ 1 (f x)))) (f 1)", "nested too deeply", "max_heap=64m")
        self.fails('(define s "x") (while 1 (set s (string-append s s)))', "longer than 16777216", "max_heap=256m")

    def test_a_full_heap(self):
        self.fails("(define l nil) (while 1 (set l (cons 1 l)))", "HEAP_LIMIT: ")
        self.fails("(make-vector 1000000)", "HEAP_LIMIT: ")

    def test_the_command_line(self):
        self.fails("1", "no_such_option", "no_such_option=1", status=2)
        self.assertEqual(run("no_such_file", SMALL).returncode, 2)
        missing = run(os.path.join(HERE, "programs", "sort.lisp"), SMALL, "/no/such/plugin.so")
        self.assertEqual(missing.returncode, 2)
        self.assertIn("/no/such/plugin.so", missing.stderr)


if __name__ == "__main__":
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    LISP, HEAPCTL, PLUGIN, NULL_PLUGIN = sys.argv[1:5]
    SLOW = "--slow" in sys.argv[5:]
    unittest.main(argv=sys.argv[:1])
