/* SPDX-License-Identifier: MIT
 *
 * compiler/lower_store.cpp - reference stores into the heap, by the store recipe.
 *
 * Recipe      PHASE_TEST: cmpb $0, phase(%r13); jne cold; mov value, slot. The cold path runs before the
 * store: it reads the old value. Method      Barriers are marker calls until optimisation is over: they
 * neither split blocks nor, as far as it is concerned, change the thread block, as the cold path promises
 * [abi.recipe.3]. Invariants  [bar.init.1] No barrier for a store at a constant offset below 1 KiB into an
 * object that was allocated in the same block with no safepoint between. Decided after optimisation: it moves
 * stores and safepoints. [jit.store.1] A reference is stored as one 8-byte word that is never torn or merged
 * (unordered atomic). [jit.store.2] No poll lies between the test and the store.
 */
#include "compiler/lowering.h"
#include "compiler/operations.h"

#include "arch/x86_64/stubs.h"

#include "llvm/ADT/SmallPtrSet.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/MDBuilder.h"
#include "llvm/Transforms/Utils/BasicBlockUtils.h"

namespace echo::jit {
namespace {

constexpr const char* kBarrierMarker = "echo.gc.barrier";
constexpr int64_t kInitialisingBytes = 1024; /* [bar.init.1] */

bool is_heap_store_of_references(const llvm::Instruction& instruction) {
  const auto* store = llvm::dyn_cast<llvm::StoreInst>(&instruction);
  return store != nullptr && store->getPointerAddressSpace() == kReferenceSpace &&
         is_reference_or_vector(store->getValueOperand()->getType());
}

/* Stores into objects that no safepoint has seen. */
llvm::SmallPtrSet<const llvm::StoreInst*, 16> initialising_stores(const ModuleContext& context,
                                                                  llvm::Function& function) {
  llvm::SmallPtrSet<const llvm::StoreInst*, 16> result;
  if (context.allows(ECHO_JIT_NO_BARRIER_ELISION))
    return result;
  const llvm::DataLayout& layout = context.module.getDataLayout();
  for (const llvm::BasicBlock& block : function) {
    const llvm::Value* fresh = nullptr; /* an allocation is a safepoint itself: at most one object is fresh */
    for (const llvm::Instruction& instruction : block) {
      if (const auto* call = llvm::dyn_cast<llvm::CallBase>(&instruction)) {
        if (allocation_of(context, *call) != nullptr)
          fresh = call;
        else if (is_safepoint_call(*call) && !context.allows(ECHO_JIT_ELIDE_OVER_SAFEPOINTS))
          fresh = nullptr;
      } else if (fresh != nullptr && is_heap_store_of_references(instruction)) {
        const auto& store = llvm::cast<llvm::StoreInst>(instruction);
        llvm::APInt offset(64, 0);
        const llvm::Value* object =
            store.getPointerOperand()->stripAndAccumulateConstantOffsets(layout, offset, true);
        if (object == fresh && offset.getSExtValue() >= 0 && offset.getSExtValue() < kInitialisingBytes)
          result.insert(&store);
      }
    }
  }
  return result;
}

llvm::Function* barrier_marker(const ModuleContext& unit) {
  llvm::Module& module = unit.module;
  llvm::LLVMContext& context = module.getContext();
  llvm::Type* const reference = llvm::PointerType::get(context, kReferenceSpace);
  llvm::FunctionCallee callee = module.getOrInsertFunction(
      kBarrierMarker,
      llvm::FunctionType::get(llvm::Type::getVoidTy(context),
                              {llvm::PointerType::get(context, 0), reference, reference}, false));
  auto* const function = llvm::cast<llvm::Function>(callee.getCallee());
  function->addFnAttr(kLeafAttribute);
  function->setDoesNotThrow();
  function->addFnAttr(llvm::Attribute::WillReturn);
  function->setMemoryEffects(unit.allows(ECHO_JIT_BARRIER_WITHOUT_EFFECT)
                                 ? llvm::MemoryEffects::none()
                                 : llvm::MemoryEffects::inaccessibleMemOnly() |
                                       llvm::MemoryEffects::argMemOnly(llvm::ModRefInfo::Ref));
  return function;
}

/* One unordered store per word, each behind its marker. */
void lower(ModuleContext& context, llvm::StoreInst& store, bool with_barrier) {
  llvm::Value* const value = store.getValueOperand();
  const auto* vector = llvm::dyn_cast<llvm::FixedVectorType>(value->getType());
  const unsigned count = vector != nullptr ? vector->getNumElements() : 1;
  llvm::IRBuilder<> builder(&store);
  for (unsigned i = 0; i < count; ++i) {
    llvm::Value* const word = vector != nullptr ? builder.CreateExtractElement(value, i) : value;
    llvm::Value* const slot =
        i == 0 ? store.getPointerOperand()
               : builder.CreateConstGEP1_64(builder.getInt8Ty(), store.getPointerOperand(), uint64_t{8} * i);
    if (context.called_operations) {
      call_whole_store(context, builder, *store.getFunction(), slot, word);
      continue;
    }
    const auto announce = [&] {
      builder.CreateCall(barrier_marker(context), {thread_of(*store.getFunction()), slot, word});
    };
    const bool late = context.allows(ECHO_JIT_BARRIER_AFTER_STORE);
    if (with_barrier && !late)
      announce();
    llvm::StoreInst* const lowered = builder.CreateAlignedStore(word, slot, llvm::Align(8));
    if (!context.allows(ECHO_JIT_PLAIN_STORES))
      lowered->setAtomic(llvm::AtomicOrdering::Unordered); /* [jit.store.1] */
    lowered->setAAMetadata(store.getAAMetadata());
    if (with_barrier && late)
      announce();
  }
  store.eraseFromParent();
}

} // namespace

bool wants_barriers(const ModuleContext& context) {
  return context.recipes.store_kind == ECHO_STORE_PHASE_TEST && !context.allows(ECHO_JIT_OMIT_BARRIERS);
}

void expand_barrier(ModuleContext& context, llvm::CallInst& marker, llvm::Value* thread, llvm::Value* slot,
                    llvm::Value* value) {
  llvm::IRBuilder<> builder(&marker);
  llvm::Value* const phase = builder.CreateAlignedLoad(
      builder.getInt8Ty(), thread_field(builder, thread, context.recipes.phase_offset), llvm::Align(1),
      "phase");
  llvm::Instruction* const cold =
      llvm::SplitBlockAndInsertIfThen(builder.CreateICmpNE(phase, builder.getInt8(0)), marker.getIterator(),
                                      false, cold_first(marker.getContext()));
  cold->getParent()->setName("store.cold");
  builder.SetInsertPoint(cold);
  /* The cold block computes the address itself: the store keeps its own addressing mode. */
  if (auto* address = llvm::dyn_cast<llvm::GetElementPtrInst>(slot))
    slot = builder.Insert(address->clone());
  llvm::Type* const reference = value->getType();
  const llvm::FunctionCallee callee =
      stub(context.module, kStoreStub, builder.getVoidTy(), {reference, reference}, true);
  call_stub(builder, callee, thread, {slot, value});
  marker.eraseFromParent();
}

llvm::Value* thread_field(llvm::IRBuilder<>& builder, llvm::Value* thread, uint32_t offset) {
  return builder.CreateConstInBoundsGEP1_64(builder.getInt8Ty(), thread, offset);
}

llvm::MDNode* cold_first(llvm::LLVMContext& context) {
  return llvm::MDBuilder(context).createBranchWeights(1, 1u << 20);
}

llvm::FunctionCallee stub(llvm::Module& module, const char* name, llvm::Type* result,
                          llvm::ArrayRef<llvm::Type*> parameters, bool leaf) {
  llvm::SmallVector<llvm::Type*> types{llvm::PointerType::get(module.getContext(), 0)};
  llvm::append_range(types, parameters);
  llvm::FunctionCallee callee =
      module.getOrInsertFunction(name, llvm::FunctionType::get(result, types, false));
  auto* const function = llvm::cast<llvm::Function>(callee.getCallee());
  function->setCallingConv(llvm::CallingConv::PreserveMost);
  function->setDoesNotThrow();
  function->addFnAttr(llvm::Attribute::Cold);
  function->addParamAttr(0, llvm::Attribute::SwiftSelf);
  if (leaf)
    function->addFnAttr(kLeafAttribute);
  return callee;
}

llvm::CallInst* call_stub(llvm::IRBuilder<>& builder, llvm::FunctionCallee callee, llvm::Value* thread,
                          llvm::ArrayRef<llvm::Value*> arguments) {
  llvm::SmallVector<llvm::Value*> all{thread};
  llvm::append_range(all, arguments);
  llvm::CallInst* const call = builder.CreateCall(callee, all);
  call->setCallingConv(llvm::CallingConv::PreserveMost);
  call->addParamAttr(0, llvm::Attribute::SwiftSelf);
  return call;
}

void call_whole_store(ModuleContext& context, llvm::IRBuilder<>& builder, llvm::Function& function,
                      llvm::Value* slot, llvm::Value* word) {
  const llvm::FunctionCallee callee =
      stub(context.module, kStoreWholeStub, builder.getVoidTy(), {slot->getType(), word->getType()}, true);
  call_stub(builder, callee, thread_of(function), {slot, word});
}

bool announce_store(ModuleContext& context, llvm::IRBuilder<>& builder, llvm::Function& function,
                    llvm::Value* slot, llvm::Value* value) {
  if (!wants_barriers(context))
    return false;
  builder.CreateCall(barrier_marker(context), {thread_of(function), slot, value});
  ++context.counters.barriers;
  return true;
}

void lower_stores(ModuleContext& context, llvm::Function& function) {
  const auto initialising = initialising_stores(context, function);
  llvm::SmallVector<llvm::StoreInst*> stores;
  for (llvm::Instruction& instruction : llvm::instructions(function))
    if (is_heap_store_of_references(instruction))
      stores.push_back(llvm::cast<llvm::StoreInst>(&instruction));
  const bool barriers = wants_barriers(context);
  for (llvm::StoreInst* store : stores) {
    const bool with_barrier = barriers && (context.called_operations || !initialising.contains(store));
    if (barriers)
      ++(with_barrier ? context.counters.barriers : context.counters.barriers_elided);
    lower(context, *store, with_barrier);
  }
}

const llvm::Value* slot_of_barrier(const llvm::Instruction& instruction) {
  const auto* call = llvm::dyn_cast<llvm::CallInst>(&instruction);
  const llvm::Function* const callee = call != nullptr ? call->getCalledFunction() : nullptr;
  return callee != nullptr && callee->getName() == kBarrierMarker ? call->getArgOperand(1) : nullptr;
}

void expand_barriers(ModuleContext& context) {
  llvm::Function* const marker = context.module.getFunction(kBarrierMarker);
  if (marker == nullptr)
    return;
  for (llvm::User* user : llvm::make_early_inc_range(marker->users())) {
    auto& call = *llvm::cast<llvm::CallInst>(user);
    expand_barrier(context, call, call.getArgOperand(0), call.getArgOperand(1), call.getArgOperand(2));
  }
  marker->eraseFromParent();
}

} // namespace echo::jit
