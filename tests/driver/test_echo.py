# SPDX-License-Identifier: MIT
"""echo-run --echo: every form of store is announced, polls and bases are there, other inputs are refused by name."""
import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest

from support import BIN, HERE, SANITIZED, WORK, DriverTest, main, read, run, write

SAMPLES = os.path.join(HERE, "..", "..", "conformance", "echo")

RUNTIME = """
declare ptr @runtime_alloc_slice(i32, i32)
declare ptr @malloc(i64)
declare { ptr, i64, i64 } @runtime_char_ptr_to_string(ptr)
declare i32 @runtime_string_len_utf8(ptr)
declare void @print_int(i32)
declare void @print_string(ptr)
declare ptr @string_concat(ptr, ptr)
declare void @run_scheduler()
declare ptr @runtime_tcp_connect(ptr)
"""
# A block whose slot holds %a; a stop that sees it; the store under test; a stop that compares.
STORE = RUNTIME + """
%s
define i32 @main() {
  %%a = call ptr @runtime_alloc_slice(i32 4, i32 8)
  %%b = call ptr @runtime_alloc_slice(i32 4, i32 8)
  %%h = call ptr @runtime_alloc_slice(i32 32, i32 8)
  %%slot = getelementptr i8, ptr %%h, i64 64
  store ptr %%a, ptr %%slot
  %%seen = call ptr @runtime_alloc_slice(i32 1, i32 8)
%s
  br label %%end
end:
  %%compared = call ptr @runtime_alloc_slice(i32 1, i32 8)
  %%now = load ptr, ptr %%slot
  %%kept = icmp ne ptr %%now, %%a
  %%shown = zext i1 %%kept to i32
  call void @print_int(i32 %%shown)
  ret i32 0
}
"""
# Name: (declarations, instructions). Each changes the slot.
FORMS = {
    "plain": ("", "store ptr %b, ptr %slot"),
    "volatile": ("", "store volatile ptr %b, ptr %slot"),
    "null": ("", "store ptr null, ptr %slot"),
    "struct": ("", """%s = insertvalue { ptr, i64, i64 } { ptr null, i64 1, i64 2 }, ptr %b, 0
      store { ptr, i64, i64 } %s, ptr %slot"""),
    "struct, second word": ("", """%p = getelementptr i8, ptr %slot, i64 -8
      %s = insertvalue { i64, { ptr } } { i64 1, { ptr } zeroinitializer }, ptr %b, 1, 0
      store { i64, { ptr } } %s, ptr %p"""),
    "array": ("", """%s = insertvalue [3 x ptr] zeroinitializer, ptr %b, 0
      store [3 x ptr] %s, ptr %slot"""),
    "long array": ("", """%s = insertvalue [20 x ptr] zeroinitializer, ptr %b, 0
      store [20 x ptr] %s, ptr %slot"""),
    "vector": ("", """%s = insertelement <2 x ptr> zeroinitializer, ptr %b, i32 0
      store <2 x ptr> %s, ptr %slot, align 8"""),
    "atomic": ("", "store atomic ptr %b, ptr %slot seq_cst, align 8"),
    "atomic exchange": ("", "%o = atomicrmw xchg ptr %slot, ptr %b seq_cst"),
    "atomic addition": ("", "%o = atomicrmw add ptr %slot, i64 64 seq_cst"),
    "compare and exchange": ("", "%o = cmpxchg ptr %slot, ptr %a, ptr %b seq_cst seq_cst"),
    "memcpy of a word": ("declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)", """%l = alloca ptr
      store ptr %b, ptr %l
      call void @llvm.memcpy.p0.p0.i64(ptr %slot, ptr %l, i64 8, i1 false)"""),
    "memmove of 24 bytes": ("declare void @llvm.memmove.p0.p0.i64(ptr, ptr, i64, i1)", """%l = alloca [3 x ptr]
      store ptr %b, ptr %l
      call void @llvm.memmove.p0.p0.i64(ptr align 8 %slot, ptr align 8 %l, i64 24, i1 false)"""),
    "memcpy of any length": ("declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)", """%l = alloca [3 x ptr]
      store ptr %b, ptr %l
      %n = load volatile i64, ptr @length
      call void @llvm.memcpy.p0.p0.i64(ptr %slot, ptr %l, i64 %n, i1 false)"""),
    "memcpy into the middle of words": ("declare void @llvm.memcpy.p0.p0.i64(ptr, ptr, i64, i1)", """%l = alloca [3 x ptr]
      store ptr %b, ptr %l
      %p = getelementptr i8, ptr %slot, i64 5
      call void @llvm.memcpy.p0.p0.i64(ptr %p, ptr @pattern, i64 2, i1 false)"""),
    "memset": ("declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)",
               "call void @llvm.memset.p0.i64(ptr %slot, i8 0, i64 16, i1 false)"),
    "memcpy by name": ("declare ptr @memcpy(ptr, ptr, i64)", """%l = alloca ptr
      store ptr %b, ptr %l
      %r = call ptr @memcpy(ptr %slot, ptr %l, i64 8)"""),
    "memset by name": ("declare ptr @memset(ptr, i32, i64)", "%r = call ptr @memset(ptr %slot, i32 0, i64 8)"),
    "masked": ("declare void @llvm.masked.store.v2p0.p0(<2 x ptr>, ptr, i32, <2 x i1>)",
               """%s = insertelement <2 x ptr> zeroinitializer, ptr %b, i32 0
      %f = load volatile i32, ptr @one
      %m0 = icmp eq i32 %f, 1
      %m = insertelement <2 x i1> zeroinitializer, i1 %m0, i32 0
      call void @llvm.masked.store.v2p0.p0(<2 x ptr> %s, ptr %slot, i32 8, <2 x i1> %m)"""),
    "masked, beyond the block": ("declare void @llvm.masked.store.v2p0.p0(<2 x ptr>, ptr, i32, <2 x i1>)",
               """%s = insertelement <2 x ptr> zeroinitializer, ptr %b, i32 0
      call void @llvm.masked.store.v2p0.p0(<2 x ptr> %s, ptr %slot, i32 8, <2 x i1> <i1 1, i1 0>)
      call void @llvm.masked.store.v2p0.p0(<2 x ptr> %s, ptr null, i32 8, <2 x i1> zeroinitializer)"""),
    "scattered": ("declare void @llvm.masked.scatter.v2p0.v2p0(<2 x ptr>, <2 x ptr>, i32, <2 x i1>)",
                  """%s = insertelement <2 x ptr> zeroinitializer, ptr %b, i32 1
      %w = insertelement <2 x ptr> zeroinitializer, ptr %slot, i32 1
      call void @llvm.masked.scatter.v2p0.v2p0(<2 x ptr> %s, <2 x ptr> %w, i32 8, <2 x i1> <i1 0, i1 1>)"""),
    "compressed": ("declare void @llvm.masked.compressstore.v2p0(<2 x ptr>, ptr, <2 x i1>)",
                   """%s = insertelement <2 x ptr> zeroinitializer, ptr %b, i32 1
      call void @llvm.masked.compressstore.v2p0(<2 x ptr> %s, ptr align 8 %slot, <2 x i1> <i1 0, i1 1>)"""),
    "integer": ("", """%i = ptrtoint ptr %b to i64
      store i64 %i, ptr %slot"""),
    "integer of no alignment": ("", """%i = ptrtoint ptr %b to i64
      store i64 %i, ptr %slot, align 1"""),
    "double": ("", "store double 1.0, ptr %slot"),
    "half a word": ("", """%p = getelementptr i8, ptr %slot, i64 4
      store i32 1, ptr %p"""),
    "a byte": ("", """%p = getelementptr i8, ptr %slot, i64 6
      store i8 1, ptr %p"""),
    "wide integer": ("", "store i128 0, ptr %slot"),
    "odd integer": ("", "store i40 0, ptr %slot"),
    "by a function": ("""define void @put(ptr %where, ptr %what) noinline {
      store ptr %what, ptr %where
      ret void
    }""", "call void @put(ptr %slot, ptr %b)"),
    "by an inlined function": ("""define internal void @put(ptr %where, ptr %what) alwaysinline {
      store ptr %what, ptr %where
      ret void
    }""", "call void @put(ptr %slot, ptr %b)"),
    "either local or not": ("", """%l = alloca ptr
      %f = load volatile i32, ptr @one
      %c = icmp eq i32 %f, 1
      %p = select i1 %c, ptr %slot, ptr %l
      store ptr %b, ptr %p"""),
}
DATA = "@length = global i64 17\n@one = global i32 1\n@pattern = global i64 -1\n"


