/* SPDX-License-Identifier: MIT
 *
 * compiler/checks.cpp - the refusals: what would lose a reference or a frame, by name, before it is compiled.
 *
 * Invariants  [jit.refuse.1] After promotion to SSA a reference lives in SSA values, heap objects and
 * reference words of module globals only. [jit.refuse.2] The checks run before optimisation: the same program
 * is accepted at every level. [jit.refuse.3] A message names what, the function, the variable where there is
 * one, the line, and what to do.
 */
#include "compiler/context.h"
#include "compiler/lowering.h"
#include "compiler/operations.h"
#include "compiler/provenance.h"
#include "compiler/where.h"

#include "llvm/ADT/SmallPtrSet.h"
#include "llvm/Analysis/ValueTracking.h"
#include "llvm/IR/InlineAsm.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/IntrinsicInst.h"
#include "llvm/IR/Operator.h"

namespace echo::jit {
namespace {

using llvm::dyn_cast;
using llvm::isa;

Outcome refuse(echo_status code, const std::string& what, const std::string& place, const char* remedy) {
  return {code, what + " " + place + ": " + remedy};
}

bool is_vector_of_references(const llvm::Type* type) {
  return type->isVectorTy() && is_reference_or_vector(type);
}
bool is_scalable(const llvm::Value& value) {
  return isa<llvm::ScalableVectorType>(value.getType()) && is_reference_or_vector(value.getType());
}

const char* const kKeepReferences =
    "keep references in local variables whose address is not taken, in heap objects or in module globals";

/* --- constants
 * ---------------------------------------------------------------------------------------------------- */

/* Conversions hide in constant expressions, also of initialisers. */
class ConstantChecker {
public:
  explicit ConstantChecker(const ModuleContext& context) : context_(context) {}

  Outcome check(const llvm::Constant* constant, const std::string& place) {
    llvm::SmallVector<const llvm::Constant*> work{constant};
    while (!work.empty()) {
      const llvm::Constant* const one = work.pop_back_val();
      if (!seen_.insert(one).second || isa<llvm::GlobalValue>(one))
        continue;
      if (const auto* expression = dyn_cast<llvm::ConstantExpr>(one))
        if (Outcome outcome = check_expression(*expression, place); !outcome)
          return outcome;
      for (const llvm::Use& use : one->operands())
        if (const auto* operand = dyn_cast<llvm::Constant>(use))
          work.push_back(operand);
    }
    return {};
  }

private:
  Outcome check_expression(const llvm::ConstantExpr& expression, const std::string& place) {
    const bool reference = is_reference_or_vector(expression.getType()) ||
                           is_reference_or_vector(expression.getOperand(0)->getType());
    if (!reference)
      return {};
    if (expression.getOpcode() == llvm::Instruction::AddrSpaceCast)
      return refuse(ECHO_REF_ADDRSPACECAST, "a constant is cast to or from a reference", place,
                    "objects come from echo.gc.new only");
    const bool converts = expression.getOpcode() == llvm::Instruction::IntToPtr ||
                          expression.getOpcode() == llvm::Instruction::PtrToInt;
    if (converts && !context_.allows(ECHO_JIT_ALLOW_REF_AS_INTEGER))
      return refuse(ECHO_REF_AS_INTEGER,
                    "an integer constant is converted to a reference, or a reference to one,", place,
                    "use null, or a field of integer type");
    return {};
  }

  const ModuleContext& context_;
  llvm::SmallPtrSet<const llvm::Constant*, 32> seen_;
};

/* --- one function
 * --------------------------------------------------------------------------------------------------- */

class FunctionChecker {
public:
  FunctionChecker(ModuleContext& context, llvm::Function& function, ConstantChecker& constants)
      : context_(context), function_(function), constants_(constants),
        layout_(context.module.getDataLayout()) {}

