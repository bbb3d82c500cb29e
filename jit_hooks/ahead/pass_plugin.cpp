/* SPDX-License-Identifier: MIT
 *
 * ahead/pass_plugin.cpp - the compiler of the JIT as a pass of opt and clang.
 *
 * Purpose     opt-19 -load-pass-plugin=libecho_pass.so -passes='echo<O2>' IN -o OUT; then llc-19 -load=libecho_pass.so
 *             clang-19 -O2 -fpass-plugin=libecho_pass.so FILE.c ...
 *             The library links no LLVM: its symbols bind to the LLVM of the tool that loads it.
 * Method      The whole pipeline, the optimiser included, is one module pass at the start of the host's own: only so
 *             does every pass run with references that are no integers [jit.ni.1]. What the host would run on the module
 *             afterwards is skipped [jit.order.3]. A refusal becomes an error of the LLVM context, which ends the
 *             tool with its own failing status; the module is emptied, so that nothing trips over half of it.
 * Invariants  [aot.pass.1] No optional pass of the host runs on a module after the pipeline.
 *             [aot.refuse.1] A refusal is one line, `echo: CODE: sentence`, with the JIT's code and sentence.
 */
#include "ahead/compile_heap.h"
#include "ahead/emit_image.h"
#include "compiler/gc_strategy.h"
#include "compiler/parse.h"
#include "compiler/pipeline.h"
#include "compiler/type_letters.h"
#include "driver/main_type.h"
#include "driver/native_table.h"

#include "llvm/IR/LLVMContext.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Passes/PassPlugin.h"
#include "llvm/Target/TargetOptions.h"
#include "llvm/TargetParser/Host.h"

#include <cstdlib>
#include <memory>

namespace echo::ahead {
namespace {

using jit::ModuleContext;
using jit::Outcome;

constexpr const char* kCompiledFlag = "echo.compiled";

/* As messages name it: by the file it was made from. */
std::string name_of(const llvm::Module& module) {
  return module.getSourceFileName().empty() ? module.getModuleIdentifier() : module.getSourceFileName();
}

struct PassOptions {
  bool optimise = true;
  bool called_operations = false;
  bool unmodified = false; /* output of the Echo compiler as it is */
};

Outcome make_machine(const llvm::Module& module, bool optimise, std::unique_ptr<llvm::TargetMachine>& out) {
  const std::string triple =
      module.getTargetTriple().empty() ? llvm::sys::getDefaultTargetTriple() : module.getTargetTriple();
  std::string problem;
  const llvm::Target* const target = llvm::TargetRegistry::lookupTarget(triple, problem);
  if (target == nullptr)
    return {ECHO_NOT_SUPPORTED, "this tool has no target '" + triple + "': " + problem};
  if (llvm::Triple(triple).getArch() != llvm::Triple::x86_64 || !llvm::Triple(triple).isOSBinFormatELF())
    return {ECHO_NOT_SUPPORTED, "the target '" + triple + "' is not x86-64 with ELF"};
  out.reset(
      target->createTargetMachine(triple, "", "", llvm::TargetOptions(), llvm::Reloc::PIC_, std::nullopt,
                                  optimise ? llvm::CodeGenOptLevel::Default : llvm::CodeGenOptLevel::None));
  return out ? Outcome() : Outcome(ECHO_NOT_SUPPORTED, "this tool cannot compile for '" + triple + "'");
}

Outcome known_symbols(const PassOptions& options, jit::KnownSymbols& known) {
  if (options.unmodified) {
    std::vector<RuntimeSymbol> symbols;
    if (Outcome outcome = runtime_symbols(symbols); !outcome)
      return outcome;
    for (const RuntimeSymbol& symbol : symbols)
      known[symbol.name] = {ECHO_JIT_SYMBOL_NATIVE, symbol.type};
    return {};
  }
  for (const run::NativeRow& row : run::kNativeTable)
    known[row.name] = {row.kind, row.type};
  return {};
}

Outcome check_main(const llvm::Module& module) {
  const llvm::Function* const main = module.getFunction("main");
  if (main == nullptr || main->isDeclaration())
    return {};
  if (std::string sentence =
          run::main_type_problem(jit::type_letters(*main->getFunctionType()), name_of(module));
      !sentence.empty())
    return {ECHO_UNSUPPORTED_OPERATION, sentence};
  return {};
}

Outcome compile(llvm::Module& module, const PassOptions& options) {
  if (module.getModuleFlag(kCompiledFlag) != nullptr)
    return {ECHO_IR_INVALID, "it is compiled for the heap already: run the pass once"};
  CompileHeap heap;
  if (Outcome outcome = heap.open(); !outcome)
    return outcome;
  std::unique_ptr<llvm::TargetMachine> machine;
  if (Outcome outcome = make_machine(module, options.optimise, machine); !outcome)
    return outcome;
  if (Outcome outcome = jit::adopt_module(module, *machine); !outcome)
    return outcome;
  if (Outcome outcome = check_main(module); !outcome)
    return outcome;
  jit::KnownSymbols known;
  if (Outcome outcome = known_symbols(options, known); !outcome)
    return outcome;
  ModuleContext unit{module, name_of(module),           heap.api(), heap.heap(), heap.recipes(),
                     0,      options.called_operations, known,      {},          {}};
  unit.ahead_of_time = true;
  unit.profile = options.unmodified ? ECHO_JIT_PROFILE_UNMODIFIED : ECHO_JIT_PROFILE_REFERENCES;
  jit::PipelineTimes times;
  if (Outcome outcome = jit::run_pipeline(unit, *machine, {options.optimise, true}, times); !outcome)
    return outcome;
  if (Outcome outcome = emit_image(unit, options.optimise); !outcome)
    return outcome;
  module.setDataLayout(machine->createDataLayout()); /* as the host's code generator wants it */
  module.addModuleFlag(llvm::Module::Warning, kCompiledFlag, 1);
  return {};
}

/* After a refusal: nothing that a later step of the host could choke on. */
void empty(llvm::Module& module) {
  module.dropAllReferences();
  while (!module.empty())
    module.begin()->eraseFromParent();
  while (!module.global_empty())
    module.global_begin()->eraseFromParent();
  while (!module.alias_empty())
    module.alias_begin()->eraseFromParent();
  while (!module.ifunc_empty())
    module.ifunc_begin()->eraseFromParent();
}

class EchoPass : public llvm::PassInfoMixin<EchoPass> {
public:
  EchoPass(PassOptions options, bool by_name, std::shared_ptr<bool> done)
      : options_(options), by_name_(by_name), done_(std::move(done)) {}

