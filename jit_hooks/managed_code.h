/* SPDX-License-Identifier: MIT
 *
 * managed_code.h - compiled code on one heap, however it was made: entered, walked, named, left.
 *
 * Purpose     What the JIT and code compiled ahead of time have in common: the heap's recipes, the code index, the
 *             frame source, the registered root words, calls into the code and ways out of it.
 * Invariants  [jit.roots.2] Root words are registered before an address of their module is handed out, and removed
 *             before its memory is. [unmod.variable.2] So are ambiguous ranges, and literals with whoever wants to hear
 *             of them.
 */
#ifndef ECHO_JIT_MANAGED_CODE_H
#define ECHO_JIT_MANAGED_CODE_H

#include "echo/heap.h"
#include "echo/jit.h"
#include "entry/entry.h"
#include "maps/code_index.h"
#include "outcome.h"

#include <atomic>
#include <cstdint>
#include <mutex>
#include <vector>

namespace echo::jit {

struct RootRange {
  echo_ref* first = nullptr;
  uint64_t words = 0;
};

struct ByteRange {
  void* first = nullptr;
  uint64_t bytes = 0;
};

/* What the heap and the VM are told of the variables of modules. */
struct VariableRanges {
  std::vector<RootRange> roots;
  std::vector<ByteRange> ambiguous, literals; /* unmodified profile */
};

/* The recipes of `set` as far as this version knows them, checked. VERSION_MISMATCH. */
Outcome read_recipes(const echo_heap_api& api, echo_heap* heap, echo_recipe_set set, echo_recipes& out);

class ManagedCode {
public:
  ManagedCode(const echo_heap_api& api, echo_heap* heap) : api_(api), heap_(heap) {}
  ~ManagedCode() { release(); }
  ManagedCode(const ManagedCode&) = delete;
  ManagedCode& operator=(const ManagedCode&) = delete;

  /* Null arguments, or a table that is too old. */
  static Outcome check_heap(const echo_heap_api* api, const echo_heap* heap);
  Outcome take_recipes(echo_recipe_set set) { return read_recipes(api_, heap_, set, recipes_); }
  /* Becomes the heap's frame source. */
  Outcome provide_frames();
  /* Tells the heap of root words and ambiguous ranges, the VM of literals. */
  Outcome add_variables(const VariableRanges& ranges);
  /* Those of one module, before its memory is freed. */
  void remove_variables(const VariableRanges& ranges);
  /* Who wants to hear of literals; before any are added. */
  void tell_literals(echo_jit_literal_fn literal, void* context) {
    literal_ = literal;
    literal_context_ = context;
  }
  /* Takes back what the heap was given: to be called before the memory of the code is freed. */
  void release();

  const echo_heap_api& api() const { return api_; }
  echo_heap* heap() const { return heap_; }
  const echo_recipes& recipes() const { return recipes_; }
  CodeIndex& index() { return index_; }
  /* Test only: entries that do not keep other calls from being abandoned. */
  void leave_entries_unguarded(bool unguarded) { unguarded_entries_ = unguarded; }
  bool active() const { return active_calls_.load() != 0; }

  Outcome call(echo_thread* thread, void* function, const uint64_t* arguments, uint32_t count,
               uint64_t& result);
  void abandon(echo_thread* thread, const echo_error* why);
  /* Ends the innermost call of the ManagedCode at `context` with the thread's latest error: the raise stub's target. */
  static void raise(echo_thread* thread, void* context);
  echo_status function_at(uintptr_t pc, char* name, uint64_t capacity) const;
  echo_status function_type(const void* function, char* type, uint64_t capacity) const;

private:
  void withdraw(const VariableRanges& ranges);

  const echo_heap_api& api_;
  echo_heap* const heap_;
  echo_recipes recipes_{};
  bool is_source_ = false, unguarded_entries_ = false;
  CodeIndex index_;
  std::mutex variables_lock_;
  VariableRanges variables_; /* what was added and not removed */
  echo_jit_literal_fn literal_ = nullptr;
  void* literal_context_ = nullptr;
  std::atomic<uint64_t> active_calls_{0};
};

} // namespace echo::jit

#endif // ECHO_JIT_MANAGED_CODE_H
