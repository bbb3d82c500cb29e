#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The project's checks bite: each test builds a small tree with one violation and asserts what is said about it.

Tags and folder names under test are put together from pieces, since the checks read this file too.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "..", "tools"))
sys.dont_write_bytecode = True

import abi_snapshot  # noqa: E402
import check_coverage  # noqa: E402
import check_dependencies  # noqa: E402
import check_format  # noqa: E402
import check_headers  # noqa: E402
import check_caps  # noqa: E402
import check_readme  # noqa: E402
import check_requirements  # noqa: E402
import check_spdx  # noqa: E402
import check_symbols  # noqa: E402
import check_tags  # noqa: E402
import make_reference  # noqa: E402

LICENCE = "/* SPDX-License-" + "Identifier: MIT */\n"


def tag(name):
    return "[" + name + "]"


def definition(name):
    return "**" + tag(name) + "**"


class Tree(unittest.TestCase):
    """A scratch tree; `says` asserts that the only violations are those expected."""

    def setUp(self):
        self.folder = tempfile.TemporaryDirectory(dir=os.getcwd(), prefix="check-tools-")
        self.root = self.folder.name
        self.addCleanup(self.folder.cleanup)

    def put(self, path, text):
        full = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="utf-8") as stream:
            stream.write(text)

    def says(self, violations, *expected):
        self.assertEqual(len(violations), len(expected), "\n".join(violations))
        for line, part in zip(violations, expected):
            self.assertIn(part, line)


class Dependencies(Tree):
    def setUp(self):
        super().setUp()
        self.put("vm_iface/include/echo/base.h", "#include <stdint.h>\n")
        self.put("heap/slab.h", '#include "echo/base.h"\n#include <vector>\n')
        self.put("gc/marker.h", '#include "heap/slab.h"\n')
        self.put("heap/CMakeLists.txt", "add_library(heap_lib STATIC slab.cpp)\n")
        self.put("gc/CMakeLists.txt", "add_library(gc_lib STATIC m.cpp)\ntarget_link_libraries(gc_lib PUBLIC heap_lib)\n")
        self.put("jit_hooks/lower.cpp", '#include "echo/base.h"\n#include <llvm/IR/Module.h>\n')

    def violations(self):
        return check_dependencies.check(self.root)[0]

    def test_a_tree_that_keeps_the_arrows_passes(self):
        self.says(self.violations())

    def test_an_include_against_the_arrow(self):
        self.put("heap/refill.cpp", '// comment\n#include "gc/marker.h"\n')
        self.says(self.violations(), "heap/refill.cpp:2: heap includes gc/marker.h, but may not depend on gc")

    def test_an_include_against_the_arrow_by_relative_path(self):
        self.put("heap/refill.cpp", '#include "../gc/marker.h"\n')
        self.says(self.violations(), "may not depend on gc")

    def test_an_include_in_a_comment_is_none(self):
        self.put("heap/refill.cpp", '/*\n#include "gc/marker.h"\n*/\n')
        self.says(self.violations())

    def test_jit_hooks_sees_no_heap(self):
        self.put("jit_hooks/walker.cpp", '#include "heap/slab.h"\n')
        self.says(self.violations(), "jit_hooks includes heap/slab.h")

    def test_conformance_sees_public_headers_only(self):
        self.put("conformance/suite.cpp", '#include "echo/base.h"\n#include "heap/slab.h"\n')
        self.says(self.violations(), "conformance/suite.cpp:2: conformance includes heap/slab.h")

    def test_llvm_outside_jit_hooks(self):
        self.put("gc/roots.cpp", "#include <llvm/IR/Module.h>\n")
        self.put("tests/gc/roots_test.cpp", '#include "llvm/IR/Module.h"\n')
        self.says(self.violations(), "gc/roots.cpp:1: includes llvm", "tests/gc/roots_test.cpp:1: includes llvm")

    def test_a_public_header_sees_c_headers_only(self):
        self.put("vm_iface/include/echo/heap.h", '#include "echo/base.h"\n#include <vector>\n#include <unistd.h>\n')
        self.says(self.violations(), "includes vector", "includes unistd.h")

    def test_a_public_header_names_what_it_includes(self):
        self.put("vm_iface/include/echo/heap.h", "#include ECHO_OTHER\n")
        self.says(self.violations(), "computed include")

    def test_a_link_against_the_arrow(self):
        self.put("heap/CMakeLists.txt", "add_library(heap_lib STATIC slab.cpp)\ntarget_link_libraries(heap_lib\n  PRIVATE gc_lib)\n")
        self.says(self.violations(), "heap/CMakeLists.txt:2: heap links gc_lib, but may not depend on gc")

    def test_an_example_links_what_is_installed_and_nothing_else(self):
        self.put("vm_iface/src/CMakeLists.txt", "add_library(echo_heap SHARED plugin.cpp)\n")
        self.put("examples/CMakeLists.txt", "add_executable(e e.c)\ntarget_link_libraries(e PRIVATE echo_heap gc_lib)\n")
        self.says(self.violations(), "examples/CMakeLists.txt:2: examples links gc_lib")

    def test_objects_against_the_arrow(self):
        self.put("heap/CMakeLists.txt", "add_library(heap_lib STATIC slab.cpp $<TARGET_OBJECTS:gc_lib>)\n")
        self.says(self.violations(), "heap links gc_lib")

    def test_llvm_linked_outside_jit_hooks(self):
        self.put("heap/CMakeLists.txt", "add_library(heap_lib STATIC slab.cpp)\ntarget_link_libraries(heap_lib PRIVATE LLVM)\n")
        self.says(self.violations(), "links LLVM")


