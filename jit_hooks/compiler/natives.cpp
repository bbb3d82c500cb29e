/* SPDX-License-Identifier: MIT
 *
 * compiler/natives.cpp - symbols that the VM defined with their type, as the module declares and calls them.
 *
 * Invariants  [jit.native.2] A symbol defined with its type is declared and called with that type: a reference
 *             that arrives as an integer, or the reverse, would be lost without a word.
 */
#include "compiler/context.h"
#include "compiler/type_letters.h"
#include "compiler/where.h"

namespace echo::jit {
namespace {

Outcome mismatch(const llvm::Function& function, const char* verb, const llvm::Type& found,
                 const llvm::Type& expected, const std::string& place) {
  return {ECHO_BAD_ABSTRACT_OPERATION, name_of(function) + " is " + verb + " as '" + type_text(found) + "'" +
                                           place + "; its type is '" + type_text(expected) + "'"};
}

Outcome check(const llvm::Function& function, const llvm::FunctionType& expected) {
  const bool declared_well = function.getFunctionType() == &expected;
  for (const llvm::User* user : function.users()) {
    const auto* call = llvm::dyn_cast<llvm::CallBase>(user);
    if (call == nullptr || call->getCalledOperand() != &function)
      continue;
    if (!declared_well)
      return mismatch(function, "declared", *function.getFunctionType(), expected,
                      ", and called " + where(*call));
    if (call->getFunctionType() != &expected)
      return mismatch(function, "called", *call->getFunctionType(), expected, " " + where(*call));
  }
  return declared_well ? Outcome()
                       : mismatch(function, "declared", *function.getFunctionType(), expected, "");
}

} // namespace

Outcome check_natives(ModuleContext& context) {
  for (llvm::Function& function : context.module) {
    if (!function.hasFnAttribute(kBlockingAttribute))
      continue;
    if (!function.isDeclaration())
      return {ECHO_UNSUPPORTED_OPERATION, name_of(function) +
                                              " is marked echo-blocking but defined in the module; only "
                                              "native functions may block"};
    if (is_leaf(function))
      return {ECHO_UNSUPPORTED_OPERATION,
              name_of(function) + " is marked both echo-blocking and gc-leaf-function; choose one"};
    if (context.recipes.enter_native_cold == nullptr || context.recipes.leave_native_cold == nullptr)
      return {ECHO_NOT_SUPPORTED,
              name_of(function) + " may block, and this heap's recipes have no native transitions"};
    function.setDoesNotThrow(); /* [jit.native.4] */
  }
  for (const llvm::Function& function : context.module) {
    if (!function.isDeclaration())
      continue;
    const auto known = context.defined.find(function.getName());
    if (known == context.defined.end() || known->second.type.empty())
      continue;
    if (Outcome outcome = check(function, *type_of_letters(context.module.getContext(), known->second.type));
        !outcome)
      return outcome;
  }
  return {};
}

} // namespace echo::jit
