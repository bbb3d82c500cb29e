/* SPDX-License-Identifier: MIT
 *
 * compiler/race_detection.cpp - program code tells the thread sanitizer of its accesses, in a process that has one.
 *
 * Purpose     LLVM's ThreadSanitizer pass over code that is otherwise finished, so that races between program threads,
 *             and between the program and the collector, are reported as those of C++ are.
 * Method      The pass leaves other address spaces out: accesses of objects get their address as a plain pointer, which
 *             no safepoint can come behind any more. It pairs entries and exits of functions, which frames that are
 *             abandoned would not: those calls are dropped, so reports name the place without its callers.
 * Invariants  [jit.race.1] It runs last: its calls are no safepoints, and what it computes lives up to the next
 *             instruction only. [jit.race.2] Words of the thread block are left out, but for the exchange of the state:
 *             the poll and store recipes read them without an order on purpose.
 */
#include "compiler/race_detection.h"

#include "compiler/context.h"

#include "llvm/Analysis/ValueTracking.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/IntrinsicInst.h"
#include "llvm/Transforms/Instrumentation/ThreadSanitizer.h"

namespace echo::jit {
namespace {

/* By way of an integer: through a cast between address spaces the pass would look, and leave the access out. */
llvm::Value* plain(llvm::IRBuilder<>& builder, llvm::Value* pointer) {
  if (!is_reference(pointer->getType()))
    return pointer;
  return builder.CreateIntToPtr(builder.CreatePtrToInt(pointer, builder.getInt64Ty()), builder.getPtrTy());
}

/* The same intrinsic on plain pointers. */
void rebuild(llvm::MemIntrinsic& intrinsic) {
  llvm::IRBuilder<> builder(&intrinsic);
  llvm::Value* const to = plain(builder, intrinsic.getRawDest());
  if (auto* set = llvm::dyn_cast<llvm::MemSetInst>(&intrinsic)) {
    builder.CreateMemSet(to, set->getValue(), set->getLength(), set->getDestAlign(), set->isVolatile());
  } else {
    auto& transfer = llvm::cast<llvm::MemTransferInst>(intrinsic);
    llvm::Value* const from = plain(builder, transfer.getRawSource());
    if (llvm::isa<llvm::MemMoveInst>(transfer))
      builder.CreateMemMove(to, transfer.getDestAlign(), from, transfer.getSourceAlign(),
                            transfer.getLength(), transfer.isVolatile());
    else
      builder.CreateMemCpy(to, transfer.getDestAlign(), from, transfer.getSourceAlign(), transfer.getLength(),
                           transfer.isVolatile());
  }
  intrinsic.eraseFromParent();
}

/* The address of an access, its operand `index`. */
void prepare(llvm::Instruction& instruction, unsigned index) {
  llvm::Value* const address = instruction.getOperand(index);
  const auto* thread = llvm::dyn_cast<llvm::Argument>(llvm::getUnderlyingObject(address, 0));
  if (thread != nullptr && thread->hasSwiftSelfAttr()) {
    if (!llvm::isa<llvm::AtomicRMWInst>(instruction)) /* [jit.race.2] */
      instruction.setMetadata(llvm::LLVMContext::MD_nosanitize,
                              llvm::MDNode::get(instruction.getContext(), {}));
    return;
  }
  llvm::IRBuilder<> builder(&instruction);
  instruction.setOperand(index, plain(builder, address));
}

void prepare(llvm::Function& function) {
  for (llvm::Instruction& instruction : llvm::make_early_inc_range(llvm::instructions(function))) {
    if (auto* memory = llvm::dyn_cast<llvm::MemIntrinsic>(&instruction))
      rebuild(*memory);
    else if (llvm::isa<llvm::LoadInst>(instruction))
      prepare(instruction, llvm::LoadInst::getPointerOperandIndex());
    else if (llvm::isa<llvm::StoreInst>(instruction))
      prepare(instruction, llvm::StoreInst::getPointerOperandIndex());
    else if (llvm::isa<llvm::AtomicRMWInst>(instruction))
      prepare(instruction, llvm::AtomicRMWInst::getPointerOperandIndex());
    else if (llvm::isa<llvm::AtomicCmpXchgInst>(instruction))
      prepare(instruction, llvm::AtomicCmpXchgInst::getPointerOperandIndex());
  }
}

/* LLVM's names; see Method. */
void drop_entries_and_exits(llvm::Module& module) {
  for (const char* name : {"__tsan_func_entry", "__tsan_func_exit"})
    if (llvm::Function* const function = module.getFunction(name)) {
      for (llvm::User* user : llvm::make_early_inc_range(function->users()))
        llvm::cast<llvm::CallInst>(user)->eraseFromParent();
      function->eraseFromParent();
    }
}

} // namespace

void detect_races(llvm::Module& module, const std::function<void(llvm::FunctionPassManager&&)>& run) {
  llvm::SmallVector<llvm::Function*> may_throw;
  for (llvm::Function& function : module) {
    if (function.isDeclaration())
      continue;
    prepare(function);
    function.addFnAttr(llvm::Attribute::SanitizeThread);
    if (!function.doesNotThrow()) { /* else the pass makes pads of its own, to call exits */
      may_throw.push_back(&function);
      function.setDoesNotThrow();
    }
  }
  llvm::FunctionPassManager pipeline;
  pipeline.addPass(llvm::ThreadSanitizerPass());
  run(std::move(pipeline));
  for (llvm::Function* function : may_throw)
    function->removeFnAttr(llvm::Attribute::NoUnwind);
  for (llvm::Function& function : module)
    function.removeFnAttr(llvm::Attribute::SanitizeThread);
  drop_entries_and_exits(module);
}

} // namespace echo::jit
