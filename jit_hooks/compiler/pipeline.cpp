/* SPDX-License-Identifier: MIT
 *
 * compiler/pipeline.cpp - promotion to SSA, checks, O2, lowering, clean-up, statepoints.
 *
 * Order       annotations, operations -> promotion -> checks -> layouts -> O2 -> thread, calls, stores,
 * polls, allocations -> clean-up -> barriers and polls expanded -> struct values and vectors split -> leftovers ->
 * statepoints -> markers and stubs resolved. Invariants  [jit.order.1] Promotion to SSA runs at every level.
 * [jit.order.2] Stores are lowered after O2 and before anything splits blocks around them. [jit.order.3]
 * Nothing of the middle end runs after statepoints. [jit.order.4] No vectoriser runs: vectors of references
 * come from the program only.
 */
#include "compiler/pipeline.h"

#include "compiler/lowering.h"
#include "compiler/operations.h"
#include "compiler/passes.h"
#include "compiler/race_detection.h"
#include "compiler/unmodified/steps.h"

#include "llvm/IR/InstIterator.h"
#include "llvm/IR/SafepointIRVerifier.h"
#include "llvm/IR/Statepoint.h"
#include "llvm/Transforms/InstCombine/InstCombine.h"
#include "llvm/Transforms/Scalar/DeadStoreElimination.h"
#include "llvm/Transforms/Scalar/EarlyCSE.h"
#include "llvm/Transforms/Scalar/GVN.h"
#include "llvm/Transforms/Scalar/RewriteStatepointsForGC.h"
#include "llvm/Transforms/Scalar/SimplifyCFG.h"

