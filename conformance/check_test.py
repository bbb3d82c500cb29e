#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""check_test.py CHECKER PLUGIN CC INCLUDE [ECHO_RUN ECHO_CC LIBECHO_JIT] - the checker says nothing of good programs, and names each mistake.

Good programs are mutated: the reference VM and the programs of conformance/check/programs, by replacing some text, which must be there, or by
a switch of the compiler that leaves something out. Invariants: [check.shown.1] Each kind of mistake of conformance/check/report.h is shown on
a mutated program, with function and line; the same program without the mutation is told nothing of. The line is that in which the mutated
text stands, looked up in the source: of compiled programs as the checker tells it, of C programs by addr2line. [check.shown.2] No outcome
depends on how fast the machine is: a good program may keep the checker waiting for a minute, and one that does not poll waits until that is
told.
"""

import os
import re
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
CHECKER = PLUGIN = CC = INCLUDE = RUN = ECHO_CC = JIT = ""
VM = os.path.join(HERE, "vm")
CHECKED = os.path.join(HERE, "check", "programs")
PATIENT = "check_poll_ms=60000"
EVERY = "check_every=1,max_heap=16m," + PATIENT
IMPATIENT = "check_poll_ms=100,check_report={told}"
# A call in C that returns when the report has a line: at the latest after a minute, and then the mistake was not found.
WAIT = 'system("for i in $(seq 6000); do test -s \\"$TOLD\\" && break; sleep 0.01; done")'
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

# kind -> (edits of the VM, options, what the line says, functions that the place is in, text of the source line)
LISP_MUTANTS = {
    "MISSING_BARRIER": (
        [("  v->api->store(v->self, object, word * sizeof(uint64_t), value);", "  (void)v; ((echo_ref*)(void*)object)[word] = value;")],
        EVERY, r"offset (8|16) of a '(pair|closure)' was written without the store barrier before this safepoint", {"make"}, "v->api->allocate"),
    "UNROOTED": (
        [(CONS, "  const echo_ref pair = make(v, v->pair, 0);\n  store(v, pair, FIRST, a);\n  store(v, pair, REST, b);\n")],
        EVERY, r"what is stored at offset (8|16) of a 'pair' is a '\w+' that no handle, root word, frame or reachable object held", {"store", "cons"},
        "v->api->store"),
    "NO_OBJECT": (
        [("    prepare(v);\n", "    prepare(v);\n    const echo_ref all = get(v, v->globals), one = field(all, FIRST), rest_of_all = field(all, REST);\n"
          "    store(v, all, REST, (echo_ref)(void*)((char*)one + 8));\n    store(v, all, REST, rest_of_all);\n")],
        EVERY, r"what is stored at offset 16 of a 'pair' is no object's address", {"store", "run"}, "v->api->store"),
    "BAD_STORE": (
        [("    prepare(v);\n", "    prepare(v);\n    store(v, get(v, v->globals), SCOPE, NULL);\n")],
        EVERY, r"a reference is stored at offset 24 of a 'pair' of 24 bytes, whose layout has no reference there", {"store", "run"}, "v->api->store"),
    "MISSING_POLL": (
        [("    v->api->poll(v->self);\n", "    v->api->poll(v->self);\n    static bool once;\n    if (!once) {\n      once = " + WAIT + " == 0;\n    }\n"),
         ("#include <string.h>\n\n/* clang-format off */\n#define FORMS", "#include <stdlib.h>\n#include <string.h>\n\n/* clang-format off */\n#define FORMS")],
        "max_heap=16m," + IMPATIENT, r"thread 1 did not poll for 100 ms while a stop was asked for; its last call was", {"evaluate"}, "v->api->poll"),
    "WRONG_THREAD": (
        [("    v->api->poll(v->self);\n", "    pthread_t other;\n    static bool once;\n    if (!once && (once = true) && pthread_create(&other, NULL, elsewhere, v) == 0) {\n"
          "      pthread_join(other, NULL);\n    }\n    v->api->poll(v->self);\n"),
         ("static echo_ref evaluate(vm* v,", "#include <pthread.h>\nstatic void* elsewhere(void* p) {\n  ((vm*)p)->api->poll(((vm*)p)->self);\n  return NULL;\n}\n"
          "static echo_ref evaluate(vm* v,")],
        "check_poll_ms=0,max_heap=16m", r"echo_poll is called for thread 1 by another one", {"elsewhere"}, "((vm*)p)->api->poll"),
    "WRONG_STATE": (
        [("    v->api->poll(v->self);\n", "    v->api->enter_native(v->self);\n    v->api->poll(v->self);\n    v->api->leave_native(v->self);\n")],
        EVERY, r"echo_poll is called by a thread that is not managed", {"evaluate"}, "v->api->poll"),
    "HANDLE_MISUSE": (
        [("  const int status = run(&v, arguments[2]);\n", "  const int status = run(&v, arguments[2]);\n  v.api->scope_close(v.self, scope);\n  get(&v, v.globals);\n  v.api->scope_open(v.self, &scope);\n")],
        EVERY, r"echo_handle_get is given a handle whose scope is closed", {"get", "main"}, "v->api->handle_get"),
}


def environment(**more):
    return dict({k: v for k, v in os.environ.items() if not k.startswith("ECHO_")}, ECHO_CHECK_PLUGIN=PLUGIN, **more)


def lines(text):
    return [line for line in text.splitlines() if line.startswith("echo-check: ")]


def sources(folder, *names):
    """Text of each file, by its name."""
    files = {}
    for name in names:
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            files[name] = file.read()
    return files


def mutated(files, edits):
    for old, new in edits:
        found = [name for name in files if old in files[name]]
        assert len(found) == 1 and files[found[0]].count(old) == 1, f"the text to mutate is not there once, but in {found}: {old}"
        files[found[0]] = files[found[0]].replace(old, new)
    return files


class Program(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def path(self, name):
        return os.path.join(self.folder, name)

    def run_checked(self, command, options, timeout=120):
        """Runs it with `options` for {}; a report that goes to the file {told} is told at the end of stderr."""
        told = self.path("told")
        done = subprocess.run([part.format(options.format(told=told)) for part in command], capture_output=True, text=True, errors="replace", timeout=timeout,
                              env=environment(TOLD=told))
        if "{told}" in options and os.path.exists(told):
            with open(told, encoding="utf-8") as file:
                done.stderr += file.read()
        return done

    def build(self, files, binary):
        """A C program of files, in the test's folder."""
        for name, text in files.items():
            with open(self.path(name), "w", encoding="utf-8") as file:
                file.write(text)
        units = [self.path(name) for name in files if name.endswith(".c")]
        subprocess.run([CC, "-std=gnu11", "-g", "-O1", f"-I{INCLUDE}", *units, "-o", self.path(binary), "-ldl", "-lpthread"], check=True, timeout=120)
        return self.path(binary)

    def place(self, told, binary):
        """Functions and source line of the place of C code that a line of the report ends with."""
        at = re.search(rf"; at {binary}\(\+0x([0-9a-f]+)\)", told)
        self.assertTrue(at, f"no place in {binary}: {told}")
        call = hex(int(at.group(1), 16) - 1)  # it returns behind the call
        frames = subprocess.run(["addr2line", "-f", "-i", "-e", self.path(binary), call], check=True, capture_output=True, text=True).stdout.split("\n")
        file, line = frames[1].split(" ")[0].rsplit(":", 1)
        with open(file, encoding="utf-8") as source:
            return set(frames[0:-1:2]), source.read().split("\n")[int(line) - 1]

    def named(self, done, kind, says):
        """The first line that names a mistake of this kind."""
        mine = [line for line in lines(done.stderr) if line.startswith(f"echo-check: {kind}: ")]
        self.assertTrue(mine, f"nothing of {kind}: {done.stdout}{done.stderr}")
        self.assertRegex(mine[0], says)
        return mine[0]