class AbiSnapshot(unittest.TestCase):
    """Each kind of change to a released ABI is refused or listed."""

    def setUp(self):
        self.old = self.abi("1.0")
        self.new = self.abi("1.1")

    @staticmethod
    def abi(release):
        return {
            "release": release,
            "symbols": {"echo_a": "ECHO_1.0", "echo_b": "ECHO_1.0"},
            "structs": {
                "echo_s": {"size": 16, "fields": {"size": [0, 4], "x": [8, 8]}},
                "echo_fixed": {"size": 8, "fields": {"x": [0, 8]}},
            },
            "constants": {"ECHO_OK": 0},
            "options": {"max_heap": "bytes"},
        }

    def says(self, *expected):
        violations, additions = abi_snapshot.compare(self.old, self.new)
        self.assertEqual(len(violations), len(expected), violations)
        for line, part in zip(violations, expected):
            self.assertIn(part, line)
        return additions

    def test_what_is_the_same_passes(self):
        self.assertEqual(self.says(), [])

    def test_additions_at_the_end_are_listed(self):
        self.new["symbols"]["echo_c"] = "ECHO_1.1"
        self.new["constants"]["ECHO_MORE"] = 1
        self.new["structs"]["echo_s"] = {"size": 24, "fields": {"size": [0, 4], "x": [8, 8], "y": [16, 8]}}
        self.assertEqual(self.says(), ["symbol echo_c = ECHO_1.1", "constant ECHO_MORE = 1", "echo_s.y at 16"])

    def test_an_addition_without_a_new_minor(self):
        self.new["release"] = "1.0"
        self.new["options"]["more"] = "count"
        self.says("ECHO_ABI_MINOR still says 1.0")

    def test_what_has_gone(self):
        del self.new["symbols"]["echo_a"], self.new["constants"]["ECHO_OK"], self.new["options"]["max_heap"]
        del self.new["structs"]["echo_fixed"]
        self.says("symbol echo_a has gone", "constant ECHO_OK has gone", "option max_heap has gone", "struct echo_fixed has gone")

    def test_what_has_changed(self):
        self.new["symbols"]["echo_a"] = "ECHO_1.1"
        self.new["constants"]["ECHO_OK"] = 1
        self.new["options"]["max_heap"] = "count"
        self.says("symbol echo_a was ECHO_1.0 and is ECHO_1.1", "ECHO_OK was 0 and is 1", "max_heap was bytes and is count")

    def test_a_new_symbol_in_an_old_version(self):
        self.new["symbols"]["echo_c"] = "ECHO_1.0"
        self.says("echo_c is new and stands in the version ECHO_1.0 of a release")

    def test_structs(self):
        self.new["structs"]["echo_s"]["fields"]["x"] = [8, 4]
        self.says("echo_s.x was at 8 with 8 bytes and is at 8 with 4")
        self.new["structs"]["echo_s"] = {"size": 16, "fields": {"size": [0, 4], "y": [4, 4], "x": [8, 8]}}
        self.says("echo_s.y at 4 is not at the end")
        self.new["structs"]["echo_s"] = {"size": 8, "fields": {"size": [0, 4]}}
        self.says("echo_s.x has gone", "echo_s had 16 bytes and has 8")
        self.new = self.abi("1.1")
        self.new["structs"]["echo_fixed"] = {"size": 16, "fields": {"x": [0, 8], "y": [8, 8]}}
        self.says("echo_fixed grew from 8 to 16 bytes, and no field says its size")


