#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""abi_snapshot.py HEAPCTL PLUGIN SNAPSHOT [--update RELEASE] - the plugin's ABI against the last released one.

SNAPSHOT holds what a release promised: symbols with their versions, sizes and offsets of structs, values of constants, names and
kinds of options. Invariants: [abi.evolve.1] all of it is still there, with the same numbers. [abi.evolve.2] A struct grows only at
its end, and only if its first field says its size. What has come since is listed; --update writes the snapshot of a new release.
"""

import argparse
import json
import re
import subprocess
import sys

import project_tree

HOW = "see docs/abi-changes.md; a release takes the snapshot anew with --update"


def run(*command):
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=True).stdout


def symbols(library):
    """name -> version node, of the functions that the library defines for others."""
    found = {}
    for line in run("readelf", "--dyn-syms", "-W", library).splitlines():
        parts = line.split()
        if len(parts) >= 8 and parts[3] == "FUNC" and parts[4] in ("GLOBAL", "WEAK") and parts[6] != "UND":
            name, _, version = parts[7].partition("@")
            found[name] = version.lstrip("@")
    return found


def constants(abi):
    found = {}
    for row in abi["status"]:
        found[f"ECHO_{row['name']}"] = row["value"]
    for row in abi["features"]:
        found[f"ECHO_FEATURE_{row['name']}"] = 1 << row["bit"]
    for row in abi["causes"]:
        found[f"ECHO_CAUSE_{row['name']}"] = row["value"]
    for row in abi["header_word"]:
        found[f"header word: first bit of {row['name']}"] = row["first_bit"]
    for group in abi["constants"]:
        for row in group["values"]:
            if row is not group["values"][-1] or not row["name"].endswith("_COUNT"):  # that one grows with its enumeration
                found[row["name"]] = row["value"]
    return found


def take(heapctl, plugin):
    abi = json.loads(run(heapctl, "--plugin=" + plugin, "abi", "--json"))
    return {
        "release": f"{abi['abi']['major']}.{abi['abi']['minor']}",
        "symbols": symbols(plugin),
        "structs": {
            row["name"]: {"size": row["size"], "fields": {f["name"]: [f["offset"], f["bytes"]] for f in row["fields"]}}
            for row in abi["structs"]
        },
        "constants": constants(abi),
        "options": {row["name"]: row["kind"] for row in abi["options"]},
    }


def compare_struct(name, old, new):
    for field, (offset, size) in old["fields"].items():
        if field not in new["fields"]:
            yield f"{name}.{field} has gone [abi.evolve.1]"
        elif new["fields"][field] != [offset, size]:
            now = new["fields"][field]
            yield f"{name}.{field} was at {offset} with {size} bytes and is at {now[0]} with {now[1]} [abi.evolve.1]"
    for field, (offset, _) in new["fields"].items():
        if field not in old["fields"] and offset < old["size"]:
            yield f"{name}.{field} at {offset} is not at the end: the struct had {old['size']} bytes [abi.evolve.2]"
    if new["size"] < old["size"]:
        yield f"{name} had {old['size']} bytes and has {new['size']} [abi.evolve.2]"
    if new["size"] > old["size"] and next(iter(old["fields"])) != "size":
        yield f"{name} grew from {old['size']} to {new['size']} bytes, and no field says its size [abi.evolve.2]"


def compare(old, new):
    """(violations, additions)"""
    violations, additions = [], []
    for kind, what in (("symbols", "symbol"), ("constants", "constant"), ("options", "option")):
        for name, value in old[kind].items():
            if name not in new[kind]:
                violations.append(f"the {what} {name} has gone [abi.evolve.1]")
            elif new[kind][name] != value:
                violations.append(f"the {what} {name} was {value} and is {new[kind][name]} [abi.evolve.1]")
        additions += [f"{what} {name} = {value}" for name, value in new[kind].items() if name not in old[kind]]
    for name in (n for n, version in new["symbols"].items() if n not in old["symbols"]):
        if new["symbols"][name] in set(old["symbols"].values()):
            violations.append(f"the symbol {name} is new and stands in the version {new['symbols'][name]} of a release [abi.evolve.3]")
    for name, struct in old["structs"].items():
        if name not in new["structs"]:
            violations.append(f"the struct {name} has gone [abi.evolve.1]")
        else:
            violations += compare_struct(name, struct, new["structs"][name])
    for name, struct in new["structs"].items():
        fields = old["structs"].get(name, {"fields": {}})["fields"]
        additions += [f"{name}.{field} at {at[0]}" for field, at in struct["fields"].items() if field not in fields]
    if additions and new["release"] == old["release"]:
        violations.append(f"something was added since {old['release']}, but ECHO_ABI_MINOR still says {new['release']} [abi.evolve.4]")
    return violations, additions


def main(arguments):
    parser = argparse.ArgumentParser(prog="abi_snapshot.py")
    parser.add_argument("heapctl")
    parser.add_argument("plugin")
    parser.add_argument("snapshot")
    parser.add_argument("--update", metavar="RELEASE")
    options = parser.parse_args(arguments[1:])
    try:
        new = take(options.heapctl, options.plugin)
        if options.update:
            if options.update != new["release"]:
                print(f"abi_snapshot: the plugin serves {new['release']}, not {options.update}", file=sys.stderr)
                return 2
            with open(options.snapshot, "w", encoding="utf-8") as stream:
                text = json.dumps(new, indent=1)
                stream.write(re.sub(r"\[\s+(\d+),\s+(\d+)\s+\]", r"[\1, \2]", text) + "\n")
            return 0
        with open(options.snapshot, encoding="utf-8") as stream:
            old = json.load(stream)
    except (OSError, subprocess.CalledProcessError, ValueError) as failure:
        print(f"abi_snapshot: {failure}", file=sys.stderr)
        return 2
    violations, additions = compare(old, new)
    for addition in additions:
        print(f"since {old['release']}: {addition}")
    return project_tree.finish(
        "abi_snapshot", [f"{line}; {HOW}" for line in violations],
        f"{len(old['symbols'])} symbols, {len(old['structs'])} structs and {len(old['constants'])} constants of "
        f"{old['release']} are unchanged; {len(additions)} additions")


if __name__ == "__main__":
    sys.exit(main(sys.argv))
