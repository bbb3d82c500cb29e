/* SPDX-License-Identifier: MIT
 *
 * compiler/merged_allocations.cpp - several allocations of a block behind one comparison with the limit.
 *
 * Shape       before:  cursor = load; if cursor + bytes of all > load limit: alone
 *             together: the region, its allocations bumping the cursor without asking
 *             alone:    a copy of the region, each allocation by its cold path
 *             behind:   phis of what the region computes
 * Why a copy  Each copy has its allocations in the program's order and nothing moves over anything, so a cold path that
 *             fails, collects, or keeps inline allocation off (stress options) does what it does without merging. It
 *             tries the cursor first, so a hole too short for all is still used.
 * Invariants  [jit.alloc.4] A region contains no safepoint but its allocations: `together`, no object is seen by the
 *             collector before the region ends, and all count as new [bar.init.1]; `alone`, each does up to the next.
 *             [jit.alloc.5] The cursor never stands behind memory that has no header: each allocation moves it itself.
 */
#include "compiler/allocation_lowering.h"
#include "compiler/operations.h"

#include "llvm/IR/DebugProgramInstruction.h"
#include "llvm/Transforms/Utils/BasicBlockUtils.h"
#include "llvm/Transforms/Utils/Cloning.h"

namespace echo::jit {
namespace {

constexpr uint64_t kMostBytes = 512;         /* together: holes of this size are common */
constexpr size_t kMostInstructions = 48;     /* copied, allocations not counted */
constexpr int64_t kInitialisingBytes = 1024; /* [bar.init.1] */

struct Region {
  llvm::SmallVector<Allocation, 8> allocations;
  uint64_t bytes = 0;
  llvm::Instruction* end = nullptr; /* the first instruction behind it */
};

class Merger {
public:
  Merger(ModuleContext& context, AllocationLowering& lowering,
         const llvm::SmallVectorImpl<Allocation>& allocations)
      : context_(context), lowering_(lowering) {
    for (const Allocation& allocation : allocations)
      layouts_[allocation.call] = allocation.layout;
  }

  /* Regions of one block, in order. */
  llvm::SmallVector<Region> regions(llvm::BasicBlock& block) {
    llvm::SmallVector<Region> found;
    for (llvm::BasicBlock::iterator at = block.begin(); at != block.end(); ++at)
      if (layouts_.contains(&*at)) {
        Region region = region_at(at);
        if (region.allocations.size() < 2)
          continue;
        at = region.allocations.back().call->getIterator();
        found.push_back(std::move(region));
      }
    return found;
  }

  void merge(const Region& region) {
    llvm::CallInst* const first = region.allocations.front().call;
    llvm::BasicBlock* const before = first->getParent();
    llvm::BasicBlock* const together = llvm::SplitBlock(before, first->getIterator());
    llvm::BasicBlock* const behind = llvm::SplitBlock(together, region.end->getIterator());
    llvm::ValueToValueMapTy copies;
    llvm::BasicBlock* const alone = llvm::CloneBasicBlock(together, copies, "", together->getParent());
    llvm::remapInstructionsInBlocks({alone}, copies);
    together->setName("new.together");
    alone->setName("new.alone");
    llvm::Value* cursor = branch(*before, *together, *alone, region.bytes);
    join(*together, *alone, *behind, copies);
    drop_barriers(*together, region);
    for (const Allocation& allocation : region.allocations) {
      lowering_.lower_cold({llvm::cast<llvm::CallInst>(copies[allocation.call]), allocation.layout});
      cursor = lowering_.lower_at(allocation, cursor);
    }
  }

private:
  /* Allocations from `at` on, and behind the last of them the stores that initialise one. */
  Region region_at(llvm::BasicBlock::iterator at) {
    Region region, with_stores;
    size_t instructions = 0;
    for (; !at->isTerminator() && instructions <= kMostInstructions; ++at) {
      if (const auto known = layouts_.find(&*at); known != layouts_.end()) {
        const Allocation allocation{llvm::cast<llvm::CallInst>(&*at), known->second};
        const std::optional<uint64_t> bytes = lowering_.bytes_at_cursor(allocation);
        if (!bytes || region.bytes + *bytes > kMostBytes)
          break;
        region.bytes += *bytes;
        region.allocations.push_back(allocation);
        region.end = at->getNextNode();
        continue;
      }
      if (may_stop(*at))
        break;
      ++instructions;
      if (const auto* store = llvm::dyn_cast<llvm::StoreInst>(&*at);
          store != nullptr && is_of(region, store->getPointerOperand()))
        region.end = at->getNextNode();
    }
    return region;
  }

