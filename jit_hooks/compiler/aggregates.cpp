/* SPDX-License-Identifier: MIT
 *
 * compiler/aggregates.cpp - struct and array values that contain references, taken apart before statepoints
 * are made.
 *
 * Purpose     LLVM's statepoint pass tracks references and vectors of them, not those inside struct values. A
 * struct value is therefore split where it is made and put together again where it is used. Invariants
 * [jit.aggregate.1] No struct or array value with references is live over a safepoint.
 */
#include "compiler/context.h"

#include "llvm/Analysis/ValueTracking.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/Transforms/Utils/Local.h"

namespace echo::jit {
namespace {

using Path = llvm::SmallVector<unsigned, 4>;

bool is_aggregate_with_references(const llvm::Value& value) {
  return value.getType()->isAggregateType() && contains_reference(value.getType());
}

void leaf_paths(llvm::Type* type, Path& path, llvm::SmallVectorImpl<Path>& out) {
  const auto* structure = llvm::dyn_cast<llvm::StructType>(type);
  const auto* array = llvm::dyn_cast<llvm::ArrayType>(type);
  if (structure == nullptr && array == nullptr) {
    out.push_back(path);
    return;
  }
  const unsigned count =
      structure != nullptr ? structure->getNumElements() : static_cast<unsigned>(array->getNumElements());
  for (unsigned i = 0; i < count; ++i) {
    path.push_back(i);
    leaf_paths(structure != nullptr ? structure->getElementType(i) : array->getElementType(), path, out);
    path.pop_back();
  }
}

/* The leaves of one value, as values of their own. */
struct Leaves {
  llvm::SmallVector<Path> paths;
  llvm::SmallVector<llvm::Value*> values;
};

llvm::Value* assemble(const Leaves& leaves, llvm::Type* type, llvm::Instruction* before) {
  llvm::IRBuilder<> builder(before);
  llvm::Value* whole = llvm::PoisonValue::get(type);
  for (size_t i = 0; i < leaves.paths.size(); ++i)
    whole = builder.CreateInsertValue(whole, leaves.values[i], leaves.paths[i]);
  return whole;
}

/* Replaces every use of `value` but those in `keep` by a copy assembled just before the use. */
void assemble_at_uses(llvm::Value& value, const Leaves& leaves, llvm::ArrayRef<llvm::User*> keep) {
  llvm::SmallVector<llvm::Use*> uses;
  for (llvm::Use& use : value.uses())
    if (!llvm::is_contained(keep, use.getUser()))
      uses.push_back(&use);
  for (llvm::Use* use : uses) {
    auto* user = llvm::cast<llvm::Instruction>(use->getUser());
    llvm::Instruction* before = user;
    if (auto* phi = llvm::dyn_cast<llvm::PHINode>(user))
      before = phi->getIncomingBlock(*use)->getTerminator();
    use->set(assemble(leaves, value.getType(), before));
  }
}

/* A phi of structs becomes phis of their members. */
void split_phi(llvm::PHINode& phi) {
  Leaves leaves;
  Path path;
  leaf_paths(phi.getType(), path, leaves.paths);
  for (const Path& leaf : leaves.paths) {
    auto* const member = llvm::PHINode::Create(llvm::ExtractValueInst::getIndexedType(phi.getType(), leaf),
                                               phi.getNumIncomingValues(), "", phi.getIterator());
    for (unsigned i = 0; i < phi.getNumIncomingValues(); ++i) {
      llvm::IRBuilder<> builder(phi.getIncomingBlock(i)->getTerminator());
      /* The same block may come in several times: all its entries must agree. */
      const int earlier = member->getBasicBlockIndex(phi.getIncomingBlock(i));
      llvm::Value* const value = earlier >= 0 ? member->getIncomingValue(static_cast<unsigned>(earlier))
                                              : builder.CreateExtractValue(phi.getIncomingValue(i), leaf);
      member->addIncoming(value, phi.getIncomingBlock(i));
    }
    leaves.values.push_back(member);
  }
  assemble_at_uses(phi, leaves, {});
  phi.eraseFromParent();
}

void split(llvm::Value& value, llvm::Instruction* after) {
  Leaves leaves;
  Path path;
  leaf_paths(value.getType(), path, leaves.paths);
  llvm::IRBuilder<> builder(after);
  llvm::SmallVector<llvm::User*> extractions;
  for (const Path& leaf : leaves.paths) {
    llvm::Value* const member = builder.CreateExtractValue(&value, leaf);
    leaves.values.push_back(member);
    if (auto* user = llvm::dyn_cast<llvm::User>(member))
      extractions.push_back(user);
  }
  assemble_at_uses(value, leaves, extractions);
}

/* Reads members out of the chains made above, and drops what nobody uses. Not by InstSimplify: it would see
 * that a chain rebuilds the value it was taken from, and use that. */
void simplify(llvm::Function& function) {
  llvm::SmallVector<llvm::WeakTrackingVH> dead;
  for (llvm::Instruction& instruction : llvm::instructions(function)) {
    auto* const extract = llvm::dyn_cast<llvm::ExtractValueInst>(&instruction);
    if (extract != nullptr && llvm::isa<llvm::InsertValueInst>(extract->getAggregateOperand()))
      if (llvm::Value* member =
              llvm::FindInsertedValue(extract->getAggregateOperand(), extract->getIndices()))
        extract->replaceAllUsesWith(member);
    if (extract != nullptr || llvm::isa<llvm::InsertValueInst>(instruction))
      dead.emplace_back(&instruction);
  }
  llvm::RecursivelyDeleteTriviallyDeadInstructionsPermissive(dead);
}

} // namespace

void split_aggregates(llvm::Function& function) {
  llvm::SmallVector<llvm::PHINode*> phis;
  for (llvm::Instruction& instruction : llvm::instructions(function))
    if (auto* phi = llvm::dyn_cast<llvm::PHINode>(&instruction); phi && is_aggregate_with_references(*phi))
      phis.push_back(phi);
  for (llvm::PHINode* phi : phis)
    split_phi(*phi);
  llvm::SmallVector<llvm::Instruction*> makers;
  for (llvm::Instruction& instruction : llvm::instructions(function))
    if (is_aggregate_with_references(instruction) && !llvm::isa<llvm::InsertValueInst>(instruction) &&
        !llvm::isa<llvm::InvokeInst>(instruction))
      makers.push_back(&instruction);
  /* Chains that the program itself built are split at their last link. */
  for (llvm::Instruction& instruction : llvm::instructions(function))
    if (llvm::isa<llvm::InsertValueInst>(instruction) && is_aggregate_with_references(instruction) &&
        llvm::any_of(instruction.users(), [](const llvm::User* user) {
          return !llvm::isa<llvm::InsertValueInst>(user) && !llvm::isa<llvm::ExtractValueInst>(user);
        }))
      makers.push_back(&instruction);
  bool any = !phis.empty() || !makers.empty();
  for (llvm::Argument& argument : function.args())
    if (is_aggregate_with_references(argument)) {
      split(argument, &*function.getEntryBlock().getFirstInsertionPt());
      any = true;
    }
  for (llvm::Instruction* maker : makers)
    split(*maker, maker->getNextNode());
  if (any)
    simplify(function);
}

} // namespace echo::jit
