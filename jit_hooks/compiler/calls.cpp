/* SPDX-License-Identifier: MIT
 *
 * compiler/calls.cpp - the thread parameter, and calls that leave managed code.
 *
 * Method      After optimisation every function defined in the module gets the thread as its first parameter,
 * swiftself: it stays in one callee-saved register (r13) through all calls. O2 never sees it, so it cannot
 * drop it. Calls of natives and through pointers go to one stub with the target as a `nest` argument (r10):
 * the stub publishes the anchor and jumps. A function's address is thus the same everywhere, whether managed
 *             or native code calls it. Each call type has a declaration of its own until statepoints are
 * made; finish_calls replaces them all by the stub. Invariants  [jit.thread.1] The register holds the thread
 * at every call in a collected function. [jit.native.1] Every call from collected code to code outside the
 * module publishes the anchor, unless its target is a leaf. [jit.effect.1] Memory effects that O2 inferred
 * for functions and calls before lowering are dropped: they do not know of the thread block.
 */
#include "compiler/lowering.h"
#include "compiler/operations.h"

#include "arch/x86_64/stubs.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/IntrinsicInst.h"

namespace echo::jit {
namespace {

constexpr const char* kCallPrefix = "echo.call.";
constexpr const char* kBlockingPrefix = "echo.call.blocking.";

llvm::AttributeSet thread_attributes(llvm::LLVMContext& context, bool definition) {
  llvm::AttrBuilder builder(context);
  builder.addAttribute(llvm::Attribute::SwiftSelf);
  if (definition)
    builder.addAttribute(llvm::Attribute::NoAlias).addAttribute(llvm::Attribute::NoUndef);
  return llvm::AttributeSet::get(context, builder);
}

bool has_thread_parameter(const llvm::Function& function) {
  return function.arg_size() > 0 && function.hasParamAttribute(0, llvm::Attribute::SwiftSelf);
}

void drop_effects(llvm::Function& function) { /* [jit.effect.1] */
  for (llvm::Attribute::AttrKind kind :
       {llvm::Attribute::Memory, llvm::Attribute::NoSync, llvm::Attribute::NoFree,
        llvm::Attribute::Speculatable, llvm::Attribute::NoCallback})
    function.removeFnAttr(kind);
}
void drop_effects(llvm::CallBase& call) {
  for (llvm::Attribute::AttrKind kind :
       {llvm::Attribute::Memory, llvm::Attribute::NoSync, llvm::Attribute::NoFree,
        llvm::Attribute::Speculatable, llvm::Attribute::NoCallback})
    call.removeFnAttr(kind);
}

/* Attributes of a function whose parameters move up: "allocsize" names parameters by position. */
llvm::AttributeSet without_positions(llvm::LLVMContext& context, llvm::AttributeSet function) {
  return function.removeAttribute(context, llvm::Attribute::AllocSize);
}

/* The same function with the thread in front. */
void add_thread_parameter(llvm::Function& old) {
  llvm::LLVMContext& context = old.getContext();
  llvm::SmallVector<llvm::Type*> types{llvm::PointerType::get(context, 0)};
  llvm::append_range(types, old.getFunctionType()->params());
  auto* const function =
      llvm::Function::Create(llvm::FunctionType::get(old.getReturnType(), types, old.isVarArg()),
                             old.getLinkage(), old.getAddressSpace());
  function->copyAttributesFrom(&old);
  const llvm::AttributeList attributes = old.getAttributes();
  llvm::SmallVector<llvm::AttributeSet> parameters{thread_attributes(context, true)};
  for (unsigned i = 0; i < old.arg_size(); ++i)
    parameters.push_back(attributes.getParamAttrs(i));
  function->setAttributes(llvm::AttributeList::get(
      context, without_positions(context, attributes.getFnAttrs()), attributes.getRetAttrs(), parameters));
  function->setComdat(old.getComdat());
  function->IsNewDbgInfoFormat = old.IsNewDbgInfoFormat;
  old.getParent()->getFunctionList().insert(old.getIterator(), function);
  function->takeName(&old);
  function->splice(function->begin(), &old);
  function->getArg(0)->setName("thread");
  for (unsigned i = 0; i < old.arg_size(); ++i) {
    function->getArg(i + 1)->takeName(old.getArg(i));
    old.getArg(i)->replaceAllUsesWith(function->getArg(i + 1));
  }
  function->copyMetadata(&old, 0);
  old.clearMetadata();
  old.replaceAllUsesWith(function);
  old.eraseFromParent();
}

/* One more argument. */
struct Extra {
  llvm::Value* value;
  llvm::AttributeSet attributes;
};

/* Attributes of an argument at the call and of the callee's parameter: both decide how it is passed, and a
 * statepoint looks at those of the call only. */
llvm::AttributeSet argument_attributes(const llvm::CallBase& call, unsigned index) {
  llvm::LLVMContext& context = call.getContext();
  llvm::AttrBuilder builder(context, call.getAttributes().getParamAttrs(index));
  if (const auto* callee = llvm::dyn_cast<llvm::Function>(call.getCalledOperand())) {
    const unsigned parameter = index + (callee->isDeclaration() ? 0 : 1); /* behind the thread */
    if (parameter < callee->arg_size())
      builder.merge(llvm::AttrBuilder(context, callee->getAttributes().getParamAttrs(parameter)));
  }
  return llvm::AttributeSet::get(context, builder);
}

llvm::CallBase* rebuild(llvm::CallBase& call, llvm::FunctionType* type, llvm::Value* callee,
                        const Extra& first, const Extra* last = nullptr) {
  llvm::LLVMContext& context = call.getContext();
  llvm::SmallVector<llvm::Value*> arguments{first.value};
  llvm::SmallVector<llvm::AttributeSet> parameters{first.attributes};
  for (unsigned i = 0; i < call.arg_size(); ++i) {
    arguments.push_back(call.getArgOperand(i));
    parameters.push_back(argument_attributes(call, i));
  }
  if (last != nullptr) {
    arguments.push_back(last->value);
    parameters.push_back(last->attributes);
  }
  llvm::SmallVector<llvm::OperandBundleDef, 1> bundles;
  call.getOperandBundlesAsDefs(bundles);
  llvm::CallBase* replacement = nullptr;
  if (auto* invoke = llvm::dyn_cast<llvm::InvokeInst>(&call)) {
    replacement = llvm::InvokeInst::Create(type, callee, invoke->getNormalDest(), invoke->getUnwindDest(),
                                           arguments, bundles, "", call.getIterator());
  } else {
    auto* plain = llvm::CallInst::Create(type, callee, arguments, bundles, "", call.getIterator());
    plain->setTailCallKind(llvm::cast<llvm::CallInst>(call).getTailCallKind());
    replacement = plain;
  }
  replacement->setCallingConv(call.getCallingConv());
  replacement->setAttributes(
      llvm::AttributeList::get(context, without_positions(context, call.getAttributes().getFnAttrs()),
                               call.getAttributes().getRetAttrs(), parameters));
  replacement->copyMetadata(call);
  replacement->takeName(&call);
  call.replaceAllUsesWith(replacement);
  call.eraseFromParent();
  return replacement;
}

llvm::FunctionType* with_thread(llvm::FunctionType* type) {
  llvm::SmallVector<llvm::Type*> types{llvm::PointerType::get(type->getContext(), 0)};
  llvm::append_range(types, type->params());
  return llvm::FunctionType::get(type->getReturnType(), types, type->isVarArg());
}

/* The type of one call that leaves the module: thread, arguments, target. Without "...", a statepoint takes
 * no such type; the stub sets al, all that a variadic callee needs besides. */
llvm::FunctionType* leaving_type(const llvm::CallBase& call) {
  llvm::Type* const pointer = llvm::PointerType::get(call.getContext(), 0);
  llvm::SmallVector<llvm::Type*> types{pointer};
  for (const llvm::Use& argument : call.args())
    types.push_back(argument->getType());
  types.push_back(pointer);
  return llvm::FunctionType::get(call.getType(), types, false);
}

class CallRewriter {
public:
  explicit CallRewriter(ModuleContext& context) : context_(context) {
    llvm::AttrBuilder nest(context.module.getContext());
    nest.addAttribute(llvm::Attribute::Nest);
    nest_ = llvm::AttributeSet::get(context.module.getContext(), nest);
  }

