/* SPDX-License-Identifier: MIT
 *
 * compiler/unmodified/names.cpp - malloc gets a name of the runtime layer.
 *
 * Invariants  [unmod.malloc.1] No optimisation takes an allocation for the C library's, of which it may drop a call or say
 *             that nobody else knows the memory: neither name nor attributes are left of it.
 */
#include "compiler/type_letters.h"
#include "compiler/unmodified/steps.h"
#include "compiler/where.h"

namespace echo::jit::unmodified {
namespace {

constexpr const char* kGiven = "malloc";
constexpr const char* kRenamed = "echo_runtime_malloc";

} // namespace

Outcome rename_allocation(ModuleContext& context) {
  llvm::Function* const given = context.module.getFunction(kGiven);
  if (given == nullptr)
    return {};
  if (!given->isDeclaration())
    return {ECHO_UNSUPPORTED_OPERATION,
            name_of(*given) + " is defined in the module: the Echo runtime layer has it; only declare it"};
  if (type_letters(*given->getFunctionType()) != "pl")
    return {ECHO_BAD_ABSTRACT_OPERATION, name_of(*given) + " is declared as '" +
                                             type_text(*given->getFunctionType()) +
                                             "'; its type is 'ptr (i64)'"};
  given->setAttributes({});
  for (llvm::User* user : given->users())
    if (auto* call = llvm::dyn_cast<llvm::CallBase>(user);
        call != nullptr && call->getCalledOperand() == given)
      call->setAttributes({});
  if (llvm::Function* const known = context.module.getFunction(kRenamed)) {
    given->replaceAllUsesWith(known);
    given->eraseFromParent();
  } else {
    given->setName(kRenamed);
  }
  return {};
}

} // namespace echo::jit::unmodified
