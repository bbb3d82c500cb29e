/* SPDX-License-Identifier: MIT
 *
 * compiler/lower_exchange.cpp - exchange and compare-exchange of references in the heap, by the store recipe.
 *
 * Invariants  [jit.exchange.1] An exchange is one call until statepoints are made, and one instruction afterwards. LLVM's
 *             statepoint pass looks for the base of the reference that an `atomicrmw xchg` returns by making a second
 *             exchange, with the object's first word.
 *             [jit.exchange.2] The barrier comes first, also where the comparison will fail: it reads the old value.
 *             [jit.exchange.3] All are sequentially consistent, at least as strong as the program asked for.
 */
#include "compiler/lowering.h"
#include "compiler/operations.h"

#include "arch/x86_64/stubs.h"

#include "llvm/IR/InstIterator.h"

namespace echo::jit {
namespace {

constexpr const char* kExchange = "echo.gc.exchange";
constexpr const char* kCompareExchange = "echo.gc.compare_exchange";

llvm::CallInst* call_operation(llvm::IRBuilder<>& builder, const char* name,
                               llvm::ArrayRef<llvm::Value*> arguments) {
  llvm::Module& module = *builder.GetInsertBlock()->getModule();
  llvm::Type* const reference = llvm::PointerType::get(builder.getContext(), kReferenceSpace);
  const llvm::SmallVector<llvm::Type*> types(arguments.size(), reference);
  llvm::FunctionCallee callee =
      module.getOrInsertFunction(name, llvm::FunctionType::get(reference, types, false));
  auto* const function = llvm::cast<llvm::Function>(callee.getCallee());
  function->addFnAttr(kLeafAttribute);
  function->setDoesNotThrow();
  return builder.CreateCall(callee, arguments);
}

/* The program's own instructions become calls of the operations. */
void replace(llvm::AtomicRMWInst& exchange) {
  llvm::IRBuilder<> builder(&exchange);
  llvm::Value* const slot = exchange.getPointerOperand();
  exchange.replaceAllUsesWith(call_operation(builder, kExchange, {slot, slot, exchange.getValOperand()}));
  exchange.eraseFromParent();
}
void replace(llvm::AtomicCmpXchgInst& exchange) {
  llvm::IRBuilder<> builder(&exchange);
  llvm::Value* const slot = exchange.getPointerOperand();
  llvm::Value* const expected = exchange.getCompareOperand();
  llvm::Value* const old =
      call_operation(builder, kCompareExchange, {slot, slot, expected, exchange.getNewValOperand()});
  llvm::Value* pair = builder.CreateInsertValue(llvm::PoisonValue::get(exchange.getType()), old, 0);
  pair = builder.CreateInsertValue(pair, builder.CreateICmpEQ(old, expected), 1);
  exchange.replaceAllUsesWith(pair);
  exchange.eraseFromParent();
}

/* Level 0: slot, (expected,) value. */
void call_whole(ModuleContext& context, llvm::CallInst& call) {
  llvm::IRBuilder<> builder(&call);
  const llvm::SmallVector<llvm::Value*, 3> arguments(call.arg_begin() + 1, call.arg_end());
  const llvm::SmallVector<llvm::Type*, 3> types(arguments.size(), call.getType());
  const char* const name = arguments.size() == 2 ? kExchangeWholeStub : kCompareExchangeWholeStub;
  const llvm::FunctionCallee callee = stub(context.module, name, call.getType(), types, true);
  call.replaceAllUsesWith(call_stub(builder, callee, thread_of(*call.getFunction()), arguments));
  call.eraseFromParent();
}

} // namespace

bool is_heap_exchange_of_references(const llvm::Instruction& instruction) {
  const auto* exchange = llvm::dyn_cast<llvm::AtomicRMWInst>(&instruction);
  const auto* compare = llvm::dyn_cast<llvm::AtomicCmpXchgInst>(&instruction);
  return (exchange != nullptr || compare != nullptr) && is_reference(instruction.getOperand(0)->getType()) &&
         is_reference(instruction.getOperand(1)->getType());
}

void lower_exchanges(ModuleContext& context, llvm::Function& function) {
  for (llvm::Instruction& instruction : llvm::make_early_inc_range(llvm::instructions(function)))
    if (is_heap_exchange_of_references(instruction)) {
      if (auto* exchange = llvm::dyn_cast<llvm::AtomicRMWInst>(&instruction))
        replace(*exchange);
      else
        replace(llvm::cast<llvm::AtomicCmpXchgInst>(instruction));
    }
  for (llvm::Instruction& instruction : llvm::make_early_inc_range(llvm::instructions(function)))
    if (auto* call = llvm::dyn_cast<llvm::CallInst>(&instruction)) {
      const auto operation = operation_of(*call);
      if (operation != Operation::Exchange && operation != Operation::CompareExchange)
        continue;
      llvm::IRBuilder<> builder(call);
      if (context.called_operations && !context.detect_races) {
        call_whole(context, *call);
        continue;
      }
      announce_store(context, builder, function, call->getArgOperand(1),
                     call->getArgOperand(call->arg_size() - 1)); /* [jit.exchange.2] */
    }
}

void finish_exchanges(ModuleContext& context) {
  const auto order = llvm::AtomicOrdering::SequentiallyConsistent; /* [jit.exchange.3] */
  for (const char* name : {kExchange, kCompareExchange}) {
    llvm::Function* const operation = context.module.getFunction(name);
    if (operation == nullptr)
      continue;
    for (llvm::User* user : llvm::make_early_inc_range(operation->users())) {
      auto* const call = llvm::cast<llvm::CallInst>(user);
      llvm::IRBuilder<> builder(call);
      llvm::Value* const slot = call->getArgOperand(1);
      llvm::Value* const old =
          call->arg_size() == 3
              ? static_cast<llvm::Value*>(builder.CreateAtomicRMW(
                    llvm::AtomicRMWInst::Xchg, slot, call->getArgOperand(2), llvm::Align(8), order))
              : builder.CreateExtractValue(builder.CreateAtomicCmpXchg(slot, call->getArgOperand(2),
                                                                       call->getArgOperand(3), llvm::Align(8),
                                                                       order, order),
                                           0);
      call->replaceAllUsesWith(old);
      call->eraseFromParent();
    }
    operation->eraseFromParent();
  }
}

} // namespace echo::jit
