/* SPDX-License-Identifier: MIT
 *
 * ahead/layout_bindings.cpp - see layout_bindings.h.
 */
#include "ahead/layout_bindings.h"

#include "ahead/constants.h"
#include "ahead/image.h"

#include "llvm/Transforms/Utils/ModuleUtils.h"

namespace echo::ahead {
namespace {

llvm::Value* load_field(llvm::IRBuilder<>& builder, llvm::GlobalVariable& binding, llvm::Type* type,
                        uint64_t offset) {
  llvm::Value* const address = builder.CreateConstInBoundsGEP1_64(builder.getInt8Ty(), &binding, offset);
  llvm::LoadInst* const load =
      builder.CreateAlignedLoad(type, address, llvm::Align(type->getPrimitiveSizeInBits() / 8));
  /* Filled before any of the code runs. */
  load->setMetadata(llvm::LLVMContext::MD_invariant_load, llvm::MDNode::get(builder.getContext(), {}));
  return load;
}

} // namespace

llvm::GlobalVariable* declare_binding(llvm::Module& module, const jit::AllocationLayout& layout,
                                      const llvm::GlobalVariable& descriptor, uint64_t offset) {
  llvm::LLVMContext& context = module.getContext();
  auto* const global = const_cast<llvm::GlobalVariable*>(&descriptor);
  llvm::Type* const word = llvm::Type::getInt64Ty(context);
  llvm::Constant* const address = llvm::ConstantExpr::getAdd(llvm::ConstantExpr::getPtrToInt(global, word),
                                                             llvm::ConstantInt::get(word, offset));
  llvm::Constant* const value = StructBuilder(context)
                                    .u64(0)
                                    .u32(0)
                                    .u32(layout.alignment)
                                    .u64(layout.fixed_bytes)
                                    .u32(layout.element_bytes)
                                    .u32(layout.kind)
                                    .add(address)
                                    .finish();
  llvm::GlobalVariable* const binding = private_global(module, value, false, "echo.layout");
  llvm::appendToUsed(module, {binding});
  return binding;
}

llvm::Value* load_number(llvm::IRBuilder<>& builder, llvm::GlobalVariable& binding) {
  return load_field(builder, binding, builder.getInt32Ty(), offsetof(LayoutBinding, number));
}

llvm::Value* load_header_word(llvm::IRBuilder<>& builder, llvm::GlobalVariable& binding) {
  return load_field(builder, binding, builder.getInt64Ty(), offsetof(LayoutBinding, header_word));
}

} // namespace echo::ahead
