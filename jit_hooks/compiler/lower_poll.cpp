/* SPDX-License-Identifier: MIT
 *
 * compiler/lower_poll.cpp - polls: inserted, and lowered by the poll recipe.
 *
 * Recipe      cmp poll(%r13), %rbp; ja cold. The word is 0 when a stop is asked for, else a watermark: one
 * comparison serves both. Method      Polls are marker calls until optimisation is over: the clean-up would
 * reorder the comparison, share the frame address and so lose the two-instruction form. The marker reads and
 * writes the thread block. Invariants  [jit.poll.1] Every cycle of a function contains a poll (back-edges of
 * a depth-first walk, so irreducible ones too). [jit.poll.2] Every return and every landing pad of a function
 * that contains a safepoint has one: control does not pass the watermark without it. [jit.poll.3] The word is
 * loaded at every poll (volatile), and folds into the comparison.
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

constexpr const char* kPollMarker = "echo.gc.poll";

/* The struct that a return rebuilds is rebuilt after the poll: statepoints do not track references in it. */
llvm::Instruction* before_return_value(llvm::Instruction* ret) {
  llvm::Instruction* point = ret;
  while (point->getPrevNode() != nullptr && llvm::isa<llvm::InsertValueInst>(point->getPrevNode()))
    point = point->getPrevNode();
  return point;
}

llvm::Function* poll_marker(llvm::Module& module) {
  llvm::LLVMContext& context = module.getContext();
  llvm::FunctionCallee callee = module.getOrInsertFunction(
      kPollMarker,
      llvm::FunctionType::get(llvm::Type::getVoidTy(context), {llvm::PointerType::get(context, 0)}, false));
  auto* const function = llvm::cast<llvm::Function>(callee.getCallee());
  function->setDoesNotThrow();
  function->setMemoryEffects(llvm::MemoryEffects::inaccessibleOrArgMemOnly());
  return function;
}

void poll_before(llvm::Instruction* point, llvm::Function* marker) {
  llvm::IRBuilder<> builder(point);
  builder.CreateCall(marker, {thread_of(*point->getFunction())})->setDebugLoc(point->getDebugLoc());
}

/* Level 0. */
void expand_to_call(ModuleContext& context, llvm::CallInst& marker) {
  llvm::IRBuilder<> builder(&marker);
  ++context.counters.polls;
  const llvm::FunctionCallee callee = stub(context.module, kPollWholeStub, builder.getVoidTy(), {}, false);
  call_stub(builder, callee, marker.getArgOperand(0), {})->setDebugLoc(marker.getDebugLoc());
  marker.eraseFromParent();
}

} // namespace

/* The two instructions. The comparison has this order: instruction selection folds the load into it. */
void expand_poll(ModuleContext& context, llvm::CallInst& marker, llvm::Value* thread, const char* cold_stub) {
  llvm::IRBuilder<> builder(&marker);
  ++context.counters.polls;
  llvm::Type* const word = builder.getInt64Ty();
  llvm::Value* const frame = builder.CreatePtrToInt(
      builder.CreateIntrinsic(llvm::Intrinsic::frameaddress, {builder.getPtrTy()}, {builder.getInt32(0)}),
      word);
  if (context.allows(ECHO_JIT_OPTIMISE_POLLS)) /* what may become of a load that is not volatile */
    builder.SetInsertPoint(&*marker.getFunction()->getEntryBlock().getFirstNonPHIOrDbgOrAlloca());
  llvm::LoadInst* const watermark = builder.CreateAlignedLoad(
      word, thread_field(builder, thread, context.recipes.poll_offset), llvm::Align(8), "watermark");
  watermark->setVolatile(!context.allows(ECHO_JIT_OPTIMISE_POLLS)); /* [jit.poll.3] */
  builder.SetInsertPoint(&marker);
  llvm::Instruction* const cold = llvm::SplitBlockAndInsertIfThen(
      builder.CreateICmpUGT(frame, watermark), marker.getIterator(), false, cold_first(marker.getContext()));
  cold->getParent()->setName("poll.cold");
  builder.SetInsertPoint(cold);
  const llvm::FunctionCallee callee = stub(context.module, cold_stub, builder.getVoidTy(), {}, false);
  call_stub(builder, callee, thread, {})->setDebugLoc(marker.getDebugLoc());
  marker.eraseFromParent();
}

llvm::SmallSetVector<llvm::Instruction*, 16> poll_points(const ModuleContext& context,
                                                         llvm::Function& function) {
  llvm::SmallVector<std::pair<const llvm::BasicBlock*, const llvm::BasicBlock*>> back_edges;
  llvm::FindFunctionBackedges(function, back_edges);
  llvm::SmallSetVector<llvm::Instruction*, 16> points;
  for (const auto& [from, to] : back_edges)
    points.insert(const_cast<llvm::BasicBlock*>(from)->getTerminator());
  llvm::SmallVector<llvm::Instruction*> returns, landing_pads;
  bool has_safepoint = !points.empty();
  for (llvm::Instruction& instruction : llvm::instructions(function)) {
    if (auto* call = llvm::dyn_cast<llvm::CallBase>(&instruction)) {
      if (is_safepoint_call(*call))
        has_safepoint = true;
    } else if (llvm::isa<llvm::ReturnInst>(instruction)) {
      returns.push_back(&instruction);
    } else if (llvm::isa<llvm::LandingPadInst>(instruction)) {
      landing_pads.push_back(instruction.getNextNode());
    }
  }
  if (!has_safepoint)
    return points;
  if (!context.allows(ECHO_JIT_LOOP_POLLS_ONLY)) { /* [jit.poll.2] */
    for (llvm::Instruction* ret : returns)
      points.insert(before_return_value(ret));
    for (llvm::Instruction* after_pad : landing_pads)
      points.insert(after_pad);
  }
  return points;
}

void insert_polls(ModuleContext& context, llvm::Function& function) {
  llvm::SmallSetVector<llvm::Instruction*, 16> points = poll_points(context, function);
  llvm::SmallVector<llvm::CallBase*> explicit_polls;
  for (llvm::Instruction& instruction : llvm::instructions(function))
    if (auto* call = llvm::dyn_cast<llvm::CallBase>(&instruction);
        call != nullptr && operation_of(*call) == Operation::Safepoint)
      explicit_polls.push_back(call);
  if (points.empty() && explicit_polls.empty())
    return;
  llvm::Function* const marker = poll_marker(context.module);
  for (llvm::CallBase* call : explicit_polls) {
    poll_before(call, marker);
    points.remove(call);
    call->eraseFromParent();
  }
  for (llvm::Instruction* point : points)
    poll_before(point, marker);
}

bool is_poll_marker(const llvm::CallBase& call) {
  const llvm::Function* const callee = call.getCalledFunction();
  return callee != nullptr && callee->getName() == kPollMarker;
}

void expand_polls(ModuleContext& context) {
  llvm::Function* const marker = context.module.getFunction(kPollMarker);
  if (marker == nullptr)
    return;
  for (llvm::User* user : llvm::make_early_inc_range(marker->users()))
    if (auto* call = llvm::cast<llvm::CallInst>(user); context.called_operations)
      expand_to_call(context, *call);
    else
      expand_poll(context, *call, call->getArgOperand(0), kPollStub);
  marker->eraseFromParent();
}

} // namespace echo::jit
