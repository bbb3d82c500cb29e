/* SPDX-License-Identifier: MIT
 *
 * jit.cpp - a JIT of one heap. Invariants: jit.h.
 */
#include "jit.h"

#include "arch/x86_64/stubs.h"
#include "maps/frame_walker.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <sys/stat.h>

namespace echo::jit {
namespace {

constexpr uint32_t kRecipesVersion = 1;
constexpr uint32_t kMaxCompileThreads = 256;
bool in_process(const std::string& name) {
  static void* const process = dlopen(nullptr, RTLD_NOW);
  return process != nullptr && dlsym(process, name.c_str()) != nullptr;
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
  if (options.compile_threads > kMaxCompileThreads)
    return {ECHO_INVALID_ARGUMENT, "compile_threads is " + std::to_string(options.compile_threads) +
                                       "; at most " + std::to_string(kMaxCompileThreads)};
  if ((options.switches & ~uint32_t{ECHO_JIT_ALL_SWITCHES}) != 0)
    return {ECHO_INVALID_ARGUMENT, "switches has a bit that echo/jit.h does not name"};
  if ((options.tools & ~uint32_t{ECHO_JIT_TOOL_GDB | ECHO_JIT_TOOL_PERF}) != 0)
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

} // namespace

Outcome Jit::create(const echo_heap_api* api, echo_heap* heap, const echo_jit_options* options,
                    std::unique_ptr<Jit>& out) {
  if (api == nullptr || heap == nullptr)
    return invalid("api or heap is null");
  constexpr uint32_t kNeeded =
      offsetof(echo_heap_api, identity_hash); /* what this library calls lies before it */
  if (api->abi_major != ECHO_ABI_MAJOR || api->size < kNeeded)
    return {ECHO_VERSION_MISMATCH, "the heap plugin's table has version " + std::to_string(api->abi_major) +
                                       "." + std::to_string(api->abi_minor) + " and " +
                                       std::to_string(api->size) + " bytes; this JIT needs version " +
                                       std::to_string(ECHO_ABI_MAJOR) + " and " + std::to_string(kNeeded) +
                                       " bytes"};
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

Outcome Jit::read_recipes() {
  const echo_recipes* given = nullptr;
  const echo_status status = api_.recipes(heap_, ECHO_RECIPES_FASTEST, &given);
  if (status != ECHO_OK || given == nullptr)
    return {status, "the heap gives no recipes"};
  /* Fields that this plugin does not have yet stay 0: their fast path is the cold one. */
  if (given->size >= offsetof(echo_recipes, filler_word))
    std::memcpy(&recipes_, given, given->size < sizeof recipes_ ? given->size : sizeof recipes_);
  const echo_recipes& recipes = recipes_;
  if (given->size < offsetof(echo_recipes, filler_word) || recipes.version != kRecipesVersion)
    return {ECHO_VERSION_MISMATCH, "the heap's recipes have version " + std::to_string(given->version) +
                                       "; this JIT lowers version " + std::to_string(kRecipesVersion)};
  const bool granule_ok = recipes.granule >= 8 && (recipes.granule & (recipes.granule - 1)) == 0;
  const bool offsets_ok = recipes.cursor_offset % 8 == 0 && recipes.limit_offset % 8 == 0 &&
                          recipes.poll_offset % 8 == 0 && recipes.anchor_sp_offset % 8 == 0 &&
                          recipes.anchor_fp_offset % 8 == 0 && recipes.anchor_pc_offset % 8 == 0;
  if (!granule_ok || !offsets_ok || recipes.header_offset != 0 || recipes.length_offset != 8)
    return {ECHO_VERSION_MISMATCH, "the heap's recipes contradict themselves (granule or offsets)"};
  if (recipes.store_kind != ECHO_STORE_NONE && recipes.store_kind != ECHO_STORE_PHASE_TEST)
    return {ECHO_VERSION_MISMATCH, "the heap asks for store recipe " + std::to_string(recipes.store_kind) +
                                       ", which this JIT does not lower"};
  if (recipes.hash_cold != nullptr && recipes.hash_shift > 63)
    return {ECHO_VERSION_MISMATCH, "the heap's hash recipe shifts by more than 63"};
  if (recipes.enter_native_cold != nullptr && recipes.state_offset % 4 != 0)
    return {ECHO_VERSION_MISMATCH,
            "the heap's recipe of native transitions names a word that is not aligned"};
  if (recipes.allocate_cold == nullptr || recipes.poll_cold == nullptr ||
      (recipes.store_kind == ECHO_STORE_PHASE_TEST && recipes.store_cold == nullptr))
    return {ECHO_VERSION_MISMATCH, "the heap's recipes lack a cold path"};
  return {};
}

Outcome Jit::start(const echo_jit_options& options) {
  if (Outcome outcome = read_recipes(); !outcome)
    return outcome;
  SessionOptions session;
  session.optimise = options.optimise != 0;
  session.compile_threads = options.compile_threads;
  session.switches = options.switches;
  session.tools = options.tools;
  if (options.cache != nullptr)
    session.cache = options.cache;
  session.called_operations = options.operations == ECHO_JIT_OPERATIONS_CALLED;
  if (options.dump_objects != nullptr)
    session.dump_objects = options.dump_objects;
  if (options.dump_ir != nullptr)
    session.dump_ir = options.dump_ir;
  unguarded_entries_ = (options.switches & ECHO_JIT_NO_ENTRY_GUARD) != 0;
  const StubFaults faults{(options.switches & ECHO_JIT_STUBS_LOSE_RAX) != 0,
                          (options.switches & ECHO_JIT_NATIVE_WITHOUT_ANCHOR) != 0};
  if (Outcome outcome = Session::create(session, api_, heap_, recipes_,
                                        make_stubs(recipes_, &Jit::raise, this, faults), index_, session_);
      !outcome)
    return outcome;
  echo_frame_source source{};
  source.size = sizeof source;
  source.context = &index_;
  source.walk = walk_frames;
  echo_error why{};
  if (const echo_status status = api_.frame_source_set(heap_, &source, &why); status != ECHO_OK)
    return {status, why.message};
  is_source_ = true;
  return {};
}

Jit::~Jit() {
  if (is_source_)
    api_.frame_source_set(heap_, nullptr, nullptr);
  for (const RootRange& range : roots_)
    api_.roots_remove(heap_, range.first, nullptr);
}

Outcome Jit::close() {
  if (active_calls_.load() != 0)
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
      } else if (!in_process(name)) {
        missing += (missing.empty() ? "'" : ", '") + name + "' (module " + module.name + ")";
      }
    }
  }
  if (missing.empty())
    return {};
  return {ECHO_MISSING_SYMBOL, "not defined: " + missing};
}

