/* SPDX-License-Identifier: MIT
 *
 * compiler/unmodified/variables.cpp - module variables: ambiguous roots, and literals with their lengths.
 *
 * Drawing     sections echo_ambiguous and echo_literals: [address 8][bytes 8] for each variable.
 * Invariants  [unmod.variable.1] Every writable variable that can hold a pointer is in the list of ambiguous ranges,
 *             aligned to words. Stores into it need no barrier: it is read whole in the stop that a mark begins with.
 *             [unmod.literal.1] Every array of bytes is in the list of literals with its size, so that a text without NUL
 *             ends where its array does. No two share bytes: an empty one gets a byte of its own.
 */
#include "compiler/unmodified/steps.h"

#include "orc/sections.h"

#include "llvm/IR/Constants.h"
#include "llvm/Transforms/Utils/ModuleUtils.h"

namespace echo::jit::unmodified {
namespace {

constexpr uint64_t kWordBytes = 8;

bool is_bytes(const llvm::Type* type) {
  return type->isArrayTy() && type->getArrayElementType()->isIntegerTy(8);
}

class VariableList {
public:
  explicit VariableList(llvm::Module& module)
      : module_(module), word_(llvm::Type::getInt64Ty(module.getContext())) {}
  void add(llvm::GlobalVariable& variable, uint64_t bytes) {
    members_.push_back(llvm::ConstantExpr::getPtrToInt(&variable, word_));
    members_.push_back(llvm::ConstantInt::get(word_, bytes));
  }
  void emit(const char* name, const char* section) {
    if (members_.empty())
      return;
    auto* const type = llvm::ArrayType::get(word_, members_.size());
    auto* const list = new llvm::GlobalVariable(module_, type, false, llvm::GlobalValue::PrivateLinkage,
                                                llvm::ConstantArray::get(type, members_), name);
    list->setSection(section);
    list->setAlignment(llvm::Align(kWordBytes));
    llvm::appendToUsed(module_, {list});
  }

private:
  llvm::Module& module_;
  llvm::Type* const word_;
  llvm::SmallVector<llvm::Constant*> members_;
};

} // namespace

void separate_literals(llvm::Module& module) {
  for (llvm::GlobalVariable& variable : llvm::make_early_inc_range(module.globals())) {
    if (variable.isDeclaration() || !is_bytes(variable.getValueType()))
      continue;
    variable.setUnnamedAddr(llvm::GlobalValue::UnnamedAddr::None); /* nobody merges it with another */
    if (variable.getValueType()->getArrayNumElements() != 0)
      continue;
    llvm::Type* const type = llvm::ArrayType::get(llvm::Type::getInt8Ty(module.getContext()), 1);
    auto* const wide = new llvm::GlobalVariable(module, type, variable.isConstant(), variable.getLinkage(),
                                                llvm::Constant::getNullValue(type), "", &variable,
                                                variable.getThreadLocalMode());
    wide->copyAttributesFrom(&variable);
    wide->takeName(&variable);
    variable.replaceAllUsesWith(wide);
    variable.eraseFromParent();
  }
}

void list_variables(ModuleContext& context) {
  llvm::Module& module = context.module;
  VariableList ranges(module), literals(module);
  for (llvm::GlobalVariable& variable : module.globals()) {
    if (variable.isDeclaration() || variable.getName().starts_with("llvm."))
      continue;
    const uint64_t bytes = module.getDataLayout().getTypeAllocSize(variable.getValueType());
    if (is_bytes(variable.getValueType()))
      literals.add(variable, bytes);
    if (variable.isConstant() || bytes < kWordBytes)
      continue;
    variable.setAlignment(std::max(variable.getAlign().valueOrOne(), llvm::Align(kWordBytes)));
    ranges.add(variable, bytes / kWordBytes * kWordBytes);
  }
  ranges.emit(kAmbiguousList, kAmbiguousSection);
  literals.emit(kLiteralsList, kLiteralsSection);
}

} // namespace echo::jit::unmodified