  /* Anything at which the collector may look at the thread, or behind which control may not go on. */
  bool may_stop(const llvm::Instruction& instruction) const {
    const auto* call = llvm::dyn_cast<llvm::CallBase>(&instruction);
    if (call == nullptr)
      return llvm::isa<llvm::PHINode>(instruction) || llvm::isa<llvm::AllocaInst>(instruction);
    if (llvm::isa<llvm::IntrinsicInst>(call))
      return call->getType()->isTokenTy() || call->cannotDuplicate();
    if (call->isInlineAsm() || call->cannotDuplicate() || call->isConvergent())
      return true;
    if (is_poll_marker(*call))
      return !context_.allows(ECHO_JIT_ELIDE_OVER_SAFEPOINTS);
    return is_safepoint_call(*call) && !context_.allows(ECHO_JIT_ELIDE_OVER_SAFEPOINTS);
  }

  /* The object of the region that a constant offset within the bound of [bar.init.1] leads to. */
  bool is_of(const Region& region, const llvm::Value* pointer) const {
    llvm::APInt offset(64, 0);
    const llvm::Value* const object =
        pointer->stripAndAccumulateConstantOffsets(context_.module.getDataLayout(), offset, true);
    return offset.getSExtValue() >= 0 && offset.getSExtValue() < kInitialisingBytes &&
           llvm::any_of(
               region.allocations, [&](const Allocation& allocation) { return allocation.call == object; });
  }

  /* Ends `before` with the one comparison; the cursor. */
  llvm::Value* branch(llvm::BasicBlock& before, llvm::BasicBlock& together, llvm::BasicBlock& alone,
                      uint64_t bytes) {
    llvm::Instruction* const old = before.getTerminator();
    llvm::IRBuilder<> builder(old);
    llvm::Value* const cursor = lowering_.load_cursor(builder);
    llvm::Value* const next = builder.CreateAdd(cursor, builder.getInt64(bytes), "next", true);
    llvm::Value* const limit = lowering_.load_limit(builder);
    builder.CreateCondBr(builder.CreateICmpUGT(next, limit), &alone, &together,
                         cold_first(before.getContext()));
    old->eraseFromParent();
    return cursor;
  }

  /* What the region computes and others use comes from either copy. */
  static void join(llvm::BasicBlock& together, llvm::BasicBlock& alone, llvm::BasicBlock& behind,
                   llvm::ValueToValueMapTy& copies) {
    llvm::IRBuilder<> builder(&*behind.begin());
    for (llvm::Instruction& instruction : together) {
      llvm::SmallVector<llvm::Use*> outside;
      for (llvm::Use& use : instruction.uses())
        if (auto* user = llvm::cast<llvm::Instruction>(use.getUser());
            user->getParent() != &together && user->getParent() != &alone)
          outside.push_back(&use);
      if (outside.empty())
        continue;
      llvm::PHINode* const phi = builder.CreatePHI(instruction.getType(), 2);
      phi->addIncoming(&instruction, &together);
      phi->addIncoming(copies[&instruction], &alone);
      for (llvm::Use* use : outside)
        use->set(phi);
    }
  }

  /* [jit.alloc.4] */
  void drop_barriers(llvm::BasicBlock& together, const Region& region) const {
    if (context_.allows(ECHO_JIT_NO_BARRIER_ELISION))
      return;
    for (llvm::Instruction& instruction : llvm::make_early_inc_range(together)) {
      const llvm::Value* const slot = slot_of_barrier(instruction);
      if (slot != nullptr && is_of(region, slot))
        instruction.eraseFromParent();
    }
  }

  ModuleContext& context_;
  AllocationLowering& lowering_;
  llvm::DenseMap<const llvm::Instruction*, const AllocationLayout*> layouts_;
};

} // namespace

void merge_allocations(ModuleContext& context, llvm::Function& function, AllocationLowering& lowering,
                       llvm::SmallVectorImpl<Allocation>& allocations) {
  if (context.called_operations || context.allows(ECHO_JIT_CURSOR_AS_REFERENCE))
    return;
  Merger merger(context, lowering, allocations);
  llvm::SmallVector<Region> regions;
  for (llvm::BasicBlock& block : function)
    llvm::append_range(regions, merger.regions(block));
  for (const Region& region : regions) {
    merger.merge(region);
    llvm::erase_if(allocations, [&](const Allocation& allocation) {
      return llvm::any_of(region.allocations,
                          [&](const Allocation& merged) { return merged.call == allocation.call; });
    });
  }
}

} // namespace echo::jit
