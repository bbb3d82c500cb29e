#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""check_dependencies.py ROOT - the arrows between folders, enforced on #include lines and CMake links.

Invariant [arch.arrows.1]: a folder includes and links only what its row of ALLOWED names.
Invariant [arch.llvm.1]: LLVM is included and linked in jit_hooks only.
Invariant [arch.headers.1]: a public header includes public headers and C standard headers only.
"""

import os
import re
import sys

import project_tree

PUBLIC = "vm_iface/include"

# Which contexts a context may see, itself included. tests/ mirrors the folders and may see all of them.
ALLOWED = {
    PUBLIC: {PUBLIC},
    "heap": {PUBLIC, "heap"},
    "barriers": {PUBLIC, "heap", "barriers"},
    "gc": {PUBLIC, "heap", "barriers", "gc"},
    "async_objects": {PUBLIC, "heap", "barriers", "gc", "async_objects"},
    "vm_iface/echo_runtime": {PUBLIC, "vm_iface/echo_runtime"},
    "vm_iface/memory_pool": {PUBLIC, "heap", "vm_iface/memory_pool"},
    "vm_iface/src": {PUBLIC, "heap", "barriers", "gc", "async_objects", "vm_iface/src"},
    "jit_hooks": {PUBLIC, "jit_hooks"},
    "conformance": {PUBLIC, "conformance"},
    "examples": {PUBLIC, "examples"},
    "tools": {PUBLIC, "tools"},
}
SEES_ALL = ("tests", "bench")
# An embedder links what is installed.
INSTALLED_LIBRARIES = {"echo_heap", "echo_jit", "echo_memory_pool", "echo_runtime"}
EMBEDDERS = ("examples", "tools")
MAY_USE_LLVM = ("jit_hooks",)
C_HEADERS = {"assert.h", "stdalign.h", "stdatomic.h", "stdbool.h", "stddef.h", "stdint.h", "stdlib.h", "string.h", "time.h"}
LLVM_INCLUDE = re.compile(r"^(llvm|llvm-c|clang|clang-c|lld|mlir)/")
LLVM_LIBRARY = re.compile(r"^(LLVM|LLVM[A-Z]\w*|clang|clang-cpp|lld\w*)$")
INCLUDE = re.compile(r"^[ \t]*#[ \t]*include(?:_next)?[ \t]*(.*)$", re.MULTILINE)
COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
# Folders a quoted include may start from, besides the includer's own.
INCLUDE_ROOTS = (PUBLIC, ".", "vm_iface", "jit_hooks", "conformance", "tests", "bench", "heap", "gc")


def context_of(path):
    """The bounded context a project path lies in, or None for files outside all of them."""
    for context in sorted(list(ALLOWED) + list(SEES_ALL), key=len, reverse=True):
        if path == context or path.startswith(context + "/"):
            return context
    return None


def without_comments(text):
    """Comments blanked out, line numbers kept."""
    return COMMENT.sub(lambda match: re.sub(r"[^\n]", " ", match.group()), text)


def resolve(root, includer, name):
    """The project file an include names, or None."""
    starts = [os.path.dirname(includer)] + list(INCLUDE_ROOTS)
    for start in starts:
        path = os.path.normpath(os.path.join(start, name)).replace(os.sep, "/")
        if not path.startswith("..") and os.path.isfile(os.path.join(root, path)):
            return path
    return None


def check_includes(root, path, text):
    context = context_of(path)
    if context is None:
        return
    for match in INCLUDE.finditer(without_comments(text)):
        where = f"{path}:{text.count(chr(10), 0, match.start()) + 1}"
        what = re.match(r'(<[^>]+>|"[^"]+")', match.group(1).strip())
        if not what:
            if context == PUBLIC:
                yield f"{where}: computed include; a public header names what it includes"
            continue
        quoted, name = what.group(1)[0] == '"', what.group(1)[1:-1]
        target = resolve(root, path, name)
        if target is None:
            if LLVM_INCLUDE.match(name) and not path.startswith(tuple(f + "/" for f in MAY_USE_LLVM)):
                yield f"{where}: includes {name}; LLVM belongs to jit_hooks only [arch.llvm.1]"
            elif context == PUBLIC and (quoted or name not in C_HEADERS):
                yield f"{where}: includes {name}; public headers see echo/*.h and C standard headers only [arch.headers.1]"
            continue
        seen = context_of(target)
        if context not in SEES_ALL and seen is not None and seen not in ALLOWED[context]:
            yield f"{where}: {context} includes {target}, but may not depend on {seen} [arch.arrows.1]"


def cmake_commands(text):
    """(line, command, words) of each command of a CMake file."""
    text = re.sub(r"#\[\[.*?\]\]", lambda m: re.sub(r"[^\n]", " ", m.group()), text, flags=re.DOTALL)
    text = re.sub(r"#[^\n]*", "", text)
    for match in re.finditer(r"\b([A-Za-z_]\w*)[ \t]*\(", text):
        depth, end = 1, match.end()
        while end < len(text) and depth:
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            end += 1
        words = re.findall(r'"[^"]*"|[^\s"]+', text[match.end() : end - 1])
        yield text.count("\n", 0, match.start()) + 1, match.group(1).lower(), [w.strip('"') for w in words]


def check_links(root, cmake_files):
    owner, links = {}, []
    for path in cmake_files:
        context = context_of(path)
        for line, command, words in cmake_commands(project_tree.read(root, path)):
            if command in ("add_library", "add_executable") and words and context:
                owner[words[0]] = context
                if len(words) > 2 and words[1] == "ALIAS":
                    owner[words[0]] = owner.get(words[2], context)
                links += [(path, line, context, w) for w in words[1:]]
            elif command in ("target_link_libraries", "target_sources") and context:
                links += [(path, line, context, w) for w in words[1:]]
    for path, line, context, word in links:
        objects = re.match(r"\$<(?:TARGET_OBJECTS|LINK_ONLY|BUILD_INTERFACE):([^>]+)>$", word)
        name = objects.group(1) if objects else word
        if LLVM_LIBRARY.match(name) and not path.startswith(tuple(f + "/" for f in MAY_USE_LLVM)):
            yield f"{path}:{line}: links {name}; LLVM belongs to jit_hooks only [arch.llvm.1]"
        seen = owner.get(name)
        if context in EMBEDDERS and name in INSTALLED_LIBRARIES:
            continue
        if context not in SEES_ALL and seen is not None and seen not in ALLOWED[context]:
            yield f"{path}:{line}: {context} links {name}, but may not depend on {seen} [arch.arrows.1]"


def check(root):
    violations, includes, cmake_files = [], 0, []
    for path in project_tree.files(root):
        if project_tree.is_code(path):
            includes += 1
            violations += check_includes(root, path, project_tree.read(root, path) or "")
        elif os.path.basename(path) == "CMakeLists.txt" or path.endswith(".cmake"):
            cmake_files.append(path)
    violations += check_links(root, cmake_files)
    return violations, f"{includes} source files and {len(cmake_files)} CMake files follow the arrows"


def main(arguments):
    if len(arguments) != 2 or not os.path.isdir(os.path.join(arguments[1], PUBLIC)):
        print(f"usage: check_dependencies.py ROOT (a folder with {PUBLIC})", file=sys.stderr)
        return 2
    violations, summary = check(arguments[1])
    return project_tree.finish("check_dependencies", violations, summary)


if __name__ == "__main__":
    sys.exit(main(sys.argv))
