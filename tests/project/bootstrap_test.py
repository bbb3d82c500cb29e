#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""bootstrap_test.py SOURCE_DIR - what ./bootstrap does about packages, on a machine whose package tools are puppets.

dpkg-query knows the packages of a file, apt-get writes down how it was called and "installs" into that file, apt-cache
knows candidates only if the file `lists` exists, and id says who we are.
"""

import os
import stat
import subprocess
import sys
import tempfile
import unittest

PUPPETS = {
    "id": 'echo "$PUPPET_UID"',
    "dpkg-query": 'for last; do :; done; grep -qx "$last" "$PUPPETS/installed" && printf installed',
    "apt-cache": 'shift; for p; do [ -e "$PUPPETS/lists" ] && echo "  Candidate: 1" || echo "  Candidate: (none)"; done',
    "apt-get": """echo "$*" >> "$PUPPETS/calls"
case $1 in
update) touch "$PUPPETS/lists" "$PUPPETS/fresh" ;;
install) [ -e "$PUPPETS/fresh" ] || [ -z "$PUPPET_STALE" ] || exit 100
  for p; do case $p in -*|install) ;; *) echo "$p" >> "$PUPPETS/installed" ;; esac; done ;;
esac""",
}
SOURCE = "."


class Bootstrap(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(dir=os.getcwd(), prefix="bootstrap-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        for name, script in PUPPETS.items():
            path = os.path.join(self.folder, name)
            with open(path, "w", encoding="utf-8") as stream:
                stream.write(f"#!/bin/sh\n{script}\n")
            os.chmod(path, os.stat(path).st_mode | stat.S_IXUSR)
        self.touch("installed")

    def touch(self, name):
        with open(os.path.join(self.folder, name), "a", encoding="utf-8"):
            pass

    def calls(self):
        path = os.path.join(self.folder, "calls")
        if not os.path.exists(path):
            return []
        with open(path, encoding="utf-8") as stream:
            return stream.read().splitlines()

    def bootstrap(self, *arguments, uid="0", stale=""):
        environment = dict(os.environ, PUPPETS=self.folder, PUPPET_UID=uid, PUPPET_STALE=stale)
        environment["PATH"] = self.folder + ":" + environment["PATH"]
        return subprocess.run(
            [os.path.join(SOURCE, "bootstrap"), *arguments],
            env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )

    def test_a_bare_machine_updates_then_installs(self):
        done = self.bootstrap("deps")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        update, install = self.calls()
        self.assertTrue(update.startswith("update"))
        self.assertIn("--no-install-recommends", install)
        for package in ("g++", "ninja-build", "llvm-19-dev", "clang-19", "libgtest-dev"):
            self.assertIn(package, install.split())
        self.assertIn("stage times", done.stdout)

    def test_nothing_missing_calls_no_apt(self):
        self.bootstrap("deps")
        before = self.calls()
        self.assertEqual(self.bootstrap("deps").returncode, 0)
        self.assertEqual(self.calls(), before)

    def test_good_lists_are_not_refreshed(self):
        self.touch("lists")
        self.assertEqual(self.bootstrap("deps").returncode, 0)
        self.assertEqual([c.split()[0] for c in self.calls()], ["install"])

    def test_stale_lists_are_refreshed_once(self):
        self.touch("lists")
        self.assertEqual(self.bootstrap("deps", stale="1").returncode, 0)
        self.assertEqual([c.split()[0] for c in self.calls()], ["install", "update", "install"])

    def test_extra_packages_only_when_asked_for(self):
        self.bootstrap("deps")
        self.assertNotIn("clang-tidy-19", " ".join(self.calls()))
        self.bootstrap("deps", "--extra")
        self.assertIn("clang-tidy-19", self.calls()[-1])

    def test_without_root_it_prints_what_to_type(self):
        done = self.bootstrap("test", uid="1000")
        self.assertEqual(done.returncode, 3)
        self.assertRegex(done.stdout, r"apt-get install -y --no-install-recommends g\+\+ cmake ")
        self.assertEqual(self.calls(), [])

    def test_an_unknown_command(self):
        done = self.bootstrap("tets")
        self.assertEqual(done.returncode, 2)
        self.assertIn("unknown command 'tets'", done.stderr)


if __name__ == "__main__":
    SOURCE = sys.argv.pop(1)
    unittest.main()