  Outcome run() {
    if (Outcome outcome = check_frame(); !outcome)
      return outcome;
    for (llvm::Instruction& instruction : llvm::instructions(function_)) {
      if (instruction.isDebugOrPseudoInst())
        continue;
      for (const llvm::Use& use : instruction.operands())
        if (const auto* constant = dyn_cast<llvm::Constant>(use))
          if (Outcome outcome = constants_.check(constant, where(instruction)); !outcome)
            return outcome;
      if (Outcome outcome = check_instruction(instruction); !outcome)
        return outcome;
    }
    return {};
  }

private:
  Outcome check_frame() {
    if (!is_collected(function_))
      return {};
    const bool allowed = context_.allows(ECHO_JIT_ALLOW_UNSUPPORTED_FRAME);
    if (function_.isVarArg() && !allowed)
      return refuse(ECHO_UNSUPPORTED_FRAME, "a variable parameter list", where(function_),
                    "pass an array, or mark the function gc-leaf-function if it touches no reference");
    const llvm::CallingConv::ID convention = function_.getCallingConv();
    if (convention != llvm::CallingConv::C && convention != llvm::CallingConv::Fast &&
        convention != llvm::CallingConv::Cold)
      return refuse(ECHO_UNSUPPORTED_FRAME, "a calling convention other than ccc, fastcc and coldcc",
                    where(function_), "use the C convention");
    if (function_.hasFnAttribute(llvm::Attribute::Naked))
      return refuse(ECHO_UNSUPPORTED_FRAME, "a naked body", where(function_),
                    "let the compiler make the frame");
    if (function_.hasFnAttribute(llvm::Attribute::PresplitCoroutine))
      return refuse(ECHO_UNSUPPORTED_OPERATION, "an LLVM coroutine", where(function_),
                    "use a thread or a state object");
    const llvm::AllocaInst *dynamic = nullptr, *aligned = nullptr;
    for (const llvm::Instruction& instruction : llvm::instructions(function_))
      if (const auto* slot = dyn_cast<llvm::AllocaInst>(&instruction)) {
        if (!slot->isStaticAlloca())
          dynamic = slot;
        if (slot->getAlign() > llvm::Align(16))
          aligned = slot;
      }
    if (dynamic != nullptr && aligned != nullptr && !allowed)
      return refuse(ECHO_UNSUPPORTED_FRAME,
                    variable(*dynamic) + " has a variable size and " + variable(*aligned) +
                        " an alignment over 16: such a frame has no register that finds its references,",
                    where(function_), "use a fixed size, or an alignment of at most 16");
    return {};
  }

  Outcome check_instruction(llvm::Instruction& instruction) {
    if (is_scalable(instruction) ||
        llvm::any_of(instruction.operands(), [](const llvm::Use& use) { return is_scalable(*use); }))
      return refuse(ECHO_UNSUPPORTED_OPERATION, "a scalable vector of references", where(instruction),
                    "use a vector of fixed length");
    if (auto* slot = dyn_cast<llvm::AllocaInst>(&instruction))
      return check_alloca(*slot);
    if (auto* load = dyn_cast<llvm::LoadInst>(&instruction))
      return check_access(*load, load->getPointerOperand(), load->getType(), nullptr);
    if (auto* store = dyn_cast<llvm::StoreInst>(&instruction))
      return check_store(*store);
    if (auto* call = dyn_cast<llvm::CallBase>(&instruction))
      return check_call(*call);
    if (isa<llvm::AtomicRMWInst>(instruction) || isa<llvm::AtomicCmpXchgInst>(instruction))
      return check_read_modify_write(instruction);
    if (isa<llvm::PtrToIntInst>(instruction) || isa<llvm::IntToPtrInst>(instruction))
      return check_conversion(instruction);
    if (isa<llvm::AddrSpaceCastInst>(instruction) && !context_.allows(ECHO_JIT_ALLOW_ADDRSPACECAST) &&
        (is_reference_or_vector(instruction.getType()) ||
         is_reference_or_vector(instruction.getOperand(0)->getType())))
      return refuse(ECHO_REF_ADDRSPACECAST, "a pointer is cast to or from a reference", where(instruction),
                    "objects come from echo.gc.new only, and native code sees them through handles");
    if (auto* ret = dyn_cast<llvm::ReturnInst>(&instruction))
      return check_return(*ret);
    if (auto* argument = dyn_cast<llvm::VAArgInst>(&instruction);
        argument && contains_reference(argument->getType()))
      return refuse(ECHO_REF_IN_STACK_SLOT, "a reference is read from a variable parameter list",
                    where(instruction), kKeepReferences);
    return {};
  }

  Outcome check_alloca(const llvm::AllocaInst& slot) {
    if (!contains_reference(slot.getAllocatedType()) || context_.allows(ECHO_JIT_ALLOW_REF_IN_STACK))
      return {};
    return refuse(
        ECHO_REF_IN_STACK_SLOT, variable(slot) + " holds references in stack memory", where(slot),
        "do not take its address; use separate local variables instead of a local struct or array, or a "
        "heap object");
  }

