/* SPDX-License-Identifier: MIT
 *
 * compiler/landing_pads.cpp - references that live over a catch in the same function.
 *
 * Purpose     LLVM gives a landing pad either the exception (a pad of type { ptr, i32 }) or the relocated references
 *             of the call that threw (a pad of type token). The statepoint pass writes the second into pads of the
 *             first type; what it wrote is replaced here by words of the frame.
 * Method      Before the invoke, each base that its pad needs is stored in a word of the frame, which the statepoint
 *             lists among its live values: LLVM records the word itself, and a collection during the call rewrites it.
 *             The pad loads it. A pointer into an object becomes its base and a distance, which is a number.
 *
 *               store base -> word; distance = derived - base
 *               invoke ... [ "gc-live"(..., word) ]  unwind pad
 *               pad:  base' = load word; derived' = base' + distance;  poll
 *
 * Invariants  [jit.pad.1] No value from before an invoke is used in its pad or after it but through such a word.
 *             [jit.pad.2] The words are read before the pad's poll, and nothing is read through them until then: a
 *             frame above the watermark holds old addresses, and its first poll is what rewrites them.
 *             A word belongs to one invoke from the store before it to the load in its pad, so all share a few.
 */
#include "compiler/context.h"

#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/Statepoint.h"

namespace echo::jit {
namespace {

class PadWords {
public:
  explicit PadWords(llvm::Function& function) : function_(function) {}

  void keep(llvm::LandingPadInst& pad) {
    llvm::SmallVector<llvm::GCRelocateInst*> relocations;
    for (llvm::User* user : pad.users())
      if (auto* relocation = llvm::dyn_cast<llvm::GCRelocateInst>(user))
        relocations.push_back(relocation);
    if (relocations.empty())
      return;
    used_ = 0;
    words_of_.clear();
    auto* const call = llvm::cast<llvm::InvokeInst>(pad.getParent()->getUniquePredecessor()->getTerminator());
    for (llvm::GCRelocateInst* relocation : relocations) {
      if (!relocation->use_empty())
        relocation->replaceAllUsesWith(carry(*call, *relocation));
      relocation->eraseFromParent();
    }
    if (used_ != 0)
      list(*call);
  }

private:
  llvm::Value* carry(llvm::InvokeInst& call, llvm::GCRelocateInst& relocation) {
    llvm::IRBuilder<> before(&call), after(&relocation);
    llvm::Value *const base = relocation.getBasePtr(), *const value = relocation.getDerivedPtr();
    llvm::Value* const carried = load(before, after, base);
    if (value == base)
      return carried;
    llvm::Type* const number = before.getInt64Ty();
    llvm::Value* const distance = before.CreateSub(before.CreatePtrToInt(value, number),
                                                   before.CreatePtrToInt(base, number), "distance");
    return after.CreateGEP(after.getInt8Ty(), carried, distance);
  }

  llvm::Value* load(llvm::IRBuilder<>& before, llvm::IRBuilder<>& after, llvm::Value* base) {
    llvm::AllocaInst*& word = words_of_[base];
    if (word == nullptr) {
      word = next_word(base->getType());
      before.CreateAlignedStore(base, word, llvm::Align(8), true);
    }
    return after.CreateAlignedLoad(base->getType(), word, llvm::Align(8), true);
  }

  llvm::AllocaInst* next_word(llvm::Type* type) {
    if (used_ == words_.size()) {
      llvm::IRBuilder<> entry(&*function_.getEntryBlock().getFirstInsertionPt());
      words_.push_back(entry.CreateAlloca(type, nullptr, "kept"));
    }
    return words_[used_++];
  }

  /* The call again, with the words among its live values. */
  void list(llvm::InvokeInst& call) {
    llvm::SmallVector<llvm::OperandBundleDef, 4> bundles;
    call.getOperandBundlesAsDefs(bundles);
    for (llvm::OperandBundleDef& bundle : bundles)
      if (bundle.getTag() == "gc-live") {
        std::vector<llvm::Value*> live(bundle.inputs().begin(), bundle.inputs().end());
        live.insert(live.end(), words_.begin(), words_.begin() + static_cast<std::ptrdiff_t>(used_));
        bundle = llvm::OperandBundleDef("gc-live", std::move(live));
      }
    llvm::InvokeInst* const listing = llvm::InvokeInst::Create(&call, bundles, call.getIterator());
    listing->takeName(&call);
    listing->copyMetadata(call);
    call.replaceAllUsesWith(listing);
    call.eraseFromParent();
  }

  llvm::Function& function_;
  llvm::SmallVector<llvm::AllocaInst*> words_;
  size_t used_ = 0; /* of them, by the invoke at hand */
  llvm::DenseMap<llvm::Value*, llvm::AllocaInst*> words_of_;
};

/* Test only: what a pad would use without all this. */
void use_old_values(llvm::LandingPadInst& pad) {
  for (llvm::User* user : llvm::make_early_inc_range(pad.users()))
    if (auto* relocation = llvm::dyn_cast<llvm::GCRelocateInst>(user)) {
      relocation->replaceAllUsesWith(relocation->getDerivedPtr());
      relocation->eraseFromParent();
    }
}

} // namespace

void keep_over_catches(ModuleContext& context) {
  for (llvm::Function& function : context.module) {
    if (!is_collected(function))
      continue;
    PadWords words(function);
    for (llvm::BasicBlock& block : function)
      if (llvm::LandingPadInst* pad = block.getLandingPadInst()) {
        if (context.allows(ECHO_JIT_STALE_IN_PADS))
          use_old_values(*pad);
        else
          words.keep(*pad);
      }
  }
}

} // namespace echo::jit
