/* SPDX-License-Identifier: MIT
 *
 * compiler/landing_pads.cpp - exceptions caught in collected functions.
 *
 * Purpose     LLVM cannot give a landing pad both the exception and the moved references of the call that
 * threw: the relocations need a pad of type token, the exception one of type { ptr, i32 }. A pad that uses no
 *             reference from before the call works; its superfluous relocations are dropped. Others are
 * refused. Invariants  [jit.pad.1] No reference from before an invoke is used in its landing pad or after it.
 */
#include "compiler/context.h"
#include "compiler/where.h"

#include "llvm/IR/InstIterator.h"
#include "llvm/IR/Instructions.h"
#include "llvm/IR/Statepoint.h"

namespace echo::jit {
namespace {

Outcome check_relocations(const llvm::LandingPadInst& pad) {
  for (llvm::User* user : llvm::make_early_inc_range(const_cast<llvm::LandingPadInst&>(pad).users())) {
    auto* const relocation = llvm::dyn_cast<llvm::GCRelocateInst>(user);
    if (relocation == nullptr)
      continue;
    if (!relocation->use_empty())
      return {ECHO_UNSUPPORTED_OPERATION,
              "a reference from before the call is used after an exception is caught " + where(pad) +
                  ": load it again from a heap object or a module global, or catch the exception in a "
                  "function of "
                  "its own"};
    relocation->eraseFromParent();
  }
  return {};
}

} // namespace

Outcome check_landing_pads(ModuleContext& context) {
  for (const llvm::Function& function : context.module) {
    if (!is_collected(function))
      continue;
    for (const llvm::BasicBlock& block : function)
      if (const llvm::LandingPadInst* pad = block.getLandingPadInst())
        if (Outcome outcome = check_relocations(*pad); !outcome)
          return outcome;
  }
  return {};
}

} // namespace echo::jit