  /* `stored`: the value of a store. References only; and integers where a reference lives. */
  Outcome check_access(const llvm::Instruction& instruction, const llvm::Value* pointer, llvm::Type* type,
                       const llvm::Value* stored) {
    if (pointer->getType()->getPointerAddressSpace() == kReferenceSpace)
      return {};
    const bool reference = contains_reference(type);
    const Provenance from = provenance(layout_, pointer, type);
    if (from.global != nullptr && from.global->isThreadLocal())
      return {}; /* refused already, unless that is switched off */
    const char* const verb = stored != nullptr ? "is stored in" : "is read from";
    if (!reference) {
      const auto* constant = stored != nullptr ? dyn_cast<llvm::Constant>(stored) : nullptr;
      if (from.place != Place::MixedWords || (constant != nullptr && constant->isNullValue()))
        return {};
      if (context_.allows(ECHO_JIT_ALLOW_REF_AS_INTEGER))
        return {};
      return refuse(ECHO_REF_AS_INTEGER,
                    std::string("an integer ") + (stored != nullptr ? "is stored" : "is read") + " where " +
                        name_of(*from.global) + " holds a reference",
                    where(instruction), "access the reference as what it is");
    }
    switch (from.place) {
    case Place::RootWords:
      return {};
    case Place::Stack:
      if (context_.allows(ECHO_JIT_ALLOW_REF_IN_STACK))
        return {};
      return refuse(ECHO_REF_IN_STACK_SLOT,
                    std::string("a reference ") + verb + " " +
                        (from.slot != nullptr
                             ? variable(*from.slot)
                             : "the parameter " + name_of(*from.parameter) + " passed in memory"),
                    where(instruction), kKeepReferences);
    case Place::Foreign:
      if (context_.allows(ECHO_JIT_ALLOW_REF_IN_RAW))
        return {};
      return refuse(ECHO_REF_IN_RAW_MEMORY,
                    std::string("a reference ") + verb + " " + name_of(*from.global) +
                        ", which is only declared",
                    where(instruction), "define the variable in this module");
    default:
      if (context_.allows(ECHO_JIT_ALLOW_REF_IN_RAW))
        return {};
      return refuse(ECHO_REF_IN_RAW_MEMORY,
                    std::string("a reference ") + verb + " memory outside the heap" +
                        (from.global != nullptr ? ", in " + name_of(*from.global) : std::string()),
                    where(instruction), kKeepReferences);
    }
  }

  Outcome check_store(const llvm::StoreInst& store) {
    const llvm::Value* const value = store.getValueOperand();
    if (Outcome outcome = check_access(store, store.getPointerOperand(), value->getType(), value); !outcome)
      return outcome;
    if (!contains_reference(value->getType()))
      return {};
    const bool heap = store.getPointerAddressSpace() == kReferenceSpace;
    if (heap && (store.isVolatile() || store.isAtomic()))
      return refuse(ECHO_UNSUPPORTED_OPERATION, "an atomic or volatile store of a reference", where(store),
                    "use a plain store; reference stores are single words and never torn");
    if (heap && !is_reference_or_vector(value->getType()))
      return refuse(ECHO_UNSUPPORTED_OPERATION,
                    "a struct or array that contains references is stored as one value", where(store),
                    "store its members one by one");
    return check_interior(store, value, "stored");
  }

  Outcome check_interior(const llvm::Instruction& instruction, const llvm::Value* value, const char* verb) {
    if (!is_reference_or_vector(value->getType()) || !may_be_interior(value))
      return {};
    return refuse(ECHO_UNSUPPORTED_OPERATION,
                  std::string("a pointer into the middle of an object is ") + verb, where(instruction),
                  "pass the object and an index or offset");
  }

  Outcome check_return(const llvm::ReturnInst& ret) {
    if (ret.getReturnValue() == nullptr)
      return {};
    return check_interior(ret, ret.getReturnValue(), "returned");
  }

  Outcome check_conversion(const llvm::Instruction& instruction) {
    const llvm::Value* const operand = instruction.getOperand(0);
    const bool reference =
        is_reference_or_vector(instruction.getType()) || is_reference_or_vector(operand->getType());
    if (!reference || context_.allows(ECHO_JIT_ALLOW_REF_AS_INTEGER))
      return {};
    if (const auto* constant = dyn_cast<llvm::Constant>(operand); constant && constant->isNullValue())
      return {};
    const bool to_integer = isa<llvm::PtrToIntInst>(instruction);
    return refuse(ECHO_REF_AS_INTEGER,
                  to_integer ? "a reference is converted to an integer"
                             : "an integer is converted to a reference",
                  where(instruction),
                  to_integer ? "compare references directly; identities need a field of their own"
                             : "keep the reference itself");
  }

