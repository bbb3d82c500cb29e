/* SPDX-License-Identifier: MIT
 *
 * jit.cpp - a JIT of one heap. Invariants: jit.h.
 */
#include "jit.h"

#include "arch/x86_64/stubs.h"

#include <algorithm>
#include <cstring>
#include <dlfcn.h>
#include <sys/stat.h>

namespace echo::jit {
namespace {

constexpr uint32_t kMaxCompileThreads = 256;
void* in_process(const std::string& name) {
  static void* const process = dlopen(nullptr, RTLD_NOW);
  return process != nullptr ? dlsym(process, name.c_str()) : nullptr;
}

Outcome check_directory(const char* option, const char* path) {
  struct stat status;
  if (path == nullptr || (stat(path, &status) == 0 && S_ISDIR(status.st_mode)))
    return {};
  return {ECHO_IO_ERROR, std::string(option) + ": '" + path + "' is no directory"};
}

Outcome check_options(const echo_jit_options& options) {
  if (options.optimise != 0 && options.optimise != 2)
    return {ECHO_INVALID_ARGUMENT, "optimise is " + std::to_string(options.optimise) + "; it must be 0 or 2"};
  if (options.operations > ECHO_JIT_OPERATIONS_CALLED)
    return {ECHO_INVALID_ARGUMENT,
            "operations is " + std::to_string(options.operations) + "; it must be inline (0) or called (1)"};
  if (options.profile > ECHO_JIT_PROFILE_UNMODIFIED)
    return {ECHO_INVALID_ARGUMENT, "profile is " + std::to_string(options.profile) +
                                       "; it must be references (0) or unmodified (1)"};
  if (options.profile == ECHO_JIT_PROFILE_UNMODIFIED && options.operations != ECHO_JIT_OPERATIONS_INLINE)
    return {ECHO_INVALID_ARGUMENT, "the unmodified profile has no operations that could be called (level 0)"};
  if (options.compile_threads > kMaxCompileThreads)
    return {ECHO_INVALID_ARGUMENT, "compile_threads is " + std::to_string(options.compile_threads) +
                                       "; at most " + std::to_string(kMaxCompileThreads)};
  if ((options.switches & ~uint32_t{ECHO_JIT_ALL_SWITCHES}) != 0)
    return {ECHO_INVALID_ARGUMENT, "switches has a bit that echo/jit.h does not name"};
  if ((options.tools & ~uint32_t{ECHO_JIT_TOOL_GDB | ECHO_JIT_TOOL_PERF | ECHO_JIT_TOOL_LINES}) != 0)
    return {ECHO_INVALID_ARGUMENT, "tools has a bit that echo/jit.h does not name"};
  if (Outcome outcome = check_directory("dump_objects", options.dump_objects); !outcome)
    return outcome;
  if (Outcome outcome = check_directory("cache", options.cache); !outcome)
    return outcome;
  return check_directory("dump_ir", options.dump_ir);
}

Outcome invalid(const char* what) {
  return {ECHO_INVALID_ARGUMENT, what};
}

bool has_ambiguous_roots(const echo_heap_api& api) {
  return (api.features & ECHO_FEATURE_AMBIGUOUS_ROOTS) != 0 &&
         api.size >= offsetof(echo_heap_api, ambiguous_range_remove) + sizeof api.ambiguous_range_remove;
}

} // namespace

Outcome Jit::create(const echo_heap_api* api, echo_heap* heap, const echo_jit_options* options,
                    std::unique_ptr<Jit>& out) {
  if (Outcome outcome = ManagedCode::check_heap(api, heap); !outcome)
    return outcome;
  echo_jit_options known{};
  known.optimise = 2;
  if (options != nullptr) {
    if (options->size < offsetof(echo_jit_options, dump_objects))
      return invalid("options->size is too small");
    std::memcpy(&known, options, options->size < sizeof known ? options->size : sizeof known);
  }
  if (Outcome outcome = check_options(known); !outcome)
    return outcome;
  std::unique_ptr<Jit> jit(new Jit(*api, heap));
  if (Outcome outcome = jit->start(known); !outcome)
    return outcome;
  out = std::move(jit);
  return {};
}

Outcome Jit::start(const echo_jit_options& options) {
  if (Outcome outcome = code_.take_recipes(ECHO_RECIPES_FASTEST); !outcome)
    return outcome;
  closed_ = options.profile == ECHO_JIT_PROFILE_UNMODIFIED;
  if (closed_ && !has_ambiguous_roots(code_.api()))
    return {ECHO_NOT_SUPPORTED,
            "unmodified output of the Echo compiler needs a heap with ambiguous roots, and this heap "
            "has none"};
  code_.tell_literals(options.literal, options.literal_context);
  SessionOptions session;
  session.optimise = options.optimise != 0;
  session.compile_threads = options.compile_threads;
  session.switches = options.switches;
  session.tools = options.tools;
  if (options.cache != nullptr)
    session.cache = options.cache;
  session.profile = options.profile;
  session.called_operations = options.operations == ECHO_JIT_OPERATIONS_CALLED;
  if (options.dump_objects != nullptr)
    session.dump_objects = options.dump_objects;
  if (options.dump_ir != nullptr)
    session.dump_ir = options.dump_ir;
  remove_under_frames_ = (options.switches & ECHO_JIT_REMOVE_UNDER_FRAMES) != 0;
  code_.leave_entries_unguarded((options.switches & ECHO_JIT_NO_ENTRY_GUARD) != 0);
  const StubFaults faults{(options.switches & ECHO_JIT_STUBS_LOSE_RAX) != 0,
                          (options.switches & ECHO_JIT_NATIVE_WITHOUT_ANCHOR) != 0};
  StubTargets targets = targets_by_address(code_.recipes(), &ManagedCode::raise, &code_);
  if (void* const exchange =
          in_process("__tsan_atomic32_exchange")) { /* the thread sanitizer is here [jit.race.1] */
    session.detect_races = true;
    targets.call_exchange = call_of_address(reinterpret_cast<uintptr_t>(exchange));
  }
  if (Outcome outcome =
          Session::create(session, code_.api(), code_.heap(), code_.recipes(),
                          make_stubs(code_.recipes(), targets, faults), code_.index(), session_);
      !outcome)
    return outcome;
  return code_.provide_frames();
}

Outcome Jit::close() {
  if (code_.active())
    return {ECHO_WRONG_STATE, "a thread is inside echo_jit_call; destroy the JIT after it came back"};
  return {};
}

Outcome Jit::add_module(const char* name, std::string_view bytes) {
  NativeSymbols natives;
  {
    const std::lock_guard<std::mutex> guard(symbols_lock_);
    natives = natives_;
  }
  ModuleSummary summary;
  if (Outcome outcome = session_->add_module(name, bytes, natives, summary); !outcome)
    return std::move(outcome).within(name);
  const std::lock_guard<std::mutex> guard(symbols_lock_);
  const size_t index = modules_.size();
  for (const auto& [symbol, signature] : summary.functions)
    owners_.emplace(symbol, index);
  for (const std::string& symbol : summary.variables)
    owners_.emplace(symbol, index);
  modules_.push_back(std::move(summary));
  return {};
}

Outcome Jit::define(const char* name, void* address, uint32_t kind, std::string_view type) {
  if (name == nullptr || *name == '\0')
    return invalid("the symbol's name is null or empty");
  if (address == nullptr)
    return {ECHO_INVALID_ARGUMENT, std::string("the address of '") + name + "' is null"};
  if (kind > ECHO_JIT_SYMBOL_BLOCKING)
    return {ECHO_INVALID_ARGUMENT, std::string("the kind of '") + name + "' is " + std::to_string(kind)};
  if (std::string_view(name).starts_with("echo.gc.") || std::string_view(name).starts_with("echo.stub."))
    return {ECHO_INVALID_ARGUMENT, std::string("'") + name + "' is a reserved name"};
  if (type.find_first_not_of("vzbsilfdpr") != std::string_view::npos ||
      (!type.empty() && type.find('v', 1) != std::string_view::npos))
    return {ECHO_INVALID_ARGUMENT, std::string("the type of '") + name + "' is '" + std::string(type) +
                                       "'; echo/jit.h lists the letters"};
  const std::lock_guard<std::mutex> guard(symbols_lock_);
  if (natives_.contains(name) || owners_.contains(name))
    return {ECHO_INVALID_ARGUMENT, std::string("'") + name + "' is defined already"};
  if (Outcome outcome = session_->define(name, address); !outcome)
    return outcome;
  natives_.emplace(name, NativeSymbol{kind, std::string(type)});
  return {};
}

/* All symbols that the module of `root`, and the modules it uses, need and nobody defines. */
Outcome Jit::check_symbols(const std::string& root) const {
  const auto start = owners_.find(root);
  if (start == owners_.end() || !modules_[start->second].functions.contains(root))
    return {ECHO_MISSING_SYMBOL, "no module defines a function '" + root + "'"};
  if (!modules_[start->second].functions.at(root).callable)
    return {ECHO_UNSUPPORTED_OPERATION, "'" + root +
                                            "' cannot be called from outside: it has more than 6 parameters, "
                                            "or a parameter or result that is no integer or pointer"};
  std::string missing;
  std::set<size_t> reached{start->second};
  std::vector<size_t> work{start->second};
  while (!work.empty()) {
    const ModuleSummary& module = modules_[work.back()];
    work.pop_back();
    for (const std::string& name : module.needed) {
      if (natives_.contains(name))
        continue;
      if (const auto owner = owners_.find(name); owner != owners_.end()) {
        if (reached.insert(owner->second).second)
          work.push_back(owner->second);
      } else if (closed_ || !in_process(name)) { /* [unmod.symbol.1] */
        missing += (missing.empty() ? "'" : ", '") + name + "' (module " + module.name + ")";
      }
    }
  }
  if (missing.empty())
    return {};
  return {ECHO_MISSING_SYMBOL, "not defined: " + missing};
}

Outcome Jit::lookup(const char* name, void*& out) {
  if (name == nullptr)
    return invalid("the symbol's name is null");
  {
    const std::lock_guard<std::mutex> guard(symbols_lock_);
    if (Outcome outcome = check_symbols(name); !outcome)
      return outcome;
  }
  void* address = nullptr;
  if (Outcome outcome = session_->lookup(name, address); !outcome)
    return outcome;
  if (Outcome outcome = code_.add_variables(session_->take_variables()); !outcome)
    return outcome;
  out = address;
  return {};
}

/* No other module needs a symbol of this one. */
Outcome Jit::check_unused(const ModuleSummary& module) const {
  for (const ModuleSummary& other : modules_) {
    if (&other == &module)
      continue;
    for (const std::string& symbol : other.needed)
      if (module.functions.contains(symbol) ||
          std::find(module.variables.begin(), module.variables.end(), symbol) != module.variables.end())
        return {ECHO_WRONG_STATE, "module '" + other.name + "' uses '" + symbol + "' of module '" +
                                      module.name + "'; remove it first"};
  }
  return {};
}

/* No frame of it is on a stack: a collection walks them all. */
Outcome Jit::check_frames(echo_thread* thread, const ModuleSummary& module) {
  const CodeUnit* const unit = session_->unit_of(module.object);
  if (unit == nullptr || remove_under_frames_ || (!code_.active() && thread == nullptr))
    return {};
  if (thread == nullptr)
    return {ECHO_WRONG_STATE,
            "a thread is inside echo_jit_call; give the calling thread, so that its collection can "
            "look for frames of the module"};
  code_.index().watch(unit);
  echo_error why{};
  const echo_status status = code_.api().collect(thread, ECHO_COLLECT_FULL, &why);
  const uint64_t frames = code_.index().watched_frames();
  code_.index().watch(nullptr);
  if (status != ECHO_OK)
    return {status, std::string("the collection that looks for frames of the module: ") + why.message};
  if (frames != 0)
    return {ECHO_WRONG_STATE, std::to_string(frames) + " frames of module '" + module.name +
                                  "' are on the stacks of threads; remove it after they returned"};
  return {};
}

Outcome Jit::remove_module(echo_thread* thread, const char* name) {
  if (name == nullptr)
    return invalid("the module's name is null");
  const std::lock_guard<std::mutex> one_remover(removal_lock_);
  ModuleSummary module;
  {
    const std::lock_guard<std::mutex> guard(symbols_lock_);
    const auto found = std::find_if(modules_.rbegin(), modules_.rend(),
                                    [name](const ModuleSummary& one) { return one.name == name; });
    if (found == modules_.rend())
      return {ECHO_INVALID_ARGUMENT, std::string("no module was added as '") + name + "'"};
    if (Outcome outcome = check_unused(*found); !outcome)
      return outcome;
    module = *found;
  }
  if (Outcome outcome = check_frames(thread, module); !outcome)
    return outcome;
  if (Outcome outcome = code_.add_variables(session_->take_variables());
      !outcome) /* so that its own are in the list */
    return outcome;
  code_.remove_variables(session_->variables_of(module.object));
  {
    const std::lock_guard<std::mutex> guard(symbols_lock_);
    std::erase_if(modules_, [&](const ModuleSummary& one) { return one.object == module.object; });
    owners_.clear();
    for (size_t i = 0; i < modules_.size(); ++i) {
      for (const auto& [symbol, signature] : modules_[i].functions)
        owners_.emplace(symbol, i);
      for (const std::string& symbol : modules_[i].variables)
        owners_.emplace(symbol, i);
    }
  }
  return session_->remove(module.object);
}

void Jit::statistics(echo_jit_statistics& out) const {
  const SessionStatistics known = session_->statistics();
  echo_jit_statistics all{};
  all.size = out.size;
  all.functions = static_cast<uint32_t>(known.functions);
  all.sites = static_cast<uint32_t>(known.sites);
  all.map_bytes = known.map_bytes;
  all.code_bytes = known.code_bytes;
  all.derived_pairs = known.derived_pairs;
  all.polls_inserted = known.polls;
  all.barriers_emitted = known.barriers;
  all.barriers_elided = known.barriers_elided;
  all.parse_ms = known.parse_ms;
  all.optimise_ms = known.optimise_ms;
  all.lower_ms = known.lower_ms;
  all.link_ms = known.link_ms;
  all.modules_compiled = known.modules_compiled;
  all.cache_hits = known.cache_hits;
  all.cache_damaged = known.cache_damaged;
  all.modules_removed = known.modules_removed;
  std::memcpy(&out, &all, out.size < sizeof all ? out.size : sizeof all);
}

} // namespace echo::jit
