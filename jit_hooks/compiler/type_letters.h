/* SPDX-License-Identifier: MIT
 *
 * compiler/type_letters.h - function types as the text of echo_jit_define_typed.
 */
#ifndef ECHO_JIT_COMPILER_TYPE_LETTERS_H
#define ECHO_JIT_COMPILER_TYPE_LETTERS_H

#include <string>
#include <string_view>

namespace llvm {
class FunctionType;
class LLVMContext;
class Type;
} // namespace llvm

namespace echo::jit {

/* Result first, then the parameters; `?` for a type without a letter, `.` at the end of a variable list. */
std::string type_letters(const llvm::FunctionType& type);
/* The type that letters mean: of those of echo_jit_define_typed, at least one. */
llvm::FunctionType* type_of_letters(llvm::LLVMContext& context, std::string_view letters);
/* As LLVM writes it. */
std::string type_text(const llvm::Type& type);

} // namespace echo::jit

#endif // ECHO_JIT_COMPILER_TYPE_LETTERS_H
