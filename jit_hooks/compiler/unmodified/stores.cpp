/* SPDX-License-Identifier: MIT
 *
 * compiler/unmodified/stores.cpp - which instructions write memory of the heap, and which words they overwrite.
 *
 * Method      Memory of the heap has no types: a word holds a pointer if it looks like one. So every store of any type may
 *             overwrite a pointer, and every one is announced, by each aligned word that it touches: one instruction of
 *             whatever form is some addresses and a number of bytes. Only what goes to a local variable or a variable of
 *             the module is not.
 * Invariants  [unmod.store.1] Every word of the heap that an instruction may write has a store mark right before that
 *             instruction: plain and atomic stores of scalars, vectors, structs and arrays, exchanges, memory
 *             intrinsics, masked and scattered stores. What is none of these and may write memory is refused by name.
 *             [unmod.store.2] A pointer is stored at an address that is a multiple of 8, where marking looks for it, or
 *             the store is refused.
 */
#include "compiler/unmodified/steps.h"
#include "compiler/where.h"

#include "llvm/Analysis/ValueTracking.h"
#include "llvm/IR/InstIterator.h"

namespace echo::jit::unmodified {
namespace {

constexpr uint64_t kWordBytes = 8;
constexpr uint64_t kWordsOneByOne = 16; /* longer stores announce a range */

llvm::PointerType* pointer_type(llvm::IRBuilder<>& builder) {
  return llvm::PointerType::get(builder.getContext(), 0);
}

/* Are all pointers in a value of this type, stored at `offset` from a multiple of 8, at multiples of 8? */
bool pointers_aligned(const llvm::DataLayout& layout, llvm::Type* type, uint64_t offset) {
  if (type->isPointerTy())
    return offset % kWordBytes == 0;
  if (auto* structure = llvm::dyn_cast<llvm::StructType>(type)) {
    const llvm::StructLayout* const members = layout.getStructLayout(structure);
    for (unsigned i = 0; i < structure->getNumElements(); ++i)
      if (!pointers_aligned(layout, structure->getElementType(i), offset + members->getElementOffset(i)))
        return false;
    return true;
  }
  if (auto* array = llvm::dyn_cast<llvm::ArrayType>(type))
    return array->getNumElements() == 0 ||
           (pointers_aligned(layout, array->getElementType(), offset) &&
            (array->getNumElements() == 1 ||
             pointers_aligned(layout, array->getElementType(),
                              offset + layout.getTypeAllocSize(array->getElementType()))));
  if (auto* vector = llvm::dyn_cast<llvm::VectorType>(type))
    return !vector->getElementType()->isPointerTy() || offset % kWordBytes == 0;
  return true;
}

bool holds_pointer(llvm::Type* type) {
  if (type->isPtrOrPtrVectorTy())
    return true;
  if (auto* array = llvm::dyn_cast<llvm::ArrayType>(type))
    return holds_pointer(array->getElementType());
  if (auto* structure = llvm::dyn_cast<llvm::StructType>(type))
    return llvm::any_of(structure->elements(), holds_pointer);
  return false;
}

/* The word at `offset` of a value, as a pointer; null where no pointer or integer of 8 bytes is. */
llvm::Value* word_of(const llvm::DataLayout& layout, llvm::IRBuilder<>& builder, llvm::Value* value,
                     uint64_t offset) {
  llvm::Type* const type = value->getType();
  llvm::Value* const none = llvm::ConstantPointerNull::get(pointer_type(builder));
  if (auto* structure = llvm::dyn_cast<llvm::StructType>(type)) {
    if (structure->getNumElements() == 0)
      return none;
    const llvm::StructLayout* const members = layout.getStructLayout(structure);
    const unsigned index = members->getElementContainingOffset(offset);
    return word_of(layout, builder, builder.CreateExtractValue(value, index),
                   offset - members->getElementOffset(index));
  }
  if (auto* array = llvm::dyn_cast<llvm::ArrayType>(type)) {
    const uint64_t element = layout.getTypeAllocSize(array->getElementType());
    if (element == 0)
      return none;
    const auto index = static_cast<unsigned>(offset / element);
    return word_of(layout, builder, builder.CreateExtractValue(value, index), offset % element);
  }
  if (auto* vector = llvm::dyn_cast<llvm::FixedVectorType>(type)) {
    const uint64_t bits = layout.getTypeSizeInBits(vector->getElementType());
    if (bits != kWordBytes * 8)
      return none;
    return word_of(layout, builder, builder.CreateExtractElement(value, offset / kWordBytes), 0);
  }
  if (offset != 0)
    return none;
  if (type->isPointerTy())
    return value;
  return type->isIntegerTy(64) ? builder.CreateIntToPtr(value, pointer_type(builder)) : none;
}

class StoreMarker {
public:
  explicit StoreMarker(ModuleContext& context) : context_(context) {}