class Coverage(Tree):
    def setUp(self):
        super().setUp()
        self.put("docs/abi.md", f"{definition('abi.x.1')} One. {definition('abi.x.2')} Two. {definition('abi.x.3')} *planned* Three.\n")
        self.put("docs/conformance.md", f"{definition('kit.y.1')} Covered by nothing, which is no violation.\n")
        self.put("tests/vm_iface/x_test.cpp", f"// {tag('abi.x.2')}\n")
        self.runner = check_coverage.listed("  1 suite.test - it holds [abi.x" + ".1] [kit.y" + ".1]\n")

    def test_each_clause_has_a_test(self):
        text, violations = check_coverage.table(self.root, self.runner)
        self.says(violations)
        self.assertIn("| abi.x" + ".1 | `suite.test` |  |", text)
        self.assertIn("| abi.x" + ".2 |  | `tests/vm_iface/x_test.cpp` |", text)
        self.assertNotIn("abi.x" + ".3", text)

    def test_a_clause_without_a_test(self):
        self.put("tests/vm_iface/x_test.cpp", "// nothing\n")
        self.put("gc/x.cpp", f"// {tag('abi.x.2')}: code is no test\n")
        self.put("tests/abi/1.0/include/x.h", f"// {tag('abi.x.2')}: nor is what is frozen\n")
        self.says(check_coverage.table(self.root, self.runner)[1], f"no test cites {tag('abi.x.2')}")

    def test_a_list_that_is_not_understood(self):
        with self.assertRaises(ValueError):
            check_coverage.listed("  1 suite.test - without a clause\n")


class Reference(unittest.TestCase):
    ROW = "| 1 | BAD | it is bad | a mistake | none |\n"
    TABLE = "| number | code | meaning | cause | remedy |\n| --- | --- | --- | --- | --- |\n"

    @staticmethod
    def abi(fields=("size", "a"), rows=("size", "a")):
        return {
            "structs": [{"name": "echo_statistics", "fields": [{"name": name} for name in fields]}],
            "statistics": [{"name": name, "unit": "", "meaning": ""} for name in rows],
            "status": [{"name": "BAD", "value": 1, "meaning": "it is bad"}],
        }

    def test_statistics(self):
        self.assertEqual(list(make_reference.check_statistics(self.abi())), [])
        self.assertIn("echo_statistics.a has no row", *make_reference.check_statistics(self.abi(rows=("size",))))
        self.assertIn("another order", *make_reference.check_statistics(self.abi(rows=("a", "size"))))

    def test_errors(self):
        def says(text):
            return list(make_reference.check_errors(self.abi(), self.TABLE + text))

        self.assertEqual(says(self.ROW), [])
        self.assertIn("BAD has no row", *says(""))
        self.assertIn("BAD is number 1", *says(self.ROW.replace("1", "2")))
        self.assertIn("BAD is number 1", *says(self.ROW.replace("it is bad", "it is good")))
        self.assertIn("lacks a cause", *says(self.ROW.replace("a mistake", "")))
        self.assertIn("there is no status WORSE", *says(self.ROW + self.ROW.replace("BAD", "WORSE")))


