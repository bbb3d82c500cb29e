/* SPDX-License-Identifier: MIT
 *
 * compiler/unmodified/bases.cpp - an object that is accessed through a derived pointer stays findable until then.
 *
 * Method      Marking finds an object by any word that points into it. An optimiser may keep, of a pointer and the ones
 *             derived from it, only one that points outside: in front of a slice whose loop counts from another end, say.
 *             So each access through a derived pointer uses its base right behind, in an empty piece of assembly: the base
 *             itself is in a register or on the stack up to there. Bases are found as a collector of precise roots finds
 *             them: through arithmetic, and through phis and selects by a parallel one.
 * Invariants  [unmod.base.1] At every poll and call before an access, a pointer that the program got from elsewhere (a call,
 *             a load, a parameter) into the object of that access is in a register or a word of the stack.
 */
#include "compiler/unmodified/steps.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/IR/InlineAsm.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/IR/IntrinsicInst.h"
#include "llvm/IR/Operator.h"

namespace echo::jit::unmodified {
namespace {

class Bases {
public:
  /* The pointer that `pointer` is derived from; itself if it is from elsewhere. */
  llvm::Value* of(llvm::Value* pointer) {
    llvm::Value* const base = define(pointer);
    while (!open_.empty()) { /* each may bring others; a list, since chains of them may be long */
      const auto [from, to] = open_.pop_back_val();
      if (auto* phi = llvm::dyn_cast<llvm::PHINode>(from)) {
        for (unsigned i = 0; i < phi->getNumIncomingValues(); ++i)
          llvm::cast<llvm::PHINode>(to)->addIncoming(define(phi->getIncomingValue(i)),
                                                     phi->getIncomingBlock(i));
      } else {
        to->setOperand(1, define(from->getOperand(1)));
        to->setOperand(2, define(from->getOperand(2)));
      }
    }
    return base;
  }

private:
  static llvm::Value* one_step(llvm::Value* pointer) {
    if (auto* step = llvm::dyn_cast<llvm::GEPOperator>(pointer))
      return step->getPointerOperand();
    if (auto* freeze = llvm::dyn_cast<llvm::FreezeInst>(pointer))
      return freeze->getOperand(0);
    const auto* call = llvm::dyn_cast<llvm::IntrinsicInst>(pointer);
    return call != nullptr && call->getIntrinsicID() == llvm::Intrinsic::ptrmask ? call->getArgOperand(0)
                                                                                 : nullptr;
  }

  /* A phi or select gets one of bases beside it, whose operands are defined later. */
  llvm::Value* define(llvm::Value* pointer) {
    while (llvm::Value* const from = one_step(pointer))
      pointer = from;
    if (!llvm::isa<llvm::PHINode, llvm::SelectInst>(pointer))
      return pointer;
    auto& given = llvm::cast<llvm::Instruction>(*pointer);
    if (const auto known = known_.find(&given); known != known_.end())
      return known->second;
    llvm::Instruction* base = nullptr;
    if (auto* phi = llvm::dyn_cast<llvm::PHINode>(&given))
      base = llvm::PHINode::Create(phi->getType(), phi->getNumIncomingValues(), "base", phi->getIterator());
    else {
      base = given.clone();
      base->insertBefore(given.getIterator());
    }
    known_[&given] = base;
    known_[base] = base;
    open_.push_back({&given, base});
    return base;
  }

  llvm::DenseMap<llvm::Instruction*, llvm::Instruction*> known_;
  llvm::SmallVector<std::pair<llvm::Instruction*, llvm::Instruction*>> open_;
};

void use(llvm::Value* base, llvm::Instruction* behind) {
  llvm::LLVMContext& context = base->getContext();
  auto* const type = llvm::FunctionType::get(llvm::Type::getVoidTy(context), {base->getType()}, false);
  llvm::InlineAsm* const nothing = llvm::InlineAsm::get(type, "", "r", true);
  llvm::IRBuilder<> builder(behind);
  llvm::CallInst* const call = builder.CreateCall(nothing, {base});
  call->setDoesNotThrow();
  call->setMemoryEffects(llvm::MemoryEffects::inaccessibleMemOnly());
}

bool is_mark(const llvm::CallInst& call) {
  const llvm::Function* const callee = call.getCalledFunction();
  return callee != nullptr && callee->getName().starts_with(kPrefix);
}

bool may_be_of_the_heap(const llvm::Value* base) {
  return !llvm::isa<llvm::AllocaInst, llvm::Constant>(base);
}

void keep_bases(llvm::Function& function) {
  struct Access {
    llvm::Instruction* instruction;
    llvm::Value* pointer;
  };
  llvm::SmallVector<Access> accesses;
  for (llvm::Instruction& instruction : llvm::instructions(function)) {
    if (llvm::Value* const pointer = const_cast<llvm::Value*>(llvm::getLoadStorePointerOperand(&instruction)))
      accesses.push_back({&instruction, pointer});
    else if (auto* rmw = llvm::dyn_cast<llvm::AtomicRMWInst>(&instruction))
      accesses.push_back({rmw, rmw->getPointerOperand()});
    else if (auto* exchange = llvm::dyn_cast<llvm::AtomicCmpXchgInst>(&instruction))
      accesses.push_back({exchange, exchange->getPointerOperand()});
    else if (auto* call = llvm::dyn_cast<llvm::CallInst>(&instruction); call != nullptr && !is_mark(*call))
      for (llvm::Value* argument : call->args())
        if (argument->getType()->isPointerTy() && argument->getType()->getPointerAddressSpace() == 0)
          accesses.push_back({call, argument});
  }
  Bases bases;
  for (const Access& access : accesses) {
    llvm::Value* const base = bases.of(access.pointer);
    if (base != access.pointer && may_be_of_the_heap(base))
      use(base, access.instruction->getNextNode());
  }
}

} // namespace

void keep_bases(llvm::Module& module) {
  for (llvm::Function& function : module)
    if (!function.isDeclaration())
      keep_bases(function);
}

} // namespace echo::jit::unmodified
