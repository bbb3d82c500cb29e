/* SPDX-License-Identifier: MIT
 *
 * compiler/lower_hash.cpp - the identity hash of an object, by the hash recipe.
 *
 * Recipe      h = header & hash_mask; if h != hash_value: cold; hash = (address * hash_multiplier) >> hash_shift
 * Invariants  [jit.hash.1] The address of an object is a number only between two safepoints: the operation stays one
 *             call until statepoints are made. [jit.hash.2] The cold path neither collects nor blocks: it is a leaf.
 */
#include "compiler/lowering.h"
#include "compiler/operations.h"

#include "arch/x86_64/stubs.h"

#include "llvm/Transforms/Utils/BasicBlockUtils.h"

namespace echo::jit {
namespace {

llvm::Value* call_hash(ModuleContext& context, llvm::IRBuilder<>& builder, llvm::CallInst& call,
                       const char* name) {
  const llvm::FunctionCallee callee =
      stub(context.module, name, builder.getInt64Ty(), {call.getArgOperand(0)->getType()}, true);
  return call_stub(builder, callee, thread_of(*call.getFunction()), {call.getArgOperand(0)});
}

llvm::Value* hash_inline(ModuleContext& context, llvm::CallInst& call) {
  const echo_recipes& recipes = context.recipes;
  llvm::IRBuilder<> builder(&call);
  llvm::Value* const object = call.getArgOperand(0);
  llvm::LoadInst* const header = builder.CreateAlignedLoad(
      builder.getInt64Ty(),
      builder.CreateConstInBoundsGEP1_64(builder.getInt8Ty(), object, recipes.header_offset), llvm::Align(8));
  header->setAtomic(llvm::AtomicOrdering::Monotonic); /* another thread may set its flags */
  llvm::Value* const is_cold = builder.CreateICmpNE(builder.CreateAnd(header, recipes.hash_mask),
                                                    builder.getInt64(recipes.hash_value));
  llvm::Value* const product = builder.CreateMul(builder.CreatePtrToInt(object, builder.getInt64Ty()),
                                                 builder.getInt64(recipes.hash_multiplier));
  llvm::Value* const fast = builder.CreateLShr(product, recipes.hash_shift, "hash");
  llvm::BasicBlock* const before = builder.GetInsertBlock();
  llvm::Instruction* const cold =
      llvm::SplitBlockAndInsertIfThen(is_cold, call.getIterator(), false, cold_first(call.getContext()));
  cold->getParent()->setName("hash.cold");
  builder.SetInsertPoint(cold);
  llvm::Value* const slow = call_hash(context, builder, call, kHashStub);
  builder.SetInsertPoint(&call);
  llvm::PHINode* const hash = builder.CreatePHI(builder.getInt64Ty(), 2);
  hash->addIncoming(fast, before);
  hash->addIncoming(slow, cold->getParent());
  return hash;
}

} // namespace

void finish_hashes(ModuleContext& context) {
  llvm::Function* const operation = context.module.getFunction("echo.gc.identity_hash");
  if (operation == nullptr)
    return;
  for (llvm::User* user : llvm::make_early_inc_range(operation->users())) {
    auto* const call = llvm::cast<llvm::CallInst>(user);
    llvm::IRBuilder<> builder(call);
    call->replaceAllUsesWith(context.called_operations ? call_hash(context, builder, *call, kHashWholeStub)
                                                       : hash_inline(context, *call));
    call->eraseFromParent();
  }
  operation->eraseFromParent();
}

} // namespace echo::jit