class Headers(Tree):
    def violations(self):
        return check_headers.check(self.root, ["gcc"])[0]

    def test_a_good_header_passes(self):
        self.put("vm_iface/include/echo/a.h", "#ifndef A_H\n#define A_H\n#include <stdint.h>\ntypedef uint32_t a;\n#endif\n")
        self.says(self.violations())

    def test_a_header_that_needs_another_first(self):
        self.put("vm_iface/include/echo/a.h", "#ifndef A_H\n#define A_H\ntypedef uint32_t a;\n#endif\n")
        self.says(self.violations(), "not alone as c11 with gcc", "not alone as c++20 with g++")

    def test_a_header_without_guard(self):
        self.put("vm_iface/include/echo/a.h", "struct a { int word; };\n")
        self.says(self.violations(), "as c11", "as c++20")

    def test_a_header_that_is_c_only(self):
        self.put("vm_iface/include/echo/a.h", "#ifndef A_H\n#define A_H\ntypedef struct a { int class; } a;\n#endif\n")
        self.says(self.violations(), "not alone as c++20")

    def test_the_header_of_c_programs_refuses_other_compilers(self):
        self.put("vm_iface/include/echo/cc.h", "#ifndef C_H\n#define C_H\ntypedef int c;\n#endif\n")
        self.says(self.violations(), "gcc must refuse it", "g++ must refuse it")


class Tags(Tree):
    def setUp(self):
        super().setUp()
        self.put("docs/gc.md", f"- {definition('mark.end.1')} All is marked.\n- {definition('mark.end.2')} *planned* More.\n")
        self.put("gc/marker.h", f"/* Invariant {tag('mark.end.1')}: all is marked. Family {tag('mark.*')}. */\n")

    def violations(self):
        return check_tags.check(self.root)[0]

    def test_cited_and_defined_passes(self):
        self.says(self.violations())

    def test_a_dangling_tag(self):
        self.put("tests/gc/marker_test.cpp", f"// {tag('mark.end.3')}\n")
        self.says(self.violations(), f"tests/gc/marker_test.cpp:1: {tag('mark.end.3')} is defined nowhere")

    def test_a_dangling_tag_among_several(self):
        self.put("gc/a.h", "// [mark.end.1, mark" + ".end.4]\n")
        self.says(self.violations(), f"{tag('mark.end.4')} is defined nowhere")

    def test_a_dangling_family(self):
        self.put("gc/a.h", f"// {tag('sweep.*')}\n")
        self.says(self.violations(), f"{tag('sweep.*')} is defined nowhere")

    def test_a_tag_defined_twice(self):
        self.put("docs/other.md", f"{definition('mark.end.1')} Something else.\n")
        self.says(self.violations(), f"docs/other.md:1: {tag('mark.end.1')} is defined already at docs/gc.md:1")

    def test_a_built_clause_that_no_code_cites(self):
        self.put("docs/other.md", f"{definition('sweep.lazy.1')} Slabs are swept once.\n")
        self.says(self.violations(), f"{tag('sweep.lazy.1')} is not planned, yet no code or test cites it")


class Spdx(Tree):
    def violations(self):
        return check_spdx.check(self.root)[0]

    def test_a_licensed_tree_passes(self):
        self.put("heap/a.cpp", LICENCE + "#include <sys/mman.h> // /proc/self/maps, ~/x and build/work/a are fine\n")
        self.put("README.md", "no line needed\n")
        self.says(self.violations())

    def test_a_source_a_script_and_a_build_file_without_licence(self):
        self.put("gc/CMakeLists.txt", "add_library(x)\n")
        self.put("heap/a.cpp", "int a;\n")
        self.put("tool", "#!/bin/sh\n")
        self.says(self.violations(), "gc/CMakeLists.txt:1: no", "heap/a.cpp:1: no", "tool:1: no")

    def test_machine_paths(self):
        self.put("heap/a.cpp", LICENCE + 'auto f = "/t' + 'mp/x";\n// /ho' + "me/someone/src\n// see /wo" + "rk/notes\n")
        self.says(self.violations(), "a.cpp:2:", "a.cpp:3:", "a.cpp:4:")

    def test_what_is_left_for_later(self):
        self.put("docs/a.md", "TO" + "DO: explain\n")
        self.says(self.violations(), "docs/a.md:1:")


