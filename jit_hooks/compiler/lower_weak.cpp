/* SPDX-License-Identifier: MIT
 *
 * compiler/lower_weak.cpp - the load of a weak slot, by the weak-load recipe.
 *
 * Recipe      cmpb $0, phase(%r13); jne cold; mov slot, value. The cold path loads in place of the instruction: while the
 *             collector marks, it tells it of what it returns, which is alive from then on.
 * Invariants  [jit.weak.1] The operation is one call until optimisation is over: no weak load is repeated, moved over a
 *             safepoint, or made out of a plain one. [jit.weak.2] No poll lies between the test and the load: the phase
 *             they are under is the same.
 */
#include "compiler/lowering.h"
#include "compiler/operations.h"

#include "arch/x86_64/stubs.h"

#include "llvm/Transforms/Utils/BasicBlockUtils.h"

namespace echo::jit {
namespace {

llvm::Value* call_weak_load(ModuleContext& context, llvm::IRBuilder<>& builder, llvm::CallInst& call,
                            const char* name) {
  llvm::Value* const slot = call.getArgOperand(1);
  const llvm::FunctionCallee callee = stub(context.module, name, call.getType(), {slot->getType()}, true);
  return call_stub(builder, callee, thread_of(*call.getFunction()), {slot});
}

llvm::Value* load_inline(ModuleContext& context, llvm::CallInst& call) {
  llvm::IRBuilder<> builder(&call);
  llvm::Value* const phase = builder.CreateAlignedLoad(
      builder.getInt8Ty(),
      thread_field(builder, thread_of(*call.getFunction()), context.recipes.phase_offset), llvm::Align(1),
      "phase");
  llvm::Instruction *cold_end = nullptr, *fast_end = nullptr;
  llvm::SplitBlockAndInsertIfThenElse(builder.CreateICmpNE(phase, builder.getInt8(0)), call.getIterator(),
                                      &cold_end, &fast_end, cold_first(call.getContext()));
  cold_end->getParent()->setName("weak.cold");
  builder.SetInsertPoint(cold_end);
  llvm::Value* const cold = call_weak_load(context, builder, call, kWeakLoadStub);
  builder.SetInsertPoint(fast_end);
  llvm::LoadInst* const fast =
      builder.CreateAlignedLoad(call.getType(), call.getArgOperand(1), llvm::Align(8), "weak");
  fast->setAtomic(llvm::AtomicOrdering::Unordered); /* the collector may clear it */
  builder.SetInsertPoint(&call);
  llvm::PHINode* const value = builder.CreatePHI(call.getType(), 2);
  value->addIncoming(cold, cold_end->getParent());
  value->addIncoming(fast, fast_end->getParent());
  return value;
}

} // namespace

void expand_weak_loads(ModuleContext& context) {
  llvm::Function* const operation = context.module.getFunction("echo.gc.weak_load");
  if (operation == nullptr)
    return;
  for (llvm::User* user : llvm::make_early_inc_range(operation->users())) {
    auto* const call = llvm::cast<llvm::CallInst>(user);
    llvm::IRBuilder<> builder(call);
    call->replaceAllUsesWith(context.called_operations
                                 ? call_weak_load(context, builder, *call, kWeakLoadWholeStub)
                                 : load_inline(context, *call));
    call->eraseFromParent();
  }
  operation->eraseFromParent();
}

} // namespace echo::jit
