/* SPDX-License-Identifier: MIT
 *
 * compiler/lower_tagged.cpp - slots of kind TAGGED: a reference, or an integer whose low three bits are not 0.
 *
 * Method      The program never holds such a word as a value: it reads the integer it may be, or the reference it may
 *             be, each null or 0 where the slot holds the other.
 * Invariants  [jit.tagged.1] No tagged integer is a reference at a safepoint: the read of a reference stays one call
 *             until statepoints are made, and then becomes a load, a test and a choice with no safepoint between.
 *             [jit.tagged.2] A tagged word is stored with its tag, a constant from 1 to 7, and with the barrier: it may
 *             overwrite a reference.
 */
#include "compiler/lowering.h"
#include "compiler/operations.h"

#include "llvm/IR/InstIterator.h"

namespace echo::jit {
namespace {

llvm::LoadInst* load_whole(llvm::IRBuilder<>& builder, llvm::Type* type, llvm::Value* slot) {
  llvm::LoadInst* const load = builder.CreateAlignedLoad(type, slot, llvm::Align(8));
  load->setAtomic(llvm::AtomicOrdering::Unordered);
  return load;
}

llvm::Value* is_reference_word(llvm::IRBuilder<>& builder, llvm::Value* word) {
  return builder.CreateICmpEQ(builder.CreateAnd(word, kTagMask), builder.getInt64(0));
}

/* 0 in place of a reference: the bits of one are never a value. */
void lower_word(llvm::CallInst& call) {
  llvm::IRBuilder<> builder(&call);
  llvm::Value* const word = load_whole(builder, builder.getInt64Ty(), call.getArgOperand(0));
  call.replaceAllUsesWith(builder.CreateSelect(is_reference_word(builder, word), builder.getInt64(0), word));
  call.eraseFromParent();
}

void lower_store(ModuleContext& context, llvm::CallInst& call) {
  llvm::IRBuilder<> builder(&call);
  llvm::Value* const slot = call.getArgOperand(1);
  llvm::Value* const word =
      builder.CreateOr(builder.CreateAnd(call.getArgOperand(2), ~kTagMask), call.getArgOperand(3));
  if (context.called_operations) {
    call_whole_store(context, builder, *call.getFunction(), slot, word);
    call.eraseFromParent();
    return;
  }
  announce_store(context, builder, *call.getFunction(), slot,
                 llvm::ConstantPointerNull::get(llvm::cast<llvm::PointerType>(slot->getType())));
  builder.CreateAlignedStore(word, slot, llvm::Align(8))->setAtomic(llvm::AtomicOrdering::Unordered);
  call.eraseFromParent();
}

} // namespace

void lower_tagged(ModuleContext& context, llvm::Function& function) {
  for (llvm::Instruction& instruction : llvm::make_early_inc_range(llvm::instructions(function)))
    if (auto* call = llvm::dyn_cast<llvm::CallInst>(&instruction)) {
      const auto operation = operation_of(*call);
      if (operation == Operation::TaggedWord)
        lower_word(*call);
      else if (operation == Operation::TaggedStore)
        lower_store(context, *call);
    }
}

void finish_tagged(ModuleContext& context) { /* [jit.tagged.1] */
  llvm::Function* const operation = context.module.getFunction("echo.gc.tagged_reference");
  if (operation == nullptr)
    return;
  for (llvm::User* user : llvm::make_early_inc_range(operation->users())) {
    auto* const call = llvm::cast<llvm::CallInst>(user);
    llvm::IRBuilder<> builder(call);
    llvm::Value* const loaded = load_whole(builder, call->getType(), call->getArgOperand(0));
    llvm::Value* const word = builder.CreatePtrToInt(loaded, builder.getInt64Ty());
    call->replaceAllUsesWith(
        builder.CreateSelect(is_reference_word(builder, word), loaded,
                             llvm::ConstantPointerNull::get(llvm::cast<llvm::PointerType>(call->getType()))));
    call->eraseFromParent();
  }
  operation->eraseFromParent();
}

} // namespace echo::jit