namespace echo::jit {
namespace {

void clean_up(Passes& passes, llvm::Module& module) {
  llvm::FunctionPassManager pipeline;
  pipeline.addPass(llvm::EarlyCSEPass(true));
  pipeline.addPass(llvm::GVNPass());
  pipeline.addPass(llvm::DSEPass());
  pipeline.addPass(llvm::InstCombinePass());
  pipeline.addPass(llvm::SimplifyCFGPass());
  passes.run(std::move(pipeline), module);
}

/* Operations that are nothing but loads and intrinsics. */
void lower_plain_operation(llvm::CallInst& call, Operation operation, const echo_recipes& recipes) {
  llvm::IRBuilder<> builder(&call);
  const auto load = [&](uint32_t offset) {
    llvm::Value* const address =
        builder.CreateConstInBoundsGEP1_64(builder.getInt8Ty(), call.getArgOperand(0), offset);
    call.replaceAllUsesWith(builder.CreateAlignedLoad(builder.getInt64Ty(), address, llvm::Align(8)));
  };
  switch (operation) {
  case Operation::Header:
    load(recipes.header_offset);
    break;
  case Operation::Length:
    load(recipes.length_offset);
    break;
  case Operation::RawCopy:
    builder.CreateMemMove(call.getArgOperand(0), llvm::Align(1), call.getArgOperand(1), llvm::Align(1),
                          call.getArgOperand(2));
    break;
  case Operation::RawFill:
    builder.CreateMemSet(call.getArgOperand(0), call.getArgOperand(1), call.getArgOperand(2), llvm::Align(1));
    break;
  default:
    return;
  }
  call.eraseFromParent();
}

void erase_operations(llvm::Module& module) {
  for (llvm::Function& function : llvm::make_early_inc_range(module))
    if (function.isDeclaration() && function.getName().starts_with(kOperationPrefix) && function.use_empty())
      function.eraseFromParent();
}

void make_statepoints(Passes& passes, llvm::Module& module) {
  llvm::ModulePassManager pipeline;
  pipeline.addPass(llvm::RewriteStatepointsForGC());
  passes.run(pipeline, module);
}

void pass_thread(ModuleContext& context) {
  add_thread_parameters(context);
  rewrite_calls(context);
}

/* Test only: what the verification of safepoints is for. */
void break_one_relocation(llvm::Module& module) {
  for (llvm::Function& function : module)
    for (llvm::Instruction& instruction : llvm::instructions(function))
      if (auto* relocation = llvm::dyn_cast<llvm::GCRelocateInst>(&instruction);
          relocation != nullptr && !relocation->use_empty()) {
        relocation->replaceAllUsesWith(relocation->getDerivedPtr());
        return;
      }
}

Outcome prepare(ModuleContext& context, Passes& passes) {
  if (Outcome outcome = read_level(context); !outcome)
    return outcome;
  if (Outcome outcome = add_bulk_functions(context); !outcome)
    return outcome;
  read_annotations(context);
  if (Outcome outcome = check_natives(context); !outcome)
    return outcome;
  if (Outcome outcome = check_operations(context); !outcome)
    return outcome;
  prepare_stores(context);
  prepare_bulk(context);
  if (!context.allows(ECHO_JIT_SKIP_PROMOTION))
    promote(passes, context.module);
  expand_masked(context);
  if (Outcome outcome = check_module(context); !outcome)
    return outcome;
  if (Outcome outcome = resolve_layouts(context); !outcome)
    return outcome;
  if (context.allows(ECHO_JIT_THREAD_BEFORE_OPTIMISER))
    pass_thread(context);
  return {};
}

Outcome lower(ModuleContext& context, Passes& passes, const PipelineOptions& options) {
  if (!context.allows(ECHO_JIT_THREAD_BEFORE_OPTIMISER))
    pass_thread(context);
  lower_operations(context);
  erase_operations(context.module);
  if (options.verify)
    if (Outcome outcome = verified(context.module, "after lowering"); !outcome)
      return outcome;
  if (options.optimise)
    clean_up(passes, context.module);
  expand_barriers(context);
  expand_weak_loads(context);
  expand_polls(context);
  for (llvm::Function& function : context.module)
    if (is_collected(function)) {
      split_aggregates(function);
      if (!context.allows(ECHO_JIT_VECTOR_IS_ONE_ROOT))
        split_vectors(function); /* [jit.vector.1] */
    }
  if (Outcome outcome = check_leftovers(context); !outcome)
    return outcome;
  make_statepoints(passes, context.module);
  if (context.allows(ECHO_JIT_STALE_REFERENCE))
    break_one_relocation(context.module);
  keep_over_catches(context);
  if (options.verify) {
    if (Outcome outcome = verified(context.module, "after statepoints"); !outcome)
      return outcome;
    llvm::FunctionPassManager verifier;
    verifier.addPass(llvm::SafepointIRVerifierPass());
    passes.run(std::move(verifier), context.module);
  }
  finish_allocations(context);
  finish_exchanges(context);
  finish_tagged(context);
  finish_hashes(context);
  finish_vectors(context);
  finish_calls(context);
  if (Outcome outcome = emit_global_roots(context); !outcome)
    return outcome;
  if (options.detect_races)
    detect_races(context.module, [&](llvm::FunctionPassManager&& pipeline) {
      passes.run(std::move(pipeline), context.module);
    });
  return verified(context.module, "before code generation");
}

} // namespace

void lower_operations(ModuleContext& context) {
  for (llvm::Function& function : context.module) {
    if (function.isDeclaration())
      continue;
    for (llvm::Instruction& instruction : llvm::make_early_inc_range(llvm::instructions(function)))
      if (auto* call = llvm::dyn_cast<llvm::CallInst>(&instruction))
        if (const auto operation = operation_of(*call))
          lower_plain_operation(*call, *operation, context.recipes);
    lower_tagged(context, function);
    lower_exchanges(context, function);
    lower_stores(context, function); /* first: later steps split blocks [jit.order.2] */
    if (!is_collected(function))
      continue;
    insert_polls(context, function);
    lower_allocations(context, function);
  }
}

Outcome run_pipeline(ModuleContext& context, llvm::TargetMachine& machine, const PipelineOptions& options,
                     PipelineTimes& times) {
  if (context.profile == ECHO_JIT_PROFILE_UNMODIFIED)
    return run_unmodified_pipeline(context, machine, options, times);
  Passes passes(machine, context.allows(ECHO_JIT_VECTORISE));
  {
    const Stopwatch time(times.optimise_ms);
    if (Outcome outcome = prepare(context, passes); !outcome)
      return outcome;
    optimise(passes, context.module, options.optimise);
    if (!options.optimise && !context.allows(ECHO_JIT_SKIP_PROMOTION))
      promote(passes, context.module); /* always-inline functions bring their allocas */
  }
  const Stopwatch time(times.lower_ms);
  return lower(context, passes, options);
}

} // namespace echo::jit