  /* Exchanges of references in the heap are lowered with the barrier; anything else on references is not. */
  Outcome check_read_modify_write(const llvm::Instruction& instruction) {
    const auto* exchange = dyn_cast<llvm::AtomicRMWInst>(&instruction);
    const auto* compare = dyn_cast<llvm::AtomicCmpXchgInst>(&instruction);
    const llvm::Value* const value =
        exchange != nullptr ? exchange->getValOperand() : compare->getNewValOperand();
    const llvm::Value* const pointer =
        exchange != nullptr ? exchange->getPointerOperand() : compare->getPointerOperand();
    if (!contains_reference(value->getType()))
      return {};
    const bool plain = exchange != nullptr
                           ? !exchange->isVolatile() && exchange->getOperation() == llvm::AtomicRMWInst::Xchg
                           : !compare->isVolatile();
    if (!is_reference(pointer->getType()) || !plain)
      return refuse(ECHO_UNSUPPORTED_OPERATION,
                    "an atomic exchange of references that is volatile or outside heap objects",
                    where(instruction), "use echo.gc.exchange or echo.gc.compare_exchange on a heap object");
    if (compare != nullptr)
      if (Outcome outcome = check_interior(instruction, compare->getCompareOperand(), "compared"); !outcome)
        return outcome;
    return check_interior(instruction, value, "stored");
  }

  Outcome check_memory_intrinsic(const llvm::MemIntrinsic& intrinsic) {
    if (context_.allows(ECHO_JIT_ALLOW_REF_MEMCPY))
      return {};
    llvm::SmallVector<const llvm::Value*, 2> operands{intrinsic.getRawDest()};
    if (const auto* transfer = dyn_cast<llvm::MemTransferInst>(&intrinsic))
      operands.push_back(transfer->getRawSource());
    const auto* set = dyn_cast<llvm::MemSetInst>(&intrinsic);
    const auto* byte = set != nullptr ? dyn_cast<llvm::Constant>(set->getValue()) : nullptr;
    for (const llvm::Value* operand : operands) {
      if (is_reference(operand->getType()))
        return refuse(
            ECHO_REF_MEMORY_INTRINSIC, "memcpy, memmove or memset on an object", where(intrinsic),
            "copy references one by one; echo.gc.raw_copy and echo.gc.raw_fill are for bytes without them");
      if (byte != nullptr && byte->isNullValue())
        continue;
      llvm::SmallVector<const llvm::Value*> objects;
      llvm::getUnderlyingObjects(operand, objects, nullptr, 0);
      for (const llvm::Value* object : objects)
        if (const auto* global = dyn_cast<llvm::GlobalVariable>(object);
            global != nullptr && contains_reference(global->getValueType()))
          return refuse(ECHO_REF_MEMORY_INTRINSIC,
                        "memcpy, memmove or memset on " + name_of(*global) + ", which holds references,",
                        where(intrinsic), "copy its members one by one");
    }
    return {};
  }

  Outcome check_intrinsic(const llvm::IntrinsicInst& intrinsic) {
    if (const auto* memory = dyn_cast<llvm::MemIntrinsic>(&intrinsic))
      return check_memory_intrinsic(*memory);
    const llvm::StringRef name = intrinsic.getCalledFunction()->getName();
    for (const char* prefix :
         {"llvm.experimental.gc.", "llvm.gcroot", "llvm.gcread", "llvm.gcwrite", "llvm.eh.sjlj",
          "llvm.experimental.deoptimize", "llvm.experimental.guard", "llvm.localescape", "llvm.coro."})
      if (name.starts_with(prefix))
        return refuse(ECHO_UNSUPPORTED_OPERATION, "the intrinsic " + name_of(*intrinsic.getCalledFunction()),
                      where(intrinsic), "remove it; this JIT makes the statepoints itself");
    const bool on_vectors = is_vector_of_references(intrinsic.getType()) ||
                            llvm::any_of(intrinsic.args(), [](const llvm::Use& use) {
                              return is_vector_of_references(use->getType());
                            });
    bool refused = on_vectors; /* masked accesses are loads and stores by now [jit.vector.3] */
    for (const char* prefix :
         {"llvm.vp.", "llvm.memcpy.element", "llvm.memmove.element", "llvm.memset.element"})
      refused =
          refused || (name.starts_with(prefix) && llvm::any_of(intrinsic.args(), [](const llvm::Use& use) {
                        return is_reference_or_vector(use->getType());
                      }));
    if (refused)
      return refuse(ECHO_UNSUPPORTED_OPERATION,
                    "the intrinsic " + name_of(*intrinsic.getCalledFunction()) + " on references",
                    where(intrinsic), "use plain loads and stores, shufflevector, or llvm.masked.*");
    return {};
  }