  void run(llvm::Function& function) {
    const Extra thread{thread_of(function), thread_attributes(function.getContext(), false)};
    llvm::SmallVector<llvm::CallBase*> calls;
    for (llvm::Instruction& instruction : llvm::instructions(function))
      if (auto* call = llvm::dyn_cast<llvm::CallBase>(&instruction))
        calls.push_back(call);
    for (llvm::CallBase* call : calls) {
      if (call->isInlineAsm() || llvm::isa<llvm::IntrinsicInst>(call))
        continue;
      /* Not getCalledFunction(): the type of the call is still that without the thread. */
      auto* const callee = llvm::dyn_cast<llvm::Function>(call->getCalledOperand());
      if (callee != nullptr && callee->getName().starts_with(kOperationPrefix))
        continue;
      if (passes_thread(*call)) { /* made by a front end that names the thread itself */
        call->setArgOperand(0, thread.value);
        drop_effects(*call);
        continue;
      }
      const bool defined = callee != nullptr && !callee->isDeclaration();
      if (defined) {
        drop_effects(*rebuild(*call, with_thread(call->getFunctionType()), callee, thread));
      } else if (is_leaf(function) && callee == nullptr) {
        rebuild(*call, with_thread(call->getFunctionType()), call->getCalledOperand(), thread);
      } else if (!is_leaf(function) && is_safepoint_call(*call)) {
        leave_module(*call, thread);
      }
    }
  }

private:
  static bool passes_thread(const llvm::CallBase& call) {
    return call.arg_size() > 0 && call.paramHasAttr(0, llvm::Attribute::SwiftSelf) &&
           call.getCalledFunction() != nullptr && !call.getCalledFunction()->isDeclaration();
  }

