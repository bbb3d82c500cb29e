/* SPDX-License-Identifier: MIT
 *
 * compiler/allocation_lowering.h - the allocations of one function: each by itself (lower_allocation.cpp), or several
 * behind one comparison with the limit (merged_allocations.cpp).
 */
#ifndef ECHO_JIT_COMPILER_ALLOCATION_LOWERING_H
#define ECHO_JIT_COMPILER_ALLOCATION_LOWERING_H

#include "compiler/lowering.h"

#include <optional>

namespace echo::jit {

struct Allocation {
  llvm::CallInst* call;
  const AllocationLayout* layout;
};

class AllocationLowering {
public:
  AllocationLowering(ModuleContext& context, llvm::Function& function);

  /* With a comparison and a cold path of its own. */
  void lower(const Allocation& allocation);

  /* The bytes that the object takes, if they are constant, may be taken inline, and begin at the cursor. */
  std::optional<uint64_t> bytes_at_cursor(const Allocation& allocation);
  llvm::Value* load_cursor(llvm::IRBuilder<>& builder);
  llvm::Value* load_limit(llvm::IRBuilder<>& builder);
  /* Takes them from `cursor`, where they are known to be free; the cursor behind them. */
  llvm::Value* lower_at(const Allocation& allocation, llvm::Value* cursor);
  /* By the cold path alone. */
  void lower_cold(const Allocation& allocation);

private:
  void begin(const Allocation& allocation);
  void finish(llvm::Value* object);
  uint64_t rounded(uint64_t bytes) const;
  uint64_t largest_length() const;
  bool fits_inline() const;
  uint64_t constant_bytes(uint64_t length) const;
  uint64_t first_payload() const;
  uint64_t rounded_fixed() const { return layout_->fixed_bytes + recipes_.granule - 1; }

  llvm::Value* load_start(llvm::IRBuilder<>& builder);
  void fill_gap(llvm::Value* start, llvm::Instruction* end);
  llvm::Value* load_word(llvm::IRBuilder<>& builder, uint32_t offset, const char* name);
  llvm::Value* emit_cold(llvm::Instruction* end);
  llvm::Value* layout_number(llvm::IRBuilder<>& builder);
  llvm::Value* header_word(llvm::IRBuilder<>& builder);
  void store_header(llvm::IRBuilder<>& builder, llvm::Value* object);
  llvm::PHINode* branch(llvm::Value* cursor, llvm::Value* next, llvm::Value* is_cold,
                        llvm::Value* zero_bytes);
  void zero_constant(llvm::Value* object, uint64_t size);
  llvm::Value* inline_constant(uint64_t length);
  llvm::Value* inline_variable();
  llvm::Value* inline_by_reference(uint64_t size);

  ModuleContext& context_;
  const echo_recipes& recipes_;
  llvm::Function& function_;
  llvm::Value* thread_;
  llvm::Type* reference_;
  llvm::Type* word_;
  llvm::FunctionCallee cold_stub_;
  llvm::CallInst* call_ = nullptr;
  const AllocationLayout* layout_ = nullptr;
  llvm::Value* length_ = nullptr;
  llvm::PHINode* forwarded_ = nullptr;
  llvm::Value* cursor_ = nullptr; /* where free memory begins: the object's start, or a gap before it */
};

/* merged_allocations.cpp: lowers what it merges, and leaves the rest in `allocations`. */
void merge_allocations(ModuleContext& context, llvm::Function& function, AllocationLowering& lowering,
                       llvm::SmallVectorImpl<Allocation>& allocations);

} // namespace echo::jit

#endif // ECHO_JIT_COMPILER_ALLOCATION_LOWERING_H
