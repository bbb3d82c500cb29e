/* SPDX-License-Identifier: MIT
 *
 * compiler/passes.cpp - see passes.h.
 *
 * Invariants  [jit.order.4] No vectoriser runs.
 */
#include "compiler/passes.h"

#include "llvm/IR/Verifier.h"
#include "llvm/Transforms/Scalar/SROA.h"
#include "llvm/Transforms/Utils/Mem2Reg.h"

#include <algorithm>

namespace echo::jit {
namespace {

llvm::PipelineTuningOptions tuning(bool vectorise) {
  llvm::PipelineTuningOptions options;
  options.LoopVectorization = vectorise; /* [jit.order.4] */
  options.SLPVectorization = vectorise;
  return options;
}

} // namespace

Passes::Passes(llvm::TargetMachine& machine, bool vectorise) : builder_(&machine, tuning(vectorise)) {
  builder_.registerModuleAnalyses(modules_);
  builder_.registerCGSCCAnalyses(graphs_);
  builder_.registerFunctionAnalyses(functions_);
  builder_.registerLoopAnalyses(loops_);
  builder_.crossRegisterProxies(loops_, functions_, graphs_, modules_);
}

void Passes::run(llvm::ModulePassManager& passes, llvm::Module& module) {
  passes.run(module, modules_);
  modules_.clear();
  graphs_.clear();
  functions_.clear();
  loops_.clear();
}

void Passes::run(llvm::FunctionPassManager&& passes, llvm::Module& module) {
  llvm::ModulePassManager all;
  all.addPass(llvm::createModuleToFunctionPassAdaptor(std::move(passes)));
  run(all, module);
}

void promote(Passes& passes, llvm::Module& module) {
  llvm::FunctionPassManager pipeline;
  pipeline.addPass(llvm::SROAPass(llvm::SROAOptions::PreserveCFG));
  pipeline.addPass(llvm::PromotePass());
  passes.run(std::move(pipeline), module);
}

void optimise(Passes& passes, llvm::Module& module, bool enabled) {
  llvm::ModulePassManager pipeline =
      enabled ? passes.builder().buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O2)
              : passes.builder().buildO0DefaultPipeline(llvm::OptimizationLevel::O0);
  passes.run(pipeline, module);
}

Outcome verified(const llvm::Module& module, const char* when) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  if (!llvm::verifyModule(module, &stream))
    return {};
  std::replace(text.begin(), text.end(), '\n', ' ');
  return {ECHO_CODEGEN_FAILED, std::string("the module is broken ") + when + ": " + text};
}

} // namespace echo::jit