class Stores(DriverTest):
    def runs(self, name, text, *options):
        path = write("store_" + re.sub(r"\W+", "_", name) + ".ll", text)
        return run("--echo", path, "--heap=max_heap=16m,stress_collect=1,stress_barriers=on,poison=on", "--quiet", *options)

    def test_every_form_is_announced(self):
        """[unmod.store.1] [unmod.copy.1] [unmod.mask.1] With the barrier all is well; without it the audit says what was lost."""
        for name, (declarations, instructions) in FORMS.items():
            text = DATA + STORE % (declarations, instructions)
            for level in "02":
                with self.subTest(form=name, level=level):
                    result = self.runs(name, text, "--opt=" + level)
                    self.assert_runs(result)
                    self.assertEqual(result.out, "1\n")
                    without = self.runs(name, text, "--opt=" + level, "--unsafe=omit-barriers")
                    self.assertNotEqual(without.status, 0, name)
                    self.assertIn("a store went round the barrier", without.err)

    def test_variables_of_the_module_and_locals_need_none(self):
        """[unmod.variable.1] Their stores are not announced, and what they hold is kept."""
        text = RUNTIME + """
          @kept = global ptr null
          @packed = global <{ i32, [2 x ptr] }> zeroinitializer
          define i32 @main() {
            %l = alloca ptr
            %a = call ptr @runtime_alloc_slice(i32 4, i32 8)
            store i32 7, ptr %a
            store ptr %a, ptr @kept
            %b = call ptr @runtime_alloc_slice(i32 4, i32 8)
            store ptr %b, ptr @kept
            store i32 35, ptr %b
            %c = call ptr @runtime_alloc_slice(i32 4, i32 8)
            store ptr %c, ptr %l
            %d = load ptr, ptr @kept
            %v = load i32, ptr %d
            call void @print_int(i32 %v)
            ret i32 0
          }"""
        for level in "02":
            result = self.runs("variables", text, "--opt=" + level)
            self.assert_runs(result)
            self.assertEqual(result.out, "35\n")

    def test_pointers_lie_at_words(self):
        """[unmod.store.2]"""
        for store in ("store ptr %b, ptr %slot, align 4", "store <{ i32, ptr }> zeroinitializer, ptr %slot, align 8",
                      "store [2 x <{ ptr, i8 }>] zeroinitializer, ptr %slot, align 8"):
            path = write("odd.ll", STORE % ("", store))
            self.assert_refused(run("--echo", path), "UNSUPPORTED_OPERATION", "multiple of 8", "'main'", "odd.ll")


