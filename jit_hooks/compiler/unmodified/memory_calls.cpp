/* SPDX-License-Identifier: MIT
 *
 * compiler/unmodified/memory_calls.cpp - calls that write memory themselves: copies, fills, masked and scattered stores.
 *
 * Invariants  [unmod.copy.1] A copy or fill is announced word by word before its first byte moves, with no poll before its
 *             last one. [unmod.mask.1] Of a masked store exactly the lanes that are on are announced: the memory of the
 *             others need not be there.
 */
#include "compiler/unmodified/steps.h"
#include "compiler/where.h"

#include "llvm/IR/IntrinsicInst.h"
#include "llvm/Transforms/Utils/BasicBlockUtils.h"

namespace echo::jit::unmodified {
namespace {

enum class Form { None, Copy, Fill, MaskedStore, Scatter, CompressedStore };

Form form_of(const llvm::CallBase& call) {
  if (llvm::isa<llvm::AnyMemTransferInst>(call))
    return Form::Copy;
  if (llvm::isa<llvm::AnyMemSetInst>(call))
    return Form::Fill;
  switch (call.getIntrinsicID()) {
  case llvm::Intrinsic::masked_store:
    return Form::MaskedStore;
  case llvm::Intrinsic::masked_scatter:
    return Form::Scatter;
  case llvm::Intrinsic::masked_compressstore:
    return Form::CompressedStore;
  case llvm::Intrinsic::not_intrinsic:
    break;
  default:
    return Form::None;
  }
  const llvm::Function* const callee = call.getCalledFunction();
  if (callee == nullptr || !callee->isDeclaration() || call.arg_size() != 3)
    return Form::None;
  const llvm::StringRef name = callee->getName();
  if (name == "memcpy" || name == "memmove")
    return Form::Copy;
  return name == "memset" ? Form::Fill : Form::None;
}

/* Where the announcement of one lane goes: only if the mask has it. */
llvm::Instruction* under_mask(llvm::CallBase& call, llvm::Value* mask, unsigned lane) {
  llvm::IRBuilder<> builder(&call);
  llvm::Value* const on = builder.CreateExtractElement(mask, lane);
  if (const auto* known = llvm::dyn_cast<llvm::ConstantInt>(on))
    return known->isOne() ? &call : nullptr;
  return llvm::SplitBlockAndInsertIfThen(on, call.getIterator(), false);
}

Outcome announce_lanes(ModuleContext& context, llvm::CallBase& call, bool scattered) {
  llvm::Value* const values = call.getArgOperand(0);
  llvm::Value* const mask = call.getArgOperand(3);
  const auto* const type = llvm::cast<llvm::FixedVectorType>(values->getType());
  const llvm::DataLayout& layout = context.module.getDataLayout();
  const uint64_t bytes = layout.getTypeStoreSize(type->getElementType());
  const llvm::MaybeAlign given = llvm::cast<llvm::ConstantInt>(call.getArgOperand(2))->getMaybeAlignValue();
  const llvm::Align first = given.valueOrOne();
  for (unsigned lane = 0; lane < type->getNumElements(); ++lane) {
    llvm::Instruction* const place = under_mask(call, mask, lane);
    if (place == nullptr)
      continue;
    llvm::IRBuilder<> builder(place);
    llvm::Value* const pointer =
        scattered ? builder.CreateExtractElement(call.getArgOperand(1), lane)
                  : builder.CreateConstGEP1_64(builder.getInt8Ty(), call.getArgOperand(1), lane * bytes);
    const llvm::Align alignment = scattered ? first : llvm::commonAlignment(first, lane * bytes);
    if (Outcome outcome = announce_store(context, call, builder, pointer,
                                         builder.CreateExtractElement(values, lane), alignment);
        !outcome)
      return outcome;
  }
  return {};
}

/* The lanes that are on lie one behind the other. */
Outcome announce_compressed(ModuleContext& context, llvm::CallBase& call) {
  const auto* const type = llvm::cast<llvm::FixedVectorType>(call.getArgOperand(0)->getType());
  const uint64_t bytes = context.module.getDataLayout().getTypeStoreSize(type->getElementType());
  const llvm::MaybeAlign alignment = call.getParamAlign(1);
  if (type->getElementType()->isPointerTy() && alignment.valueOrOne().value() < 8)
    return {ECHO_UNSUPPORTED_OPERATION,
            "a pointer is stored at an address that need not be a multiple of 8 " + where(call) +
                ": marking looks at words; align the store by 8 and do not pack its type"};
  llvm::IRBuilder<> builder(&call);
  llvm::Value* const bits =
      builder.CreateBitCast(call.getArgOperand(2), builder.getIntNTy(type->getNumElements()));
  llvm::Value* const lanes = builder.CreateZExtOrTrunc(
      builder.CreateUnaryIntrinsic(llvm::Intrinsic::ctpop, builder.CreateZExt(bits, builder.getInt64Ty())),
      builder.getInt64Ty());
  return announce_range(context, builder, call.getArgOperand(1),
                        llvm::ConstantPointerNull::get(llvm::PointerType::get(builder.getContext(), 0)),
                        builder.CreateMul(lanes, builder.getInt64(bytes)));
}

} // namespace

bool is_announced_call(const llvm::CallBase& call) {
  return form_of(call) != Form::None;
}

Outcome announce_call(ModuleContext& context, llvm::CallBase& call) {
  const Form form = form_of(call);
  switch (form) {
  case Form::Copy:
  case Form::Fill: {
    if (is_local(call.getArgOperand(0)))
      return {};
    llvm::IRBuilder<> builder(&call);
    llvm::Value* const from =
        form == Form::Copy ? call.getArgOperand(1)
                           : llvm::ConstantPointerNull::get(llvm::PointerType::get(builder.getContext(), 0));
    return announce_range(context, builder, call.getArgOperand(0), from,
                          builder.CreateZExtOrTrunc(call.getArgOperand(2), builder.getInt64Ty()));
  }
  case Form::MaskedStore:
    return announce_lanes(context, call, false);
  case Form::Scatter:
    return announce_lanes(context, call, true);
  case Form::CompressedStore:
    return announce_compressed(context, call);
  case Form::None:
    return {};
  }
  return {};
}

} // namespace echo::jit::unmodified