Outcome Jit::register_roots() {
  const std::lock_guard<std::mutex> guard(roots_lock_);
  for (const RootRange& range : session_->take_roots()) {
    echo_error why{};
    if (const echo_status status = api_.roots_add(heap_, range.first, range.words, &why); status != ECHO_OK)
      return {status, std::string("the module's variables that hold references: ") + why.message};
    roots_.push_back(range);
  }
  return {};
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
  if (Outcome outcome = register_roots(); !outcome)
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
  if (unit == nullptr || (active_calls_.load() == 0 && thread == nullptr))
    return {};
  if (thread == nullptr)
    return {ECHO_WRONG_STATE,
            "a thread is inside echo_jit_call; give the calling thread, so that its collection can "
            "look for frames of the module"};
  index_.watch(unit);
  echo_error why{};
  const echo_status status = api_.collect(thread, ECHO_COLLECT_FULL, &why);
  const uint64_t frames = index_.watched_frames();
  index_.watch(nullptr);
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
  if (Outcome outcome = register_roots(); !outcome) /* so that its own are in the list */
    return outcome;
  {
    const std::lock_guard<std::mutex> guard(roots_lock_); /* [jit.roots.2] */
    for (const RootRange& range : session_->roots_of(module.object)) {
      api_.roots_remove(heap_, range.first, nullptr);
      std::erase_if(roots_, [&](const RootRange& one) { return one.first == range.first; });
    }
  }
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

Outcome Jit::call(echo_thread* thread, void* function, const uint64_t* arguments, uint32_t count,
                  uint64_t& result) {
  if (thread == nullptr || function == nullptr)
    return invalid("the thread or the function is null");
  if (count > kMaxArguments || (count > 0 && arguments == nullptr))
    return invalid("more than 6 arguments, or a null argument array");
  const uintptr_t pc = reinterpret_cast<uintptr_t>(function);
  uint32_t parameters = 0, result_bits = 0;
  {
    const CodeIndex::View view(index_);
    const CodeUnit* const unit = view.unit_at(pc);
    const FunctionRange* const range = unit != nullptr ? unit->function_at(pc) : nullptr;
    if (range == nullptr || range->begin != pc || !range->signature.callable)
      return invalid(
          "the address is not that of a compiled function with at most 6 integer or pointer parameters");
    parameters = range->signature.parameters;
    result_bits = range->signature.result_bits;
  }
  if (count < parameters)
    return {ECHO_INVALID_ARGUMENT, "the function has " + std::to_string(parameters) +
                                       " parameters, the call " + std::to_string(count)};
  struct Active {
    explicit Active(std::atomic<uint64_t>& count) : calls(count) { calls.fetch_add(1); }
    ~Active() { calls.fetch_sub(1); }
    std::atomic<uint64_t>& calls;
  } active(active_calls_);
  EntryRecord record;
  record.thread = thread;
  record.function = function;
  record.owner = this;
  record.unguarded = unguarded_entries_;
  for (uint32_t i = 0; i < count; ++i)
    record.arguments[i] = arguments[i];
  if (Outcome outcome = enter(record, AnchorWords(thread, recipes_)); !outcome)
    return outcome;
  if (result_bits == 0)
    result = 0;
  else
    result = result_bits >= 64 ? record.result : record.result & ((uint64_t{1} << result_bits) - 1);
  return {};
}

void Jit::abandon(echo_thread* thread, const echo_error* why) {
  echo::jit::abandon(this, thread, why);
}

void Jit::raise(echo_thread* thread, void* context) {
  auto* const jit = static_cast<Jit*>(context);
  echo_error why{};
  if (jit->api_.last_error(thread, &why) == ECHO_OK)
    fill_error(&why, ECHO_HEAP_LIMIT, "the heap returned no object and no reason");
  jit->abandon(thread, &why);
  /* Only a program entered without echo_jit_call gets here; it has nowhere to go. */
  std::fprintf(stderr, "echo_jit: %s: %s, and no echo_jit_call is active on this thread\n",
               echo_status_name(why.code), why.message);
  std::abort();
}

echo_status Jit::function_at(uintptr_t pc, char* name, uint64_t capacity) const {
  const CodeIndex::View view(index_);
  const CodeUnit* const unit = view.unit_at(pc);
  const FunctionRange* const range = unit != nullptr ? unit->function_at(pc) : nullptr;
  if (range == nullptr)
    return ECHO_MISSING_SYMBOL;
  const uint64_t length = range->name.size() < capacity - 1 ? range->name.size() : capacity - 1;
  std::memcpy(name, range->name.data(), length);
  name[length] = '\0';
  return ECHO_OK;
}

echo_status Jit::function_type(const void* function, char* type, uint64_t capacity) const {
  const uintptr_t pc = reinterpret_cast<uintptr_t>(function);
  const CodeIndex::View view(index_);
  const CodeUnit* const unit = view.unit_at(pc);
  const FunctionRange* const range = unit != nullptr ? unit->function_at(pc) : nullptr;
  if (range == nullptr || range->begin != pc || range->signature.type.empty() ||
      range->signature.type.size() >= capacity)
    return ECHO_INVALID_ARGUMENT;
  std::memcpy(type, range->signature.type.c_str(), range->signature.type.size() + 1);
  return ECHO_OK;
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
