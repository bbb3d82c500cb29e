/* SPDX-License-Identifier: MIT
 *
 * compiler/vectors.cpp - vectors of references, taken apart before statepoints are made.
 *
 * Purpose     Each element becomes a reference of its own: statepoints, bases and landing pads then know single
 *             references only. A vector is put together again where something wants the whole, and dies there.
 * Method      In reverse post-order each instruction that makes such a vector gives its elements; phis first get empty
 *             ones, filled at the end. What is not known by its elements (a call, a whole load from a variable) is
 *             split right behind itself.
 * Invariants  [jit.vector.1] No vector of references is live over a safepoint.
 *             [jit.vector.2] A vector load of a heap object is a load of each element, so none is torn.
 */
#include "compiler/context.h"

#include "llvm/ADT/PostOrderIterator.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/InstIterator.h"
#include "llvm/Transforms/Utils/BasicBlockUtils.h"

#include <map>

namespace echo::jit {
namespace {

using Elements = llvm::SmallVector<llvm::Value*, 8>;

const llvm::FixedVectorType* vector_of_references(const llvm::Type* type) {
  const auto* vector = llvm::dyn_cast<llvm::FixedVectorType>(type);
  return vector != nullptr && is_reference(vector->getElementType()) ? vector : nullptr;
}

constexpr const char* kWholeMarker = "echo.gc.whole.";

/* Gives back its operand; gone after statepoints are made. */
llvm::FunctionCallee whole_marker(llvm::Module& module, llvm::Type* type) {
  const unsigned lanes = llvm::cast<llvm::FixedVectorType>(type)->getNumElements();
  llvm::FunctionCallee callee = module.getOrInsertFunction(kWholeMarker + std::to_string(lanes),
                                                           llvm::FunctionType::get(type, {type}, false));
  auto* const function = llvm::cast<llvm::Function>(callee.getCallee());
  function->addFnAttr(kLeafAttribute);
  function->setDoesNotThrow();
  function->addFnAttr(llvm::Attribute::WillReturn);
  return callee;
}

class VectorSplitter {
public:
  explicit VectorSplitter(llvm::Function& function) : function_(function) {}

  void run() {
    if (!any())
      return;
    split_edges();
    llvm::SmallVector<llvm::Instruction*> all;
    for (llvm::BasicBlock* block : llvm::ReversePostOrderTraversal<llvm::Function*>(&function_))
      for (llvm::Instruction& instruction : *block)
        all.push_back(&instruction);
    for (llvm::Instruction* instruction : all)
      visit(*instruction);
    for (auto& [phi, elements] : phis_)
      for (unsigned i = 0; i < phi->getNumIncomingValues(); ++i) {
        const Elements& incoming =
            elements_of(*phi->getIncomingValue(i), phi->getIncomingBlock(i)->getTerminator());
        for (size_t lane = 0; lane < elements.size(); ++lane)
          llvm::cast<llvm::PHINode>(elements[lane])->addIncoming(incoming[lane], phi->getIncomingBlock(i));
      }
    for (llvm::Instruction* dead : llvm::reverse(dead_)) {
      dead->replaceAllUsesWith(llvm::PoisonValue::get(dead->getType()));
      dead->eraseFromParent();
    }
  }

private:
  bool any() const {
    const auto holds = [](const llvm::Value& value) {
      return vector_of_references(value.getType()) != nullptr;
    };
    return llvm::any_of(function_.args(), holds) || llvm::any_of(llvm::instructions(function_), holds);
  }
  /* The elements of what an invoke returns need a place that only it leads to. */
  void split_edges() {
    llvm::SmallVector<llvm::InvokeInst*> invokes;
    for (llvm::Instruction& instruction : llvm::instructions(function_))
      if (auto* invoke = llvm::dyn_cast<llvm::InvokeInst>(&instruction);
          invoke != nullptr && vector_of_references(invoke->getType()) != nullptr &&
          invoke->getNormalDest()->getUniquePredecessor() == nullptr)
        invokes.push_back(invoke);
    for (llvm::InvokeInst* invoke : invokes)
      llvm::SplitEdge(invoke->getParent(), invoke->getNormalDest());
  }

  void visit(llvm::Instruction& instruction) {
    const bool makes = vector_of_references(instruction.getType()) != nullptr;
    if (auto* phi = llvm::dyn_cast<llvm::PHINode>(&instruction); phi != nullptr && makes) {
      visit_phi(*phi);
      return;
    }
    if (makes ? make_elements(instruction) : use_elements(instruction)) {
      dead_.push_back(&instruction);
      return;
    }
    use_whole(instruction);
    if (makes)
      split_behind(instruction);
  }

