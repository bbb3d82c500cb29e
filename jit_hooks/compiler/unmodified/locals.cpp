/* SPDX-License-Identifier: MIT
 *
 * compiler/unmodified/locals.cpp - local variables that are declared inside a loop or a branch.
 *
 * Method      The Echo compiler puts an `alloca` where the variable is declared. LLVM takes one outside the entry block for
 *             memory of its own each time it is passed: a loop would grow the stack by each round, and the variable would
 *             never be a register. Those whose address goes nowhere but into loads and stores move to the entry block.
 * Invariants  [unmod.local.1] A variable moves only if no address of it outlives a round: all its uses are loads, stores into
 *             it, and constant steps to these.
 */
#include "compiler/unmodified/steps.h"

#include "llvm/IR/InstIterator.h"
#include "llvm/IR/IntrinsicInst.h"

namespace echo::jit::unmodified {
namespace {

bool is_accessed_only(const llvm::AllocaInst& variable) {
  llvm::SmallVector<const llvm::Value*> addresses{&variable};
  while (!addresses.empty()) {
    const llvm::Value* const address = addresses.pop_back_val();
    for (const llvm::User* user : address->users()) {
      const auto* store = llvm::dyn_cast<llvm::StoreInst>(user);
      const auto* step = llvm::dyn_cast<llvm::GetElementPtrInst>(user);
      const auto* intrinsic = llvm::dyn_cast<llvm::IntrinsicInst>(user);
      if (step != nullptr)
        addresses.push_back(step);
      else if (!llvm::isa<llvm::LoadInst>(user) &&
               !(store != nullptr && store->getValueOperand() != address) &&
               !(intrinsic != nullptr && llvm::isa<llvm::DbgInfoIntrinsic>(intrinsic)))
        return false;
    }
  }
  return true;
}

} // namespace

void hoist_locals(llvm::Module& module) {
  for (llvm::Function& function : module) {
    if (function.isDeclaration())
      continue;
    llvm::BasicBlock& entry = function.getEntryBlock();
    for (llvm::Instruction& instruction : llvm::make_early_inc_range(llvm::instructions(function)))
      if (auto* variable = llvm::dyn_cast<llvm::AllocaInst>(&instruction);
          variable != nullptr && variable->getParent() != &entry &&
          llvm::isa<llvm::ConstantInt>(variable->getArraySize()) && is_accessed_only(*variable))
        variable->moveBefore(entry, entry.getFirstInsertionPt());
  }
}

} // namespace echo::jit::unmodified