class Lisp(Program):
    def run_mutant(self, edits, options, program=PROGRAM):
        binary = self.build(mutated(sources(VM, "echo_lisp.c", "text.c", "primitives.c", "echo_lisp.h"), edits), "echo-lisp")
        return self.run_program(binary, options, program)

    def run_program(self, binary, options, program=PROGRAM):
        with open(self.path("program.lisp"), "w", encoding="utf-8") as file:
            file.write(program)
        return self.run_checked([binary, CHECKER, self.path("program.lisp"), "{}"], options)

    def test_the_reference_vm_makes_no_mistake(self):
        binary = self.build(sources(VM, "echo_lisp.c", "text.c", "primitives.c", "echo_lisp.h"), "echo-lisp")
        for options in (EVERY, "max_heap=16m," + PATIENT, EVERY + ",stress_collect=7,poison=on,verify=on"):
            done = self.run_program(binary, options)
            self.assertEqual((done.returncode, lines(done.stderr), done.stdout), (0, [], "1\n"))
        for name in ("closures", "trees", "sort"):
            with open(os.path.join(VM, "programs", name + ".lisp"), encoding="utf-8") as file:
                done = self.run_program(binary, "max_heap=16m," + PATIENT, file.read())
            self.assertEqual((done.returncode, lines(done.stderr)), (0, []), name)

    def test_each_mistake_is_named_with_its_line(self):
        for kind, (edits, options, says, functions, line) in LISP_MUTANTS.items():
            with self.subTest(kind=kind):
                done = self.run_mutant(edits, options)
                around, text = self.place(self.named(done, kind, says), "echo-lisp")
                self.assertTrue(functions <= around, f"in {around} instead of {functions}")
                self.assertIn(line, text)
                self.assertRegex(lines(done.stderr)[-1], r"^echo-check: \d+ mistakes? at \d+ places?$")

    def test_every_kind_is_shown(self):
        with open(os.path.join(HERE, "check", "report.h"), encoding="utf-8") as file:
            self.assertEqual(set(re.findall(r"^  X\((\w+), \"", file.read(), re.MULTILINE)), set(LISP_MUTANTS))

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


