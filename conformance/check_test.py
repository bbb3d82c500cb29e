#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""check_test.py CHECKER PLUGIN CC INCLUDE [ECHO_RUN ECHO_CC] - the checker says nothing of good programs, and names each mistake.

Good programs are mutated: the reference VM's source by replacing some text, which must be there, programs for echo-run by their source or by
a switch of the compiler that leaves something out. Invariants: [check.shown.1] Each kind of mistake of conformance/check/report.h is shown on
a mutated program, with where it happened; the same program without the mutation is told nothing of.
"""

import os
import re
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
CHECKER = PLUGIN = CC = INCLUDE = RUN = ECHO_CC = ""
LISP = os.path.join(HERE, "vm", "echo_lisp.c")
EVERY = "check_every=1,max_heap=16m"
CONS = """  const echo_handle first_cell = push(v, a);
  const echo_handle rest_cell = push(v, b);
  const echo_ref pair = make(v, v->pair, 0);
  store(v, pair, FIRST, get(v, first_cell));
  store(v, pair, REST, get(v, rest_cell));
  v->top -= 2;
"""
PROGRAM = """(define kept (cons 1 2))
(define loop (lambda (n) (if (= n 0) kept (begin (set-first kept (cons n n)) (loop (- n 1))))))
(loop 50) (print (first (first kept)))
"""

# kind -> (edits of echo_lisp.c, options, what the line says)
LISP_MUTANTS = {
    "MISSING_BARRIER": (
        [("  v->api->store(v->self, object, word * sizeof(uint64_t), value);", "  (void)v; ((echo_ref*)(void*)object)[word] = value;")],
        EVERY, r"offset (8|16) of a '(pair|closure)' was written without the store barrier before this safepoint; at echo-lisp\(\+0x"),
    "UNROOTED": (
        [(CONS, "  const echo_ref pair = make(v, v->pair, 0);\n  store(v, pair, FIRST, a);\n  store(v, pair, REST, b);\n")],
        EVERY, r"a '\w+'[^;]* that no handle, root word, frame or reachable object held"),
    "NO_OBJECT": (
        [("    prepare(v);\n", "    prepare(v);\n    const echo_ref all = get(v, v->globals), one = field(all, FIRST), rest_of_all = field(all, REST);\n"
          "    store(v, all, REST, (echo_ref)(void*)((char*)one + 8));\n    store(v, all, REST, rest_of_all);\n")],
        EVERY, r"what is stored at offset 16 of a 'pair' is no object's address"),
    "BAD_STORE": (
        [("    prepare(v);\n", "    prepare(v);\n    store(v, get(v, v->globals), SCOPE, NULL);\n")],
        EVERY, r"a reference is stored at offset 24 of a 'pair' of 24 bytes, whose layout has no reference there; at echo-lisp"),
    "MISSING_POLL": (
        [("    v->api->poll(v->self);\n", "    v->api->poll(v->self);\n    static bool late; static volatile uint64_t n;\n"
          "    for (n = late ? 0 : 400000000u; n != 0; n = n - 1) { }\n    late = true;\n")],
        "check_poll_ms=100,max_heap=16m", r"thread 1 did not poll for 100 ms while a stop was asked for; its last call was; at echo-lisp\(\+0x"),
    "WRONG_THREAD": (
        [("    v->api->poll(v->self);\n", "    pthread_t other;\n    static bool once;\n    if (!once && (once = true) && pthread_create(&other, NULL, elsewhere, v) == 0) {\n"
          "      pthread_join(other, NULL);\n    }\n    v->api->poll(v->self);\n"),
         ("static echo_ref get(vm* v, echo_handle cell) {", "#include <pthread.h>\nstatic void* elsewhere(void* p) {\n  ((vm*)p)->api->poll(((vm*)p)->self);\n  return NULL;\n}\n"
          "static echo_ref get(vm* v, echo_handle cell) {")],
        "check_poll_ms=0,max_heap=16m", r"echo_poll is called for thread 1 by another one; at echo-lisp\(\+0x"),
    "WRONG_STATE": (
        [("    v->api->poll(v->self);\n", "    v->api->enter_native(v->self);\n    v->api->poll(v->self);\n    v->api->leave_native(v->self);\n")],
        EVERY, r"echo_poll is called by a thread that is not managed"),
    "HANDLE_MISUSE": (
        [("  const int status = run(&v, arguments[2]);\n", "  const int status = run(&v, arguments[2]);\n  v.api->scope_close(v.self, scope);\n  get(&v, v.globals);\n  v.api->scope_open(v.self, &scope);\n")],
        EVERY, r"echo_handle_get is given a handle whose scope is closed"),
}


def environment(**more):
    return dict({k: v for k, v in os.environ.items() if not k.startswith("ECHO_")}, ECHO_CHECK_PLUGIN=PLUGIN, **more)


def lines(text):
    return [line for line in text.splitlines() if line.startswith("echo-check: ")]


def mutated(source, edits):
    for old, new in edits:
        assert source.count(old) == 1, f"the text to mutate is there {source.count(old)} times: {old}"
        source = source.replace(old, new)
    return source


class Lisp(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        with open(LISP, encoding="utf-8") as file:
            self.source = file.read()

    def run_mutant(self, edits, options, program=PROGRAM):
        c, binary, text = (os.path.join(self.folder, name) for name in ("echo_lisp.c", "echo-lisp", "program.lisp"))
        with open(c, "w", encoding="utf-8") as file:
            file.write(mutated(self.source, edits))
        with open(text, "w", encoding="utf-8") as file:
            file.write(program)
        subprocess.run([CC, "-std=gnu11", "-O1", f"-I{INCLUDE}", c, "-o", binary, "-ldl", "-lpthread"], check=True, timeout=120)
        return subprocess.run([binary, CHECKER, text, options], capture_output=True, text=True, errors="replace", timeout=120, env=environment())

    def test_the_reference_vm_makes_no_mistake(self):
        for options in (EVERY, "max_heap=16m", EVERY + ",stress_collect=7,poison=on,verify=on"):
            done = self.run_mutant([], options)
            self.assertEqual((done.returncode, lines(done.stderr), done.stdout), (0, [], "1\n"))
        for name in ("closures", "trees", "sort"):
            with open(os.path.join(HERE, "vm", "programs", name + ".lisp"), encoding="utf-8") as file:
                done = self.run_mutant([], "max_heap=16m", file.read())
            self.assertEqual((done.returncode, lines(done.stderr)), (0, []), name)

    def test_each_mistake_is_named(self):
        for kind, (edits, options, says) in LISP_MUTANTS.items():
            with self.subTest(kind=kind):
                told = lines(self.run_mutant(edits, options).stderr)
                mine = [line for line in told if line.startswith(f"echo-check: {kind}: ")]
                self.assertTrue(mine, f"nothing of {kind} among {told}")
                self.assertRegex(mine[0], says)
                self.assertRegex(told[-1], r"^echo-check: \d+ mistakes? at \d+ places?$")

    def test_the_report_goes_to_a_file(self):
        report = os.path.join(self.folder, "report")
        done = self.run_mutant(LISP_MUTANTS["BAD_STORE"][0], EVERY + ",check_report=" + report)
        self.assertEqual(lines(done.stderr), [])
        with open(report, encoding="utf-8") as file:
            self.assertIn("BAD_STORE", file.read())

    def test_options_are_checked(self):
        for options, says in (("check_every=x", "check_every takes a whole number in 0..1000000000"), ("check_nothing=1", "no option 'check_nothing'"),
                              ("check_report=/nowhere/at/all", "cannot be written"), ("max_heap=1", "max_heap")):
            done = self.run_mutant([], options)
            self.assertEqual(done.returncode, 2)
            self.assertIn(says, done.stderr)

    def test_what_is_checked_is_loaded(self):
        for path, says in (("/nowhere.so", "ECHO_CHECK_PLUGIN"), (CHECKER, "is the checker itself")):
            done = subprocess.run([sys.executable, "-c", f"""