  /* Code whose address a native function must not get: it would run without the thread. */
  bool needs_thread(const llvm::Function& function) const {
    if (function.isDeclaration())
      return false;
    if (is_collected(function))
      return true;
    for (const llvm::Instruction& instruction : llvm::instructions(function)) {
      if (const auto* store = dyn_cast<llvm::StoreInst>(&instruction))
        if (is_reference_or_vector(store->getValueOperand()->getType()) &&
            store->getPointerAddressSpace() == kReferenceSpace)
          return true;
      if (is_heap_exchange_of_references(instruction))
        return true;
      if (const auto* call = dyn_cast<llvm::CallBase>(&instruction)) {
        const auto operation = operation_of(*call);
        if (operation == Operation::TaggedStore || operation == Operation::IdentityHash ||
            operation == Operation::WeakLoad || operation == Operation::Exchange ||
            operation == Operation::CompareExchange)
          return true;
      }
      if (const auto* call = dyn_cast<llvm::CallBase>(&instruction))
        if (const llvm::Function* callee = call->getCalledFunction();
            callee != nullptr && !callee->isDeclaration() && callee != &function)
          return true;
    }
    return false;
  }

  Outcome check_arguments(const llvm::CallBase& call) {
    const llvm::Function* const callee = call.getCalledFunction();
    const bool native = callee != nullptr && callee->isDeclaration();
    const bool stays = callee != nullptr && (native || is_leaf(*callee));
    if (native &&
        (is_vector_of_references(call.getType()) || llvm::any_of(call.args(), [](const llvm::Use& use) {
           return is_vector_of_references(use->getType());
         })))
      return refuse(ECHO_UNSUPPORTED_OPERATION,
                    "a vector of references goes to or comes from the native function " + name_of(*callee),
                    where(call), "pass its elements one by one");
    for (const llvm::Use& use : call.args()) {
      const auto* function = dyn_cast<llvm::Function>(use->stripPointerCastsAndAliases());
      if (native && function != nullptr && !callee->getName().starts_with("echo.") && needs_thread(*function))
        return refuse(ECHO_MANAGED_CODE_ESCAPES,
                      "the address of " + name_of(*function) + " is passed to the native function " +
                          name_of(*callee),
                      where(call),
                      "native code cannot enter managed code by itself; mark the function "
                      "gc-leaf-function if it touches no reference");
      if (stays)
        continue;
      if (Outcome outcome = check_interior(call, use, "passed to a function that may collect"); !outcome)
        return outcome;
    }
    return {};
  }

  Outcome check_operation(const llvm::CallBase& call, Operation operation) {
    if (operation == Operation::CompareExchange)
      if (Outcome outcome = check_interior(call, call.getArgOperand(2), "compared"); !outcome)
        return outcome;
    if (operation == Operation::Exchange || operation == Operation::CompareExchange)
      return check_interior(call, call.getArgOperand(call.arg_size() - 1), "stored");
    return {};
  }

