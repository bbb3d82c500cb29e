/* SPDX-License-Identifier: MIT
 *
 * compiler/where.h - names for messages: function, variable, line and file from debug information, else IR
 * names.
 */
#ifndef ECHO_JIT_COMPILER_WHERE_H
#define ECHO_JIT_COMPILER_WHERE_H

#include <string>

namespace llvm {
class AllocaInst;
class Function;
class GlobalValue;
class Instruction;
class Value;
} // namespace llvm

namespace echo::jit {

/* "in function 'f', line 12 (tree.c)" or "in function 'f', at '%x = load ...'" */
std::string where(const llvm::Instruction& instruction);
/* "in function 'f' (tree.c)" */
std::string where(const llvm::Function& function);
/* "variable 'n' (line 3)" or "the stack slot '%n'" */
std::string variable(const llvm::AllocaInst& slot);
/* "'name'" or the IR operand "'%3'" */
std::string name_of(const llvm::Value& value);

} // namespace echo::jit

#endif // ECHO_JIT_COMPILER_WHERE_H
