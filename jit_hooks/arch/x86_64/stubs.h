/* SPDX-License-Identifier: MIT
 *
 * arch/x86_64/stubs.h - the stubs between managed code and the heap's cold paths, generated from the recipes.
 *
 * Purpose     Text of naked functions (AT&T syntax, frame directives included); the JIT assembles them once, an object
 *             compiled ahead of time holds its own. Every offset and address comes from echo_recipes: nothing of the
 *             heap is mirrored here.
 *
 *   allocate      i32 layout (edi), i64 length (rsi), thread (r13) -> rax   preserve_most
 *   store         slot (rdi), value (rsi), thread (r13)                     preserve_most
 *   poll          thread (r13)                                              preserve_most
 *   poll_unanchored  the same, for frames without maps: publishes nothing     preserve_most
 *   level 0: the whole operation, its fast path too                          preserve_most
 *   store_whole             slot (rdi), word (rsi)
 *   exchange_whole          slot (rdi), value (rsi) -> rax
 *   compare_exchange_whole  slot (rdi), expected (rsi), value (rdx) -> rax
 *   poll_whole
 *   call_native   thread (r13), target (r10, "nest"), any arguments          the target's convention
 *   call_blocking the same, and enters native [jit.native.3]                  the target's convention
 *   leave_native  thread (r13)                                              preserve_most
 *   hash          object (rdi), thread (r13) -> rax                         preserve_most
 *   weak_load     slot (rdi), thread (r13) -> rax                           preserve_most
 *   raise         thread (rdi); never returns                               C
 *
 * Invariants  [jit.anchor.1] allocate, poll and call_native publish {sp after return, fp, return address} of
 * the managed frame before control leaves managed code. [jit.stub.1] A preserve_most stub keeps every general
 *             register but r11 and its result; vector registers are the caller's to keep. [jit.stub.2]
 * call_native keeps all argument registers and sets al = 8, the bound of vector registers that a variadic
 * callee may look at: LLVM's statepoint lowering does not set it.
 */
#ifndef ECHO_JIT_STUBS_H
#define ECHO_JIT_STUBS_H

#include "echo/recipes.h"

#include <cstdint>
#include <string>
#include <vector>

namespace echo::jit {

inline constexpr const char* kAllocateStub = "echo.stub.allocate";
inline constexpr const char* kStoreStub = "echo.stub.store";
inline constexpr const char* kPollStub = "echo.stub.poll";
inline constexpr const char* kPollUnanchoredStub = "echo.stub.poll_unanchored";
inline constexpr const char* kCallNativeStub = "echo.stub.call_native";
inline constexpr const char* kStoreWholeStub = "echo.stub.store_whole";
inline constexpr const char* kExchangeWholeStub = "echo.stub.exchange_whole";
inline constexpr const char* kCompareExchangeWholeStub = "echo.stub.compare_exchange_whole";
inline constexpr const char* kPollWholeStub = "echo.stub.poll_whole";
inline constexpr const char* kCallBlockingStub = "echo.stub.call_blocking";
inline constexpr const char* kLeaveNativeStub = "echo.stub.leave_native";
inline constexpr const char* kLeaveNativeWholeStub = "echo.stub.leave_native_whole";
inline constexpr const char* kHashStub = "echo.stub.hash";
inline constexpr const char* kHashWholeStub = "echo.stub.hash_whole";
inline constexpr const char* kWeakLoadStub = "echo.stub.weak_load";
inline constexpr const char* kWeakLoadWholeStub = "echo.stub.weak_load_whole";
inline constexpr const char* kRaiseStub = "echo.stub.raise";

struct Stub {
  const char* name;
  std::string assembly; /* body of a naked function */
};

/* Ends the innermost managed call with the thread's latest error. */
using RaiseFunction = void (*)(echo_thread* thread, void* context);

/* Test only: safeguards that are left out. */
struct StubFaults {
  bool lose_rax = false;  /* of stubs without a result [jit.stub.1] */
  bool no_anchor = false; /* of calls of natives [jit.anchor.1] */
};

/* How stubs reach what lies behind them: texts that call a cold path or jump to `raise`. */
struct StubTargets {
  std::string call_allocate, call_store, call_poll, raise, call_enter_native, call_leave_native, call_hash,
      call_weak_load;
  std::string
      call_exchange{}; /* of a thread's state (address rdi, state esi, order edx), where a thread sanitizer
                                  must see it; else it is one instruction */
};
/* In a process that runs: by their addresses. */
StubTargets targets_by_address(const echo_recipes& recipes, RaiseFunction raise, void* raise_context);
std::string call_of_address(uintptr_t target);

/* Ahead of time: through words that are filled when the program starts. */
inline constexpr const char* kColdCells = "echo.cold";
enum ColdCell : unsigned {
  kAllocateCell,
  kStoreCell,
  kPollCell,
  kRaiseCell,
  kRaiseContextCell,
  kEnterNativeCell,
  kLeaveNativeCell,
  kHashCell,
  kWeakLoadCell,
  kCellCount
};
StubTargets targets_in_cells();

std::vector<Stub> make_stubs(const echo_recipes& recipes, const StubTargets& targets,
                             const StubFaults& faults = {});

} // namespace echo::jit

#endif // ECHO_JIT_STUBS_H
