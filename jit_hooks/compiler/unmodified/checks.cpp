/* SPDX-License-Identifier: MIT
 *
 * compiler/unmodified/checks.cpp - what is no output of today's Echo compiler, and what cannot be run safely.
 *
 * Method      Two older things look like it. IR with references is for the other profile. Output of older Echo compilers
 *             calls the same names with `char *` where today's has pointers to strings: there a literal's address goes
 *             elsewhere than to runtime_char_ptr_to_string.
 * Invariants  [unmod.refuse.1] What may write memory and is not announced [unmod.store.1], and what would run without the
 *             thread, is refused by name, with function and place.
 *             [unmod.refuse.2] A module of the older profile is refused before any of it runs, not taken for one with
 *             strings.
 */
#include "compiler/unmodified/steps.h"
#include "compiler/where.h"

#include "llvm/IR/InlineAsm.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/IntrinsicInst.h"

namespace echo::jit::unmodified {
namespace {

Outcome refuse(const std::string& what, const std::string& place, const char* remedy) {
  return {ECHO_UNSUPPORTED_OPERATION, what + " " + place + ": " + remedy};
}

/* --- which profile */

bool has_reference(const llvm::Type* type) {
  if (const auto* pointer = llvm::dyn_cast<llvm::PointerType>(type->getScalarType()))
    return pointer->getAddressSpace() != 0;
  if (const auto* array = llvm::dyn_cast<llvm::ArrayType>(type))
    return has_reference(array->getElementType());
  if (const auto* structure = llvm::dyn_cast<llvm::StructType>(type))
    return llvm::any_of(structure->elements(), has_reference);
  if (const auto* function = llvm::dyn_cast<llvm::FunctionType>(type))
    return has_reference(function->getReturnType()) || llvm::any_of(function->params(), has_reference);
  return false;
}

/* As the program calls it: by the name of the runtime layer's malloc if it is that. */
bool is_of_the_runtime(const ModuleContext& context, llvm::StringRef name) {
  return context.defined.contains(name == "malloc" ? "echo_runtime_malloc" : name);
}

Outcome check_origin(const ModuleContext& context) {
  bool calls_runtime = false;
  for (const llvm::Function& function : context.module) {
    if (function.getName().starts_with("echo.") || has_reference(function.getFunctionType()))
      return {ECHO_UNSUPPORTED_OPERATION,
              name_of(function) +
                  " belongs to IR whose references are typed: this is no unmodified output of the Echo "
                  "compiler; compile it with the profile of references"};
    calls_runtime |= function.isDeclaration() && is_of_the_runtime(context, function.getName());
  }
  if (calls_runtime)
    return {};
  return {ECHO_UNSUPPORTED_OPERATION,
          "it declares none of the functions of the Echo runtime layer: this is no output of "
          "the Echo compiler; compile it with the profile of references"};
}

const llvm::Value* escape_of(const llvm::GlobalVariable& literal, const llvm::Instruction*& where_to) {
  llvm::SmallVector<const llvm::User*> work(literal.users());
  llvm::SmallPtrSet<const llvm::User*, 16> seen;
  while (!work.empty()) {
    const llvm::User* const user = work.pop_back_val();
    if (!seen.insert(user).second)
      continue;
    if (llvm::isa<llvm::ConstantExpr, llvm::GEPOperator, llvm::BitCastInst, llvm::PHINode, llvm::SelectInst>(
            user)) {
      llvm::append_range(work, user->users());
      continue;
    }
    const auto* instruction = llvm::dyn_cast<llvm::Instruction>(user);
    if (instruction == nullptr || llvm::isa<llvm::LoadInst, llvm::ICmpInst, llvm::IntrinsicInst>(instruction))
      continue;
    const auto* store = llvm::dyn_cast<llvm::StoreInst>(instruction);
    if (store != nullptr && !seen.contains(llvm::dyn_cast<llvm::User>(store->getValueOperand())) &&
        store->getValueOperand() != &literal)
      continue; /* written into, not away */
    const auto* call = llvm::dyn_cast<llvm::CallBase>(instruction);
    const llvm::Function* const callee = call != nullptr ? call->getCalledFunction() : nullptr;
    if (callee != nullptr && callee->getName() == kStringOfLiteral)
      continue;
    where_to = instruction;
    return callee;
  }
  return nullptr;
}

/* [unmod.refuse.2] */
Outcome check_literals(const llvm::Module& module) {
  for (const llvm::GlobalVariable& variable : module.globals()) {
    if (!variable.getValueType()->isArrayTy() ||
        !variable.getValueType()->getArrayElementType()->isIntegerTy(8))
      continue;
    const llvm::Instruction* place = nullptr;
    const llvm::Value* const callee = escape_of(variable, place);
    if (place == nullptr)
      continue;
    return {ECHO_UNSUPPORTED_OPERATION, "the literal " + name_of(variable) + " is " +
                                            (callee != nullptr ? "given to " + name_of(*callee)
                                                               : std::string("kept as a plain address")) +
                                            " " + where(*place) +
                                            ": this is the older profile, in which strings are char *; "
                                            "compile the program with an Echo compiler that "
                                            "makes strings of literals by " +
                                            kStringOfLiteral};
  }
  return {};
}

Outcome check_string_of_literal(const llvm::Module& module) {
  const llvm::Function* const function = module.getFunction(kStringOfLiteral);
  if (function == nullptr)
    return {};
  llvm::LLVMContext& context = module.getContext();
  llvm::Type* const pointer = llvm::PointerType::get(context, 0);
  llvm::Type* const word = llvm::Type::getInt64Ty(context);
  const llvm::FunctionType* const expected =
      llvm::FunctionType::get(llvm::StructType::get(context, {pointer, word, word}), {pointer}, false);
  if (function->getFunctionType() != expected)
    return {ECHO_BAD_ABSTRACT_OPERATION, name_of(*function) +
                                             " does not return { ptr, i64, i64 } of one pointer: this "
                                             "is the older profile, in which strings are char *"};
  return {};
}

/* --- what cannot be run */

bool is_harmless_intrinsic(const llvm::IntrinsicInst& intrinsic) {
  switch (intrinsic.getIntrinsicID()) {
  case llvm::Intrinsic::lifetime_start:
  case llvm::Intrinsic::lifetime_end:
  case llvm::Intrinsic::invariant_start:
  case llvm::Intrinsic::invariant_end:
  case llvm::Intrinsic::assume:
  case llvm::Intrinsic::experimental_noalias_scope_decl:
  case llvm::Intrinsic::sideeffect:
  case llvm::Intrinsic::donothing:
  case llvm::Intrinsic::prefetch:
  case llvm::Intrinsic::trap:
  case llvm::Intrinsic::ubsantrap:
  case llvm::Intrinsic::debugtrap:
  case llvm::Intrinsic::stacksave:
  case llvm::Intrinsic::stackrestore:
  case llvm::Intrinsic::var_annotation:
  case llvm::Intrinsic::ptr_annotation:
  case llvm::Intrinsic::annotation:
    return true;
  default:
    return !intrinsic.mayWriteToMemory() || llvm::isa<llvm::DbgInfoIntrinsic>(intrinsic);
  }
}

Outcome check_call(const llvm::CallBase& call) {
  if (call.isMustTailCall())
    return {ECHO_MUSTTAIL_CALL, "a musttail call " + where(call) + ": use a plain call or a loop"};
  if (call.isInlineAsm())
    return refuse("inline assembly", where(call), "nobody sees what it stores; use instructions");
  if (!llvm::isa<llvm::CallInst>(call))
    return refuse("a call whose exceptions are caught", where(call),
                  "functions of the runtime layer throw none");
  if (call.hasFnAttr(llvm::Attribute::ReturnsTwice))
    return refuse("a call that returns twice (setjmp)", where(call), "return a status instead");
  if (const auto* intrinsic = llvm::dyn_cast<llvm::IntrinsicInst>(&call);
      intrinsic != nullptr && !is_harmless_intrinsic(*intrinsic) && !is_announced_call(call))
    return refuse("the intrinsic " + name_of(*call.getCalledFunction()) + " may write memory", where(call),
                  "this version does not announce its stores; use plain stores");
  return {};
}

Outcome check_function(const llvm::Function& function) {
  if (function.hasPersonalityFn())
    return refuse("exception handling", where(function), "functions of the runtime layer throw nothing");
  for (const llvm::Instruction& instruction : llvm::instructions(function)) {
    if (has_reference(instruction.getType()) ||
        llvm::any_of(instruction.operand_values(),
                     [](const llvm::Value* operand) { return has_reference(operand->getType()); }))
      return refuse(
          "a pointer outside address space 0", where(instruction),
          "this is no unmodified output of the Echo compiler; compile it with the profile of references");
    if (const auto* call = llvm::dyn_cast<llvm::CallBase>(&instruction))
      if (Outcome outcome = check_call(*call); !outcome)
        return outcome;
    llvm::Type* const stored = llvm::isa<llvm::StoreInst>(instruction)
                                   ? llvm::cast<llvm::StoreInst>(instruction).getValueOperand()->getType()
                                   : instruction.getType();
    if (llvm::isa<llvm::ScalableVectorType>(stored))
      return refuse("a vector of unknown length", where(instruction), "use vectors of a fixed length");
  }
  return {};
}

Outcome check_variable(const llvm::GlobalVariable& variable) {
  if (variable.isThreadLocal())
    return {ECHO_THREAD_LOCAL_VARIABLE, "thread-local storage " + where(variable) +
                                            ": no root range covers it; use a variable of the module"};
  if (variable.getAddressSpace() != 0)
    return refuse("a variable outside address space 0", where(variable), "use address space 0");
  if (variable.getName() == "llvm.global_ctors" || variable.getName() == "llvm.global_dtors")
    return refuse("constructors or destructors that run by themselves", where(variable),
                  "call them from the program's first function");
  return {};
}

} // namespace

bool is_harmless_library_function(llvm::StringRef name) {
  return is_library_leaf(name) && name != "modf"; /* which writes through a pointer */
}

Outcome check(const ModuleContext& context) {
  const llvm::Module& module = context.module;
  if (Outcome outcome = check_origin(context); !outcome)
    return outcome;
  if (Outcome outcome = check_literals(module); !outcome)
    return outcome;
  if (Outcome outcome = check_string_of_literal(module); !outcome)
    return outcome;
  for (const llvm::GlobalVariable& variable : module.globals())
    if (Outcome outcome = check_variable(variable); !outcome)
      return outcome;
  if (!module.ifunc_empty() || !module.getModuleInlineAsm().empty())
    return refuse("an indirect function or file-scope assembly", "in the module", "define it as a function");
  for (const llvm::Function& function : module)
    if (!function.isDeclaration())
      if (Outcome outcome = check_function(function); !outcome)
        return outcome;
  return {};
}

} // namespace echo::jit::unmodified
