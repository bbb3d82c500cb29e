/* SPDX-License-Identifier: MIT
 *
 * orc/session.cpp - LLJIT with the link plugin: modules in, addresses out. Contract: session.h.
 *
 * Libraries   "echo.natives" holds the stubs and what the VM defined; the program's library searches itself,
 * then those, then the process.
 */
#include "orc/session.h"

#include "compiler/gc_strategy.h"
#include "compiler/parse.h"
#include "compiler/pipeline.h"
#include "compiler/signatures.h"
#include "compiler/stub_functions.h"
#include "compiler/unmodified/steps.h"
#include "orc/code_generator.h"
#include "orc/link_plugin.h"
#include "orc/object_cache.h"

#include "llvm/Config/llvm-config.h"
#include "llvm/ExecutionEngine/JITLink/EHFrameSupport.h"
#include "llvm/ExecutionEngine/Orc/DebugObjectManagerPlugin.h"
#include "llvm/ExecutionEngine/Orc/EPCDebugObjectRegistrar.h"
#include "llvm/ExecutionEngine/Orc/LLJIT.h"
#include "llvm/ExecutionEngine/Orc/TargetProcess/JITLoaderGDB.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Support/raw_ostream.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <dlfcn.h>
#include <sys/stat.h>
#include <unistd.h>

