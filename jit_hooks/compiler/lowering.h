/* SPDX-License-Identifier: MIT
 *
 * compiler/lowering.h - pieces that the lowerings of allocation, store and poll share.
 */
#ifndef ECHO_JIT_COMPILER_LOWERING_H
#define ECHO_JIT_COMPILER_LOWERING_H

#include "compiler/context.h"

#include "llvm/ADT/SetVector.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/Statepoint.h"

namespace echo::jit {

/* Address of a word of the thread block. */
llvm::Value* thread_field(llvm::IRBuilder<>& builder, llvm::Value* thread, uint32_t offset);
/* Branch weights: the first successor is cold. */
llvm::MDNode* cold_first(llvm::LLVMContext& context);
/* A preserve_most stub; its first parameter is the thread. Leaf stubs are no safepoints. */
llvm::FunctionCallee stub(llvm::Module& module, const char* name, llvm::Type* result,
                          llvm::ArrayRef<llvm::Type*> parameters, bool leaf);
llvm::CallInst* call_stub(llvm::IRBuilder<>& builder, llvm::FunctionCallee callee, llvm::Value* thread,
                          llvm::ArrayRef<llvm::Value*> arguments);

/* bulk.cpp: defines a function, given as text, in the module. */
Outcome link_function(llvm::Module& module, const char* name, const char* text);

/* lower_store.cpp: every store of a reference into the heap gets its barrier, expanded like polls. */
void lower_stores(ModuleContext& context, llvm::Function& function);
void expand_barriers(ModuleContext& context);
/* Of a barrier that is not expanded yet: the slot; else null. */
const llvm::Value* slot_of_barrier(const llvm::Instruction& instruction);
/* Does this heap want to hear of stores at all? */
bool wants_barriers(const ModuleContext& context);
/* One test and its cold call, in place of the marker. */
void expand_barrier(ModuleContext& context, llvm::CallInst& marker, llvm::Value* thread, llvm::Value* slot,
                    llvm::Value* value);
/* Level 0: a whole store in one call; of a reference, or of a word with a tag. */
void call_whole_store(ModuleContext& context, llvm::IRBuilder<>& builder, llvm::Function& function,
                      llvm::Value* slot, llvm::Value* word);
/* Announces a store that comes right behind, where this heap wants to hear of it; true if it does. */
bool announce_store(ModuleContext& context, llvm::IRBuilder<>& builder, llvm::Function& function,
                    llvm::Value* slot, llvm::Value* value);
/* lower_exchange.cpp */
bool is_heap_exchange_of_references(const llvm::Instruction& instruction);
void lower_exchanges(ModuleContext& context, llvm::Function& function);
/* lower_tagged.cpp: words that are a reference or an integer with a tag. */
void lower_tagged(ModuleContext& context, llvm::Function& function);
/* lower_weak.cpp: loads of weak slots, expanded like barriers. */
void expand_weak_loads(ModuleContext& context);
/* lower_transitions.cpp: after RS4GC, behind a call that the stub made with the thread native. */
void leave_native_behind(ModuleContext& context, llvm::GCStatepointInst& call);
/* lower_allocation.cpp */
void lower_allocations(ModuleContext& context, llvm::Function& function);
/* lower_poll.cpp: polls at back-edges, returns, landing pads and explicit safepoints; expanded when nothing
 * optimises any more. */
void insert_polls(ModuleContext& context, llvm::Function& function);
void expand_polls(ModuleContext& context);
bool is_poll_marker(const llvm::CallBase& call);
/* Back-edges, and returns and landing pads if there is a safepoint: the instructions to poll before. */
llvm::SmallSetVector<llvm::Instruction*, 16> poll_points(const ModuleContext& context,
                                                         llvm::Function& function);
/* One comparison and its cold call of `cold_stub`, in place of the marker. */
void expand_poll(ModuleContext& context, llvm::CallInst& marker, llvm::Value* thread, const char* cold_stub);

} // namespace echo::jit

#endif // ECHO_JIT_COMPILER_LOWERING_H
