/* SPDX-License-Identifier: MIT
 *
 * compiler/pipeline.h - the order of the steps from a parsed module to one that is ready for code generation.
 */
#ifndef ECHO_JIT_COMPILER_PIPELINE_H
#define ECHO_JIT_COMPILER_PIPELINE_H

#include "compiler/context.h"

#include "llvm/Target/TargetMachine.h"

namespace echo::jit {

struct PipelineTimes {
  double optimise_ms = 0, lower_ms = 0;
};

struct PipelineOptions {
  bool optimise = true;
  bool verify = false;       /* the module and the safepoints, after statepoints are made */
  bool detect_races = false; /* the process has the thread sanitizer: tell it of accesses */
};

Outcome run_pipeline(ModuleContext& context, llvm::TargetMachine& machine, const PipelineOptions& options,
                     PipelineTimes& times);

} // namespace echo::jit

#endif // ECHO_JIT_COMPILER_PIPELINE_H
