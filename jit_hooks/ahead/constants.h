/* SPDX-License-Identifier: MIT
 *
 * ahead/constants.h - C structs as constants of a module, field by field.
 */
#ifndef ECHO_AHEAD_CONSTANTS_H
#define ECHO_AHEAD_CONSTANTS_H

#include "llvm/IR/Constants.h"
#include "llvm/IR/Module.h"

namespace echo::ahead {

/* The fields of one struct in order; every field is aligned by itself, as the C structs here are. */
class StructBuilder {
public:
  explicit StructBuilder(llvm::LLVMContext& context) : context_(context) {}

  StructBuilder& u16(uint64_t value) { return integer(16, value); }
  StructBuilder& u32(uint64_t value) { return integer(32, value); }
  StructBuilder& u64(uint64_t value) { return integer(64, value); }
  StructBuilder& add(llvm::Constant* field) {
    fields_.push_back(field);
    return *this;
  }
  /* A pointer; null for null. */
  StructBuilder& pointer(llvm::Constant* target) {
    return add(target != nullptr ? target
                                 : llvm::ConstantPointerNull::get(llvm::PointerType::get(context_, 0)));
  }
  llvm::Constant* finish() const { return llvm::ConstantStruct::getAnon(context_, fields_); }

private:
  StructBuilder& integer(unsigned bits, uint64_t value) {
    return add(llvm::ConstantInt::get(llvm::Type::getIntNTy(context_, bits), value));
  }
  llvm::LLVMContext& context_;
  llvm::SmallVector<llvm::Constant*> fields_;
};

inline llvm::GlobalVariable* private_global(llvm::Module& module, llvm::Constant* value, bool constant,
                                            const llvm::Twine& name) {
  auto* const global = new llvm::GlobalVariable(module, value->getType(), constant,
                                                llvm::GlobalValue::PrivateLinkage, value, name);
  global->setAlignment(llvm::Align(8));
  return global;
}

inline llvm::Constant* text(llvm::Module& module, llvm::StringRef value) {
  return private_global(module, llvm::ConstantDataArray::getString(module.getContext(), value), true,
                        "echo.text");
}

} // namespace echo::ahead

#endif // ECHO_AHEAD_CONSTANTS_H