class Symbols(Tree):
    def library(self, source, *flags):
        self.put("a.cpp", source)
        out = os.path.join(self.root, "liba.so")
        command = ["g++", "-std=c++20", "-shared", "-fPIC", "-Wl,-z,relro,-z,now", os.path.join(self.root, "a.cpp"), "-o", out]
        subprocess.run(command + list(flags), check=True)
        return out

    def violations(self, library, headers=(), never=()):
        return check_symbols.check(library, headers, never)[0]

    def test_a_clean_library_passes(self):
        self.says(self.violations(self.library('extern "C" int echo_a() { return 1; }\n')))

    def test_a_foreign_export(self):
        library = self.library('extern "C" int helper() { return 1; }\n')
        self.says(self.violations(library), "exports helper")

    def test_a_name_that_no_header_declares(self):
        self.put("a.h", "int pool_a(void);\n/* int pool_b(void); */\n")
        library = self.library('extern "C" int pool_a() { return 1; }\nextern "C" int pool_b() { return 1; }\n')
        found = check_symbols.check(library, [], [], [os.path.join(self.root, "a.h")])[0]
        self.says(found, "exports pool_b; only what its headers declare may leave it")

    def test_a_unique_symbol(self):
        source = "inline int& echo_a() { static int a; return a; }\nint& (*echo_b)() = echo_a;\n"
        library = self.library(source, "-fgnu-unique")
        self.assertTrue(any("unique symbol" in v for v in self.violations(library)))

    def test_a_declared_function_that_is_missing(self):
        self.put("a.h", "ECHO_EXPORT const char*\necho_a(int);\n/* ECHO_EXPORT int echo_c(void); */\nECHO_EXPORT int echo_b(void);\n")
        library = self.library('extern "C" int echo_a() { return 1; }\n')
        self.says(self.violations(library, [os.path.join(self.root, "a.h")]), "does not export echo_b")

    def test_writable_and_executable(self):
        library = self.library('extern "C" int echo_a() { return 1; }\n', "-Wl,-z,execstack")
        self.says(self.violations(library), "GNU_STACK segment is writable and executable")

    def test_relocations_that_stay_writable(self):
        library = self.library('extern "C" int echo_a() { return 1; }\n', "-Wl,-z,norelro")
        self.says(self.violations(library), "relocations stay writable")

    def test_a_library_that_must_not_be_needed(self):
        library = self.library('#include <stdio.h>\nextern "C" int echo_a() { return puts("a"); }\n')
        self.says(self.violations(library, never=["libc.so"]), "needs libc.so.6")


class Requirements(Tree):
    HEAD = "| requirement | state | code | test | figure |\n| --- | --- | --- | --- | --- |\n"
    TESTS = {"heap.slab", "heap.large", "gc.mark"}

    def setUp(self):
        super().setUp()
        self.put("heap/slab.h", "")

    def violations(self, *lines, passed=None):
        self.put("docs/requirements.md", self.HEAD + "".join(line + "\n" for line in lines))
        return check_requirements.check(self.root, self.TESTS, passed)[0]

    def test_true_rows_pass(self):
        rows = ("| a \\| b | works | `heap/slab.h` | `heap.*` | 3 ns |", "| c | not yet | | | |")
        self.says(self.violations(*rows, passed={"heap.slab", "heap.large"}))

    def test_works_without_test(self):
        self.says(self.violations("| a | works | `heap/slab.h` | by hand | |"), "a test that shows it")

    def test_works_with_a_test_that_does_not_exist(self):
        self.says(self.violations("| a | works | `heap/slab.h` | `heap.gone` | |"), "ctest knows no test heap.gone")

    def test_works_with_a_test_that_has_not_passed(self):
        row = "| a | works | `heap/slab.h` | `heap.slab` `gc.mark` | |"
        self.says(self.violations(row, passed={"heap.slab"}), "gc.mark has not passed")

    def test_a_file_that_does_not_exist(self):
        self.says(self.violations("| a | partly | `heap/gone.h` | `gc.mark` | |"), "there is no file heap/gone.h")

    def test_an_unknown_state_and_a_short_row(self):
        self.says(self.violations("| a | nearly | | | |", "| a | works |"), "state 'nearly'", "a row has 5 cells")

    def test_an_empty_table(self):
        self.says(self.violations(), "no table")

    def test_the_log_of_ctest(self):
        self.put("log", "1/2 Testing: heap.slab\nTest Passed.\n2/2 Test: gc.mark\n2/2 Testing: gc.mark\nTest Failed.\n")
        self.assertEqual(check_requirements.passed_tests(os.path.join(self.root, "log")), {"heap.slab"})


