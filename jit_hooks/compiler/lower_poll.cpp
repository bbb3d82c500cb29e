/* SPDX-License-Identifier: MIT
 *
 * compiler/lower_poll.cpp - polls: inserted, and lowered by the poll recipe.
 *
 * Recipe      cmp %rbp, poll(%r13); jb cold. The word is 0 when a stop is asked for, else a watermark: one comparison
 *             serves both.
 * Invariants  [jit.poll.1] Every cycle of a function contains a poll (back-edges of a depth-first walk, so irreducible
 *             ones too). [jit.poll.2] Every return and every landing pad of a function that contains a safepoint has
 *             one: control does not pass the watermark without it. [jit.poll.3] The word is loaded at every poll
 *             (volatile), and folds into the comparison.
 */
#include "compiler/lowering.h"
#include "compiler/operations.h"

#include "arch/x86_64/stubs.h"

#include "llvm/ADT/SetVector.h"
#include "llvm/Analysis/CFG.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/IntrinsicInst.h"
#include "llvm/Transforms/Utils/BasicBlockUtils.h"

namespace echo::jit {
namespace {

/* The struct that a return rebuilds is rebuilt after the poll: statepoints do not track references in it. */
llvm::Instruction* before_return_value(llvm::Instruction* ret) {
  llvm::Instruction* point = ret;
  while (point->getPrevNode() != nullptr && llvm::isa<llvm::InsertValueInst>(point->getPrevNode()))
    point = point->getPrevNode();
  return point;
}

class PollLowering {
public:
  PollLowering(ModuleContext& context, llvm::Function& function)
      : context_(context), function_(function), thread_(thread_of(function)),
        stub_(stub(context.module, kPollStub, llvm::Type::getVoidTy(function.getContext()), {}, false)) {}

  void poll_before(llvm::Instruction* point) {
    llvm::IRBuilder<> builder(point);
    llvm::Type* const word = builder.getInt64Ty();
    llvm::Value* const frame = builder.CreatePtrToInt(
        builder.CreateIntrinsic(llvm::Intrinsic::frameaddress, {builder.getPtrTy()}, {builder.getInt32(0)}), word);
    llvm::LoadInst* const watermark = builder.CreateAlignedLoad(
        word, thread_field(builder, thread_, context_.recipes.poll_offset), llvm::Align(8), "watermark");
    watermark->setVolatile(true); /* [jit.poll.3] */
    llvm::Instruction* const cold =
        llvm::SplitBlockAndInsertIfThen(builder.CreateICmpUGT(frame, watermark), point->getIterator(), false,
                                        cold_first(function_.getContext()));
    cold->getParent()->setName("poll.cold");
    builder.SetInsertPoint(cold);
    call_stub(builder, stub_, thread_, {})->setDebugLoc(point->getDebugLoc());
    ++context_.counters.polls;
  }

private:
  ModuleContext& context_;
  llvm::Function& function_;
  llvm::Value* thread_;
  llvm::FunctionCallee stub_;
};

} // namespace

void lower_polls(ModuleContext& context, llvm::Function& function) {
  llvm::SmallVector<std::pair<const llvm::BasicBlock*, const llvm::BasicBlock*>> back_edges;
  llvm::FindFunctionBackedges(function, back_edges);
  llvm::SmallSetVector<llvm::Instruction*, 16> points;
  for (const auto& [from, to] : back_edges) points.insert(const_cast<llvm::BasicBlock*>(from)->getTerminator());
  llvm::SmallVector<llvm::CallBase*> explicit_polls;
  llvm::SmallVector<llvm::Instruction*> returns, landing_pads;
  bool has_safepoint = !points.empty();
  for (llvm::Instruction& instruction : llvm::instructions(function)) {
    if (auto* call = llvm::dyn_cast<llvm::CallBase>(&instruction)) {
      if (operation_of(*call) == Operation::Safepoint) explicit_polls.push_back(call);
      if (is_safepoint_call(*call)) has_safepoint = true;
    } else if (llvm::isa<llvm::ReturnInst>(instruction)) {
      returns.push_back(&instruction);
    } else if (llvm::isa<llvm::LandingPadInst>(instruction)) {
      landing_pads.push_back(instruction.getNextNode());
    }
  }
  if (!has_safepoint) return;
  for (llvm::Instruction* ret : returns) points.insert(before_return_value(ret));
  for (llvm::Instruction* after_pad : landing_pads) points.insert(after_pad);
  PollLowering lowering(context, function);
  for (llvm::CallBase* call : explicit_polls) {
    lowering.poll_before(call);
    points.remove(call);
    call->eraseFromParent();
  }
  for (llvm::Instruction* point : points) lowering.poll_before(point);
}

} // namespace echo::jit
