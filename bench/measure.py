# SPDX-License-Identifier: MIT
"""Runs a command, or prints a figure beside its target."""
import subprocess
import sys


def run(command, **options):
    done = subprocess.run([str(c) for c in command], text=True, capture_output=True, **options)
    if done.returncode != 0:
        sys.exit(f"bench: {command[0]} failed with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def show(name, figure, target=None, met=None):
    verdict = "" if met is None else ("   met" if met else "   NOT MET")
    print(f"  {name:<58} {figure:>22}{'   target ' + target if target else ''}{verdict}", flush=True)
