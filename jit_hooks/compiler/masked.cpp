/* SPDX-License-Identifier: MIT
 *
 * compiler/masked.cpp - masked accesses, gathers and scatters that touch objects or references, lane by lane.
 *
 * Purpose     Each becomes plain loads or stores of its lanes, each behind a branch where its bit of the mask is not
 *             constant. What checks, barriers and statepoints know of loads and stores then holds for them too.
 * Table       masked.load(p, align, mask, other)      lane i reads p + i          masked.store(value, p, align, mask)
 *             masked.gather(ps, align, mask, other)   lane i reads ps[i]          masked.scatter(value, ps, align, mask)
 * Invariants  [jit.vector.3] A lane that is off touches no memory. Lanes are done in their order.
 */
#include "compiler/context.h"

#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/Transforms/Utils/BasicBlockUtils.h"

namespace echo::jit {
namespace {

/* Where an intrinsic has what; -1: it has none. */
struct Shape {
  llvm::Intrinsic::ID id;
  int value, address, alignment, mask, other;
};
constexpr Shape kShapes[] = {
    {llvm::Intrinsic::masked_load, -1, 0, 1, 2, 3},
    {llvm::Intrinsic::masked_store, 0, 1, 2, 3, -1},
    {llvm::Intrinsic::masked_gather, -1, 0, 1, 2, 3},
    {llvm::Intrinsic::masked_scatter, 0, 1, 2, 3, -1},
};

const Shape* shape_of(const llvm::IntrinsicInst& call) {
  for (const Shape& shape : kShapes)
    if (shape.id == call.getIntrinsicID())
      return &shape;
  return nullptr;
}

class LaneByLane {
public:
  LaneByLane(llvm::IntrinsicInst& call, const Shape& shape) : call_(call), shape_(shape) {
    llvm::Type* const type = shape.value >= 0 ? operand(shape.value)->getType() : call.getType();
    lanes_ = llvm::cast<llvm::FixedVectorType>(type)->getNumElements();
    element_ = type->getScalarType();
  }

  void run() {
    llvm::Value* result = shape_.other >= 0 ? operand(shape_.other) : nullptr;
    for (unsigned lane = 0; lane < lanes_; ++lane) {
      llvm::IRBuilder<> builder(&call_);
      llvm::Value* const bit = builder.CreateExtractElement(operand(shape_.mask), lane);
      const auto* constant = llvm::dyn_cast<llvm::ConstantInt>(bit);
      if (constant != nullptr && constant->isZero())
        continue;
      llvm::Value* const address = address_of(builder, lane);
      llvm::Instruction* end = &call_;
      llvm::BasicBlock* const before = call_.getParent();
      if (constant == nullptr)
        end = llvm::SplitBlockAndInsertIfThen(bit, call_.getIterator(), false);
      builder.SetInsertPoint(end);
      llvm::Value* const changed = access(builder, address, lane, result);
      if (changed != result && constant == nullptr) {
        builder.SetInsertPoint(&*call_.getParent()->begin());
        llvm::PHINode* const phi = builder.CreatePHI(changed->getType(), 2);
        phi->addIncoming(result, before);
        phi->addIncoming(changed, end->getParent());
        result = phi;
      } else {
        result = changed;
      }
    }
    if (result != nullptr)
      call_.replaceAllUsesWith(result);
    call_.eraseFromParent();
  }

private:
  llvm::Value* operand(int index) const { return call_.getArgOperand(static_cast<unsigned>(index)); }

  llvm::Value* address_of(llvm::IRBuilder<>& builder, unsigned lane) const {
    llvm::Value* const address = operand(shape_.address);
    if (address->getType()->isVectorTy())
      return builder.CreateExtractElement(address, lane);
    return lane == 0 ? address : builder.CreateConstGEP1_64(element_, address, lane);
  }
  llvm::Align alignment(unsigned lane) const {
    const llvm::DataLayout& layout = call_.getModule()->getDataLayout();
    const llvm::Align whole(llvm::cast<llvm::ConstantInt>(operand(shape_.alignment))->getZExtValue());
    if (operand(shape_.address)->getType()->isVectorTy())
      return whole;
    return llvm::commonAlignment(whole, lane * layout.getTypeAllocSize(element_).getFixedValue());
  }

  /* The load into one lane, or the store of it. */
  llvm::Value* access(llvm::IRBuilder<>& builder, llvm::Value* address, unsigned lane,
                      llvm::Value* result) const {
    if (shape_.value >= 0) {
      builder.CreateAlignedStore(builder.CreateExtractElement(operand(shape_.value), lane), address,
                                 alignment(lane));
      return result;
    }
    llvm::Value* const loaded = builder.CreateAlignedLoad(element_, address, alignment(lane));
    return builder.CreateInsertElement(result, loaded, lane);
  }

  llvm::IntrinsicInst& call_;
  const Shape& shape_;
  unsigned lanes_ = 0;
  llvm::Type* element_ = nullptr;
};

bool touches_references(const llvm::IntrinsicInst& call) {
  return contains_reference(call.getType()) ||
         llvm::any_of(call.args(), [](const llvm::Use& use) { return contains_reference(use->getType()); });
}

} // namespace

void expand_masked(ModuleContext& context) {
  for (llvm::Function& function : context.module) {
    llvm::SmallVector<llvm::IntrinsicInst*> calls;
    for (llvm::Instruction& instruction : llvm::instructions(function))
      if (auto* call = llvm::dyn_cast<llvm::IntrinsicInst>(&instruction);
          call != nullptr && shape_of(*call) != nullptr && touches_references(*call) &&
          !llvm::isa<llvm::ScalableVectorType>(
              call->getArgOperand(static_cast<unsigned>(shape_of(*call)->mask))->getType()))
        calls.push_back(call);
    for (llvm::IntrinsicInst* call : calls)
      LaneByLane(*call, *shape_of(*call)).run();
  }
}

} // namespace echo::jit