import ctypes
why = ctypes.create_string_buffer(512)
entry = ctypes.CDLL({CHECKER!r}).echo_heap_plugin
entry.restype = ctypes.c_void_p
print(entry(1, 0, why), why.raw[4:].split(bytes(1))[0].decode())"""], capture_output=True, text=True, timeout=60, env=dict(environment(), ECHO_CHECK_PLUGIN=path))
            self.assertIn("None", done.stdout)
            self.assertIn(says, done.stdout)


LIST = """#include "echo/cc.h"
#include <stdint.h>
typedef struct cell ECHO_REF* cell_ref;
struct cell { ECHO_HEADER; cell_ref next; uint64_t value; };
ECHO_LAYOUT(cell_layout, struct cell, ECHO_STRONG(struct cell, next));
__attribute__((noinline)) static void link_to(cell_ref cell, cell_ref next) {
  cell->next = next; /* the store */
}
int main(void) {
  cell_ref head = echo_new(cell_layout, cell_ref);
  for (int i = 0; i < 200; ++i) {
    cell_ref fresh = echo_new(cell_layout, cell_ref);
    echo_safepoint();
    link_to(fresh, head->next);
    link_to(head, fresh);
  }
  return 0;
}
"""
SPIN = """ECHO_LEAF __attribute__((noinline)) static int64_t spin(void) {
  volatile int64_t n = 400000000;
  while (n != 0) --n;
  return n;
}
int main(void) {
"""


class Compiled(unittest.TestCase):
    # (name, edits of LIST, arguments of echo-run, options, kind, what the line says)
    MUTANTS = [
        ("omitted barriers", [], ["--unsafe=omit-barriers"], EVERY, "MISSING_BARRIER",
         r"offset 8 of a 'struct cell' was written without the store barrier before this safepoint; at (main|link_to|echo\.stub\.poll)( \(list\.c:\d+\))?$"),
        ("a slot that the layout lacks", [("ECHO_LAYOUT(cell_layout, struct cell, ECHO_STRONG(struct cell, next));", "ECHO_LAYOUT_RAW(cell_layout, struct cell);")], [], EVERY, "BAD_STORE",
         r"at offset 8 of a 'struct cell' of 24 bytes, whose layout has no reference there; at (link_to( \(list\.c:7\))?|echo\.stub\.store)$"),
        ("no polls for long", [("int main(void) {\n", SPIN), ("  return 0;", "  return (int)spin();")], [], "check_poll_ms=100,max_heap=16m", "MISSING_POLL",
         r"did not poll for 100 ms while a stop was asked for; its last call was; at [\w.]+( \(list\.c:\d+\))?$"),
    ]

    def setUp(self):
        if not RUN:
            self.skipTest("built without the JIT")
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def run_mutant(self, edits, arguments, options, level="-O1"):
        c, bitcode = os.path.join(self.folder, "list.c"), os.path.join(self.folder, "list.bc")
        with open(c, "w", encoding="utf-8") as file:
            file.write(mutated(LIST, edits))
        subprocess.run([ECHO_CC, "-g", level, c, "-o", bitcode], check=True, timeout=120)
        return subprocess.run([RUN, f"--heap-plugin={CHECKER}", f"--heap={options}", "--lines", *arguments, bitcode], capture_output=True, text=True,
                              errors="replace", timeout=120, env=environment())

    def test_good_programs_are_told_nothing_of(self):
        for options in (EVERY, "max_heap=16m"):
            for arguments in ([], ["--opt=0"], ["--operations=called"]):
                done = self.run_mutant([], arguments, options)
                self.assertEqual((done.returncode, lines(done.stderr)), (0, []), (options, arguments, done.stderr))

    def test_good_threads_are_told_nothing_of(self):
        for program, arguments in (("lists_queues", ("300", "2", "2")), ("graph_mutation", ("0", "2", "1")), ("producer_consumer", ("2000", "2", "1")),
                                   ("interpreter", ("6", "2", "1")), ("array_moves", ("300", "2", "1"))):
            bitcode = os.path.join(self.folder, program + ".bc")
            subprocess.run([ECHO_CC, "-g", "-O1", os.path.join(HERE, "programs", program + ".c"), "-o", bitcode], check=True, timeout=120)
            for options in ("max_heap=64m", "max_heap=64m,check_every=500,stress_collect=500"):
                done = subprocess.run([RUN, f"--heap-plugin={CHECKER}", f"--heap={options}", bitcode, "--", *arguments], capture_output=True, text=True,
                                      errors="replace", timeout=200, env=environment())
                self.assertEqual((done.returncode, lines(done.stderr)), (0, []), (program, options, done.stdout, done.stderr))

    def test_each_mistake_is_named_with_its_line(self):
        for name, edits, arguments, options, kind, says in self.MUTANTS:
            with self.subTest(mutant=name):
                done = self.run_mutant(edits, arguments, options)
                mine = [line for line in lines(done.stderr) if line.startswith(f"echo-check: {kind}: ")]
                self.assertTrue(mine, f"nothing of {kind}: {done.stderr}")
                self.assertRegex(mine[0], says)


if __name__ == "__main__":
    if len(sys.argv) not in (5, 7):
        print(__doc__.splitlines()[0], file=sys.stderr)
        sys.exit(2)
    CHECKER, PLUGIN, CC, INCLUDE = sys.argv[1:5]
    if len(sys.argv) == 7:
        RUN, ECHO_CC = sys.argv[5:]
    unittest.main(argv=sys.argv[:1])
