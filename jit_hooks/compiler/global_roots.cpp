/* SPDX-License-Identifier: MIT
 *
 * compiler/global_roots.cpp - module variables that hold references, listed for the linker plugin.
 *
 * Drawing     section echo_roots: [address 8][words 8] for each run of reference words.
 * Invariants  [jit.roots.1] Every reference word of every writable module variable is in the list, initially
 * null.
 */
#include "compiler/context.h"
#include "compiler/provenance.h"
#include "compiler/where.h"

#include "orc/sections.h"

#include "llvm/Analysis/ConstantFolding.h"
#include "llvm/IR/Constants.h"
#include "llvm/Transforms/Utils/ModuleUtils.h"

namespace echo::jit {

Outcome emit_global_roots(ModuleContext& context) {
  llvm::Module& module = context.module;
  llvm::LLVMContext& llvm_context = module.getContext();
  const llvm::DataLayout& layout = module.getDataLayout();
  llvm::Type* const word = llvm::Type::getInt64Ty(llvm_context);
  llvm::SmallVector<llvm::Constant*> members;
  for (llvm::GlobalVariable& global : module.globals()) {
    if (global.isThreadLocal()) /* refused, unless a test wants to see why: it has no address to list */
      continue;
    if (global.isDeclaration() || global.isConstant() || !contains_reference(global.getValueType()))
      continue;
    ReferenceRuns runs;
    if (!reference_runs(layout, global.getValueType(), runs))
      return {ECHO_LIMIT_EXCEEDED, "the module variable " + name_of(global) +
                                       " holds more than 8192 references: keep them in a heap array"};
    for (const ReferenceRun& run : runs) {
      llvm::Constant* const first = llvm::ConstantExpr::getPtrToInt(&global, word);
      members.push_back(llvm::ConstantExpr::getAdd(first, llvm::ConstantInt::get(word, run.offset)));
      members.push_back(llvm::ConstantInt::get(word, run.words));
    }
  }
  if (members.empty())
    return {};
  auto* const type = llvm::ArrayType::get(word, members.size());
  auto* const list = new llvm::GlobalVariable(module, type, false, llvm::GlobalValue::PrivateLinkage,
                                              llvm::ConstantArray::get(type, members), kRootsList);
  list->setSection(kRootsSection);
  list->setAlignment(llvm::Align(8));
  llvm::appendToUsed(module, {list});
  return {};
}

} // namespace echo::jit
