/* SPDX-License-Identifier: MIT
 *
 * compiler/provenance.cpp - offsets into globals, and interior pointers. Invariants: provenance.h.
 *
 * Equation    an address with constant part c, indices i_k into arrays of n_k elements of s_k bytes, and
 * indices of no known bound with strides t_j, hits the offsets c + sum i_k * s_k (0 <= i_k < n_k) + any
 * multiple of gcd(t_j); none of the latter without such an index.
 */
#include "compiler/provenance.h"

#include "compiler/context.h"

#include "llvm/ADT/SmallPtrSet.h"
#include "llvm/Analysis/ValueTracking.h"
#include "llvm/IR/Instructions.h"
#include "llvm/IR/Operator.h"

#include <numeric>

namespace echo::jit {
namespace {

bool add_runs(const llvm::DataLayout& layout, llvm::Type* type, uint64_t at, uint64_t& words,
              ReferenceRuns& out) {
  if (!contains_reference(type))
    return true;
  if (is_reference_or_vector(type)) {
    const auto* vector = llvm::dyn_cast<llvm::FixedVectorType>(type);
    const uint64_t count = vector != nullptr ? vector->getNumElements() : 1;
    words += count;
    if (words > kMaxRootWords)
      return false;
    if (!out.empty() && out.back().offset + 8 * out.back().words == at)
      out.back().words += count;
    else
      out.push_back({at, count});
    return true;
  }
  if (auto* array = llvm::dyn_cast<llvm::ArrayType>(type)) {
    const uint64_t stride = layout.getTypeAllocSize(array->getElementType());
    for (uint64_t i = 0; i < array->getNumElements(); ++i)
      if (!add_runs(layout, array->getElementType(), at + i * stride, words, out))
        return false;
    return true;
  }
  auto* structure = llvm::cast<llvm::StructType>(type);
  for (unsigned i = 0; i < structure->getNumElements(); ++i)
    if (!add_runs(layout, structure->getElementType(i),
                  at + layout.getStructLayout(structure)->getElementOffset(i), words, out))
      return false;
  return true;
}

bool is_reference_word(const ReferenceRuns& runs, uint64_t offset) {
  return llvm::any_of(runs, [offset](const ReferenceRun& run) {
    return offset >= run.offset && offset < run.offset + 8 * run.words && (offset - run.offset) % 8 == 0;
  });
}
bool overlaps_reference(const ReferenceRuns& runs, uint64_t offset, uint64_t bytes) {
  return llvm::any_of(runs, [offset, bytes](const ReferenceRun& run) {
    return offset < run.offset + 8 * run.words && run.offset < offset + bytes;
  });
}

/* The offsets that an address may have from an object's start. */
class Offsets {
public:
  /* False where they are unknown. */
  bool collect(const llvm::DataLayout& layout, const llvm::Value* pointer, const llvm::Value* object) {
    while (pointer != object) {
      const auto* gep = llvm::dyn_cast<llvm::GEPOperator>(pointer);
      if (gep == nullptr || !add(layout, *gep))
        return false; /* a phi or select: any offset */
      pointer = gep->getPointerOperand();
    }
    return true;
  }
  /* Calls visit(offset) for each inside `size`, until it returns false. False if there are too many. */
  template <class Visit> bool each(uint64_t size, Visit visit) const {
    uint64_t budget = kMaxRootWords * 8;
    return descend(0, constant_, size, budget, visit);
  }

private:
  struct Term {
    uint64_t stride, count;
  };

  bool add(const llvm::DataLayout& layout, const llvm::GEPOperator& gep) {
    llvm::Type* type = nullptr; /* what the next index selects from; null: the first, from nothing bounded */
    for (const llvm::Use& index : gep.indices()) {
      if (index->getType()->isVectorTy())
        return false;
      if (auto* structure = llvm::dyn_cast_or_null<llvm::StructType>(type)) {
        const auto member = static_cast<unsigned>(llvm::cast<llvm::ConstantInt>(index)->getZExtValue());
        constant_ += layout.getStructLayout(structure)->getElementOffset(member).getFixedValue();
        type = structure->getElementType(member);
        continue;
      }
      const auto* array = llvm::dyn_cast_or_null<llvm::ArrayType>(type);
      if (type != nullptr && array == nullptr)
        return false; /* a vector */
      type = array != nullptr ? array->getElementType() : gep.getSourceElementType();
      const llvm::TypeSize size = layout.getTypeAllocSize(type);
      if (size.isScalable())
        return false;
      const uint64_t stride = size.getFixedValue();
      if (const auto* constant = llvm::dyn_cast<llvm::ConstantInt>(index))
        constant_ += static_cast<uint64_t>(constant->getSExtValue()) * stride; /* modulo 2^64 */
      else if (array != nullptr)
        terms_.push_back({stride, array->getNumElements()});
      else
        modulus_ = std::gcd(modulus_, stride);
    }
    return true;
  }

