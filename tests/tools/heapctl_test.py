#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""heapctl_test.py ECHO_HEAPCTL PLUGIN SOURCE_DIR COMPILER - what echo-heapctl prints, and how it refuses. [heapctl.exit.1]"""

import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

HEAPCTL, PLUGIN, SOURCE, COMPILER = sys.argv[1:5]


def heapctl(*arguments, environment=None):
    return subprocess.run([HEAPCTL, *arguments], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                          env=dict(os.environ, **(environment or {})), timeout=60)


def abi(*arguments):
    done = heapctl("--plugin=" + PLUGIN, "abi", "--json", *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def by_name(rows):
    return {row["name"]: row for row in rows}


def values(recipes):
    return {row["name"]: row["value"] for row in recipes if "value" in row}


def public_header(name):
    with open(os.path.join(SOURCE, "vm_iface/include/echo", name), encoding="utf-8") as stream:
        return stream.read()


class Options(unittest.TestCase):
    def test_the_table_has_every_row(self):
        text = heapctl("--plugin=" + PLUGIN, "options")
        self.assertEqual((text.returncode, text.stderr), (0, ""))
        lines = text.stdout.splitlines()
        self.assertEqual(lines[0].split(), ["name", "kind", "default", "range", "meaning"])
        rows = json.loads(heapctl("--plugin=" + PLUGIN, "options", "--json").stdout)["options"]
        self.assertEqual([line.split()[0] for line in lines[1:]], [row["name"] for row in rows])
        for line, row in zip(lines[1:], rows):
            for column in ("kind", "default", "range", "meaning"):
                self.assertIn(row[column], line)

    def test_the_plugins_own_refusal_lists_the_same_names(self):
        rows = json.loads(heapctl("options", "--json").stdout)["options"]
        refusal = heapctl("abi", "--json", "--heap=no_such_option=1")
        known = refusal.stderr.split("known are:")[1].split(",")[0].split()
        self.assertEqual([row["name"] for row in rows], known)

    def test_the_default_plugin_is_the_one_beside(self):
        self.assertEqual(heapctl("options").stdout, heapctl("--plugin=" + PLUGIN, "options").stdout)


class Abi(unittest.TestCase):
    def test_schema_version_and_features(self):  # [heapctl.schema.1]
        told = abi()
        self.assertEqual(told["schema"], 1)
        self.assertEqual(told["abi"]["major"], int(re.search(r"ECHO_ABI_MAJOR (\d+)u", public_header("base.h")).group(1)))
        features = by_name(told["features"])
        self.assertTrue(features["STORE_BARRIER"]["present"])
        self.assertEqual(len(features), len(re.findall(r"^  X\(\d+, \w+, \"", public_header("heap.h"), re.MULTILINE)))

    def test_status_codes_are_the_headers(self):  # [heapctl.abi.1]
        found = {name: int(number) for number, name in re.findall(r"^  X\((\d+), (\w+), \"", public_header("base.h"), re.MULTILINE)}
        self.assertGreater(len(found), 30)
        self.assertEqual({row["name"]: row["value"] for row in abi()["status"]}, found)

    def test_structs_have_sizes_and_offsets(self):
        structs = by_name(abi()["structs"])
        self.assertEqual(structs["echo_slot"]["size"], 8)
        self.assertEqual(structs["echo_error"]["size"], 512)
        message = by_name(structs["echo_error"]["fields"])["message"]
        self.assertEqual((message["offset"], message["bytes"]), (4, 508))
        declared = set()
        for header in ("base.h", "layout.h", "recipes.h", "frames.h", "statistics.h", "persistent.h",
                       "services.h", "events.h", "fork.h", "stepping.h", "finalizers.h", "heap.h"):
            declared |= set(re.findall(r"typedef struct (\w+) \{", public_header(header)))
        self.assertEqual(set(structs), declared)  # [heapctl.rows.1]
        for struct in structs.values():  # [heapctl.abi.2]
            end = 0
            for field in struct["fields"]:
                self.assertLess(field["offset"] - end, 8, f"{struct['name']}: bytes before {field['name']} belong to no field")
                self.assertGreaterEqual(field["offset"], end)
                end = field["offset"] + field["bytes"]
            self.assertLess(struct["size"] - end, 8, struct["name"])

    def test_a_declaration_that_is_not_understood(self):  # [heapctl.rows.1]
        reader = os.path.join(SOURCE, "tools/heapctl/read_headers.py")
        for text in ("typedef struct echo_x { int a : 3; } echo_x;", "typedef struct echo_x { int (*(*f)(void))(int); } echo_x;",
                     "typedef enum echo_x { ECHO_A = 1, OTHER } echo_x;", "typedef struct echo_x { int a; } echo_y;"):
            with tempfile.TemporaryDirectory(dir=os.getcwd()) as folder:
                header = os.path.join(folder, "x.h")
                with open(header, "w", encoding="utf-8") as stream:
                    stream.write(text)
                done = subprocess.run([sys.executable, "-B", reader, os.path.join(folder, "rows"), header], capture_output=True,
                                      text=True, check=False)
                self.assertEqual(done.returncode, 1, text)
                self.assertIn("echo_x" if "OTHER" not in text else "OTHER", done.stderr)

    def test_every_field_of_the_statistics_has_its_row(self):
        told = abi()
        fields = by_name(told["structs"])["echo_statistics"]["fields"]
        self.assertEqual([row["name"] for row in told["statistics"]], [field["name"] for field in fields])
        self.assertTrue(all(row["unit"] and row["meaning"] for row in told["statistics"]))

    def test_recipes_are_numbers_and_cold_paths(self):
        told = abi()
        recipes = by_name(told["recipes"]["fastest"])
        fields = by_name(by_name(told["structs"])["echo_recipes"]["fields"])
        self.assertEqual(set(recipes), set(fields))
        self.assertEqual(recipes["allocate_cold"], {"name": "allocate_cold", "present": True,
                                                    "cold_path_at": fields["allocate_cold"]["offset"]})
        numbers = values(told["recipes"]["fastest"])
        words = [numbers[name] for name in ("cursor_offset", "limit_offset", "poll_offset", "phase_offset",
                                            "anchor_sp_offset", "anchor_fp_offset", "anchor_pc_offset")]
        self.assertEqual(len(set(words)), len(words))  # distinct words of two cache lines
        self.assertLess(max(words), 128)
        self.assertEqual(numbers["size"], by_name(told["structs"])["echo_recipes"]["size"])

    def test_the_header_word_has_64_bits(self):
        parts = abi()["header_word"]
        first = 0
        for part in parts:
            self.assertEqual(part["first_bit"], first)
            first += part["bits"]
        self.assertEqual(first, 64)
        self.assertGreaterEqual(by_name(parts)["VM"]["bits"], 8)


class Refusals(unittest.TestCase):
    def refused(self, done, *words):  # [heapctl.error.1]
        self.assertEqual((done.returncode, done.stdout), (2, ""))
        self.assertRegex(done.stderr, r"^echo-heapctl: [A-Z_]+: [^\n]+\n$")
        for word in words:
            self.assertIn(word, done.stderr)

    def test_the_command_line(self):
        self.refused(heapctl(), "--help")
        self.refused(heapctl("optoins"), "optoins")
        self.refused(heapctl("abi"), "--json, --c and --go")
        self.refused(heapctl("abi", "--json", "--go"), "--json, --c and --go")

    def test_the_plugin(self):
        self.refused(heapctl("--plugin=/nowhere/lib.so", "options"), "IO_ERROR", "/nowhere/lib.so", "--plugin=PATH")
        self.refused(heapctl("--plugin=libm.so.6", "options"), "IO_ERROR", "libm.so.6")
        with tempfile.NamedTemporaryFile(dir=os.getcwd(), suffix=".so") as other:
            other.write(b"not a library\n")
            other.flush()
            self.refused(heapctl("--plugin=" + other.name, "options"), "IO_ERROR", other.name)
        libc = re.search(r"=> (\S*libc\.so\S*)", subprocess.run(["ldd", HEAPCTL], capture_output=True, text=True, check=True).stdout)
        self.refused(heapctl("--plugin=" + libc.group(1), "options"), "MISSING_SYMBOL", "echo_heap_plugin")

    def test_a_plugin_of_another_size_or_version(self):  # [heapctl.plugin.1]
        source = """#include "echo/heap.h"
            static const struct {{ uint32_t size; uint16_t major, minor; const char* build; uint64_t features; void* rest[100]; }}
                table = {{ {size}, {major}, {minor}, "another", 0, {{0}} }};
            ECHO_EXPORT const echo_heap_api* echo_heap_plugin(uint32_t major, uint32_t minor, echo_error* why) {{
              (void)major, (void)minor, (void)why;
              return (const echo_heap_api*)(const void*)&table; }}"""
        for size, major, minor in ((8, 1, 9), (16, 1, 9), ("sizeof(echo_heap_api) - 8", 1, 9), ("sizeof table", 2, 0), ("sizeof table", 1, 0)):
            with tempfile.TemporaryDirectory(dir=os.getcwd()) as folder:
                path = os.path.join(folder, "plugin")
                with open(path + ".c", "w", encoding="utf-8") as stream:
                    stream.write(source.format(size=size, major=major, minor=minor))
                subprocess.run([COMPILER, "-shared", "-fPIC", "-I", os.path.join(SOURCE, "vm_iface/include"), path + ".c", "-o",
                                path + ".so"], check=True)
                self.refused(heapctl(f"--plugin={path}.so", "options"), "VERSION_MISMATCH")  # every function is null

    def test_the_options_of_the_heap(self):
        self.refused(heapctl("abi", "--json", "--heap=max_heap=1"), "BAD_OPTION_VALUE", "max_heap", "echo-heapctl options")
        self.refused(heapctl("abi", "--json", environment={"ECHO_HEAP_OPTIONS": "nothing=1"}), "UNKNOWN_OPTION", "nothing")

    def test_the_output(self):
        self.refused(heapctl("options", "--output=/nowhere/file"), "IO_ERROR", "/nowhere/file")
        self.refused(heapctl("options", "--output=/dev/full"), "IO_ERROR", "/dev/full")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