class Protocol(DriverTest):
    def test_malloc_is_not_the_library_s(self):
        """[unmod.malloc.1] Allocations that nobody uses stay, and their memory is not taken for private."""
        text = RUNTIME + """
          define i32 @main() {
            br label %loop
          loop:
            %i = phi i32 [ 0, %0 ], [ %n, %loop ]
            %a = call noalias ptr @malloc(i64 24) allockind("alloc,uninitialized") allocsize(0) "alloc-family"="malloc"
            %n = add i32 %i, 1
            %m = icmp slt i32 %n, 1000
            br i1 %m, label %loop, label %end
          end:
            call void @run_scheduler()
            ret i32 0
          }"""
        for level in "02":
            result, report = self.run_json("--echo", write("unused.ll", text), "--quiet", "--opt=" + level)
            self.assertEqual(result.out, "")
            self.assertGreaterEqual(report["objects_allocated"], 1000)

    def test_variables_inside_a_loop(self):
        """[unmod.local.1] A million rounds on a small stack; a variable whose address outlives its round stays where it is."""
        text = RUNTIME + """
          define i32 @main() {
          entry:
            %i_0 = alloca i32
            store i32 0, ptr %i_0
            br label %loop
          loop:
            %last = phi ptr [ null, %entry ], [ %here, %loop ]
            %v_0 = alloca [16 x i32]
            %e_0 = getelementptr [16 x i32], ptr %v_0, i64 0, i64 3
            %i = load i32, ptr %i_0
            store i32 %i, ptr %e_0
            %w = load i32, ptr %e_0
            %n = add i32 %w, 1
            store i32 %n, ptr %i_0
            HERE
            %m = icmp slt i32 %n, ROUNDS
            br i1 %m, label %loop, label %end
          end:
            %e = load i32, ptr %i_0
            call void @print_int(i32 %e)
            LAST
            ret i32 0
          }"""
        many = text.replace("HERE", "%here = getelementptr i8, ptr null, i64 0").replace("LAST", "")
        two = text.replace("HERE", "%here = alloca i32\n store i32 %n, ptr %here").replace(
            "LAST", "%o = load i32, ptr %last\n call void @print_int(i32 %o)")
        for level in "02":
            result = run("--echo", write("rounds.ll", many.replace("ROUNDS", "1000000")), "--stack=256k", "--quiet", "--opt=" + level)
            self.assert_runs(result)
            self.assertEqual(result.out, "1000000\n")
            result = run("--echo", write("rounds.ll", two.replace("ROUNDS", "2")), "--quiet", "--opt=" + level)
            self.assert_runs(result)
            self.assertEqual(result.out, "2\n1\n")

    def test_a_derived_pointer_keeps_its_object(self):
        """[unmod.base.1] The optimiser moves %a - %first out of the loop, an address outside; without care %a is reused."""
        text = RUNTIME + """
          @distance = global i64 5000000
          define i32 @main() {
            %a = call ptr @runtime_alloc_slice(i32 100, i32 8)
            %last = getelementptr i8, ptr %a, i64 88
            store i32 42, ptr %last
            %first = load volatile i64, ptr @distance
            %back = sub i64 0, %first
            %end = add i64 %first, 100
            br label %loop
          loop:
            %i = phi i64 [ %first, %0 ], [ %n, %loop ]
            %sum = phi i32 [ 0, %0 ], [ %s, %loop ]
            %g = call ptr @runtime_alloc_slice(i32 100, i32 8)
            store i64 -1, ptr %g
            %t = getelementptr i8, ptr %a, i64 %i
            %e = getelementptr i8, ptr %t, i64 %back
            %b = load i8, ptr %e
            %w = zext i8 %b to i32
            %s = add i32 %sum, %w
            %n = add i64 %i, 1
            %m = icmp slt i64 %n, %end
            br i1 %m, label %loop, label %done
          done:
            call void @print_int(i32 %s)
            ret i32 0
          }"""
        path = write("derived.ll", text)
        for level in "02":
            result = run("--echo", path, "--heap=stress_collect=1,poison=on", "--quiet", "--opt=" + level)
            self.assert_runs(result)
            self.assertEqual(result.out, "42\n")
        without = run("--echo", path, "--heap=stress_collect=1,poison=on", "--quiet", "--unsafe=omit-bases")
        self.assertNotEqual(without.out, "42\n", "the optimiser kept the object by chance: this test shows nothing")

    def test_failure_of_the_layer(self):
        """[run.echo.2] Status 70 and one line, from main and from a task inside the scheduler."""
        text = RUNTIME + """
          declare ptr @runtime_bytes_to_string(ptr, i32)
          declare ptr @coroutine_spawn(ptr, i32, ptr, ptr)
          declare ptr @future_new()
          define void @fails(ptr %x) {
            %s = call ptr @runtime_bytes_to_string(ptr null, i32 -5)
            ret void
          }
          define i32 @main() {
            call void @print_int(i32 1)
            FAIL
            call void @run_scheduler()
            call void @print_int(i32 2)
            ret i32 0
          }"""
        for how in ("call void @fails(ptr null)",
                    "%f = call ptr @future_new()\n %t = call ptr @coroutine_spawn(ptr @fails, i32 1, ptr null, ptr %f)"):
            result, report = self.run_json("--echo", write("fails.ll", text.replace("FAIL", how)), "--quiet", status=70)
            self.assertEqual(result.out, "1\n")
            self.assertEqual(len(result.error_lines), 1, result.err)
            self.assertIn("runtime_bytes_to_string", result.error_lines[0])
            self.assertEqual(report["ending"], "failed")
            self.assertEqual(report["exit"], 70)
            self.assertIn("runtime_bytes_to_string", report["error"]["message"])

    def test_cache(self):
        """[jit.cache.1] Lists of variables and literals are read from the object again."""
        folder = tempfile.mkdtemp(dir=WORK)
        program = os.path.join(SAMPLES, "spawn_await.ll")
        expected = read(os.path.join(SAMPLES, "spawn_await.expected")).decode()
        for first in (True, False):
            result, report = self.run_json("--echo", program, "--quiet", "--cache=" + folder, "--heap=stress_collect=1,poison=on")
            self.assertEqual(result.out, expected)
            self.assertEqual(report["jit"]["optimise_ms"] > 0, first)

    def test_a_full_heap_is_a_failure_of_the_layer(self):
        text = RUNTIME + """
          define i32 @main() {
            %a = call ptr @runtime_alloc_slice(i32 100000000, i32 8)
            ret i32 0
          }"""
        result = run("--echo", write("full.ll", text), "--heap=max_heap=16m", "--quiet")
        self.assertEqual(result.status, 70)
        self.assertEqual(len(result.error_lines), 1, result.err)
        self.assertIn("runtime_alloc_slice", result.err)

    def test_exit_status_and_overflow(self):
        self.assertEqual(run("--echo", write("nine.ll", RUNTIME + "define i32 @main() {\n ret i32 9\n}"), "--quiet").status, 9)
        text = RUNTIME + """
          define i32 @deep(ptr %s) noinline {
            %n = call i32 @runtime_string_len_utf8(ptr %s)
            %t = call ptr @string_concat(ptr %s, ptr %s)
            %d = call i32 @deep(ptr %s)
            %r = add i32 %n, %d
            %m = call i32 @runtime_string_len_utf8(ptr %t)
            %q = add i32 %r, %m
            ret i32 %q
          }
          define i32 @main() {
            %d = call i32 @deep(ptr null)
            ret i32 %d
          }"""
        result = run("--echo", write("deep.ll", text), "--stack=1m", "--quiet")
        self.assertEqual(result.status, 3, result.err)
        self.assert_error(result, "STACK_OVERFLOW", "'deep'", "1m")


