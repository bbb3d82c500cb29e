/* SPDX-License-Identifier: MIT
 *
 * compiler/lower_transitions.cpp - calls of blocking natives: the thread is native meanwhile, by the transition recipe.
 *
 * Recipe      enter, in the stub, once the anchor is published: state = native (exchange); poll word 0: cold
 *             leave, behind the call: state = managed (exchange); poll word 0: cold
 * Why it is sound  A stop writes 0 to the poll words and then looks at the states; a thread exchanges its state and then
 *             looks at its poll word. With both in one order, one of the two sees the other. [stop.state.1]
 * Invariants  [jit.native.3] No reference is read or written between enter and leave: enter is the last thing before the
 *             native begins, and relocations stand behind leave. [jit.native.4] A blocking native does not throw: nothing
 *             would leave the native state. It is declared nounwind, and an invoke of one is refused.
 */
#include "compiler/lowering.h"
#include "compiler/operations.h"

#include "arch/x86_64/stubs.h"

#include "llvm/IR/IntrinsicInst.h"
#include "llvm/IR/Statepoint.h"
#include "llvm/Transforms/Utils/BasicBlockUtils.h"

namespace echo::jit {
namespace {

/* Behind the call and its result, before its relocations. */
llvm::Instruction* point_behind(llvm::GCStatepointInst& call) {
  llvm::Instruction* at = call.getNextNode();
  while (llvm::isa<llvm::GCResultInst>(at))
    at = at->getNextNode();
  return at;
}

void call_leave(ModuleContext& context, llvm::IRBuilder<>& builder, llvm::Value* thread, const char* name) {
  call_stub(builder, stub(context.module, name, builder.getVoidTy(), {}, true), thread, {});
}

} // namespace

void leave_native_behind(ModuleContext& context, llvm::GCStatepointInst& call) {
  llvm::Instruction* const at = point_behind(call);
  llvm::IRBuilder<> builder(at);
  llvm::Value* const thread = thread_of(*call.getFunction());
  if (context.called_operations) {
    call_leave(context, builder, thread, kLeaveNativeWholeStub);
    return;
  }
  const auto order = llvm::AtomicOrdering::SequentiallyConsistent;
  builder.CreateAtomicRMW(llvm::AtomicRMWInst::Xchg,
                          thread_field(builder, thread, context.recipes.state_offset),
                          builder.getInt32(context.recipes.state_managed), llvm::Align(4), order);
  llvm::LoadInst* const word = builder.CreateAlignedLoad(
      builder.getInt64Ty(), thread_field(builder, thread, context.recipes.poll_offset), llvm::Align(8),
      "poll");
  word->setVolatile(
      true); /* stays behind the exchange, which is a fence on x86-64; and folds into the comparison */
  llvm::Instruction* const cold =
      llvm::SplitBlockAndInsertIfThen(builder.CreateICmpEQ(word, builder.getInt64(0)), at->getIterator(),
                                      false, cold_first(at->getContext()));
  cold->getParent()->setName("leave.cold");
  builder.SetInsertPoint(cold);
  call_leave(context, builder, thread, kLeaveNativeStub);
}

} // namespace echo::jit