  void leave_module(llvm::CallBase& call, const Extra& thread) {
    llvm::FunctionType* const type = leaving_type(call);
    const llvm::Function* const callee = call.getCalledFunction();
    const bool blocking = callee != nullptr && callee->hasFnAttribute(kBlockingAttribute);
    auto& doors = blocking ? blocking_doors_ : doors_;
    llvm::Function*& door = doors[type];
    if (door == nullptr)
      door = llvm::Function::Create(type, llvm::Function::ExternalLinkage,
                                    (blocking ? kBlockingPrefix : kCallPrefix) + std::to_string(doors.size()),
                                    context_.module);
    const Extra target{call.getCalledOperand(), nest_};
    const bool nounwind = call.doesNotThrow(), noreturn = call.doesNotReturn();
    llvm::CallBase* const left = rebuild(call, type, door, thread, &target);
    drop_effects(*left);
    if (nounwind)
      left->setDoesNotThrow();
    if (noreturn)
      left->setDoesNotReturn();
  }

  ModuleContext& context_;
  llvm::AttributeSet nest_;
  llvm::DenseMap<llvm::FunctionType*, llvm::Function*> doors_, blocking_doors_;
};

} // namespace

llvm::Argument* thread_of(llvm::Function& function) {
  return function.getArg(0);
}

void add_thread_parameters(ModuleContext& context) {
  for (llvm::Function& function : llvm::make_early_inc_range(context.module)) {
    if (function.isDeclaration())
      continue;
    drop_effects(function);
    if (!has_thread_parameter(function))
      add_thread_parameter(function);
  }
}

void rewrite_calls(ModuleContext& context) {
  CallRewriter rewriter(context);
  for (llvm::Function& function : context.module)
    if (!function.isDeclaration())
      rewriter.run(function);
}

void finish_calls(ModuleContext& context) {
  for (llvm::Function& function : llvm::make_early_inc_range(context.module)) {
    if (!function.getName().starts_with(kCallPrefix))
      continue;
    const bool blocking = function.getName().starts_with(kBlockingPrefix);
    if (blocking)
      for (llvm::User* user : llvm::make_early_inc_range(function.users()))
        leave_native_behind(context, *llvm::cast<llvm::GCStatepointInst>(user));
    if (!function.use_empty())
      function.replaceAllUsesWith(
          context.module
              .getOrInsertFunction(
                  blocking ? kCallBlockingStub : kCallNativeStub,
                  llvm::FunctionType::get(llvm::Type::getVoidTy(function.getContext()), false))
              .getCallee());
    function.eraseFromParent();
  }
}

} // namespace echo::jit
