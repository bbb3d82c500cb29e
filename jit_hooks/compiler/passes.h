/* SPDX-License-Identifier: MIT
 *
 * compiler/passes.h - LLVM's pass manager for one module, and the runs of it that every profile makes.
 */
#ifndef ECHO_JIT_COMPILER_PASSES_H
#define ECHO_JIT_COMPILER_PASSES_H

#include "outcome.h"

#include "llvm/IR/Module.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Target/TargetMachine.h"

#include <chrono>

namespace echo::jit {

/* Adds the time it lives. */
class Stopwatch {
public:
  explicit Stopwatch(double& milliseconds)
      : milliseconds_(milliseconds), start_(std::chrono::steady_clock::now()) {}
  ~Stopwatch() {
    milliseconds_ +=
        std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start_).count();
  }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

private:
  double& milliseconds_;
  std::chrono::steady_clock::time_point start_;
};

/* Pass manager state for one module. */
class Passes {
public:
  Passes(llvm::TargetMachine& machine, bool vectorise);
  llvm::PassBuilder& builder() { return builder_; }
  void run(llvm::ModulePassManager& passes, llvm::Module& module);
  void run(llvm::FunctionPassManager&& passes, llvm::Module& module);

private:
  llvm::LoopAnalysisManager loops_;
  llvm::FunctionAnalysisManager functions_;
  llvm::CGSCCAnalysisManager graphs_;
  llvm::ModuleAnalysisManager modules_;
  llvm::PassBuilder builder_;
};

/* Local variables become SSA values. */
void promote(Passes& passes, llvm::Module& module);
/* O2, or O0's own passes. */
void optimise(Passes& passes, llvm::Module& module, bool enabled);
/* CODEGEN_FAILED with what LLVM's verifier says. */
Outcome verified(const llvm::Module& module, const char* when);

} // namespace echo::jit

#endif // ECHO_JIT_COMPILER_PASSES_H
