/* SPDX-License-Identifier: MIT
 *
 * compiler/operations.h - the abstract operations: names and types, one table.
 */
#ifndef ECHO_JIT_COMPILER_OPERATIONS_H
#define ECHO_JIT_COMPILER_OPERATIONS_H

#include "compiler/context.h"

#include <optional>

namespace echo::jit {

/* X(enumerator, name, result, parameters, may it collect): types r reference, p pointer, l i64, b i8, v void
 */
#define ECHO_OPERATION_TABLE(X)                                                                              \
  X(New, "echo.gc.new", 'r', "p", true)                                                                      \
  X(NewArray, "echo.gc.new_array", 'r', "pl", true)                                                          \
  X(Store, "echo.gc.store", 'v', "rrr", false)                                                               \
  X(ArrayStore, "echo.gc.array_store", 'v', "rlr", false)                                                    \
  X(Header, "echo.gc.header", 'l', "r", false)                                                               \
  X(Length, "echo.gc.length", 'l', "r", false)                                                               \
  X(Safepoint, "echo.gc.safepoint", 'v', "", true)                                                           \
  X(RawCopy, "echo.gc.raw_copy", 'v', "rrl", false)                                                          \
  X(RawFill, "echo.gc.raw_fill", 'v', "rbl", false)                                                          \
  X(Exchange, "echo.gc.exchange", 'r', "rrr", false)                                                         \
  X(CompareExchange, "echo.gc.compare_exchange", 'r', "rrrr", false)                                         \
  X(ArrayCopy, "echo.gc.array_copy", 'v', "rlrll", true)                                                     \
  X(ArrayFill, "echo.gc.array_fill", 'v', "rllr", true)                                                      \
  X(TaggedStore, "echo.gc.tagged_store", 'v', "rrll", false)                                                 \
  X(TaggedWord, "echo.gc.tagged_word", 'l', "r", false)                                                      \
  X(TaggedReference, "echo.gc.tagged_reference", 'r', "r", false)                                            \
  X(IdentityHash, "echo.gc.identity_hash", 'l', "r", false)                                                  \
  X(WeakLoad, "echo.gc.weak_load", 'r', "rr", false)

enum class Operation {
#define ECHO_OPERATION_ENUM(enumerator, name, result, parameters, collects) enumerator,
  ECHO_OPERATION_TABLE(ECHO_OPERATION_ENUM)
#undef ECHO_OPERATION_ENUM
};

inline constexpr const char* kOperationPrefix = "echo.gc.";
/* Allocation functions that stand for one layout: prefix and layout number. */
inline constexpr const char* kNewOfLayout = "echo.gc.new.layout.";
inline constexpr const char* kNewArrayOfLayout = "echo.gc.new_array.layout.";

/* The low bits that tell a tagged integer from a reference. */
inline constexpr uint64_t kTagMask = 7;

/* The operation a call performs, if it is a direct call of one. */
std::optional<Operation> operation_of(const llvm::CallBase& call);
/* The layout of a call of an allocation function, or null. */
const AllocationLayout* allocation_of(const ModuleContext& context, const llvm::CallBase& call);
/* Is it a call of an allocation function or an operation that may collect? */
bool operation_collects(const llvm::CallBase& call);

} // namespace echo::jit

#endif // ECHO_JIT_COMPILER_OPERATIONS_H
