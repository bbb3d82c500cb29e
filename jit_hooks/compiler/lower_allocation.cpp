/* SPDX-License-Identifier: MIT
 *
 * compiler/lower_allocation.cpp - allocation functions, by the allocation recipe.
 *
 * Shape       cursor = load thread + cursor; next = cursor + size; if next > load thread + limit: cold
 *             an aligned object starts at the next multiple; a filler covers the gap
 *             fast:  store next; object = marker(cursor); header (and length) stored
 *             cold:  object = stub(layout, length); null: raise, never comes back
 *             both:  phi; payload of constant size zeroed here, where dead store elimination sees the
 * program's initialising stores to the same object Invariants  [jit.alloc.1] The cursor is an integer and
 * becomes a reference only through an opaque call, replaced after statepoints are made: else the second
 * object would be taken for a pointer into the first. [alloc.slow.1] Null from the cold path leaves before
 * anything else; the header that the cold path wrote is not written again. [jit.alloc.2] The payload is zero
 * before the next safepoint. [jit.alloc.3] What alignment skips is a filler before the next safepoint. [abi.layout.2] A length is compared with its bound before it is multiplied.
 */
#include "compiler/allocation_lowering.h"
#include "compiler/operations.h"

#include "ahead/layout_bindings.h"
#include "arch/x86_64/stubs.h"

#include "llvm/IR/InstIterator.h"
#include "llvm/Transforms/Utils/BasicBlockUtils.h"

