/* SPDX-License-Identifier: MIT
 *
 * compiler/leftovers.cpp - the last look before statepoints are made: nothing is left that they would not
 * see.
 *
 * Purpose     checks.cpp judges the program; this judges what optimisation and lowering made of it. A failure
 * here is no fault of the program that checks.cpp let pass, but a lost reference is worse than a refusal.
 * Invariants  [jit.leftover.1] No reference lives in stack memory. [jit.aggregate.1] None lives in a struct
 * value over a safepoint. [jit.leftover.2] No reference became an integer.
 */
#include "compiler/context.h"
#include "compiler/where.h"

#include "llvm/Analysis/ValueTracking.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/Instructions.h"

namespace echo::jit {
namespace {

const char* const kAfterOptimisation =
    " after optimisation: compile without optimisation, or simplify the expression";

bool safepoint_between(const llvm::Instruction& first, const llvm::Instruction& last) {
  for (const llvm::Instruction* at = first.getNextNode(); at != nullptr && at != &last;
       at = at->getNextNode())
    if (const auto* call = llvm::dyn_cast<llvm::CallBase>(at); call != nullptr && is_safepoint_call(*call))
      return true;
  return false;
}

Outcome check_aggregate(const llvm::Instruction& instruction) {
  if (!instruction.getType()->isAggregateType() || !contains_reference(instruction.getType()))
    return {};
  for (const llvm::User* user : instruction.users()) {
    const auto& use = *llvm::cast<llvm::Instruction>(user);
    if (!llvm::isa<llvm::PHINode>(use) && use.getParent() == instruction.getParent() &&
        !safepoint_between(instruction, use))
      continue;
    return {ECHO_UNSUPPORTED_OPERATION, "a struct value with references stays alive over a safepoint " +
                                            where(instruction) + ": use its members one by one"};
  }
  return {};
}

Outcome check_instruction(const ModuleContext& context, const llvm::Instruction& instruction) {
  const bool stack_allowed = context.allows(ECHO_JIT_ALLOW_REF_IN_STACK);
  if (const auto* slot = llvm::dyn_cast<llvm::AllocaInst>(&instruction);
      slot != nullptr && contains_reference(slot->getAllocatedType()) && !stack_allowed)
    return {ECHO_REF_IN_STACK_SLOT,
            variable(*slot) + " holds references " + where(instruction) + kAfterOptimisation};
  if (const auto* store = llvm::dyn_cast<llvm::StoreInst>(&instruction);
      store != nullptr && contains_reference(store->getValueOperand()->getType()) && !stack_allowed &&
      llvm::isa<llvm::AllocaInst>(llvm::getUnderlyingObject(store->getPointerOperand(), 0)))
    return {ECHO_REF_IN_STACK_SLOT,
            "a reference is stored in stack memory " + where(instruction) + kAfterOptimisation};
  if ((llvm::isa<llvm::PtrToIntInst>(instruction) || llvm::isa<llvm::IntToPtrInst>(instruction)) &&
      (is_reference_or_vector(instruction.getType()) ||
       is_reference_or_vector(instruction.getOperand(0)->getType())) &&
      !context.allows(ECHO_JIT_ALLOW_REF_AS_INTEGER) && !context.allows(ECHO_JIT_ALLOW_REF_MEMCPY))
    return {ECHO_REF_AS_INTEGER,
            "a reference is converted to or from an integer " + where(instruction) + kAfterOptimisation};
  return check_aggregate(instruction);
}

} // namespace

Outcome check_leftovers(ModuleContext& context) {
  for (const llvm::Function& function : context.module) {
    if (!is_collected(function))
      continue;
    for (const llvm::Instruction& instruction : llvm::instructions(function))
      if (Outcome outcome = check_instruction(context, instruction); !outcome)
        return outcome;
  }
  return {};
}

} // namespace echo::jit
