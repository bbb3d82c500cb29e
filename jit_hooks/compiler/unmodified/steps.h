/* SPDX-License-Identifier: MIT
 *
 * compiler/unmodified/steps.h - output of the Echo compiler as it is: what the steps of its compilation share.
 *
 * Profile     ECHO_JIT_PROFILE_UNMODIFIED: plain pointers, no roots, no barriers, no polls, no layouts. Frames and module
 *             variables are ambiguous roots; objects are of layouts that are traced word by word. Nothing moves.
 * Marks       What a step adds before optimisation are calls of functions that the optimiser knows nothing of, each a
 *             promise: a store mark stands right before its store. They become instructions when nothing optimises any
 *             more, and once functions have their thread.
 *
 *               void @echo.unmodified.store(ptr slot, ptr value)    the word at `slot` is about to become `value`, or no
 *                                                                   pointer that is known (null)
 *               i1   @echo.unmodified.listening()                   does the heap want to hear of stores
 *               void @echo.unmodified.poll()
 *               void @echo.unmodified.announce(ptr to, ptr from, i64 bytes)   every word of a range; a function of the
 *                                                                   module's own, of the marks above
 *
 * Invariants  [unmod.order.1] No poll lies between a store mark and its store: what was logged is what is overwritten.
 */
#ifndef ECHO_JIT_COMPILER_UNMODIFIED_STEPS_H
#define ECHO_JIT_COMPILER_UNMODIFIED_STEPS_H

#include "compiler/context.h"
#include "compiler/pipeline.h"

#include "llvm/IR/IRBuilder.h"

namespace echo::jit {

Outcome run_unmodified_pipeline(ModuleContext& context, llvm::TargetMachine& machine,
                                const PipelineOptions& options, PipelineTimes& times);

namespace unmodified {

inline constexpr const char* kPrefix = "echo.unmodified.";
inline constexpr const char* kStoreMark = "echo.unmodified.store";
inline constexpr const char* kListeningMark = "echo.unmodified.listening";
inline constexpr const char* kPollMark = "echo.unmodified.poll";
inline constexpr const char* kAnnounce = "echo.unmodified.announce";

/* The only function whose argument is a literal's address. */
inline constexpr const char* kStringOfLiteral = "runtime_char_ptr_to_string";

/* --- the steps, in order (pipeline.cpp) */

Outcome check(const ModuleContext& context);       /* checks.cpp: refusals, other profiles */
Outcome rename_allocation(ModuleContext& context); /* names.cpp */
void separate_literals(llvm::Module& module);      /* variables.cpp */
Outcome mark_stores(ModuleContext& context);       /* stores.cpp */
void hoist_locals(llvm::Module& module);           /* locals.cpp */
void mark_polls(ModuleContext& context);           /* marks.cpp */
void keep_bases(llvm::Module& module);             /* bases.cpp: once variables are SSA values */
void expand_marks(ModuleContext& context);         /* marks.cpp: after functions got their thread */
void list_variables(ModuleContext& context);       /* variables.cpp */

/* --- shared by them */

/* Memory that no object of the heap lies in: local variables and variables of the module. */
bool is_local(const llvm::Value* pointer);
/* May a call of this function of the C library stay? It writes nothing but what memory_calls.cpp announces. */
bool is_harmless_library_function(llvm::StringRef name);
/* A call that writes memory and is dealt with: a memory intrinsic, or memcpy and its like by name. */
bool is_announced_call(const llvm::CallBase& call);

/* stores.cpp: announces a store of `value` through `pointer` that comes right behind. */
Outcome announce_store(ModuleContext& context, llvm::Instruction& store, llvm::IRBuilder<>& builder,
                       llvm::Value* pointer, llvm::Value* value, llvm::Align alignment);
/* memory_calls.cpp: announces what a call for which is_announced_call holds will overwrite. */
Outcome announce_call(ModuleContext& context, llvm::CallBase& call);
/* marks.cpp: every word that [to, to + bytes) touches; `from`: where its bytes come from, or null. */
Outcome announce_range(ModuleContext& context, llvm::IRBuilder<>& builder, llvm::Value* to, llvm::Value* from,
                       llvm::Value* bytes);
void mark_store(ModuleContext& context, llvm::IRBuilder<>& builder, llvm::Value* slot, llvm::Value* value);

} // namespace unmodified
} // namespace echo::jit

#endif // ECHO_JIT_COMPILER_UNMODIFIED_STEPS_H
