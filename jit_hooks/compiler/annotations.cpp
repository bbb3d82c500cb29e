/* SPDX-License-Identifier: MIT
 *
 * compiler/annotations.cpp - which functions are collected, which are leaves, and the attributes both need.
 *
 * Invariants  [jit.level.1] The level of a module is what its flag says, else what the JIT was created with.
 *             [jit.leaf.1] A library function is a leaf by its name only if it neither blocks, nor calls
 * back, nor allocates from anything a VM might replace by its heap. [jit.frame.1] Every collected function
 * keeps its frame pointer, has unwind tables, and probes frames larger than a page, so that a stack overflow
 * hits the guard.
 */
#include "compiler/context.h"

#include "llvm/IR/Constants.h"
#include "llvm/IR/Instructions.h"

namespace echo::jit {
namespace {

/* Pure functions of the C library. [jit.leaf.1] */
const char* const kLibraryLeaves[] = {
    "abs",     "acos",    "acosf",   "asin",   "asinf",   "atan",   "atan2",  "atan2f", "atanf",   "bcmp",
    "cbrt",    "ceil",    "ceilf",   "cos",    "cosf",    "cosh",   "exp",    "exp2",   "exp2f",   "expf",
    "fabs",    "fabsf",   "floor",   "floorf", "fma",     "fmax",   "fmaxf",  "fmin",   "fminf",   "fmod",
    "fmodf",   "hypot",   "labs",    "ldexp",  "llabs",   "log",    "log10",  "log10f", "log2",    "log2f",
    "logf",    "memchr",  "memcmp",  "memcpy", "memmove", "memset", "modf",   "pow",    "powf",    "round",
    "roundf",  "sin",     "sinf",    "sinh",   "sqrt",    "sqrtf",  "strchr", "strcmp", "strcspn", "strlen",
    "strncmp", "strnlen", "strrchr", "strspn", "strstr",  "tan",    "tanf",   "tanh",   "trunc",   "truncf"};

/* The annotation string of one entry of llvm.global.annotations. */
llvm::StringRef annotation_text(const llvm::Constant* pointer) {
  const auto* global = llvm::dyn_cast<llvm::GlobalVariable>(pointer->stripPointerCasts());
  if (global == nullptr || !global->hasInitializer())
    return {};
  const auto* data = llvm::dyn_cast<llvm::ConstantDataSequential>(global->getInitializer());
  return data != nullptr && data->isCString() ? data->getAsCString() : llvm::StringRef();
}

/* __attribute__((annotate("gc-leaf-function"))), as clang leaves it in the module. */
void read_global_annotations(llvm::Module& module) {
  llvm::GlobalVariable* const annotations = module.getNamedGlobal("llvm.global.annotations");
  if (annotations == nullptr || !annotations->hasInitializer())
    return;
  if (const auto* entries = llvm::dyn_cast<llvm::ConstantArray>(annotations->getInitializer()))
    for (const llvm::Use& use : entries->operands()) {
      const auto* entry = llvm::dyn_cast<llvm::ConstantStruct>(use);
      if (entry == nullptr || entry->getNumOperands() < 2)
        continue;
      auto* function = llvm::dyn_cast<llvm::Function>(entry->getOperand(0)->stripPointerCasts());
      for (const char* attribute : {kLeafAttribute, kBlockingAttribute})
        if (function != nullptr && annotation_text(entry->getOperand(1)) == attribute)
          function->addFnAttr(attribute);
    }
  annotations->eraseFromParent();
}

} // namespace

void set_frame_attributes(llvm::Function& function) {
  function.addFnAttr("frame-pointer", "all");
  function.addFnAttr("probe-stack", "inline-asm");
  function.setUWTableKind(llvm::UWTableKind::Async);
  /* One processor for the whole program: the one it runs on. */
  for (const char* attribute : {"target-cpu", "target-features", "tune-cpu"})
    function.removeFnAttr(attribute);
  /* Promotion to SSA is not optional. */
  function.removeFnAttr(llvm::Attribute::OptimizeNone);
}

bool is_library_leaf(llvm::StringRef name) {
  return llvm::is_contained(kLibraryLeaves, name);
}

Outcome read_level(ModuleContext& context) {
  constexpr const char* kFlag = "echo.operations";
  const llvm::Metadata* const flag = context.module.getModuleFlag(kFlag);
  if (flag == nullptr)
    return {};
  const auto* value = llvm::mdconst::dyn_extract_or_null<llvm::ConstantInt>(flag);
  if (value == nullptr || value->getValue().ugt(ECHO_JIT_OPERATIONS_CALLED))
    return {ECHO_BAD_ABSTRACT_OPERATION,
            std::string("the module flag '") + kFlag +
                "' is neither 0 (inline) nor 1 (called); echo/jit.h describes it"};
  context.called_operations = value->getZExtValue() == ECHO_JIT_OPERATIONS_CALLED;
  return {};
}

void read_annotations(ModuleContext& context) {
  llvm::Module& module = context.module;
  read_global_annotations(module);
  for (llvm::Function& function : module) {
    if (function.hasAvailableExternallyLinkage())
      function.deleteBody(); /* defined elsewhere: native here */
    const auto defined = context.defined.find(function.getName());
    if (function.isDeclaration()) {
      const bool known = defined != context.defined.end();
      const bool leaf =
          known ? defined->second.kind == ECHO_JIT_SYMBOL_LEAF : is_library_leaf(function.getName());
      if (leaf)
        function.addFnAttr(kLeafAttribute);
      if (known && defined->second.kind == ECHO_JIT_SYMBOL_BLOCKING)
        function.addFnAttr(kBlockingAttribute);
      continue;
    }
    if (function.hasPrivateLinkage())
      function.setLinkage(llvm::GlobalValue::InternalLinkage);
    set_frame_attributes(function);
    if (is_leaf(function))
      function.clearGC();
    else
      function.setGC(kStrategy);
    ++context.counters.functions;
  }
}

} // namespace echo::jit