  void visit_phi(llvm::PHINode& phi) {
    const auto* type = vector_of_references(phi.getType());
    Elements elements;
    for (unsigned lane = 0; lane < type->getNumElements(); ++lane)
      elements.push_back(llvm::PHINode::Create(type->getElementType(), phi.getNumIncomingValues(), "lane",
                                               phi.getIterator()));
    known_[&phi] = elements;
    phis_.emplace_back(&phi, elements);
    dead_.push_back(&phi);
  }

  /* An instruction that can be done element by element. */
  bool make_elements(llvm::Instruction& instruction) {
    const unsigned count = vector_of_references(instruction.getType())->getNumElements();
    llvm::IRBuilder<> builder(&instruction);
    Elements made;
    if (auto* insert = llvm::dyn_cast<llvm::InsertElementInst>(&instruction)) {
      made = elements_of(*insert->getOperand(0), insert);
      llvm::Value* const index = insert->getOperand(2);
      if (const auto* constant = llvm::dyn_cast<llvm::ConstantInt>(index)) {
        if (constant->getValue().ult(count))
          made[constant->getZExtValue()] = insert->getOperand(1);
      } else {
        for (unsigned lane = 0; lane < count; ++lane)
          made[lane] = builder.CreateSelect(is_lane(builder, index, lane), insert->getOperand(1), made[lane]);
      }
    } else if (auto* shuffle = llvm::dyn_cast<llvm::ShuffleVectorInst>(&instruction)) {
      const Elements left = elements_of(*shuffle->getOperand(0), shuffle);
      const Elements right = elements_of(*shuffle->getOperand(1), shuffle);
      for (const int from : shuffle->getShuffleMask())
        made.push_back(from < 0 ? llvm::PoisonValue::get(shuffle->getType()->getScalarType())
                       : from < static_cast<int>(left.size())
                           ? left[static_cast<size_t>(from)]
                           : right[static_cast<size_t>(from) - left.size()]);
    } else if (auto* select = llvm::dyn_cast<llvm::SelectInst>(&instruction)) {
      const Elements yes = elements_of(*select->getTrueValue(), select);
      const Elements no = elements_of(*select->getFalseValue(), select);
      for (unsigned lane = 0; lane < count; ++lane)
        made.push_back(
            builder.CreateSelect(lane_of(builder, select->getCondition(), lane), yes[lane], no[lane]));
    } else if (auto* freeze = llvm::dyn_cast<llvm::FreezeInst>(&instruction)) {
      for (llvm::Value* element : elements_of(*freeze->getOperand(0), freeze))
        made.push_back(builder.CreateFreeze(element));
    } else if (auto* address = llvm::dyn_cast<llvm::GetElementPtrInst>(&instruction)) {
      for (unsigned lane = 0; lane < count; ++lane) {
        llvm::SmallVector<llvm::Value*> indices;
        for (llvm::Value* index : address->indices())
          indices.push_back(lane_of(builder, index, lane));
        made.push_back(builder.CreateGEP(address->getSourceElementType(),
                                         lane_of(builder, address->getPointerOperand(), lane), indices, "",
                                         address->getNoWrapFlags()));
      }
    } else if (auto* load = llvm::dyn_cast<llvm::LoadInst>(&instruction)) { /* [jit.vector.2] */
      for (unsigned lane = 0; lane < count; ++lane) {
        llvm::Value* const slot =
            lane == 0 ? load->getPointerOperand()
                      : builder.CreateConstGEP1_64(builder.getInt8Ty(), load->getPointerOperand(),
                                                   uint64_t{8} * lane);
        made.push_back(builder.CreateAlignedLoad(load->getType()->getScalarType(), slot, llvm::Align(8),
                                                 load->isVolatile()));
      }
    } else {
      return false;
    }
    known_[&instruction] = std::move(made);
    return true;
  }

  /* An instruction that makes something else of elements. */
  bool use_elements(llvm::Instruction& instruction) {
    llvm::IRBuilder<> builder(&instruction);
    if (auto* extract = llvm::dyn_cast<llvm::ExtractElementInst>(&instruction);
        extract != nullptr && vector_of_references(extract->getVectorOperand()->getType()) != nullptr) {
      extract->replaceAllUsesWith(
          choose(builder, elements_of(*extract->getVectorOperand(), extract), extract->getIndexOperand()));
      return true;
    }
    if (auto* compare = llvm::dyn_cast<llvm::ICmpInst>(&instruction);
        compare != nullptr && vector_of_references(compare->getOperand(0)->getType()) != nullptr) {
      const Elements left = elements_of(*compare->getOperand(0), compare);
      const Elements right = elements_of(*compare->getOperand(1), compare);
      llvm::Value* whole = llvm::PoisonValue::get(compare->getType());
      for (size_t lane = 0; lane < left.size(); ++lane)
        whole = builder.CreateInsertElement(
            whole, builder.CreateICmp(compare->getPredicate(), left[lane], right[lane]), lane);
      compare->replaceAllUsesWith(whole);
      return true;
    }
    return false;
  }

