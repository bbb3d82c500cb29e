/* SPDX-License-Identifier: MIT
 *
 * compiler/context.h - what the steps of one module's compilation share.
 *
 * Words       reference: `ptr addrspace(1)`. collected function: one with `gc "echo"`, whose calls become
 * statepoints. leaf: carries "gc-leaf-function". native: declared in the module only.
 */
#ifndef ECHO_JIT_COMPILER_CONTEXT_H
#define ECHO_JIT_COMPILER_CONTEXT_H

#include "echo/jit.h"
#include "native_symbol.h"
#include "outcome.h"

#include "llvm/ADT/StringMap.h"
#include "llvm/IR/InstrTypes.h"
#include "llvm/IR/IntrinsicInst.h"
#include "llvm/IR/Module.h"

#include <functional>
#include <string>

namespace echo::jit {

inline constexpr unsigned kReferenceSpace = 1;
inline constexpr const char* kStrategy = "echo";
inline constexpr const char* kLeafAttribute = "gc-leaf-function";
inline constexpr const char* kBlockingAttribute = "echo-blocking";

/* What lowering must know of the layout behind one allocation function. */
struct AllocationLayout {
  echo_layout_id id = 0;
  bool is_array = false;
  uint64_t fixed_bytes = 0;
  uint32_t element_bytes = 0, alignment = 8;
  uint64_t header_word = 0;
  uint32_t kind = 0; /* echo_layout_kind */
  llvm::GlobalVariable* binding =
      nullptr;                 /* ahead of time: where number and header word are from the start on */
  bool is_finalizable = false; /* always allocated by the cold path [abi.final.5] */
};

struct Counters {
  uint64_t polls = 0, barriers = 0, barriers_elided = 0, functions = 0;
};

/* The native symbols that the VM defined, by name. */
using KnownSymbols = llvm::StringMap<NativeSymbol>;

struct ModuleContext {
  llvm::Module& module;
  std::string name; /* as the VM gave it: appears in messages */
  const echo_heap_api& api;
  echo_heap* heap;
  const echo_recipes& recipes;
  uint32_t switches;
  bool called_operations; /* level 0 [jit.level.1] */
  const KnownSymbols& defined;
  llvm::StringMap<AllocationLayout> allocations; /* by name of the allocation function */
  Counters counters;
  bool ahead_of_time = false; /* numbers of layouts are found when the program starts [aot.layout.1] */
  bool detect_races = false;  /* the thread sanitizer must see what orders threads: exchanges inline */
  uint32_t profile = 0;       /* ECHO_JIT_PROFILE_* */

  bool allows(uint32_t one_switch) const { return (switches & one_switch) != 0; }
};

/* --- types
 * ------------------------------------------------------------------------------------------------------- */

inline bool is_reference(const llvm::Type* type) {
  const auto* pointer = llvm::dyn_cast<llvm::PointerType>(type);
  return pointer != nullptr && pointer->getAddressSpace() == kReferenceSpace;
}
inline bool is_reference_or_vector(const llvm::Type* type) {
  return is_reference(type->getScalarType());
}
bool contains_reference(const llvm::Type* type);

/* --- functions
 * --------------------------------------------------------------------------------------------------- */

inline bool is_leaf(const llvm::Function& function) {
  return function.hasFnAttribute(kLeafAttribute);
}
inline bool is_collected(const llvm::Function& function) {
  return !function.isDeclaration() && function.hasGC();
}
/* The thread parameter, after add_thread_parameters. */
llvm::Argument* thread_of(llvm::Function& function);
/* May this call let a collection happen? Decides what becomes a statepoint. */
bool is_safepoint_call(const llvm::CallBase& call);

/* --- the steps, in order (pipeline.cpp)
 * ------------------------------------------------------------------------------ */

Outcome add_bulk_functions(ModuleContext& context);  /* bulk.cpp: what array_copy and array_fill call */
Outcome read_level(ModuleContext& context);          /* annotations.cpp: the module flag */
void read_annotations(ModuleContext& context);       /* annotations.cpp: leaf marks, gc "echo" */
void set_frame_attributes(llvm::Function& function); /* annotations.cpp [jit.frame.1] */
bool is_library_leaf(llvm::StringRef name);          /* annotations.cpp [jit.leaf.1] */
Outcome check_natives(ModuleContext& context);       /* natives.cpp: symbols whose type the VM told */
Outcome check_operations(ModuleContext& context);    /* operations.cpp: declarations and uses of echo.gc.* */
void prepare_stores(ModuleContext& context);         /* operations.cpp: store operations become stores */
void prepare_bulk(ModuleContext& context);           /* bulk.cpp */
void expand_masked(ModuleContext& context);          /* masked.cpp: before the checks */
Outcome check_module(ModuleContext& context);        /* checks.cpp: the refusals, after promotion to SSA */
Outcome resolve_layouts(ModuleContext& context);     /* layouts.cpp: one allocation function per layout */
void add_thread_parameters(ModuleContext& context);  /* calls.cpp */
void rewrite_calls(ModuleContext& context);          /* calls.cpp: natives through the stub */
void lower_operations(ModuleContext& context);       /* lower_*.cpp, operations.cpp */
void split_aggregates(llvm::Function& function);     /* aggregates.cpp: before statepoints */
void split_vectors(llvm::Function& function);        /* vectors.cpp: behind that */
void finish_vectors(ModuleContext& context);         /* vectors.cpp: after RS4GC */
Outcome check_leftovers(ModuleContext& context);     /* leftovers.cpp: nothing RS4GC cannot see */
void keep_over_catches(ModuleContext& context);      /* landing_pads.cpp: after RS4GC */
void finish_calls(ModuleContext& context);           /* calls.cpp: after RS4GC, one stub for all natives */
void finish_exchanges(ModuleContext& context);       /* lower_exchange.cpp: after RS4GC */
void finish_tagged(ModuleContext& context);          /* lower_tagged.cpp: after RS4GC */
void finish_hashes(ModuleContext& context);          /* lower_hash.cpp: after RS4GC */
void finish_allocations(ModuleContext& context);     /* lower_allocation.cpp: after RS4GC */
Outcome emit_global_roots(ModuleContext& context);   /* global_roots.cpp */

/* The list that emit_global_roots makes. */
inline constexpr const char* kRootsList = "echo.roots";
/* Those that unmodified/variables.cpp makes. */
inline constexpr const char* kAmbiguousList = "echo.ambiguous";
inline constexpr const char* kLiteralsList = "echo.literals";

} // namespace echo::jit

#endif // ECHO_JIT_COMPILER_CONTEXT_H
