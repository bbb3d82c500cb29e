#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""check_tags.py ROOT - the numbered clauses of the design and the code that cites them.

A clause is defined in docs/*.md, once, as **[area.topic.N]**; a definition followed by *planned* is not built yet.
Anywhere else the bracketed tag cites it, and area.topic.* in brackets cites a family.
Invariants: [docs.tag.1] a tag has one definition; [docs.tag.2] a citation, in code, tests or docs, has a definition;
[docs.tag.3] a clause that is not planned is cited by code or tests.
"""

import os
import re
import sys

import project_tree

NAME = r"[a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)*\.(?:\d+|\*)"
DEFINITION = re.compile(r"\*\*\[(" + NAME + r")\]\*\*([ ]*\*planned\*)?")
# Several tags may share one pair of brackets, separated by commas.
CITATION = re.compile(r"\[(" + NAME + r"(?:,\s*" + NAME + r")*)\]")
CITING_SUFFIXES = {".py", ".cmake", ".sh", ".md", ".json", ".txt", ".ll", ".in", ".pml"}


def cites(path):
    name, suffix = os.path.basename(path), os.path.splitext(path)[1]
    return project_tree.is_code(path) or suffix in CITING_SUFFIXES or name == "CMakeLists.txt" or suffix == ""


def check(root):
    violations, defined, planned, cited_by_code = [], {}, set(), set()
    citations = []
    for path in project_tree.files(root):
        if not cites(path) or project_tree.is_frozen(path):
            continue
        text = project_tree.read(root, path)
        if text is None:
            continue
        in_docs = path.startswith("docs/")
        for number, line in enumerate(text.splitlines(), 1):
            where = f"{path}:{number}"
            if in_docs:
                for match in DEFINITION.finditer(line):
                    tag = match.group(1)
                    if tag in defined:
                        violations.append(f"{where}: [{tag}] is defined already at {defined[tag]}; give one a new number")
                    defined.setdefault(tag, where)
                    if match.group(2):
                        planned.add(tag)
                line = DEFINITION.sub("", line)
            for match in CITATION.finditer(line):
                for tag in re.split(r",\s*", match.group(1)):
                    citations.append((tag, where))
                    if not in_docs:
                        cited_by_code.add(tag)
    families = {tag.rsplit(".", 1)[0] for tag in defined}
    for tag, where in citations:
        family = tag.rsplit(".", 1)[0]
        known = any(f == family or f.startswith(family + ".") for f in families) if tag.endswith(".*") else tag in defined
        if not known:
            violations.append(f"{where}: [{tag}] is defined nowhere in docs/; define it there as **[{tag}]** or correct it")
    for tag in sorted(set(defined) - planned - cited_by_code):
        violations.append(f"{defined[tag]}: [{tag}] is not planned, yet no code or test cites it")
    summary = f"{len(defined)} clauses ({len(planned)} planned), {len(citations)} citations"
    return violations, summary


def main(arguments):
    if len(arguments) != 2 or not os.path.isdir(os.path.join(arguments[1], "docs")):
        print("usage: check_tags.py ROOT (a folder with docs)", file=sys.stderr)
        return 2
    violations, summary = check(arguments[1])
    return project_tree.finish("check_tags", violations, summary)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
