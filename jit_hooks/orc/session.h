/* SPDX-License-Identifier: MIT
 *
 * orc/session.h - the LLVM side of a JIT behind an interface without LLVM types.
 *
 * Purpose     Compiles modules, links them in process, publishes their code and stack maps to the code index,
 * collects the global roots of what was linked. Invariants  [jit.session.1] A module that fails leaves
 * nothing behind: its symbols are not defined. [jit.session.2] A unit is in the code index before any address
 * in it is handed out.
 */
#ifndef ECHO_JIT_ORC_SESSION_H
#define ECHO_JIT_ORC_SESSION_H

#include "arch/x86_64/stubs.h"
#include "echo/jit.h"
#include "managed_code.h"
#include "native_symbol.h"
#include "outcome.h"

#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace echo::jit {

struct SessionOptions {
  bool optimise = true;
  uint32_t compile_threads = 0;
  uint32_t switches = 0;
  bool called_operations = false; /* where the module does not say */
  uint32_t profile = 0;           /* ECHO_JIT_PROFILE_* */
  std::string dump_objects, dump_ir, cache;
  uint32_t tools = 0;        /* ECHO_JIT_TOOL_* */
  bool detect_races = false; /* the process has the thread sanitizer */
};

/* What a module offers to and wants from others. */
struct ModuleSummary {
  std::string name;
  std::string object;                         /* its name in the session */
  std::map<std::string, Signature> functions; /* visible functions it defines */
  std::vector<std::string> variables;         /* visible variables it defines */
  std::vector<std::string> needed;            /* symbols it declares and uses */
};

struct SessionStatistics {
  uint64_t functions = 0, sites = 0, map_bytes = 0, code_bytes = 0, derived_pairs = 0;
  uint64_t polls = 0, barriers = 0, barriers_elided = 0;
  double parse_ms = 0, optimise_ms = 0, lower_ms = 0, link_ms = 0;
  uint64_t modules_compiled = 0, cache_hits = 0, cache_damaged = 0, modules_removed = 0;
};

/* Symbols the VM defined, by name. */
using NativeSymbols = std::map<std::string, NativeSymbol, std::less<>>;

class Session {
public:
  static Outcome create(const SessionOptions& options, const echo_heap_api& api, echo_heap* heap,
                        const echo_recipes& recipes, const std::vector<Stub>& stubs, CodeIndex& index,
                        std::unique_ptr<Session>& out);
  virtual ~Session() = default;

  virtual Outcome add_module(const std::string& name, std::string_view bytes, const NativeSymbols& natives,
                             ModuleSummary& out) = 0;
  virtual Outcome define(const std::string& name, void* address) = 0;
  /* Links what is needed for it. */
  virtual Outcome lookup(const std::string& name, void*& out) = 0;
  /* The code of a module, or null if it was not linked; its root words. `object` is its summary's. */
  virtual const CodeUnit* unit_of(const std::string& object) = 0;
  virtual VariableRanges variables_of(const std::string& object) = 0;
  /* Its symbols, code and sites are gone; nothing of it may run any more. */
  virtual Outcome remove(const std::string& object) = 0;
  /* Of modules linked since the last time. */
  virtual VariableRanges take_variables() = 0;
  virtual SessionStatistics statistics() const = 0;

  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

protected:
  Session() = default;
};

} // namespace echo::jit

#endif // ECHO_JIT_ORC_SESSION_H
