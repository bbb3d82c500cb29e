#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""run_models.py refuses what proves nothing: each test gives it a small model with one defect. [model.whole.1,
model.bite.1]"""

import argparse
import os
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True

import run_models  # noqa: E402
from run_models import Broken, Holds, Violates  # noqa: E402

COUNTER = """
byte x;
bool small = true;
active proctype P() {
  do
  :: x < 3 -> x++
  :: x == 3 -> break
#ifdef DEAD
  :: x == 2 -> (x == 1)
#endif
#ifdef UNREACHED
  :: x == 7 -> x = 0
#endif
  od;
#ifdef BREAK
  small = false;
#endif
  assert(small)
}
#ifdef LIVE
active proctype Q() { do :: x = 0 od }
#endif
ltl ends { <> (x == 3) }
"""


class Runner(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(dir=os.getcwd(), prefix="models-")
        self.addCleanup(folder.cleanup)
        with open(os.path.join(folder.name, "m.pml"), "w", encoding="utf-8") as stream:
            stream.write(COUNTER)
        self.folder = folder.name
        self.tools = argparse.Namespace(spin="spin", cc="cc", work=folder.name)

    def run_row(self, row):
        return run_models.run_row(self.tools, self.folder, "m.pml", row)

    def refuses(self, row, why):
        with self.assertRaisesRegex(Broken, why):
            self.run_row(row)

    def test_a_model_that_holds(self):
        self.assertIn("holds", self.run_row(Holds("M", claim="ends")))

    def test_a_base_that_is_broken(self):
        self.refuses(Holds("M", "BREAK", claim="ends"), "violates small")

    def test_a_base_with_a_dead_end(self):
        self.refuses(Holds("M", "DEAD", claim="ends"), "violates invalid end state")

    def test_a_base_with_an_unreached_statement(self):
        self.refuses(Holds("M", "UNREACHED", claim="ends"), "no run reaches(.|\n)*x = 0")

    def test_a_base_whose_claim_is_violated(self):
        self.refuses(Holds("M", "LIVE", claim="ends"), "ends is violated")

    def test_a_claim_that_does_not_exist(self):
        self.refuses(Holds("M", claim="begins"), "begins")

    def test_a_cut_exploration(self):
        self.addCleanup(setattr, run_models, "DEPTH", run_models.DEPTH)
        run_models.DEPTH = 3
        self.refuses(Holds("M", claim="ends"), "was cut")

    def test_switches_that_bite(self):
        self.assertIn("violates small at step", self.run_row(Violates("M", "small", "BREAK")))

    def test_a_switch_that_does_not_bite(self):
        self.refuses(Violates("M", "small", "NOTHING"), "found no violation")

    def test_a_switch_that_violates_something_else(self):
        self.refuses(Violates("M", run_models.DEAD_END, "BREAK"), "expected to violate invalid end state, found small")

    def test_a_model_that_is_none(self):
        with open(os.path.join(self.folder, "m.pml"), "a", encoding="utf-8") as stream:
            stream.write("active proctype {")
        self.refuses(Holds("M"), "refuses the model")


if __name__ == "__main__":
    unittest.main()
