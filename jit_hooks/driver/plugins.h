/* SPDX-License-Identifier: MIT
 *
 * plugins.h - the two libraries echo-run drives, each known by one symbol that returns a table.
 *
 * Invariants  [run.plugin.1] No function of a table is called before its major version, its size and its
 *             pointers are checked.
 *             [run.plugin.2] The libraries stay mapped until the process ends: compiled code and threads
 *             refer to them.
 *             [run.plugin.3] A library file that is cut short is refused, not mapped.
 */
#ifndef ECHO_RUN_PLUGINS_H
#define ECHO_RUN_PLUGINS_H

#include <string>

#include "echo/heap.h"
#include "echo/jit.h"
#include "failure.h"

namespace echo::run {

struct Plugins {
  const echo_heap_api* heap = nullptr;
  const echo_jit_api* jit = nullptr;
  std::string heap_path, jit_path;
};

/* The default path of a library: ../lib next to this executable, else the installed library directory. */
std::string default_library(const char* file);

/* The path of a library in the directory of the one that this code is in. */
std::string beside_this_library(const char* file);

/* Opens a library; `option`: what to give instead if it cannot be. [run.plugin.2] [run.plugin.3] */
Failure open_library(const std::string& path, const std::string& option, void*& out);
/* Null if there is none. */
void* library_symbol(void* library, const char* name);

Failure load_heap_plugin(const std::string& path, Plugins& out);
Failure load_jit(const std::string& path, Plugins& out);

/* The option table of the heap plugin, for people. */
std::string heap_option_help(const echo_heap_api& heap);

} // namespace echo::run

#endif