# name -> (edits of services.c, kind, what the line says, functions that the place is in, text of the source line)
SERVICES_MUTANTS = {
    "a word outside the heap": (
        [("  api->store_outside(self, &outside[at], fresh);", "  __atomic_store_n(&outside[at], fresh, __ATOMIC_RELAXED);")],
        "MISSING_BARRIER", r"what the trace callback of a 'table' visited was overwritten without the store barrier before this safepoint", {"churn"}, "api->poll(self)"),
    "a word outside the heap, in a child": (
        [("  churn(500);\n  int status = 0;", "  churn(70);\n  outside[3] = child == 0 ? NULL : outside[3];\n  churn(500);\n  int status = 0;")],
        "MISSING_BARRIER", r"what the trace callback of a 'table' visited", {"put"}, "api->allocate(self, node"),
    "a handler that does not poll": (
        [("  api->handle_set(thread, ballast, NULL);\n", "  api->handle_set(thread, ballast, NULL);\n  (void)!" + WAIT + ";\n")],
        "MISSING_POLL", r"thread 1 did not poll for 100 ms", {"drop_ballast"}, "api->handle_set"),
    "a handler that enters native state": (
        [("  api->handle_set(thread, ballast, NULL);\n", "  api->handle_set(thread, ballast, NULL);\n  api->leave_native(thread);\n")],
        "WRONG_STATE", r"echo_leave_native is refused for thread 1", {"drop_ballast"}, "api->leave_native(thread)"),
}


