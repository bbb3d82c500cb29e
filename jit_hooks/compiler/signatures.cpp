/* SPDX-License-Identifier: MIT
 *
 * compiler/signatures.cpp - see signatures.h.
 */
#include "compiler/signatures.h"

#include "compiler/type_letters.h"

#include "llvm/IR/Function.h"

namespace echo::jit {
namespace {

bool is_word(const llvm::Type* type) {
  return (type->isIntegerTy() && type->getIntegerBitWidth() <= 64) || type->isPointerTy();
}

} // namespace

Signature signature_of(const llvm::Function& function) {
  Signature signature;
  const llvm::Type* const result = function.getReturnType();
  const unsigned parameters = static_cast<unsigned>(function.arg_size()) - 1; /* without the thread */
  signature.callable =
      !function.isVarArg() && parameters <= 6 && (result->isVoidTy() || is_word(result)) &&
      llvm::all_of(function.args(), [](const llvm::Argument& argument) {
        return is_word(argument.getType()) && !argument.hasByValAttr() && !argument.hasNestAttr();
      });
  signature.parameters = static_cast<uint8_t>(parameters < 255 ? parameters : 255);
  if (!result->isVoidTy() && is_word(result))
    signature.result_bits = static_cast<uint8_t>(result->isPointerTy() ? 64 : result->getIntegerBitWidth());
  llvm::ArrayRef<llvm::Type*> types = function.getFunctionType()->params();
  signature.type = type_letters(
      *llvm::FunctionType::get(function.getReturnType(), types.drop_front(), function.isVarArg()));
  return signature;
}

} // namespace echo::jit