class Caps(Tree):
    CODE = '#define ECHO_HOLD_TABLE(X) \\\n  X(start, 10, 2, "a") \\\n  X(end, 5, 0, "b")\n'
    ROWS = "| kind | units at most |\n| --- | --- |\n| `start` | 10 + 2 per thread |\n| `end` | 5 |\n"

    def violations(self, text):
        self.put("gc/work_units.h", self.CODE)
        self.put("docs/pauses.md", text)
        return list(check_caps.check(self.root))

    def test_the_same_caps_pass(self):
        self.says(self.violations("| other | table |\n| --- | --- |\n| start | 11 |\n\n" + self.ROWS))

    def test_another_cap_a_missing_row_and_one_too_many(self):
        self.says(self.violations(self.ROWS.replace("+ 2", "+ 3")), "the cap of start is (10, 3)")
        self.says(self.violations(self.ROWS.replace("| `end` | 5 |\n", "")), "no row for the kind end")
        self.says(self.violations(self.ROWS + "| `more` | 5 |\n"), "the cap of more is (5, 0)")
        self.says(self.violations(self.ROWS.replace("| 5 |", "| many |")), "'many' of end", "no row for the kind end")


class Readme(Tree):
    TEXT = "```c\nint main(void) { return 0; }\n```\n| feature | state |\n| --- | --- |\n"
    BITS = {"COLLECTS": True, "MOVES": False}
    ROWS = "| collects `ECHO_FEATURE_COLLECTS` | works |\n| moves `ECHO_FEATURE_MOVES` | not yet |\n"

    def violations(self, text, bits=None):
        self.put("examples/embed.c", "int main(void) { return 0; }\n")
        self.put("README.md", text)
        return check_readme.check(self.root, bits)[0]

    def test_a_true_readme_passes(self):
        self.says(self.violations(self.TEXT + self.ROWS, self.BITS))

    def test_an_example_that_differs_by_a_space(self):
        text = (self.TEXT + self.ROWS).replace("return 0", "return  0")
        self.says(self.violations(text), "differ")

    def test_a_feature_that_is_claimed_and_one_that_is_denied(self):
        rows = self.ROWS.replace("works", "partly").replace("not yet", "works").replace("partly", "not yet")
        self.says(self.violations(self.TEXT + rows, self.BITS), "bit COLLECTS is 1", "bit MOVES is 0")

    def test_a_bit_without_row(self):
        self.says(self.violations(self.TEXT + self.ROWS, {**self.BITS, "WEAK": False}), "no row for ECHO_FEATURE_WEAK")

    def test_an_unknown_state(self):
        self.says(self.violations(self.TEXT + "| x | soon |\n"), "state 'soon'")


@unittest.skipUnless(shutil.which("clang-format-19"), "the formatter is not installed")
class Format(Tree):
    def test_a_badly_formatted_file_is_named(self):
        self.put("heap/a.cpp", LICENCE + "int  x;\n")
        self.put("heap/b.cpp", LICENCE + "int x;\n")
        violations, _ = check_format.check(self.root, "clang-format-19")
        self.says(violations, "heap/a.cpp:2")

    def test_a_formatter_that_fails_is_a_violation(self):
        self.put("heap/b.cpp", LICENCE + "int x;\n")
        violations, _ = check_format.check(self.root, "false")
        self.says(violations, "false failed")


if __name__ == "__main__":
    unittest.main()