class Services(Program):
    def run_mutant(self, edits, watch=PATIENT):
        binary = self.build(mutated(sources(CHECKED, "services.c"), edits), "services")
        return self.run_checked([binary, CHECKER, "{}"], "max_heap=32m,check_every=1," + watch)

    def test_good_services_are_told_nothing_of(self):
        done = self.run_mutant([])
        self.assertEqual((done.returncode, done.stderr), (0, "in the child\n"))

    def test_each_mistake_is_named_with_its_line(self):
        for name, (edits, kind, says, functions, line) in SERVICES_MUTANTS.items():
            with self.subTest(mutant=name):
                # A stop that the checker asks for itself comes at any safepoint: only who does not come is told the same each time.
                done = self.run_mutant(edits, IMPATIENT if kind == "MISSING_POLL" else PATIENT)
                around, text = self.place(self.named(done, kind, says), "services")
                self.assertTrue(functions <= around, f"in {around} instead of {functions}")
                self.assertIn(line, text)


class Compiled(Program):
    # (name, edits of list.c, arguments of echo-run, options, kind, what the line says, function, text of the source line)
    MUTANTS = [
        ("omitted barriers", [], ["--unsafe=omit-barriers"], EVERY, "MISSING_BARRIER",
         r"offset 8 of a 'struct cell' was written without the store barrier before this safepoint", "grow", "return fresh"),
        ("a reference kept as a number over a safepoint",
         [("  cell_ref fresh = echo_new(cell_layout, cell_ref); /* the allocation */\n  echo_safepoint();\n",
           "  volatile uint64_t number = (uint64_t)echo_new(cell_layout, cell_ref);\n  echo_safepoint();\n  cell_ref fresh = (cell_ref)number;\n")],
         ["--unsafe=allow-ref-as-integer"], EVERY, "UNROOTED",
         r"is a 'struct cell' that no handle, root word, frame or reachable object held at a safepoint before", "link_to", "/* the store */"),
        ("a slot that the layout lacks", [("ECHO_LAYOUT(cell_layout, struct cell, ECHO_STRONG(struct cell, next));", "ECHO_LAYOUT_RAW(cell_layout, struct cell);")], [], EVERY, "BAD_STORE",
         r"at offset 8 of a 'struct cell' of 24 bytes, whose layout has no reference there", "link_to", "/* the store */"),
        ("no polls for long", [("int main(void) {\n", "ECHO_LEAF int system(const char*);\nint main(void) {\n"), ("  return 0;", "  return " + WAIT + ";")], [], "max_heap=16m," + IMPATIENT, "MISSING_POLL",
         r"did not poll for 100 ms while a stop was asked for; its last call was", "main", "for (int i"),
    ]
    # (name, edits of compiled_vm.c, kind, what the line says, function of the VM, text of its line)
    NATIVE_MUTANTS = [
        ("a handle after its scope", [("  const int64_t is_there = api->handle_get(self, kept) != NULL;\n  api->scope_close(self, scope);\n",
                                       "  api->scope_close(self, scope);\n  const int64_t is_there = api->handle_get(self, kept) != NULL;\n")],
         "HANDLE_MISUSE", r"echo_handle_get is given a handle whose scope is closed, or of another thread", "vm_keep", "api->handle_get"),
        ("the block of another thread", [("api->handle_get(self, kept)", "api->handle_get(first, kept)")],
         "WRONG_THREAD", r"echo_handle_get is called for thread 1 by another one", "vm_keep", "api->handle_get"),
        ("a call while native", [("  api->collect(self, ECHO_COLLECT_FULL, NULL);\n", "  api->enter_native(self);\n  api->collect(self, ECHO_COLLECT_FULL, NULL);\n  api->leave_native(self);\n")],
         "WRONG_STATE", r"echo_collect is refused for thread 1", "vm_keep", "api->collect"),
    ]

    def setUp(self):
        if not RUN:
            self.skipTest("built without the JIT")
        super().setUp()

    def compile(self, name, edits, level="-O1"):
        text = mutated(sources(CHECKED, name + ".c"), edits)[name + ".c"]
        with open(self.path(name + ".c"), "w", encoding="utf-8") as file:
            file.write(text)
        subprocess.run([ECHO_CC, "-g", level, self.path(name + ".c"), "-o", self.path(name + ".bc")], check=True, timeout=120)
        return text.split("\n")

    def run_mutant(self, edits, arguments, options):
        text = self.compile("list", edits)
        return text, self.run_checked([RUN, f"--heap-plugin={CHECKER}", "--heap={}", "--lines", *arguments, self.path("list.bc")], options)

    def test_good_programs_are_told_nothing_of(self):
        for options, arguments in ((EVERY, []), (EVERY, ["--opt=0"]), (EVERY, ["--operations=called"]), ("max_heap=16m," + PATIENT, [])):
            done = self.run_mutant([], arguments, options)[1]
            self.assertEqual((done.returncode, lines(done.stderr)), (0, []), (options, arguments, done.stderr))

    def test_good_threads_are_told_nothing_of(self):
        for program, arguments in (("lists_queues", ("300", "2", "2")), ("graph_mutation", ("0", "2", "1")), ("producer_consumer", ("2000", "2", "1")),
                                   ("interpreter", ("6", "2", "1")), ("array_moves", ("300", "2", "1"))):
            bitcode = self.path(program + ".bc")
            subprocess.run([ECHO_CC, "-g", "-O1", os.path.join(HERE, "programs", program + ".c"), "-o", bitcode], check=True, timeout=120)
            for options in ("max_heap=64m," + PATIENT, "max_heap=64m,check_every=500,stress_collect=500," + PATIENT):
                done = self.run_checked([RUN, f"--heap-plugin={CHECKER}", "--heap={}", bitcode, "--", *arguments], options, timeout=200)
                self.assertEqual((done.returncode, lines(done.stderr)), (0, []), (program, options, done.stdout, done.stderr))

    def test_each_mistake_is_named_with_function_and_line(self):
        for name, edits, arguments, options, kind, says, function, line in self.MUTANTS:
            for level in ([], ["--opt=0"]):
                with self.subTest(mutant=name, level=level):
                    text, done = self.run_mutant(edits, arguments + level, options)
                    told = self.named(done, kind, says)
                    at = re.search(rf"; at {function} \(list\.c:(\d+)\)$", told)
                    self.assertTrue(at, told)
                    self.assertIn(line, text[int(at.group(1)) - 1])

    def run_native(self, edits):
        text = self.compile("keep", [])
        binary = self.build(mutated(sources(CHECKED, "compiled_vm.c"), edits), "compiled_vm")
        return text, subprocess.run([binary, CHECKER, JIT, self.path("keep.bc"), EVERY], capture_output=True, text=True, errors="replace", timeout=120,
                                    env=environment())

    def test_good_natives_are_told_nothing_of(self):
        done = self.run_native([])[1]
        self.assertEqual((done.returncode, lines(done.stderr), done.stdout), (0, [], "2\n2\n"))

    def test_mistakes_of_natives_are_named_with_the_line_that_calls_them(self):
        for name, edits, kind, says, function, line in self.NATIVE_MUTANTS:
            with self.subTest(mutant=name):
                text, done = self.run_native(edits)
                told = self.named(done, kind, says)
                around, of_vm = self.place(told, "compiled_vm")
                self.assertIn(function, around)
                self.assertIn(line, of_vm)
                at = re.search(r", called from run \(keep\.c:(\d+)\)$", told)
                self.assertTrue(at, told)
                self.assertIn("/* the call */", text[int(at.group(1)) - 1])


if __name__ == "__main__":
    if len(sys.argv) not in (5, 8):
        print(__doc__.splitlines()[0], file=sys.stderr)
        sys.exit(2)
    CHECKER, PLUGIN, CC, INCLUDE = sys.argv[1:5]
    if len(sys.argv) == 8:
        RUN, ECHO_CC, JIT = sys.argv[5:]
    unittest.main(argv=sys.argv[:1])