class Refusals(DriverTest):
    def refuses(self, body, code, *words, arguments=()):
        self.assert_refused(run("--echo", write("given.ll", body), *arguments), code, *words)

    def test_unknown_symbols_are_named_with_their_module(self):
        """[unmod.symbol.1] Also those that the C library has; what is only declared is none."""
        self.refuses(RUNTIME + """
          declare void @free(ptr)
          declare i32 @no_such_thing(i32)
          declare double @fmod(double, double)
          define i32 @main() {
            %a = call ptr @runtime_tcp_connect(ptr null)
            call void @free(ptr %a)
            %b = call i32 @no_such_thing(i32 1)
            %c = call double @fmod(double 1.0, double 2.0)
            ret i32 %b
          }""", "MISSING_SYMBOL", "'runtime_tcp_connect' (module ", "'free'", "'no_such_thing'", "given.ll")

    def test_the_older_profile(self):
        """[unmod.refuse.2]"""
        literal = '@.str.1 = global [6 x i8] c"alpha\\00"\n'
        for body in ("call void @print_string(ptr @.str.1)",
                     "%l = alloca ptr\n store ptr @.str.1, ptr %l\n %p = load ptr, ptr %l\n call void @print_string(ptr %p)"):
            self.refuses(literal + RUNTIME + "define i32 @main() {\n" + body + "\n ret i32 0\n}", "UNSUPPORTED_OPERATION",
                         "'.str.1'", "char *", "'main'", "runtime_char_ptr_to_string")
        self.refuses(literal.replace("[6 x i8]", "[6 x i8]") + """declare i8* @string_concat(i8*, i8*)
          declare void @print_string(i8*)
          define i32 @main() {
            %1 = bitcast [6 x i8]* @.str.1 to i8*
            %2 = call i8* @string_concat(i8* %1, i8* %1)
            call void @print_string(i8* %2)
            ret i32 0
          }""", "UNSUPPORTED_OPERATION", "'.str.1'", "'string_concat'", "char *")
        self.refuses(RUNTIME.replace("{ ptr, i64, i64 } @runtime_char", "ptr @runtime_char") + "define i32 @main() {\n ret i32 0\n}",
                     "BAD_ABSTRACT_OPERATION", "'runtime_char_ptr_to_string'", "char *")

    def test_other_ir(self):
        self.refuses("declare i32 @printf(ptr, ...)\ndefine i32 @main() {\n ret i32 0\n}", "UNSUPPORTED_OPERATION",
                     "no output of the Echo compiler")
        self.refuses(RUNTIME + "declare void @echo.gc.safepoint()\ndefine i32 @main() {\n ret i32 0\n}",
                     "UNSUPPORTED_OPERATION", "'echo.gc.safepoint'", "profile of references")
        self.refuses(RUNTIME + "define i32 @f(ptr addrspace(1) %a) {\n ret i32 0\n}\ndefine i32 @main() {\n ret i32 0\n}",
                     "UNSUPPORTED_OPERATION", "'f'", "profile of references")
        self.refuses("this is no IR", "IR_INVALID", "given.ll")
        result = run(write("plain.ll", RUNTIME + "define i32 @main() {\n call void @run_scheduler()\n ret i32 0\n}"))
        self.assert_refused(result, "MISSING_SYMBOL", "run_scheduler")

    def test_old_constants(self):
        """What LLVM 19 no longer reads is refused with its line."""
        self.refuses("@x = global i64 udiv (i64 6, i64 ptrtoint (i64* @x to i64))\n" + RUNTIME, "IR_INVALID", "line 1")

    def test_what_hides_stores(self):
        """[unmod.refuse.1]"""
        main_of = "define i32 @main() {\n %s\n ret i32 0\n}"
        rows = (
            ("", 'call void asm sideeffect "", ""()', ("inline assembly", "'main'")),
            ("declare void @llvm.vp.store.v2p0.p0(<2 x ptr>, ptr, <2 x i1>, i32)",
             "call void @llvm.vp.store.v2p0.p0(<2 x ptr> zeroinitializer, ptr null, <2 x i1> zeroinitializer, i32 0)",
             ("llvm.vp.store", "'main'")),
            ("@t = thread_local global ptr null", "", ("thread-local", "'t'")),
            ("define void @c() {\n ret void\n}\n@llvm.global_ctors = appending global [1 x { i32, ptr, ptr }] "
             "[{ i32, ptr, ptr } { i32 1, ptr @c, ptr null }]", "", ("constructors",)),
            ('module asm "nop"', "", ("file-scope assembly",)),
            ("define i32 @g() {\n ret i32 0\n}\ndefine i32 @h() {\n %r = musttail call i32 @g()\n ret i32 %r\n}", "",
             ("musttail", "'h'")),
            ("declare i32 @setjmp(ptr) returns_twice", "%j = call i32 @setjmp(ptr null) returns_twice", ("setjmp",)),
        )
        for declarations, instruction, words in rows:
            code = "THREAD_LOCAL_VARIABLE" if "thread_local" in declarations else (
                "MUSTTAIL_CALL" if "musttail" in declarations else "UNSUPPORTED_OPERATION")
            with self.subTest(words[0]):
                self.refuses(RUNTIME + declarations + "\n" + main_of % instruction, code, *words)

    def test_types(self):
        self.refuses(RUNTIME.replace("print_int(i32)", "print_int(i64)") + "define i32 @main() {\n ret i32 0\n}",
                     "BAD_ABSTRACT_OPERATION", "'print_int'")
        self.refuses(RUNTIME.replace("malloc(i64)", "malloc(i32)") + "define i32 @main() {\n ret i32 0\n}",
                     "BAD_ABSTRACT_OPERATION", "'malloc'")
        self.refuses(RUNTIME.replace("declare ptr @malloc(i64)", "define ptr @malloc(i64) {\n ret ptr null\n}") +
                     "define i32 @main() {\n ret i32 0\n}", "UNSUPPORTED_OPERATION", "'malloc'", "only declare it")

    def test_command_line(self):
        path = write("nine.ll", RUNTIME + "define i32 @main() {\n ret i32 9\n}")
        self.assert_refused(run(path, "--echo-print=raw"), "BAD_OPTION_VALUE", "--echo")
        self.assert_refused(run("--echo", path, "--echo-print=words"), "BAD_OPTION_VALUE", "words", "lines or raw")
        self.assert_refused(run("--echo", path, "--operations=called"), "BAD_OPTION_VALUE", "--operations")
        self.assert_refused(run("--echo", path, "--echo-runtime=no_such.so"), "IO_ERROR", "no_such.so", "--echo-runtime")
        heap = os.path.join(os.environ["ECHO_TEST_BIN"], "..", "lib", "libecho_heap.so")
        self.assert_refused(run("--echo", path, "--echo-runtime=" + heap), "MISSING_SYMBOL", "echo_runtime_create")


