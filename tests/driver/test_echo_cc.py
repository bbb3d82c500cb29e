# SPDX-License-Identifier: MIT
"""echo-cc: what it compiles keeps references visible, and what it refuses it refuses in one line."""
import os
import shutil
import stat
import subprocess

from support import (ECHO_CC, DriverTest, main, read, run, scratch, source, write)


def cc(*arguments, env=None, cwd=None):
    environment = dict(os.environ)
    environment.update(env or {})
    return subprocess.run([ECHO_CC, *arguments], capture_output=True, text=True, env=environment, check=False, cwd=cwd)


class Compiling(DriverTest):
    def compiled(self, *arguments, **options):
        result = cc(*arguments, **options)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result

    def test_text(self):
        path = scratch("out.ll")
        self.compiled(source("churn"), "-o", path)
        text = read(path).decode()
        self.assertIn("@echo.gc.new(", text)
        self.assertIn("ptr addrspace(1)", text)
        # [cc.passes.1] nothing was optimised, and nothing forbids it later
        self.assertNotIn("optnone", text)
        self.assertNotIn("noinline", text)
        self.assertIn("alloca ptr addrspace(1)", text)
        self.assertIn("alloca i64", text)
        # [cc.lines.1]
        self.assertIn("!DILocalVariable(name: \"kept\"", text)
        self.assertIn("%kept = alloca", text)
        # [cc.probe.1]
        self.assertIn("\"probe-stack\"=\"inline-asm\"", text)

    def test_optimisation_options_change_nothing(self):
        texts = set()
        for option in ("-O0", "-O1", "-O2", "-O3", "-Os", "-g"):
            path = scratch("out.ll")
            self.compiled(option, source("churn"), "-o", path)
            texts.add(read(path).decode())
        self.assertEqual(len(texts), 1)

    def test_default_output(self):
        os.makedirs(scratch("here"), exist_ok=True)
        self.compiled(source("no_arguments"), cwd=scratch("here"))
        self.assertEqual(os.listdir(scratch("here")), ["no_arguments.bc"])
        self.assert_runs(run(scratch("here/no_arguments.bc"), "--quiet"), 41)

    def test_several_inputs(self):
        for suffix in ("ll", "bc"):
            path = scratch("linked." + suffix)
            self.compiled(source("first_part"), source("second_part"), "-DFACTOR=2", "-o", path)
            result = run(path, "--quiet")
            self.assert_runs(result)
            self.assertEqual(result.out, "42\n")

    def test_c_with_bitcode(self):
        part = scratch("part.bc")
        self.compiled(source("second_part"), "-D", "FACTOR=3", "-o", part)
        path = scratch("linked.bc")
        self.compiled(source("first_part"), part, "-o", path)
        self.assertEqual(run(path, "--quiet").out, "62\n")

    def test_strange_names(self):
        directory = scratch("a 'quoted' $(name); x")
        os.makedirs(directory, exist_ok=True)
        text = "#include \"it's.h\"\nint main(void) { return VALUE + A; }\n"
        with open(os.path.join(directory, "a b.c"), "w", encoding="utf-8") as file:
            file.write(text)
        with open(os.path.join(directory, "it's.h"), "w", encoding="utf-8") as file:
            file.write("#define VALUE 30\n")
        path = os.path.join(directory, "o 'u' t.bc")
        self.compiled("-I", directory, "-DA=(1 + 2)", os.path.join(directory, "a b.c"), "-o", path)
        self.assert_runs(run(path, "--quiet"), 33)
        self.compiled("-I" + directory, "-DA=4", os.path.join(directory, "a b.c"), source("second_part"), "-DFACTOR=1",
                      "-o", path)
        self.assert_runs(run(path, "--quiet"), 34)

    def test_through_a_link_and_moved(self):
        """The headers are found beside the script's real place, wherever that is."""
        os.makedirs(scratch("prefix/bin"), exist_ok=True)
        os.makedirs(scratch("links"), exist_ok=True)
        shutil.copy(ECHO_CC, scratch("prefix/bin/echo-cc"))
        include = os.path.join(os.path.dirname(os.path.dirname(ECHO_CC)), "include")
        shutil.copytree(include, scratch("prefix/include"))
        os.symlink(scratch("prefix/bin/echo-cc"), scratch("links/cc"))
        finished = subprocess.run([scratch("links/cc"), source("churn"), "-o", scratch("moved.bc")], capture_output=True,
                                  text=True, check=False)
        self.assertEqual(finished.returncode, 0, finished.stderr)


class Refusing(DriverTest):
    def refused(self, *arguments, words=(), **options):
        result = cc(*arguments, **options)
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertEqual(result.stdout, "")
        lines = result.stderr.splitlines()
        self.assertTrue(lines[-1].startswith("echo-cc: "), result.stderr)
        for word in words:
            self.assertIn(word, lines[-1])
        return lines

    def refused_in_one_line(self, *arguments, words=(), **options):
        self.assertEqual(len(self.refused(*arguments, words=words, **options)), 1)

    def test_command_line(self):
        churn = source("churn")
        self.refused_in_one_line(words=("no input",))
        self.refused_in_one_line("-Z", churn, words=("'-Z'", "--help"))
        self.refused_in_one_line(churn, "-o", words=("-o",))
        self.refused_in_one_line(churn, "-o", scratch("a.ll"), "-o", scratch("b.ll"), words=("twice",))
        self.refused_in_one_line(churn, "-o", "a.out", words=("'a.out'", ".bc"))
        self.refused_in_one_line("a.cpp", words=("'a.cpp'",))
        self.refused_in_one_line(scratch("nowhere.c"), words=("nowhere.c",))
        self.refused_in_one_line("-fsanitize=address", churn, words=("-fsanitize",))

    def test_compilers(self):
        churn = source("churn")
        self.refused_in_one_line(churn, "-o", scratch("x.bc"), env={"ECHO_CLANG": "no-such-clang"},
                                 words=("no-such-clang", "ECHO_CLANG"))
        other = write("other-clang", "#!/bin/sh\necho 'Debian clang version 14.0.6'\n")
        os.chmod(other, stat.S_IRWXU)
        self.refused_in_one_line(churn, "-o", scratch("x.bc"), env={"ECHO_CLANG": other}, words=("not clang 19",))
        self.refused_in_one_line(churn, source("checksum"), "-o", scratch("x.bc"),
                                 env={"ECHO_LLVM_LINK": "no-such-link"}, words=("no-such-link", "ECHO_LLVM_LINK"))

    def test_errors_of_the_program(self):
        bad = write("bad.c", "int main(void) { return nothing; }\n")
        lines = self.refused(bad, "-o", scratch("bad.bc"), words=("bad.c", "does not compile"))
        self.assertTrue(any("undeclared identifier" in line for line in lines))
        self.refused(source("churn"), source("checksum"), "-o", scratch("two.bc"), words=("do not link",))

    def test_other_compilers_are_told(self):
        finished = subprocess.run(["gcc", "-fsyntax-only", "-I", os.path.join(os.path.dirname(ECHO_CC), "..", "include"),
                                   source("churn")], capture_output=True, text=True, check=False)
        self.assertNotEqual(finished.returncode, 0)
        self.assertIn("echo-cc", finished.stderr)


if __name__ == "__main__":
    main()
