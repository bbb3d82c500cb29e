/* SPDX-License-Identifier: MIT
 *
 * compiler/bulk.cpp - copies and fills of references in arrays: collected functions of the module's own.
 *
 * Method      An operation becomes a call of a function that is linked into the module before anything is checked, so
 *             that each of its stores gets the barrier and each of its loops a poll like any other: a copy of any length
 *             neither delays a stop nor moves a reference that the collector does not hear of. Optimisation may inline
 *             it.
 * Invariants  [jit.bulk.1] An overlapping copy inside one array runs from the end that is not overwritten first.
 *             [jit.bulk.2] Words move one by one and whole: another thread never sees half a reference.
 */
#include "compiler/lowering.h"
#include "compiler/operations.h"
#include "compiler/where.h"

#include "llvm/AsmParser/Parser.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/Linker/Linker.h"
#include "llvm/Support/SourceMgr.h"

namespace echo::jit {
namespace {

constexpr const char* kBulkPrefix = "echo.bulk.";
constexpr const char* kCopy = "echo.bulk.copy";
constexpr const char* kFill = "echo.bulk.fill";

/* Indices and counts are signed, as in C; a count below 1 does nothing. */
const char* const kCopyText = R"(
define void @echo.bulk.copy(ptr addrspace(1) %to, i64 %to.index, ptr addrspace(1) %from, i64 %from.index,
                            i64 %count) {
entry:
  %any = icmp sgt i64 %count, 0
  br i1 %any, label %some, label %done
some:
  %same = icmp eq ptr addrspace(1) %to, %from
  %later = icmp sgt i64 %to.index, %from.index
  %backward = and i1 %same, %later
  %last = sub i64 %count, 1
  %start = select i1 %backward, i64 %last, i64 0
  %step = select i1 %backward, i64 -1, i64 1
  %end = select i1 %backward, i64 -1, i64 %count
  br label %loop
loop:
  %i = phi i64 [ %start, %some ], [ %next, %loop ]
  %s = add i64 %from.index, %i
  %s8 = shl i64 %s, 3
  %s16 = add i64 %s8, 16
  %source = getelementptr i8, ptr addrspace(1) %from, i64 %s16
  %value = load atomic ptr addrspace(1), ptr addrspace(1) %source unordered, align 8
  %d = add i64 %to.index, %i
  %d8 = shl i64 %d, 3
  %d16 = add i64 %d8, 16
  %target = getelementptr i8, ptr addrspace(1) %to, i64 %d16
  store ptr addrspace(1) %value, ptr addrspace(1) %target, align 8
  %next = add i64 %i, %step
  %over = icmp eq i64 %next, %end
  br i1 %over, label %done, label %loop
done:
  ret void
}
)";
const char* const kFillText = R"(
define void @echo.bulk.fill(ptr addrspace(1) %array, i64 %index, i64 %count, ptr addrspace(1) %value) {
entry:
  %any = icmp sgt i64 %count, 0
  br i1 %any, label %loop, label %done
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
  %d = add i64 %index, %i
  %d8 = shl i64 %d, 3
  %d16 = add i64 %d8, 16
  %target = getelementptr i8, ptr addrspace(1) %array, i64 %d16
  store ptr addrspace(1) %value, ptr addrspace(1) %target, align 8
  %next = add i64 %i, 1
  %over = icmp eq i64 %next, %count
  br i1 %over, label %done, label %loop
done:
  ret void
}
)";

} // namespace

Outcome link_function(llvm::Module& module, const char* name, const char* text) {
  llvm::SMDiagnostic diagnostic;
  auto helper = llvm::parseAssemblyString(text, diagnostic, module.getContext());
  if (!helper)
    return {ECHO_CODEGEN_FAILED, std::string(name) + ": " + diagnostic.getMessage().str()};
  helper->setDataLayout(module.getDataLayout());
  helper->setTargetTriple(module.getTargetTriple());
  if (llvm::Linker::linkModules(module, std::move(helper)))
    return {ECHO_CODEGEN_FAILED, std::string(name) + " cannot be linked into the module"};
  module.getFunction(name)->setLinkage(llvm::GlobalValue::InternalLinkage);
  return {};
}

Outcome add_bulk_functions(ModuleContext& context) {
  llvm::Module& module = context.module;
  for (const llvm::Function& function : module)
    if (function.getName().starts_with(kBulkPrefix))
      return {ECHO_BAD_ABSTRACT_OPERATION, name_of(function) + " uses a reserved name; choose another"};
  const auto used = [&](const char* operation) {
    const llvm::Function* const function = module.getFunction(operation);
    return function != nullptr && !function->use_empty();
  };
  if (used("echo.gc.array_copy"))
    if (Outcome outcome = link_function(module, kCopy, kCopyText); !outcome)
      return outcome;
  return used("echo.gc.array_fill") ? link_function(module, kFill, kFillText) : Outcome();
}

void prepare_bulk(ModuleContext& context) {
  for (const auto& [operation, function] :
       {std::pair("echo.gc.array_copy", kCopy), {"echo.gc.array_fill", kFill}})
    if (llvm::Function* const linked = context.module.getFunction(function))
      context.module.getFunction(operation)->replaceAllUsesWith(linked);
}

} // namespace echo::jit
