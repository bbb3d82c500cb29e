/* SPDX-License-Identifier: MIT
 *
 * compiler/unmodified/pipeline.cpp - the order of the steps for unmodified output of the Echo compiler.
 *
 * Order       checks -> malloc renamed, types of natives -> stores and polls marked -> promotion -> bases kept -> O2 ->
 *             thread -> marks expanded -> lists of variables.
 * Invariants  [unmod.first.1] Names, stores and polls are dealt with before anything optimises: afterwards a copy of a
 *             pointer may be one of an integer, and a call of malloc may be gone.
 *             [unmod.frame.1] No function is collected: there are no statepoints, and calls publish no anchor. The
 *             thread is in its register all the same.
 */
#include "compiler/lowering.h"
#include "compiler/passes.h"
#include "compiler/unmodified/steps.h"

namespace echo::jit {
namespace {

void prepare_functions(ModuleContext& context) {
  for (llvm::Function& function : context.module) {
    if (function.hasAvailableExternallyLinkage())
      function.deleteBody(); /* defined elsewhere: native here */
    if (function.isDeclaration())
      continue;
    if (function.hasPrivateLinkage())
      function.setLinkage(llvm::GlobalValue::InternalLinkage);
    function.clearGC();
    set_frame_attributes(function);
    ++context.counters.functions;
  }
}

void pass_thread(ModuleContext& context) {
  for (llvm::Function& function : context.module)
    if (!function.isDeclaration())
      function.addFnAttr(kLeafAttribute); /* [unmod.frame.1]: calls of natives stay as they are */
  add_thread_parameters(context);
  rewrite_calls(context);
}

Outcome prepare(ModuleContext& context, Passes& passes) {
  if (Outcome outcome = unmodified::check(context); !outcome)
    return outcome;
  if (Outcome outcome = unmodified::rename_allocation(context); !outcome)
    return outcome;
  if (Outcome outcome = check_natives(context); !outcome)
    return outcome;
  prepare_functions(context);
  unmodified::separate_literals(context.module);
  unmodified::hoist_locals(context.module);
  unmodified::mark_polls(context); /* first: it shall not see the loop of the announcement */
  if (Outcome outcome = unmodified::mark_stores(context); !outcome)
    return outcome;
  promote(passes,
          context.module); /* else a base is not known beyond the variable that holds a derived pointer */
  if (!context.allows(ECHO_JIT_OMIT_BASES))
    unmodified::keep_bases(context.module);
  return verified(context.module, "before optimisation");
}

} // namespace

Outcome run_unmodified_pipeline(ModuleContext& context, llvm::TargetMachine& machine,
                                const PipelineOptions& options, PipelineTimes& times) {
  Passes passes(machine, false);
  {
    const Stopwatch time(times.optimise_ms);
    if (Outcome outcome = prepare(context, passes); !outcome)
      return outcome;
    optimise(passes, context.module, options.optimise);
  }
  const Stopwatch time(times.lower_ms);
  pass_thread(context);
  unmodified::expand_marks(context);
  unmodified::list_variables(context);
  return verified(context.module, "before code generation");
}

} // namespace echo::jit