  Outcome run(llvm::Function& function) {
    llvm::SmallVector<llvm::Instruction*> writers;
    for (llvm::Instruction& instruction : llvm::instructions(function))
      if (instruction.mayWriteToMemory())
        writers.push_back(&instruction);
    for (llvm::Instruction* writer : writers)
      if (Outcome outcome = mark(*writer); !outcome)
        return outcome;
    return {};
  }

private:
  Outcome mark(llvm::Instruction& writer) {
    llvm::IRBuilder<> builder(&writer);
    if (auto* store = llvm::dyn_cast<llvm::StoreInst>(&writer))
      return announce_store(context_, writer, builder, store->getPointerOperand(), store->getValueOperand(),
                            store->getAlign());
    if (auto* exchange = llvm::dyn_cast<llvm::AtomicRMWInst>(&writer))
      return announce_store(context_, writer, builder, exchange->getPointerOperand(),
                            exchange->getValOperand(), exchange->getAlign());
    if (auto* exchange = llvm::dyn_cast<llvm::AtomicCmpXchgInst>(&writer))
      return announce_store(context_, writer, builder, exchange->getPointerOperand(),
                            exchange->getNewValOperand(), exchange->getAlign());
    if (auto* call = llvm::dyn_cast<llvm::CallBase>(&writer); call != nullptr && is_announced_call(*call))
      return announce_call(context_, *call);
    return {}; /* calls of functions, fences, loads that are ordered: checks.cpp refused the rest */
  }

  ModuleContext& context_;
};

} // namespace

bool is_local(const llvm::Value* pointer) {
  llvm::SmallVector<const llvm::Value*> objects;
  llvm::getUnderlyingObjects(pointer, objects, nullptr, 0);
  return llvm::all_of(objects, [](const llvm::Value* object) {
    const auto* argument = llvm::dyn_cast<llvm::Argument>(object);
    return llvm::isa<llvm::AllocaInst, llvm::GlobalVariable>(object) ||
           (argument != nullptr && argument->hasPassPointeeByValueCopyAttr());
  });
}

Outcome announce_store(ModuleContext& context, llvm::Instruction& store, llvm::IRBuilder<>& builder,
                       llvm::Value* pointer, llvm::Value* value, llvm::Align alignment) {
  const llvm::DataLayout& layout = context.module.getDataLayout();
  llvm::Type* const type = value->getType();
  const bool aligned = alignment.value() >= kWordBytes;
  if (holds_pointer(type) && !(aligned && pointers_aligned(layout, type, 0)))
    return {ECHO_UNSUPPORTED_OPERATION,
            "a pointer is stored at an address that need not be a multiple of 8 " + where(store) +
                ": marking looks at words; align the store by 8 and do not pack its type"};
  if (is_local(pointer))
    return {};
  const uint64_t bytes = layout.getTypeStoreSize(type);
  if (bytes == 0)
    return {};
  if (aligned && bytes <= kWordsOneByOne * kWordBytes) {
    for (uint64_t offset = 0; offset < bytes; offset += kWordBytes) {
      llvm::Value* const slot =
          offset == 0 ? pointer : builder.CreateConstGEP1_64(builder.getInt8Ty(), pointer, offset);
      mark_store(context, builder, slot, word_of(layout, builder, value, offset));
    }
    return {};
  }
  if (bytes <= kWordBytes && llvm::isPowerOf2_64(bytes) && alignment.value() >= bytes) {
    llvm::Value* const mask = builder.getInt64(~(kWordBytes - 1)); /* within one word */
    llvm::Value* const slot = builder.CreateIntrinsic(
        llvm::Intrinsic::ptrmask, {pointer->getType(), builder.getInt64Ty()}, {pointer, mask});
    mark_store(context, builder, slot, llvm::ConstantPointerNull::get(pointer_type(builder)));
    return {};
  }
  return announce_range(context, builder, pointer, llvm::ConstantPointerNull::get(pointer_type(builder)),
                        builder.getInt64(bytes));
}

Outcome mark_stores(ModuleContext& context) {
  llvm::SmallVector<llvm::Function*> functions;
  for (llvm::Function& function : context.module)
    if (!function.isDeclaration())
      functions.push_back(&function);
  for (llvm::Function* function : functions)
    if (Outcome outcome = StoreMarker(context).run(*function); !outcome)
      return outcome;
  return {};
}

} // namespace echo::jit::unmodified