  /* Operands of an instruction that wants the whole, put together just before it. */
  void use_whole(llvm::Instruction& instruction) {
    for (llvm::Use& use : instruction.operands())
      if (vector_of_references(use->getType()) != nullptr && !llvm::isa<llvm::Constant>(use)) {
        llvm::IRBuilder<> builder(&instruction);
        llvm::Value* whole = llvm::PoisonValue::get(use->getType());
        const Elements elements = elements_of(*use, &instruction);
        for (size_t lane = 0; lane < elements.size(); ++lane)
          whole = builder.CreateInsertElement(whole, elements[lane], lane);
        use.set(whole);
      }
  }

  void split_behind(llvm::Instruction& instruction) {
    auto* const invoke = llvm::dyn_cast<llvm::InvokeInst>(&instruction);
    llvm::Instruction* const before =
        invoke != nullptr ? &*invoke->getNormalDest()->getFirstInsertionPt() : instruction.getNextNode();
    llvm::Value* whole = &instruction;
    if (llvm::isa<llvm::ExtractValueInst>(instruction)) /* the statepoint pass knows no base for it */
      whole = llvm::IRBuilder<>(before).CreateCall(
          whole_marker(*function_.getParent(), instruction.getType()), {whole});
    known_[&instruction] = extract_all(*whole, before);
  }

  static Elements extract_all(llvm::Value& vector, llvm::Instruction* before) {
    llvm::IRBuilder<> builder(before);
    Elements elements;
    for (unsigned lane = 0; lane < vector_of_references(vector.getType())->getNumElements(); ++lane)
      elements.push_back(builder.CreateExtractElement(&vector, lane));
    return elements;
  }

  /* `before`: where constants without elements of their own are taken apart. */
  const Elements& elements_of(llvm::Value& vector, llvm::Instruction* before) {
    if (const auto found = known_.find(&vector); found != known_.end())
      return found->second;
    Elements& elements = known_[&vector];
    if (auto* constant = llvm::dyn_cast<llvm::Constant>(&vector)) {
      for (unsigned lane = 0; lane < vector_of_references(vector.getType())->getNumElements(); ++lane)
        if (llvm::Constant* element = constant->getAggregateElement(lane))
          elements.push_back(element);
        else
          return elements = extract_all(vector, &*function_.getEntryBlock().getFirstInsertionPt());
      return elements;
    }
    if (llvm::isa<llvm::Argument>(vector))
      return elements = extract_all(vector, &*function_.getEntryBlock().getFirstInsertionPt());
    return elements = extract_all(vector, before); /* in code that nothing reaches */
  }

  /* One lane of an operand that is a vector, of references or not, or the same for all lanes. */
  llvm::Value* lane_of(llvm::IRBuilder<>& builder, llvm::Value* operand, unsigned lane) {
    if (!operand->getType()->isVectorTy())
      return operand;
    if (vector_of_references(operand->getType()) != nullptr)
      return elements_of(*operand, &*builder.GetInsertPoint())[lane];
    return builder.CreateExtractElement(operand, lane);
  }
  static llvm::Value* is_lane(llvm::IRBuilder<>& builder, llvm::Value* index, unsigned lane) {
    return builder.CreateICmpEQ(index, llvm::ConstantInt::get(index->getType(), lane));
  }
  static llvm::Value* choose(llvm::IRBuilder<>& builder, const Elements& elements, llvm::Value* index) {
    if (const auto* constant = llvm::dyn_cast<llvm::ConstantInt>(index))
      return constant->getValue().ult(elements.size()) ? elements[constant->getZExtValue()]
                                                       : llvm::PoisonValue::get(elements.front()->getType());
    llvm::Value* chosen = elements.front();
    for (unsigned lane = 1; lane < elements.size(); ++lane)
      chosen = builder.CreateSelect(is_lane(builder, index, lane), elements[lane], chosen);
    return chosen;
  }

  llvm::Function& function_;
  std::map<const llvm::Value*, Elements> known_; /* references to its values stay valid */
  llvm::SmallVector<std::pair<llvm::PHINode*, Elements>> phis_;
  llvm::SmallVector<llvm::Instruction*> dead_;
};

} // namespace

void split_vectors(llvm::Function& function) {
  VectorSplitter(function).run();
}

void finish_vectors(ModuleContext& context) {
  for (llvm::Function& function : llvm::make_early_inc_range(context.module)) {
    if (!function.getName().starts_with(kWholeMarker))
      continue;
    for (llvm::User* user : llvm::make_early_inc_range(function.users())) {
      auto* const call = llvm::cast<llvm::CallInst>(user);
      call->replaceAllUsesWith(call->getArgOperand(0));
      call->eraseFromParent();
    }
    function.eraseFromParent();
  }
}

} // namespace echo::jit