namespace echo::jit {
namespace {

constexpr const char* kMarker = "echo.gc.marker";
constexpr uint64_t kWordwiseZeroing = 256; /* larger payloads are zeroed by memset */

llvm::Function* marker(llvm::Module& module) {
  llvm::LLVMContext& context = module.getContext();
  llvm::FunctionCallee callee = module.getOrInsertFunction(
      kMarker, llvm::FunctionType::get(llvm::PointerType::get(context, kReferenceSpace),
                                       {llvm::Type::getInt64Ty(context)}, false));
  auto* const function = llvm::cast<llvm::Function>(callee.getCallee());
  function->addFnAttr(kLeafAttribute);
  function->setDoesNotThrow();
  function->addFnAttr(llvm::Attribute::WillReturn);
  /* Not readnone: it must not move over a safepoint, its operand is no root. */
  function->setMemoryEffects(llvm::MemoryEffects::inaccessibleMemOnly());
  function->addRetAttr(llvm::Attribute::NonNull);
  function->addRetAttr(llvm::Attribute::NoAlias);
  return function;
}

llvm::Value* at(llvm::IRBuilder<>& builder, llvm::Value* object, uint64_t offset) {
  return offset == 0 ? object : builder.CreateConstInBoundsGEP1_64(builder.getInt8Ty(), object, offset);
}

} // namespace

AllocationLowering::AllocationLowering(ModuleContext& context, llvm::Function& function)
    : context_(context), recipes_(context.recipes), function_(function), thread_(thread_of(function)),
      reference_(llvm::PointerType::get(function.getContext(), kReferenceSpace)),
      word_(llvm::Type::getInt64Ty(function.getContext())),
      cold_stub_(stub(context.module, kAllocateStub, reference_,
                      {llvm::Type::getInt32Ty(function.getContext()), word_}, false)) {}

void AllocationLowering::begin(const Allocation& allocation) {
  call_ = allocation.call;
  layout_ = allocation.layout;
  length_ = layout_->is_array ? call_->getArgOperand(0) : llvm::ConstantInt::get(word_, 0);
}

void AllocationLowering::finish(llvm::Value* object) {
  object->takeName(call_);
  call_->replaceAllUsesWith(object);
  call_->eraseFromParent();
}

void AllocationLowering::lower(const Allocation& allocation) {
  begin(allocation);
  const auto* constant = llvm::dyn_cast<llvm::ConstantInt>(length_);
  if (!fits_inline() || context_.called_operations)
    finish(emit_cold(call_));
  else if (constant != nullptr)
    finish(inline_constant(constant->getZExtValue()));
  else
    finish(inline_variable());
}

void AllocationLowering::lower_cold(const Allocation& allocation) {
  begin(allocation);
  finish(emit_cold(call_));
}

std::optional<uint64_t> AllocationLowering::bytes_at_cursor(const Allocation& allocation) {
  begin(allocation);
  const auto* constant = llvm::dyn_cast<llvm::ConstantInt>(length_);
  if (constant == nullptr || !fits_inline() || layout_->alignment > recipes_.granule)
    return std::nullopt;
  return constant_bytes(constant->getZExtValue());
}

llvm::Value* AllocationLowering::load_cursor(llvm::IRBuilder<>& builder) {
  return load_word(builder, recipes_.cursor_offset, "cursor");
}

llvm::Value* AllocationLowering::load_limit(llvm::IRBuilder<>& builder) {
  return load_word(builder, recipes_.limit_offset, "limit");
}

llvm::Value* AllocationLowering::lower_at(const Allocation& allocation, llvm::Value* cursor) {
  begin(allocation);
  const uint64_t size = constant_bytes(llvm::cast<llvm::ConstantInt>(length_)->getZExtValue());
  llvm::IRBuilder<> builder(call_);
  llvm::Value* const next = builder.CreateAdd(cursor, llvm::ConstantInt::get(word_, size), "next", true);
  builder.CreateAlignedStore(next, thread_field(builder, thread_, recipes_.cursor_offset), llvm::Align(8));
  llvm::Value* const object = builder.CreateCall(marker(context_.module), {cursor}); /* [jit.alloc.1] */
  store_header(builder, object);
  zero_constant(object, size);
  finish(object);
  return next;
}

bool AllocationLowering::fits_inline() const {
  const bool aligned = layout_->alignment <= recipes_.granule || recipes_.filler_word != 0;
  const auto* constant = llvm::dyn_cast<llvm::ConstantInt>(length_);
  return aligned && !layout_->is_finalizable && rounded(layout_->fixed_bytes) <= recipes_.max_inline_bytes &&
         (constant == nullptr || constant->getZExtValue() <= largest_length());
}

uint64_t AllocationLowering::constant_bytes(uint64_t length) const {
  return rounded(layout_->fixed_bytes + (layout_->is_array ? length * layout_->element_bytes : 0));
}

uint64_t AllocationLowering::rounded(uint64_t bytes) const {
  const uint64_t granule = recipes_.granule;
  return (bytes + granule - 1) / granule * granule;
}
/* Elements that fit an inline allocation, given that the fixed part does; UINT64_MAX where there are none.
 */
uint64_t AllocationLowering::largest_length() const {
  const uint64_t bound = recipes_.max_inline_bytes / recipes_.granule * recipes_.granule;
  if (!layout_->is_array || layout_->element_bytes == 0)
    return ~uint64_t{0};
  return (bound - layout_->fixed_bytes) / layout_->element_bytes;
}

/* The cursor, moved up to the layout's alignment. */
llvm::Value* AllocationLowering::load_start(llvm::IRBuilder<>& builder) {
  cursor_ = load_word(builder, recipes_.cursor_offset, "cursor");
  if (layout_->alignment <= recipes_.granule)
    return cursor_;
  llvm::Value* const up = builder.CreateAdd(cursor_, builder.getInt64(layout_->alignment - 1));
  return builder.CreateAnd(up, ~uint64_t{layout_->alignment - 1}, "start");
}
/* Before `end`: a filler over [cursor, start). [jit.alloc.3] */
void AllocationLowering::fill_gap(llvm::Value* start, llvm::Instruction* end) {
  if (start == cursor_)
    return;
  llvm::IRBuilder<> builder(end);
  llvm::Value* const gap = builder.CreateSub(start, cursor_, "gap");
  llvm::Instruction* const then =
      llvm::SplitBlockAndInsertIfThen(builder.CreateIsNotNull(gap), end->getIterator(), false);
  builder.SetInsertPoint(then);
  llvm::Value* const word =
      builder.CreateOr(builder.CreateShl(gap, recipes_.filler_shift), builder.getInt64(recipes_.filler_word));
  builder.CreateAlignedStore(word, builder.CreateIntToPtr(cursor_, builder.getPtrTy()), llvm::Align(8));
}

llvm::Value* AllocationLowering::load_word(llvm::IRBuilder<>& builder, uint32_t offset, const char* name) {
  return builder.CreateAlignedLoad(word_, thread_field(builder, thread_, offset), llvm::Align(8), name);
}

/* In a block that ends with `end`: calls the stub, leaves on null. */
llvm::Value* AllocationLowering::emit_cold(llvm::Instruction* end) {
  llvm::IRBuilder<> builder(end);
  llvm::CallInst* const object = call_stub(builder, cold_stub_, thread_, {layout_number(builder), length_});
  object->setDebugLoc(call_->getDebugLoc());
  llvm::Instruction* const failed = llvm::SplitBlockAndInsertIfThen(builder.CreateIsNull(object), end, true,
                                                                    cold_first(function_.getContext()));
  failed->getParent()->setName("new.failed");
  builder.SetInsertPoint(failed);
  llvm::FunctionCallee raise = context_.module.getOrInsertFunction(
      kRaiseStub, llvm::FunctionType::get(builder.getVoidTy(), {builder.getPtrTy()}, false));
  auto* const function = llvm::cast<llvm::Function>(raise.getCallee());
  function->addFnAttr(kLeafAttribute);
  function->setDoesNotReturn();
  function->addFnAttr(llvm::Attribute::Cold);
  builder.CreateCall(raise, {thread_})->setDoesNotReturn();
  return object;
}

llvm::Value* AllocationLowering::layout_number(llvm::IRBuilder<>& builder) {
  if (layout_->binding != nullptr)
    return ahead::load_number(builder, *layout_->binding);
  return builder.getInt32(layout_->id);
}
llvm::Value* AllocationLowering::header_word(llvm::IRBuilder<>& builder) {
  if (layout_->binding != nullptr)
    return ahead::load_header_word(builder, *layout_->binding);
  return builder.getInt64(layout_->header_word);
}

void AllocationLowering::store_header(llvm::IRBuilder<>& builder, llvm::Value* object) {
  builder.CreateAlignedStore(header_word(builder), at(builder, object, recipes_.header_offset),
                             llvm::Align(8));
  if (layout_->is_array)
    builder.CreateAlignedStore(length_, at(builder, object, recipes_.length_offset), llvm::Align(8));
}

/* Splits before the call: a fast and a cold block that meet there. `make_fast` fills the fast block. */
llvm::PHINode* AllocationLowering::branch(llvm::Value* cursor, llvm::Value* next, llvm::Value* is_cold,
                                          llvm::Value* zero_bytes) {
  llvm::Instruction *cold_end = nullptr, *fast_end = nullptr;
  llvm::SplitBlockAndInsertIfThenElse(is_cold, call_, &cold_end, &fast_end,
                                      cold_first(function_.getContext()));
  cold_end->getParent()->setName("new.cold");
  fast_end->getParent()->setName("new.fast");
  llvm::IRBuilder<> builder(fast_end);
  builder.CreateAlignedStore(next, thread_field(builder, thread_, recipes_.cursor_offset), llvm::Align(8));
  fill_gap(cursor, fast_end);
  builder.SetInsertPoint(fast_end);
  llvm::Value* const fast = cursor->getType() == reference_
                                ? cursor
                                : builder.CreateCall(marker(context_.module), {cursor}); /* [jit.alloc.1] */
  store_header(builder, fast);
  if (zero_bytes != nullptr)
    builder.CreateMemSet(at(builder, fast, first_payload()), builder.getInt8(0), zero_bytes, llvm::Align(8));
  llvm::Value* const cold = emit_cold(cold_end);
  builder.SetInsertPoint(call_);
  llvm::PHINode* const object = builder.CreatePHI(reference_, 2);
  object->addIncoming(cold, cold_end->getParent());
  object->addIncoming(fast, fast_end->getParent());
  return object;
}

uint64_t AllocationLowering::first_payload() const {
  const uint64_t header_end =
      layout_->is_array ? uint64_t{recipes_.length_offset} + 8 : recipes_.header_offset + 8;
  return recipes_.zero_from > header_end ? recipes_.zero_from : header_end;
}

/* Test only: what [jit.alloc.1] forbids, with the cursor forwarded from one allocation to the next as GVN does. */
llvm::Value* AllocationLowering::inline_by_reference(uint64_t size) {
  llvm::IRBuilder<> builder(call_);
  const auto load = [&](uint32_t offset) {
    return builder.CreateAlignedLoad(reference_, thread_field(builder, thread_, offset), llvm::Align(8));
  };
  const bool goes_on = forwarded_ != nullptr && forwarded_->getParent() == call_->getParent();
  cursor_ = goes_on ? forwarded_ : static_cast<llvm::Value*>(load(recipes_.cursor_offset));
  llvm::Value* const next = builder.CreateConstGEP1_64(builder.getInt8Ty(), cursor_, size);
  llvm::PHINode* const object =
      branch(cursor_, next, builder.CreateICmpUGT(next, load(recipes_.limit_offset)), nullptr);
  builder.SetInsertPoint(object);
  forwarded_ = builder.CreatePHI(reference_, 2);
  for (llvm::BasicBlock* from : object->blocks()) {
    builder.SetInsertPoint(from->getTerminator());
    const bool fast = object->getIncomingValueForBlock(from) == cursor_;
    forwarded_->addIncoming(fast ? next : static_cast<llvm::Value*>(load(recipes_.cursor_offset)), from);
  }
  zero_constant(object, size);
  return object;
}

llvm::Value* AllocationLowering::inline_constant(uint64_t length) {
  const uint64_t size = constant_bytes(length);
  if (context_.allows(ECHO_JIT_CURSOR_AS_REFERENCE))
    return inline_by_reference(size);
  llvm::IRBuilder<> builder(call_);
  llvm::Value* const cursor = load_start(builder);
  llvm::Value* const next = builder.CreateAdd(cursor, llvm::ConstantInt::get(word_, size), "next", true);
  llvm::Value* const limit = load_word(builder, recipes_.limit_offset, "limit");
  llvm::PHINode* const object = branch(cursor, next, builder.CreateICmpUGT(next, limit), nullptr);
  zero_constant(object, size);
  return object;
}

void AllocationLowering::zero_constant(llvm::Value* object, uint64_t size) {
  llvm::IRBuilder<> builder(call_);
  const uint64_t first = first_payload();
  if (first >= size)
    return;
  if (size - first > kWordwiseZeroing) {
    builder.CreateMemSet(at(builder, object, first), builder.getInt8(0), size - first, llvm::Align(8));
    return;
  }
  for (uint64_t offset = first; offset < size; offset += 8)
    builder.CreateAlignedStore(llvm::ConstantInt::get(word_, 0), at(builder, object, offset), llvm::Align(8));
}

/* A length known at run time only: the cold path's object, which may be large, is not zeroed twice. */
llvm::Value* AllocationLowering::inline_variable() {
  llvm::IRBuilder<> builder(call_);
  llvm::Value* const cursor = load_start(builder);
  llvm::Value* const limit = load_word(builder, recipes_.limit_offset, "limit");
  llvm::Value* const too_long =
      builder.CreateICmpUGT(length_, llvm::ConstantInt::get(word_, largest_length()), "too.long");
  llvm::Value* const payload =
      builder.CreateMul(length_, llvm::ConstantInt::get(word_, layout_->element_bytes), "elements");
  llvm::Value* size = builder.CreateAdd(payload, llvm::ConstantInt::get(word_, rounded_fixed()));
  size = builder.CreateAnd(size, llvm::ConstantInt::get(word_, ~uint64_t{recipes_.granule - 1}), "size");
  llvm::Value* const next = builder.CreateAdd(cursor, size, "next");
  llvm::Value* const is_cold = builder.CreateOr(too_long, builder.CreateICmpUGT(next, limit));
  llvm::Value* const zero_bytes = builder.CreateSub(size, llvm::ConstantInt::get(word_, first_payload()));
  return branch(cursor, next, is_cold, zero_bytes);
}

void lower_allocations(ModuleContext& context, llvm::Function& function) {
  llvm::SmallVector<Allocation> allocations;
  for (llvm::Instruction& instruction : llvm::instructions(function))
    if (auto* call = llvm::dyn_cast<llvm::CallInst>(&instruction))
      if (const AllocationLayout* layout = allocation_of(context, *call))
        allocations.push_back({call, layout});
  if (allocations.empty())
    return;
  AllocationLowering lowering(context, function);
  merge_allocations(context, function, lowering, allocations);
  for (const Allocation& allocation : allocations)
    lowering.lower(allocation);
}

void finish_allocations(ModuleContext& context) {
  llvm::Function* const function = context.module.getFunction(kMarker);
  if (function == nullptr)
    return;
  for (llvm::User* user : llvm::make_early_inc_range(function->users())) {
    auto* const call = llvm::cast<llvm::CallInst>(user);
    llvm::IRBuilder<> builder(call);
    call->replaceAllUsesWith(builder.CreateIntToPtr(call->getArgOperand(0), call->getType()));
    call->eraseFromParent();
  }
  function->eraseFromParent();
}

} // namespace echo::jit