class Commands(DriverTest):
    """[unmod.ahead.1] The lines of docs/echo-profiles.md, in a folder that holds what they name."""

    def setUp(self):
        self.folder = tempfile.mkdtemp(dir=WORK)
        for library in ("libecho_pass.so", "libecho_aot.so", "libecho_runtime.so", "libecho_runtime.so.1", "libecho_heap.so"):
            os.symlink(os.path.join(BIN, "..", "lib", library), os.path.join(self.folder, library))
        shutil.copy(os.path.join(SAMPLES, "concat_churn.ll"), os.path.join(self.folder, "program.ll"))
        shutil.copy(os.path.join(SAMPLES, "concat_churn_precise.ll"), os.path.join(self.folder, "precise.ll"))
        self.expected = read(os.path.join(SAMPLES, "concat_churn.expected")).decode()

    def shell(self, line, **environment):
        folders = os.pathsep.join((BIN, os.environ.get("PATH", "")))
        environment = {**os.environ, "PATH": folders, "LD_LIBRARY_PATH": self.folder, "ECHO_HEAP_OPTIONS": "", **environment}
        return subprocess.run(["sh", "-c", line], cwd=self.folder, env=environment, capture_output=True, text=True, timeout=120,
                              stdin=subprocess.DEVNULL, check=False)

    @unittest.skipIf(SANITIZED, "the tools of the distribution load no sanitized plugin")
    def test_lines_of_the_document(self):
        with open(os.path.join(HERE, "..", "..", "docs", "echo-profiles.md"), encoding="utf-8") as file:
            blocks = re.findall(r"^```sh\n(.*?)^```", file.read(), re.MULTILINE | re.DOTALL)
        lines = [line for block in blocks for line in block.splitlines()]
        self.assertGreaterEqual(len(lines), 16)
        for line in lines:
            with self.subTest(line):
                result = self.shell(line)
                self.assertEqual(result.returncode, 0, line + "\n" + result.stderr)
                if re.match(r"(\w+=\S+ )*(\./|echo-run)", line):
                    self.assertEqual(result.stdout, self.expected, line)

    @unittest.skipIf(SANITIZED, "the tools of the distribution load no sanitized plugin")
    def test_programs_ahead_of_time(self):
        """Every sample, not optimised and optimised; printing, collections, failures and refusals are those of echo-run."""
        for sample in sorted(name[:-3] for name in os.listdir(SAMPLES) if name.endswith(".bc")):
            expected = read(os.path.join(SAMPLES, sample + ".expected")).decode()
            shutil.copy(os.path.join(SAMPLES, sample + ".bc"), os.path.join(self.folder, "sample.bc"))
            for level in ("O0", "O2"):
                made = self.shell(f"opt-19 -load-pass-plugin=./libecho_pass.so -passes='echo<unmodified;{level}>' sample.bc -o l.bc"
                                  " && llc-19 -relocation-model=pic -filetype=obj l.bc -o s.o"
                                  " && clang-19 -pie s.o ./libecho_aot.so ./libecho_runtime.so -o sample")
                self.assertEqual(made.returncode, 0, made.stderr)
                ran = self.shell("./sample", ECHO_HEAP_OPTIONS="max_heap=16m", ECHO_JSON="report.json")
                self.assertEqual((ran.returncode, ran.stdout), (0, expected), ran.stderr)
                with open(os.path.join(self.folder, "report.json"), encoding="utf-8") as file:
                    report = json.load(file)
                if report["bytes_allocated"] > 100 << 20:
                    self.assertGreater(report["collections"]["full"], 0)
                raw = self.shell("./sample", ECHO_PRINT="raw")
                self.assertEqual(raw.stdout, expected.replace("\n", ""))
        self.assertIn("ECHO_PRINT", self.shell("./sample", ECHO_PRINT="words").stderr)

    @unittest.skipIf(SANITIZED, "the tools of the distribution load no sanitized plugin")
    def test_refusals_and_failures_ahead_of_time(self):
        with open(os.path.join(self.folder, "old.ll"), "w", encoding="utf-8") as file:
            file.write('@.str.1 = global [2 x i8] c"a\\00"\n' + RUNTIME +
                       "define i32 @main() {\n call void @print_string(ptr @.str.1)\n ret i32 0\n}")
        result = self.shell("opt-19 -load-pass-plugin=./libecho_pass.so -passes='echo<unmodified>' old.ll -o l.bc")
        self.assertNotEqual(result.returncode, 0)
        self.assertIn("UNSUPPORTED_OPERATION", result.stderr)
        self.assertIn("char *", result.stderr)
        made = self.shell("opt-19 -load-pass-plugin=./libecho_pass.so -passes='echo<unmodified>' program.ll -o a.bc"
                          " && opt-19 -load-pass-plugin=./libecho_pass.so -passes=echo precise.ll -o b.bc"
                          " && llc-19 -relocation-model=pic -filetype=obj a.bc -o a.o"
                          " && llc-19 -load=./libecho_pass.so -relocation-model=pic -filetype=obj b.bc -o b.o"
                          " && llvm-objcopy-19 --redefine-sym main=other --redefine-sym echo.main=other.main"
                          " --redefine-sym run=other.run --redefine-sym rounds=other.rounds --redefine-sym step=other.step"
                          " --redefine-sym grow=other.grow b.o && clang-19 -pie a.o b.o ./libecho_aot.so ./libecho_runtime.so -o mixed")
        self.assertEqual(made.returncode, 0, made.stderr)
        mixed = self.shell("./mixed")  # [unmod.ahead.2]
        self.assertEqual((mixed.returncode, mixed.stdout), (2, ""), mixed.stderr)
        self.assertIn("different profiles", mixed.stderr)
        with open(os.path.join(self.folder, "fails.ll"), "w", encoding="utf-8") as file:
            file.write("declare ptr @runtime_bytes_to_string(ptr, i32)\ndefine i32 @main() {\n"
                       " %s = call ptr @runtime_bytes_to_string(ptr null, i32 -5)\n ret i32 0\n}")
        made = self.shell("opt-19 -load-pass-plugin=./libecho_pass.so -passes='echo<unmodified>' fails.ll -o l.bc"
                          " && llc-19 -relocation-model=pic -filetype=obj l.bc -o f.o"
                          " && clang-19 -pie f.o ./libecho_aot.so ./libecho_runtime.so -o fails")
        self.assertEqual(made.returncode, 0, made.stderr)
        failed = self.shell("./fails")
        self.assertEqual(failed.returncode, 70, failed.stderr)
        self.assertRegex(failed.stderr, r"^fails: \w+: .*runtime_bytes_to_string.*\n$")


if __name__ == "__main__":
    main()
