/* SPDX-License-Identifier: MIT
 *
 * compiler/stub_functions.cpp - see stub_functions.h.
 */
#include "compiler/stub_functions.h"

#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/InlineAsm.h"
#include "llvm/IR/Module.h"

namespace echo::jit {

llvm::Function* define_stub(llvm::Module& module, const Stub& stub) {
  llvm::LLVMContext& context = module.getContext();
  auto* const type = llvm::FunctionType::get(llvm::Type::getVoidTy(context), false);
  llvm::Function* const declared = module.getFunction(stub.name);
  auto* const function = llvm::Function::Create(type, llvm::Function::ExternalLinkage, stub.name, module);
  if (declared != nullptr) {
    function->takeName(declared);
    declared->replaceAllUsesWith(function);
    declared->eraseFromParent();
  }
  function->addFnAttr(llvm::Attribute::Naked);
  function->addFnAttr(llvm::Attribute::NoInline);
  function->setUWTableKind(llvm::UWTableKind::Async);
  llvm::IRBuilder<> builder(llvm::BasicBlock::Create(context, "", function));
  std::string text;
  for (const char c : stub.assembly)
    text += c == '$' ? std::string("$$") : std::string(1, c);
  builder.CreateCall(llvm::InlineAsm::get(type, text, "~{memory}", true));
  builder.CreateUnreachable();
  return function;
}

} // namespace echo::jit
