/* SPDX-License-Identifier: MIT
 *
 * compiler/provenance.h - what a pointer points into: the stack, a module global, the heap, or unknown
 * memory.
 *
 * Invariants  [jit.ref.1] A reference is read from or written to memory outside the heap only where a word of
 * a module global is typed as a reference, at an offset that hits such words exactly: those words are roots.
 *             [jit.ref.2] A pointer into the middle of an object is never passed on as a reference: not
 * stored, returned, or passed to a function that may collect; the stack map would name it as an object.
 */
#ifndef ECHO_JIT_COMPILER_PROVENANCE_H
#define ECHO_JIT_COMPILER_PROVENANCE_H

#include "llvm/ADT/SmallVector.h"

#include <cstdint>

namespace llvm {
class AllocaInst;
class Argument;
class DataLayout;
class GlobalVariable;
class Type;
class Value;
} // namespace llvm

namespace echo::jit {

/* A run of words that hold references: bytes from the start of a variable or type. */
struct ReferenceRun {
  uint64_t offset, words;
};
using ReferenceRuns = llvm::SmallVector<ReferenceRun, 4>;

inline constexpr uint64_t kMaxRootWords = 8192; /* [abi: echo_roots_add] */

/* The reference words of a type, in order; false if there are more than kMaxRootWords. */
bool reference_runs(const llvm::DataLayout& layout, llvm::Type* type, ReferenceRuns& out);

enum class Place {
  RootWords,    /* reference words of a module global, exactly */
  NoReferences, /* memory without references: the access touches no reference word of a global */
  MixedWords,   /* a module global, but not exactly its reference words */
  Stack,        /* `slot`, or a parameter passed in memory */
  Foreign,      /* a global that is declared only: `global` */
  Unknown
};

struct Provenance {
  Place place = Place::Unknown;
  const llvm::AllocaInst* slot = nullptr;
  const llvm::GlobalVariable* global = nullptr;
  const llvm::Argument* parameter = nullptr;
};

/* Where an access of `type` through `pointer` (address space 0) goes. */
Provenance provenance(const llvm::DataLayout& layout, const llvm::Value* pointer, llvm::Type* type);

/* May this reference point behind an object's start? [jit.ref.2] */
bool may_be_interior(const llvm::Value* reference);

} // namespace echo::jit

#endif // ECHO_JIT_COMPILER_PROVENANCE_H