namespace echo::jit {
namespace {

double milliseconds() {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

void initialise_llvm() {
  static const bool done = [] {
    llvm::InitializeNativeTarget();
    llvm::InitializeNativeTargetAsmPrinter();
    llvm::InitializeNativeTargetAsmParser(); /* inline assembly */
    link_gc_strategy();
    return true;
  }();
  static_cast<void>(done);
}

std::unique_ptr<llvm::LLVMContext> make_context() {
  auto context = std::make_unique<llvm::LLVMContext>();
  context->setDiagnosticHandler(std::make_unique<DiagnosticRecorder>());
  return context;
}

std::unique_ptr<llvm::Module> make_stub_module(llvm::LLVMContext& context, const std::vector<Stub>& stubs,
                                               const llvm::DataLayout& layout) {
  auto module = std::make_unique<llvm::Module>("echo.stubs", context);
  module->setDataLayout(layout);
  for (const Stub& stub : stubs)
    define_stub(*module, stub);
  return module;
}

/* What the compiled module offers and needs; `all` gets every function it defines. */
void summarise(const llvm::Module& module, ModuleSummary& out, std::map<std::string, Signature>& all) {
  for (const llvm::Function& function : module) {
    const llvm::StringRef name = function.getName();
    if (function.isDeclaration()) {
      if (!function.isIntrinsic() && !function.use_empty() && !function.hasExternalWeakLinkage() &&
          !name.starts_with("echo.stub."))
        out.needed.push_back(name.str());
      continue;
    }
    const Signature signature = signature_of(function);
    all[name.str()] = signature;
    if (!function.hasLocalLinkage())
      out.functions[name.str()] = signature;
  }
  for (const llvm::GlobalVariable& global : module.globals()) {
    if (global.hasLocalLinkage() || global.getName().starts_with("llvm."))
      continue;
    if (!global.isDeclaration())
      out.variables.push_back(global.getName().str());
    else if (!global.use_empty() && !global.hasExternalWeakLinkage())
      out.needed.push_back(global.getName().str());
  }
  for (const llvm::GlobalAlias& alias : module.aliases()) {
    if (alias.hasLocalLinkage())
      continue;
    if (const auto* function = llvm::dyn_cast<llvm::Function>(alias.getAliaseeObject()))
      out.functions[alias.getName().str()] = signature_of(*function);
    else
      out.variables.push_back(alias.getName().str());
  }
}

/* What tells one build of this library from another: a cache must not outlive it. */
std::string library_identity() {
  Dl_info where{};
  struct stat status{};
  if (dladdr(reinterpret_cast<const void*>(&library_identity), &where) == 0 ||
      stat(where.dli_fname, &status) != 0)
    return {};
  return std::to_string(status.st_size) + "." + std::to_string(status.st_mtim.tv_sec) + "." +
         std::to_string(status.st_mtim.tv_nsec);
}

/* Where perf looks for the names of functions that no file holds. */
std::string perf_map() {
  llvm::SmallString<64> path;
  llvm::sys::path::system_temp_directory(true, path);
  llvm::sys::path::append(path, "perf-" + std::to_string(getpid()) + ".map");
  return path.str().str();
}

class OrcSession final : public Session {
public:
  OrcSession(const SessionOptions& options, const echo_heap_api& api, echo_heap* heap,
             const echo_recipes& recipes)
      : options_(options), api_(api), heap_(heap), recipes_(recipes), library_(library_identity()) {
    if (!options_.cache.empty())
      cache_.emplace(options_.cache);
  }

  Outcome start(const std::vector<Stub>& stubs, CodeIndex& index) {
    initialise_llvm();
    auto target = llvm::orc::JITTargetMachineBuilder::detectHost();
    if (!target)
      return outcome_of(target.takeError(), ECHO_NOT_SUPPORTED);
    target->setCodeGenOptLevel(options_.optimise ? llvm::CodeGenOptLevel::Default
                                                 : llvm::CodeGenOptLevel::None);
    target->setRelocationModel(llvm::Reloc::PIC_);
    target->setCodeModel(llvm::CodeModel::Small);
    target->getOptions().EmulatedTLS = false;
    target_ = *target;
    auto machine = llvm::orc::JITTargetMachineBuilder(*target_).createTargetMachine();
    if (!machine)
      return outcome_of(machine.takeError(), ECHO_NOT_SUPPORTED);
    layout_ = llvm::DataLayout(data_layout_of(**machine));
    if (Outcome outcome = build(index); !outcome)
      return outcome;
    return add_stubs(stubs);
  }

  Outcome add_module(const std::string& name, std::string_view bytes, const NativeSymbols& natives,
                     ModuleSummary& out) override {
    const std::string object = name + "#" + std::to_string(++modules_);
    const std::string key = cache_ ? key_of(name, bytes, natives) : std::string();
    if (cache_ && !allows(ECHO_JIT_CACHE_AFTER_OPTIMISER)) {
      bool added = false;
      if (Outcome outcome = add_cached(object, key, out, added); !outcome || added)
        return outcome;
    }
    return compile(name, object, key, bytes, natives, out);
  }

  const CodeUnit* unit_of(const std::string& object) override {
    const auto key = key_of_tracker(object);
    return key ? plugin_->unit_of(*key) : nullptr;
  }
  VariableRanges variables_of(const std::string& object) override {
    const auto key = key_of_tracker(object);
    return key ? plugin_->variables_of(*key) : VariableRanges();
  }
  Outcome remove(const std::string& object) override {
    llvm::orc::ResourceTrackerSP tracker;
    {
      const std::lock_guard<std::mutex> guard(lock_);
      const auto found = trackers_.find(object);
      if (found == trackers_.end())
        return {ECHO_INVALID_ARGUMENT, "no module '" + object + "'"};
      tracker = std::move(found->second);
      trackers_.erase(found);
      failed_.clear(); /* names may be defined anew */
      ++statistics_.modules_removed;
    }
    plugin_->forget(object);
    return outcome_of(tracker->remove(), ECHO_CODEGEN_FAILED);
  }

  Outcome define(const std::string& name, void* address) override {
    llvm::orc::SymbolMap symbols;
    symbols[jit_->mangleAndIntern(name)] = {llvm::orc::ExecutorAddr::fromPtr(address),
                                            llvm::JITSymbolFlags::Exported | llvm::JITSymbolFlags::Callable};
    return outcome_of(natives_->define(llvm::orc::absoluteSymbols(std::move(symbols))),
                      ECHO_INVALID_ARGUMENT);
  }

  Outcome lookup(const std::string& name, void*& out) override {
    {
      const std::lock_guard<std::mutex> guard(lock_);
      if (const auto failed = failed_.find(name); failed != failed_.end())
        return failed->second;
    }
    const double before = milliseconds();
    auto address = jit_->lookup(name);
    const double after = milliseconds();
    const std::lock_guard<std::mutex> guard(lock_);
    statistics_.link_ms += after - before;
    if (!address) /* ORC forgets the reason and fails the symbol for ever */
      return failed_[name] = first_reported(outcome_of(address.takeError(), ECHO_CODEGEN_FAILED));
    out = address->toPtr<void*>();
    return {};
  }

  VariableRanges take_variables() override { return plugin_->take_variables(); }

  SessionStatistics statistics() const override {
    const std::lock_guard<std::mutex> guard(lock_);
    SessionStatistics result = statistics_;
    plugin_->add_to(result);
    return result;
  }

private:
#ifdef ECHO_DEEP_CHECKS
  static constexpr bool kVerify = true;
#else
  static constexpr bool kVerify = false;
#endif

  bool allows(uint32_t one_switch) const { return (options_.switches & one_switch) != 0; }

  Outcome compile(const std::string& name, const std::string& object, const std::string& key,
                  std::string_view bytes, const NativeSymbols& natives, ModuleSummary& out) {
    auto machine = llvm::orc::JITTargetMachineBuilder(*target_).createTargetMachine();
    if (!machine)
      return outcome_of(machine.takeError(), ECHO_CODEGEN_FAILED);
    auto context = make_context();
    std::unique_ptr<llvm::Module> module;
    const double before = milliseconds();
    if (Outcome outcome = parse_module(bytes, name, **machine, *context, module); !outcome)
      return outcome;
    const double parsed = milliseconds();
    KnownSymbols known;
    for (const auto& [symbol, native] : natives)
      known[symbol] = native;
    ModuleContext unit{*module, name, api_, heap_, recipes_, options_.switches, options_.called_operations,
                       known,   {},   {}};
    unit.profile = options_.profile;
    PipelineTimes times;
    const PipelineOptions pipeline{options_.optimise, kVerify || allows(ECHO_JIT_VERIFY),
                                   options_.detect_races};
    unit.detect_races = options_.detect_races;
    if (Outcome outcome = run_pipeline(unit, **machine, pipeline, times); !outcome)
      return outcome;
    if (const std::string& error = DiagnosticRecorder::error_of(*context); !error.empty())
      return {ECHO_CODEGEN_FAILED, error};
    if (cache_ && allows(ECHO_JIT_CACHE_AFTER_OPTIMISER)) { /* where ORC asks its own */
      bool added = false;
      Outcome outcome = add_cached(object, key, out, added);
      if (!outcome || added) {
        const std::lock_guard<std::mutex> guard(lock_);
        ++statistics_.modules_compiled;
        return outcome;
      }
    }
    module->setModuleIdentifier(object);
    if (Outcome outcome = dump_ir(*module, object); !outcome)
      return outcome;
    CachedModule entry;
    entry.summary.name = out.name = name;
    out.object = object;
    summarise(*module, out, entry.signatures);
    if (options_.profile == ECHO_JIT_PROFILE_UNMODIFIED)
      std::erase_if(out.needed, unmodified::is_harmless_library_function);
    plugin_->expect(object, entry.signatures);
    if (cache_) {
      entry.summary = out;
      std::vector<echo_layout_id> ids;
      for (const auto& allocation : unit.allocations)
        ids.push_back(allocation.second.id);
      std::sort(ids.begin(), ids.end()); /* a new heap numbers them in this order again [jit.cache.3] */
      entry.layouts = describe_layouts(api_, heap_, ids);
      entry.functions = unit.counters.functions;
      entry.polls = unit.counters.polls;
      entry.barriers = unit.counters.barriers;
      entry.barriers_elided = unit.counters.barriers_elided;
      const std::lock_guard<std::mutex> guard(lock_);
      uncached_[object] = {key, std::move(entry)};
    }
    auto tracker = jit_->getMainJITDylib().createResourceTracker();
    if (Outcome outcome = outcome_of(
            jit_->addIRModule(tracker, llvm::orc::ThreadSafeModule(std::move(module), std::move(context))),
            ECHO_CODEGEN_FAILED);
        !outcome)
      return outcome;
    const std::lock_guard<std::mutex> guard(lock_);
    trackers_[object] = std::move(tracker);
    statistics_.parse_ms += parsed - before;
    statistics_.optimise_ms += times.optimise_ms;
    statistics_.lower_ms += times.lower_ms;
    ++statistics_.modules_compiled;
    count(unit.counters.functions, unit.counters.polls, unit.counters.barriers,
          unit.counters.barriers_elided);
    return {};
  }
  void count(uint64_t functions, uint64_t polls, uint64_t barriers, uint64_t elided) {
    statistics_.functions += functions;
    statistics_.polls += polls;
    statistics_.barriers += barriers;
    statistics_.barriers_elided += elided;
  }

  /* Everything that decides what code becomes of a module. */
  std::string key_of(const std::string& name, std::string_view bytes, const NativeSymbols& natives) const {
    CacheKey key;
    key.add("echo object cache 1")
        .add(options_.profile)
        .add(LLVM_VERSION_STRING)
        .add(library_)
        .add(name)
        .add(bytes);
    key.add(ECHO_ABI_MAJOR).add(ECHO_ABI_MINOR).add(options_.optimise).add(options_.switches);
    key.add(options_.called_operations)
        .add(options_.detect_races)
        .add(target_->getTargetTriple().str())
        .add(target_->getCPU());
    key.add(target_->getFeatures().getString());
    echo_recipes recipes =
        recipes_; /* code names cold paths by symbol: whether they exist matters, not where */
    recipes.allocate_cold = nullptr;
    recipes.store_cold = nullptr;
    recipes.poll_cold = nullptr;
    recipes.hash_cold = nullptr;
    recipes.enter_native_cold = recipes.leave_native_cold = nullptr;
    recipes.weak_load_cold = nullptr;
    key.add(std::string_view(reinterpret_cast<const char*>(&recipes), sizeof recipes));
    key.add(recipes_.hash_cold != nullptr).add(recipes_.enter_native_cold != nullptr);
    key.add(recipes_.weak_load_cold != nullptr);
    for (const auto& [symbol, native] : natives)
      key.add(symbol).add(native.kind).add(native.type);
    return key.hexadecimal();
  }

  /* [jit.cache.1] [jit.cache.2] */
  Outcome add_cached(const std::string& object, const std::string& key, ModuleSummary& out, bool& added) {
    CachedModule entry;
    const ObjectCache::Found found = cache_->load(key, entry);
    if (found == ObjectCache::Found::Damaged) {
      const std::lock_guard<std::mutex> guard(lock_);
      ++statistics_.cache_damaged;
    }
    if (found != ObjectCache::Found::Hit || !register_layouts(api_, heap_, entry.layouts))
      return {};
    out = entry.summary;
    out.object = object;
    plugin_->expect(object, std::move(entry.signatures));
    auto tracker = jit_->getMainJITDylib().createResourceTracker();
    if (Outcome outcome = outcome_of(
            jit_->addObjectFile(tracker, llvm::MemoryBuffer::getMemBufferCopy(entry.object, object)),
            ECHO_CODEGEN_FAILED);
        !outcome)
      return outcome;
    added = true;
    const std::lock_guard<std::mutex> guard(lock_);
    trackers_[object] = std::move(tracker);
    ++statistics_.cache_hits;
    count(entry.functions, entry.polls, entry.barriers, entry.barriers_elided);
    return {};
  }

  /* Of a module that was compiled for its first use. A cache that cannot be written is one that never hits. */
  void keep(const std::string& object, llvm::StringRef bytes) {
    Uncached entry;
    {
      const std::lock_guard<std::mutex> guard(lock_);
      const auto found = uncached_.find(object);
      if (found == uncached_.end())
        return;
      entry = std::move(found->second);
      uncached_.erase(found);
    }
    entry.module.object = bytes.str();
    static_cast<void>(cache_->store(entry.key, entry.module));
  }

  std::optional<llvm::orc::ResourceKey> key_of_tracker(const std::string& object) {
    const std::lock_guard<std::mutex> guard(lock_);
    const auto found = trackers_.find(object);
    if (found == trackers_.end())
      return std::nullopt;
    return found->second->getKeyUnsafe();
  }

  Outcome build(CodeIndex& index) {
    llvm::orc::LLJITBuilder builder;
    builder.setJITTargetMachineBuilder(*target_).setDataLayout(layout_).setNumCompileThreads(
        options_.compile_threads);
    builder.setSupportConcurrentCompilation(false); /* no copies: every module has a context of its own */
    builder.setPlatformSetUp(llvm::orc::setUpInactivePlatform);
    builder.setCompileFunctionCreator(
        [this](llvm::orc::JITTargetMachineBuilder target)
            -> llvm::Expected<std::unique_ptr<llvm::orc::IRCompileLayer::IRCompiler>> {
          return std::make_unique<CodeGenerator>(
              std::move(target), options_.dump_objects,
              [this](const std::string& object, llvm::StringRef bytes) { keep(object, bytes); });
        });
    auto plugin = std::make_shared<LinkPlugin>(
        index, StackMapRules{allows(ECHO_JIT_ALLOW_UNSUPPORTED_FRAME), allows(ECHO_JIT_VECTOR_IS_ONE_ROOT)},
        (options_.tools & ECHO_JIT_TOOL_PERF) != 0 ? perf_map() : std::string(),
        (options_.tools & ECHO_JIT_TOOL_LINES) != 0, allows(ECHO_JIT_LINK_WITHOUT_LOCK));
    plugin_ = plugin;
    builder.setObjectLinkingLayerCreator(
        [plugin, gdb = (options_.tools & ECHO_JIT_TOOL_GDB) !=
                       0](llvm::orc::ExecutionSession& session,
                          const llvm::Triple&) -> llvm::Expected<std::unique_ptr<llvm::orc::ObjectLayer>> {
          auto layer = std::make_unique<llvm::orc::ObjectLinkingLayer>(session);
          layer->addPlugin(std::make_shared<llvm::orc::EHFrameRegistrationPlugin>(
              session, std::make_unique<llvm::jitlink::InProcessEHFrameRegistrar>()));
          layer->addPlugin(plugin);
          if (gdb) /* the registration function of this process's LLVM, whatever the loader's scope */
            layer->addPlugin(std::make_unique<llvm::orc::DebugObjectManagerPlugin>(
                session,
                std::make_unique<llvm::orc::EPCDebugObjectRegistrar>(
                    session, llvm::orc::ExecutorAddr::fromPtr(&llvm_orc_registerJITLoaderGDBWrapper)),
                false, true));
          return layer;
        });
    auto jit = builder.create();
    if (!jit)
      return outcome_of(jit.takeError(), ECHO_NOT_SUPPORTED);
    jit_ = std::move(*jit);
    jit_->getExecutionSession().setErrorReporter([this](llvm::Error error) {
      const Outcome outcome = outcome_of(std::move(error), ECHO_CODEGEN_FAILED);
      const std::lock_guard<std::mutex> guard(report_lock_);
      if (reported_.ok())
        reported_ = outcome;
    });
    auto natives = jit_->getExecutionSession().createJITDylib("echo.natives");
    if (!natives)
      return outcome_of(natives.takeError(), ECHO_NOT_SUPPORTED);
    natives_ = &*natives;
    llvm::orc::JITDylibSearchOrder order{
        {natives_, llvm::orc::JITDylibLookupFlags::MatchExportedSymbolsOnly}};
    if (auto process = jit_->getProcessSymbolsJITDylib())
      order.emplace_back(process.get(), llvm::orc::JITDylibLookupFlags::MatchExportedSymbolsOnly);
    jit_->getMainJITDylib().setLinkOrder(std::move(order));
    return {};
  }

  Outcome add_stubs(const std::vector<Stub>& stubs) {
    auto context = make_context();
    auto module = make_stub_module(*context, stubs, *layout_);
    if (Outcome outcome = outcome_of(
            jit_->addIRModule(*natives_, llvm::orc::ThreadSafeModule(std::move(module), std::move(context))),
            ECHO_CODEGEN_FAILED);
        !outcome)
      return outcome;
    auto address =
        jit_->lookup(*natives_, stubs.front().name); /* errors show now, not in the first program */
    if (!address)
      return first_reported(outcome_of(address.takeError(), ECHO_CODEGEN_FAILED));
    return {};
  }

  /* ORC tells the caller only that something failed; the session's reporter heard what. */
  Outcome first_reported(Outcome otherwise) {
    const std::lock_guard<std::mutex> guard(report_lock_);
    return reported_.ok() ? std::move(otherwise) : std::exchange(reported_, Outcome());
  }

  Outcome dump_ir(const llvm::Module& module, const std::string& object) {
    if (options_.dump_ir.empty())
      return {};
    std::string text;
    llvm::raw_string_ostream stream(text);
    module.print(stream, nullptr);
    return write_dump(dump_path(options_.dump_ir, object, ".ll"), text);
  }

  const SessionOptions options_;
  const echo_heap_api& api_;
  echo_heap* const heap_;
  const echo_recipes& recipes_;
  const std::string library_;
  std::optional<ObjectCache> cache_;
  struct Uncached {
    std::string key;
    CachedModule module;
  };
  std::map<std::string, Uncached> uncached_; /* by object: entries that wait for their code */
  std::optional<llvm::orc::JITTargetMachineBuilder> target_;
  std::optional<llvm::DataLayout> layout_;
  std::shared_ptr<LinkPlugin> plugin_;
  std::mutex report_lock_;
  Outcome reported_;
  mutable std::mutex lock_;
  SessionStatistics statistics_;
  std::map<std::string, Outcome> failed_;
  std::atomic<uint64_t> modules_{0};
  llvm::orc::JITDylib* natives_ = nullptr;
  std::unique_ptr<llvm::orc::LLJIT> jit_; /* destroyed before what it uses */
  std::map<std::string, llvm::orc::ResourceTrackerSP>
      trackers_; /* by object; last: each speaks to the JIT when it goes */
};

} // namespace

Outcome Session::create(const SessionOptions& options, const echo_heap_api& api, echo_heap* heap,
                        const echo_recipes& recipes, const std::vector<Stub>& stubs, CodeIndex& index,
                        std::unique_ptr<Session>& out) {
  auto session = std::make_unique<OrcSession>(options, api, heap, recipes);
  if (Outcome outcome = session->start(stubs, index); !outcome)
    return outcome;
  out = std::move(session);
  return {};
}

} // namespace echo::jit