  llvm::PreservedAnalyses run(llvm::Module& module, llvm::ModuleAnalysisManager&) {
    if (!by_name_ && module.getModuleFlag(kCompiledFlag) != nullptr)
      return llvm::PreservedAnalyses::
          all(); /* given to a whole pipeline after the pass was run by its name */
    *done_ = true;
    const llvm::DataLayout layout = module.getDataLayout();
    const std::string name = name_of(module);
    if (Outcome outcome = compile(module, options_).within(name); !outcome) {
      empty(module);
      module.setDataLayout(layout);
      module.getContext().emitError("echo: " + llvm::Twine(echo_status_name(outcome.code())) + ": " +
                                    outcome.message());
    }
    return llvm::PreservedAnalyses::none();
  }
  static bool isRequired() { return true; }

private:
  PassOptions options_;
  bool by_name_;
  std::shared_ptr<bool> done_; /* of this pass manager: its module is compiled */
};

bool parse_parameters(llvm::StringRef name, PassOptions& out) {
  if (name == "echo")
    return true;
  if (!name.consume_front("echo<") || !name.consume_back(">"))
    return false;
  llvm::SmallVector<llvm::StringRef> words;
  name.split(words, ';');
  for (const llvm::StringRef word : words) {
    if (word == "O0" || word == "O2")
      out.optimise = word == "O2";
    else if (word == "inline" || word == "called")
      out.called_operations = word == "called";
    else if (word == "unmodified")
      out.unmodified = true;
    else
      return false;
  }
  return true;
}

void register_callbacks(llvm::PassBuilder& builder) {
  jit::link_gc_strategy();
  const auto done = std::make_shared<bool>(false);
  builder.registerPipelineParsingCallback([done](llvm::StringRef name, llvm::ModulePassManager& passes,
                                                 llvm::ArrayRef<llvm::PassBuilder::PipelineElement>) {
    PassOptions options;
    if (!parse_parameters(name, options))
      return false;
    passes.addPass(EchoPass(options, true, done));
    return true;
  });
  builder.registerPipelineStartEPCallback(
      [done](llvm::ModulePassManager& passes, llvm::OptimizationLevel level) {
        PassOptions options;
        options.optimise = level != llvm::OptimizationLevel::O0;
        const char* const operations = std::getenv("ECHO_OPERATIONS"); /* clang hands a pass no options */
        options.called_operations = operations != nullptr && llvm::StringRef(operations) == "called";
        const char* const profile = std::getenv("ECHO_PROFILE");
        options.unmodified = profile != nullptr && llvm::StringRef(profile) == "unmodified";
        passes.addPass(EchoPass(options, false, done));
      });
  if (llvm::PassInstrumentationCallbacks* const callbacks = builder.getPassInstrumentationCallbacks())
    callbacks->registerShouldRunOptionalPassCallback(
        [done](llvm::StringRef, const llvm::Any&) { return !*done; }); /* [aot.pass.1] */
}

} // namespace
} // namespace echo::ahead

extern "C" ECHO_EXPORT llvm::PassPluginLibraryInfo llvmGetPassPluginInfo() {
  return {LLVM_PLUGIN_API_VERSION, "echo", ECHO_VERSION, echo::ahead::register_callbacks};
}