  Outcome check_call(const llvm::CallBase& call) {
    if (call.isMustTailCall() && !context_.allows(ECHO_JIT_ALLOW_MUSTTAIL))
      return refuse(ECHO_MUSTTAIL_CALL, "a musttail call", where(call), "use a plain call or a loop");
    if (isa<llvm::CallBrInst>(call))
      return refuse(ECHO_UNSUPPORTED_OPERATION, "an asm goto", where(call), "branch outside the assembly");
    if (call.isInlineAsm()) {
      if (contains_reference(call.getType()) ||
          llvm::any_of(call.args(), [](const llvm::Use& use) { return contains_reference(use->getType()); }))
        return refuse(ECHO_UNSUPPORTED_OPERATION, "inline assembly with a reference operand", where(call),
                      "pass integers loaded from the object");
      return {};
    }
    if (const auto* intrinsic = dyn_cast<llvm::IntrinsicInst>(&call))
      return check_intrinsic(*intrinsic);
    if (const auto operation = operation_of(call))
      return check_operation(call, *operation);
    if (call.hasFnAttr(llvm::Attribute::ReturnsTwice))
      return refuse(ECHO_UNSUPPORTED_OPERATION, "a call that returns twice (setjmp)", where(call),
                    "return a status instead");
    const llvm::Function* const callee = call.getCalledFunction();
    if (isa<llvm::InvokeInst>(call) && callee != nullptr && callee->hasFnAttribute(kBlockingAttribute))
      return refuse(ECHO_UNSUPPORTED_OPERATION,
                    "the blocking native " + name_of(*callee) +
                        " is called where an exception of it would be caught",
                    where(call), "let it return a status; a blocking native does not throw");
    if (callee != nullptr && callee->hasFnAttribute(kBlockingAttribute) &&
        llvm::any_of(call.args(), [](const llvm::Use& use) {
          return use->getType()->isVectorTy() && use->getType()->getPrimitiveSizeInBits() != 128 &&
                 use->getType()->getPrimitiveSizeInBits() != 64;
        }))
      return refuse(ECHO_UNSUPPORTED_OPERATION,
                    "a vector wider than 16 bytes is passed to the blocking native " + name_of(*callee),
                    where(call), "pass its address, or its halves: the way out keeps 16 bytes of a register");
    if (is_leaf(function_) && callee != nullptr && callee->hasFnAttribute(kBlockingAttribute))
      return refuse(ECHO_UNSUPPORTED_OPERATION,
                    "the leaf function calls " + name_of(*callee) + ", which may block,", where(call),
                    "remove the mark gc-leaf-function");
    if (is_leaf(function_) && callee != nullptr && is_collected(*callee))
      return refuse(ECHO_UNSUPPORTED_OPERATION,
                    "the leaf function calls " + name_of(*callee) + ", which is collected,", where(call),
                    "mark both gc-leaf-function, or none");
    return check_arguments(call);
  }

  ModuleContext& context_;
  llvm::Function& function_;
  ConstantChecker& constants_;
  const llvm::DataLayout& layout_;
};

/* --- the module
 * ------------------------------------------------------------------------------------------------------ */

Outcome check_global(ModuleContext& context, const llvm::GlobalVariable& global, ConstantChecker& constants) {
  const std::string place = where(global);
  if (global.isThreadLocal() && !context.allows(ECHO_JIT_ALLOW_THREAD_LOCAL))
    return refuse(ECHO_THREAD_LOCAL_VARIABLE, "thread-local storage", place,
                  "keep the value in an object that the thread's function is given");
  if (global.getAddressSpace() == kReferenceSpace)
    return refuse(ECHO_REF_IN_RAW_MEMORY, "a variable in the reference address space", place,
                  "objects come from echo.gc.new only");
  if (global.hasInitializer() && !global.getName().starts_with("llvm."))
    if (Outcome outcome = constants.check(global.getInitializer(), place); !outcome)
      return outcome;
  if (global.getName() == "llvm.global_ctors" || global.getName() == "llvm.global_dtors")
    if (const auto* list =
            global.hasInitializer() ? dyn_cast<llvm::ConstantArray>(global.getInitializer()) : nullptr;
        list != nullptr && list->getNumOperands() != 0)
      return refuse(ECHO_UNSUPPORTED_OPERATION, "constructors or destructors that run by themselves", place,
                    "call them from the program's first function");
  ReferenceRuns runs;
  if (!reference_runs(context.module.getDataLayout(), global.getValueType(), runs))
    return refuse(ECHO_LIMIT_EXCEEDED, "more than 8192 references", place, "keep them in a heap array");
  return {};
}

} // namespace

Outcome check_module(ModuleContext& context) {
  ConstantChecker constants(context);
  for (const llvm::GlobalVariable& global : context.module.globals())
    if (Outcome outcome = check_global(context, global, constants); !outcome)
      return outcome;
  if (!context.module.ifunc_empty())
    return refuse(ECHO_UNSUPPORTED_OPERATION, "an indirect function", "in the module", "define it directly");
  if (!context.module.getModuleInlineAsm().empty())
    return refuse(ECHO_UNSUPPORTED_OPERATION, "file-scope assembly", "in the module", "define it natively");
  for (llvm::Function& function : context.module)
    if (!function.isDeclaration())
      if (Outcome outcome = FunctionChecker(context, function, constants).run(); !outcome)
        return outcome;
  return {};
}

} // namespace echo::jit
