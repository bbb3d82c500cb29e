/* SPDX-License-Identifier: MIT
 *
 * compiler/operations.cpp - declarations of the abstract operations: checked, attributed, the plain ones
 * lowered.
 *
 * Invariants  [jit.op.1] An operation is declared with its exact type and only called directly.
 *             [jit.op.2] Optimisers see: an allocation is a fresh, unaliased, non-null object of unknown
 * contents. It is not declared zeroed: that would fold a plain load of the header or the length to 0.
 *             [jit.op.3] Store operations become plain stores before O2, so that it optimises them; what is
 * left is lowered afterwards with the barrier.
 */
#include "compiler/operations.h"

#include "compiler/type_letters.h"
#include "compiler/where.h"

#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/Transforms/Utils/Local.h"

namespace echo::jit {
namespace {

struct OperationRow {
  Operation operation;
  const char* name;
  char result;
  const char* parameters;
  bool collects;
};
const OperationRow kOperations[] = {
#define ECHO_OPERATION_ROW(enumerator, name, result, parameters, collects)                                   \
  {Operation::enumerator, name, result, parameters, collects},
    ECHO_OPERATION_TABLE(ECHO_OPERATION_ROW)
#undef ECHO_OPERATION_ROW
};

const OperationRow* row_of(llvm::StringRef name) {
  for (const OperationRow& row : kOperations)
    if (name == row.name)
      return &row;
  return nullptr;
}

llvm::Type* type_of(llvm::LLVMContext& context, char letter) {
  switch (letter) {
  case 'r':
    return llvm::PointerType::get(context, kReferenceSpace);
  case 'p':
    return llvm::PointerType::get(context, 0);
  case 'l':
    return llvm::Type::getInt64Ty(context);
  case 'b':
    return llvm::Type::getInt8Ty(context);
  default:
    return llvm::Type::getVoidTy(context);
  }
}

llvm::FunctionType* expected_type(llvm::LLVMContext& context, const OperationRow& row) {
  llvm::SmallVector<llvm::Type*> parameters;
  for (const char* letter = row.parameters; *letter != '\0'; ++letter)
    parameters.push_back(type_of(context, *letter));
  return llvm::FunctionType::get(type_of(context, row.result), parameters, false);
}

Outcome check_uses(llvm::Function& function, const OperationRow& row) {
  for (llvm::User* user : llvm::make_early_inc_range(function.users())) {
    auto* call = llvm::dyn_cast<llvm::CallBase>(user);
    if (call == nullptr || call->getCalledOperand() != &function ||
        llvm::is_contained(call->args(), &function))
      return {ECHO_BAD_ABSTRACT_OPERATION,
              std::string("the address of ") + row.name + " is taken; call it directly, it is no function"};
    if (call->getFunctionType() != function.getFunctionType())
      return {ECHO_BAD_ABSTRACT_OPERATION,
              std::string(row.name) + " is called with another type than it is declared " + where(*call)};
    if (row.collects && is_leaf(*call->getFunction()))
      return {ECHO_BAD_ABSTRACT_OPERATION, std::string(row.name) + " may collect but is called " +
                                               where(*call) +
                                               ", which is marked gc-leaf-function; remove the mark"};
    if (row.operation == Operation::TaggedStore) {
      const auto* tag = llvm::dyn_cast<llvm::ConstantInt>(call->getArgOperand(3));
      if (tag == nullptr || tag->isZero() || tag->getZExtValue() > kTagMask)
        return {ECHO_BAD_ABSTRACT_OPERATION,
                std::string("the tag of ") + row.name + " is no constant from 1 to 7 " + where(*call) +
                    ": with the low bits 0 the word would be taken for a reference"};
    }
    if (auto* invoke = llvm::dyn_cast<llvm::InvokeInst>(call))
      llvm::changeToCall(invoke); /* none of them throws */
  }
  return {};
}

/* [jit.op.2] for the operations that stay calls during O2. */
void set_attributes(llvm::Function& function, const OperationRow& row) {
  using llvm::Attribute;
  function.setDoesNotThrow();
  function.addFnAttr(Attribute::WillReturn);
  switch (row.operation) {
  case Operation::Header:
    function.setMemoryEffects(llvm::MemoryEffects::argMemOnly(llvm::ModRefInfo::Ref));
    function.addParamAttr(0, Attribute::NoCapture);
    break;
  case Operation::Length: /* never changes */
    function.setMemoryEffects(llvm::MemoryEffects::none());
    break;
  case Operation::RawCopy:
    function.setMemoryEffects(llvm::MemoryEffects::argMemOnly());
    function.addParamAttr(0, Attribute::NoCapture);
    function.addParamAttr(1, Attribute::NoCapture);
    break;
  case Operation::RawFill:
    function.setMemoryEffects(llvm::MemoryEffects::argMemOnly(llvm::ModRefInfo::Mod));
    function.addParamAttr(0, Attribute::NoCapture);
    break;
  case Operation::
      Exchange: /* a fence: may touch anything; stays a call until statepoints are made [jit.exchange.1] */
  case Operation::CompareExchange:
    function.addFnAttr(kLeafAttribute);
    break;
  case Operation::TaggedStore:
    function.setMemoryEffects(llvm::MemoryEffects::inaccessibleOrArgMemOnly());
    function.addParamAttr(0, Attribute::NoCapture);
    function.addParamAttr(1, Attribute::NoCapture);
    break;
  case Operation::IdentityHash: /* writes a flag of the header; stays a call until statepoints are made */
    function.setMemoryEffects(llvm::MemoryEffects::inaccessibleOrArgMemOnly());
    function.addParamAttr(0, Attribute::NoCapture);
    function.addFnAttr(kLeafAttribute);
    break;
  case Operation::WeakLoad: /* may tell the collector; stays a call until optimisation is over [jit.weak.1] */
    function.setMemoryEffects(llvm::MemoryEffects::inaccessibleOrArgMemOnly());
    function.addParamAttr(0, Attribute::NoCapture);
    function.addParamAttr(1, Attribute::NoCapture);
    function.addFnAttr(kLeafAttribute);
    break;
  case Operation::TaggedWord:
  case Operation::TaggedReference: /* stays a call until statepoints are made [jit.tagged.1] */
    function.setMemoryEffects(llvm::MemoryEffects::argMemOnly(llvm::ModRefInfo::Ref));
    function.addParamAttr(0, Attribute::NoCapture);
    function.addFnAttr(kLeafAttribute);
    break;
  default:
    function.setMemoryEffects(llvm::MemoryEffects::inaccessibleMemOnly());
    break;
  }
}

} // namespace

bool contains_reference(const llvm::Type* type) {
  if (is_reference_or_vector(type))
    return true;
  if (const auto* array = llvm::dyn_cast<llvm::ArrayType>(type))
    return contains_reference(array->getElementType());
  if (const auto* structure = llvm::dyn_cast<llvm::StructType>(type))
    return llvm::any_of(structure->elements(), contains_reference);
  return false;
}

std::optional<Operation> operation_of(const llvm::CallBase& call) {
  const llvm::Function* callee = call.getCalledFunction();
  if (callee == nullptr || !callee->getName().starts_with(kOperationPrefix))
    return std::nullopt;
  const OperationRow* row = row_of(callee->getName());
  return row != nullptr ? std::optional(row->operation) : std::nullopt;
}

const AllocationLayout* allocation_of(const ModuleContext& context, const llvm::CallBase& call) {
  const llvm::Function* callee = call.getCalledFunction();
  if (callee == nullptr || !callee->getName().starts_with(kOperationPrefix))
    return nullptr;
  const auto found = context.allocations.find(callee->getName());
  return found != context.allocations.end() ? &found->second : nullptr;
}

bool operation_collects(const llvm::CallBase& call) {
  const llvm::Function* callee = call.getCalledFunction();
  if (callee == nullptr)
    return false;
  const llvm::StringRef name = callee->getName();
  if (name.starts_with(kNewOfLayout) || name.starts_with(kNewArrayOfLayout))
    return true;
  const OperationRow* row = row_of(name);
  return row != nullptr && row->collects;
}

bool is_safepoint_call(const llvm::CallBase& call) {
  if (call.isInlineAsm() || llvm::isa<llvm::IntrinsicInst>(call))
    return false;
  if (call.hasFnAttr(kLeafAttribute))
    return false; /* of the call or of its callee */
  if (const llvm::Function* callee = call.getCalledFunction();
      callee != nullptr && callee->getName().starts_with(kOperationPrefix))
    return operation_collects(call);
  return true;
}

Outcome check_operations(ModuleContext& context) {
  for (llvm::Function& function : context.module) {
    const llvm::StringRef name = function.getName();
    if (name.starts_with("echo.stub.") || name.starts_with("echo.call."))
      return {ECHO_BAD_ABSTRACT_OPERATION, name_of(function) + " uses a reserved name; choose another"};
    if (!name.starts_with(kOperationPrefix))
      continue;
    const OperationRow* row = row_of(name);
    if (row == nullptr)
      return {ECHO_BAD_ABSTRACT_OPERATION,
              name_of(function) + " is no abstract operation; echo/jit.h lists them"};
    if (!function.isDeclaration())
      return {ECHO_BAD_ABSTRACT_OPERATION, name_of(function) + " is defined in the module; only declare it"};
    llvm::FunctionType* const type = expected_type(context.module.getContext(), *row);
    if (function.getFunctionType() != type)
      return {ECHO_BAD_ABSTRACT_OPERATION, name_of(function) + " is declared as '" +
                                               type_text(*function.getFunctionType()) + "'; its type is '" +
                                               type_text(*type) + "'"};
    if (row->operation == Operation::WeakLoad && context.recipes.weak_load_cold == nullptr &&
        !function.use_empty())
      return {ECHO_NOT_SUPPORTED, std::string(row->name) + " is used, and this heap has no weak slots: its "
                                                           "recipes name no cold path for their load"};
    if (row->operation == Operation::IdentityHash && context.recipes.hash_cold == nullptr &&
        !function.use_empty())
      return {ECHO_NOT_SUPPORTED, std::string(row->name) +
                                      " is used, and this heap has no identity hash: its "
                                      "recipes name no cold path for it"};
    if (Outcome uses = check_uses(function, *row); !uses)
      return uses;
    set_attributes(function, *row);
  }
  return {};
}

namespace {

/* A store operation as the instruction that O2 knows; null if `operation` is none. */
llvm::Value* as_instruction(llvm::IRBuilder<>& builder, llvm::CallInst& call, Operation operation) {
  const llvm::Align word(8);
  const auto argument = [&](unsigned index) { return call.getArgOperand(index); };
  switch (operation) {
  case Operation::Store:
    return builder.CreateAlignedStore(argument(2), argument(1), word);
  case Operation::ArrayStore: {
    llvm::Value* const offset =
        builder.CreateAdd(builder.CreateShl(argument(1), 3), builder.getInt64(16), "offset");
    llvm::Value* const slot = builder.CreateGEP(builder.getInt8Ty(), argument(0), offset, "slot");
    return builder.CreateAlignedStore(argument(2), slot, word);
  }
  default:
    return nullptr;
  }
}

} // namespace

void prepare_stores(ModuleContext& context) {
  for (llvm::Function& function : context.module)
    for (llvm::Instruction& instruction : llvm::make_early_inc_range(llvm::instructions(function))) {
      auto* call = llvm::dyn_cast<llvm::CallInst>(&instruction);
      const std::optional<Operation> operation = call != nullptr ? operation_of(*call) : std::nullopt;
      if (!operation)
        continue;
      llvm::IRBuilder<> builder(call);
      if (as_instruction(builder, *call, *operation) != nullptr)
        call->eraseFromParent();
    }
}

} // namespace echo::jit
