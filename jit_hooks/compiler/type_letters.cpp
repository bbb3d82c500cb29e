/* SPDX-License-Identifier: MIT
 *
 * compiler/type_letters.cpp - see type_letters.h.
 */
#include "compiler/type_letters.h"

#include "compiler/context.h"

#include "llvm/IR/DerivedTypes.h"
#include "llvm/Support/raw_ostream.h"

namespace echo::jit {
namespace {

char letter_of(const llvm::Type& type) {
  if (type.isVoidTy())
    return 'v';
  if (type.isFloatTy())
    return 'f';
  if (type.isDoubleTy())
    return 'd';
  if (const auto* pointer = llvm::dyn_cast<llvm::PointerType>(&type))
    return is_reference(&type) ? 'r' : pointer->getAddressSpace() == 0 ? 'p' : '?';
  if (!type.isIntegerTy())
    return '?';
  switch (type.getIntegerBitWidth()) {
  case 1:
    return 'z';
  case 8:
    return 'b';
  case 16:
    return 's';
  case 32:
    return 'i';
  case 64:
    return 'l';
  default:
    return '?';
  }
}

llvm::Type* type_of_letter(llvm::LLVMContext& context, char letter) {
  switch (letter) {
  case 'z':
    return llvm::Type::getInt1Ty(context);
  case 'b':
    return llvm::Type::getInt8Ty(context);
  case 's':
    return llvm::Type::getInt16Ty(context);
  case 'i':
    return llvm::Type::getInt32Ty(context);
  case 'l':
    return llvm::Type::getInt64Ty(context);
  case 'f':
    return llvm::Type::getFloatTy(context);
  case 'd':
    return llvm::Type::getDoubleTy(context);
  case 'p':
    return llvm::PointerType::get(context, 0);
  case 'r':
    return llvm::PointerType::get(context, kReferenceSpace);
  default:
    return llvm::Type::getVoidTy(context);
  }
}

} // namespace

std::string type_letters(const llvm::FunctionType& type) {
  std::string letters(1, letter_of(*type.getReturnType()));
  for (const llvm::Type* parameter : type.params())
    letters += letter_of(*parameter);
  return type.isVarArg() ? letters + "." : letters;
}

llvm::FunctionType* type_of_letters(llvm::LLVMContext& context, std::string_view letters) {
  llvm::SmallVector<llvm::Type*> parameters;
  for (const char letter : letters.substr(1))
    parameters.push_back(type_of_letter(context, letter));
  return llvm::FunctionType::get(type_of_letter(context, letters.front()), parameters, false);
}

std::string type_text(const llvm::Type& type) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  type.print(stream);
  return text;
}

} // namespace echo::jit