  template <class Visit>
  bool descend(size_t term, uint64_t offset, uint64_t size, uint64_t& budget, Visit& visit) const {
    if (term < terms_.size()) {
      for (uint64_t i = 0; i < terms_[term].count; ++i)
        if (!descend(term + 1, offset + i * terms_[term].stride, size, budget, visit))
          return false;
      return true;
    }
    const uint64_t step = modulus_ != 0 ? modulus_ : size;
    for (uint64_t at = modulus_ != 0 ? offset % modulus_ : offset; at < size; at += step) {
      if (budget-- == 0)
        return false;
      if (!visit(at))
        return true;
    }
    return true;
  }

  uint64_t constant_ = 0, modulus_ = 0;
  llvm::SmallVector<Term, 4> terms_;
};

Place place_in_global(const llvm::DataLayout& layout, const llvm::Value* pointer,
                      const llvm::GlobalVariable& global, llvm::Type* type) {
  ReferenceRuns runs, accessed;
  uint64_t words = 0;
  if (!reference_runs(layout, global.getValueType(), runs) || !add_runs(layout, type, 0, words, accessed))
    return Place::MixedWords;
  if (runs.empty())
    return accessed.empty() ? Place::NoReferences : Place::MixedWords;
  Offsets offsets;
  if (!offsets.collect(layout, pointer, &global))
    return Place::MixedWords;
  const uint64_t size = layout.getTypeAllocSize(global.getValueType());
  const uint64_t bytes = layout.getTypeStoreSize(type);
  bool exact = !accessed.empty(), apart = accessed.empty();
  const bool all = offsets.each(size, [&](uint64_t at) {
    if (bytes > size - at)
      return true; /* not inside: no program may do it */
    apart = apart && !overlaps_reference(runs, at, bytes);
    for (const ReferenceRun& run : accessed)
      for (uint64_t word = 0; word < run.words && exact; ++word)
        exact = is_reference_word(runs, at + run.offset + 8 * word);
    return exact || apart;
  });
  if (!all)
    return Place::MixedWords;
  if (exact)
    return Place::RootWords;
  return apart ? Place::NoReferences : Place::MixedWords;
}

Provenance of_object(const llvm::DataLayout& layout, const llvm::Value* pointer, const llvm::Value* object,
                     llvm::Type* type) {
  Provenance result;
  if (const auto* slot = llvm::dyn_cast<llvm::AllocaInst>(object)) {
    result.place = Place::Stack;
    result.slot = slot;
  } else if (const auto* global = llvm::dyn_cast<llvm::GlobalVariable>(object)) {
    result.global = global;
    result.place = global->isDeclaration() ? Place::Foreign : place_in_global(layout, pointer, *global, type);
  } else if (const auto* argument = llvm::dyn_cast<llvm::Argument>(object);
             argument != nullptr && (argument->hasByValAttr() || argument->hasStructRetAttr())) {
    result.place = Place::Stack;
    result.parameter = argument;
  }
  return result;
}

} // namespace

bool reference_runs(const llvm::DataLayout& layout, llvm::Type* type, ReferenceRuns& out) {
  uint64_t words = 0;
  return add_runs(layout, type, 0, words, out);
}

Provenance provenance(const llvm::DataLayout& layout, const llvm::Value* pointer, llvm::Type* type) {
  llvm::SmallVector<const llvm::Value*> objects;
  llvm::getUnderlyingObjects(pointer, objects, nullptr, 0);
  Provenance result;
  bool first = true;
  for (const llvm::Value* object : objects) {
    const Provenance one = of_object(layout, pointer, object, type);
    if (first || (result.place == Place::RootWords || result.place == Place::NoReferences))
      result = one;
    first = false;
  }
  return result;
}

bool may_be_interior(const llvm::Value* reference) {
  llvm::SmallPtrSet<const llvm::Value*, 16> seen;
  llvm::SmallVector<const llvm::Value*, 16> work{reference};
  while (!work.empty()) {
    const llvm::Value* value = work.pop_back_val();
    if (!seen.insert(value).second)
      continue;
    if (const auto* gep = llvm::dyn_cast<llvm::GEPOperator>(value)) {
      if (!gep->hasAllZeroIndices())
        return true;
      work.push_back(gep->getPointerOperand());
    } else if (const auto* phi = llvm::dyn_cast<llvm::PHINode>(value)) {
      work.append(phi->op_begin(), phi->op_end());
    } else if (const auto* select = llvm::dyn_cast<llvm::SelectInst>(value)) {
      work.push_back(select->getTrueValue());
      work.push_back(select->getFalseValue());
    } else if (const auto* freeze = llvm::dyn_cast<llvm::FreezeInst>(value)) {
      work.push_back(freeze->getOperand(0));
    } else if (const auto* extract = llvm::dyn_cast<llvm::ExtractElementInst>(value)) {
      work.push_back(extract->getVectorOperand());
    } else if (llvm::isa<llvm::InsertElementInst>(value) || llvm::isa<llvm::ShuffleVectorInst>(value)) {
      work.push_back(llvm::cast<llvm::Instruction>(value)->getOperand(0));
      work.push_back(llvm::cast<llvm::Instruction>(value)->getOperand(1));
    }
  }
  return false;
}

} // namespace echo::jit
