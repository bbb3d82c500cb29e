/* SPDX-License-Identifier: MIT
 *
 * compiler/where.h - names for messages: function, variable, file and line from debug information, else IR
 * names.
 */
#ifndef ECHO_JIT_COMPILER_WHERE_H
#define ECHO_JIT_COMPILER_WHERE_H

#include <string>

namespace llvm {
class AllocaInst;
class Function;
class GlobalVariable;
class Instruction;
class Value;
} // namespace llvm

namespace echo::jit {

/* "in function 'f' (tree.c:12)" or "in function 'f', at '%x = load ...'" */
std::string where(const llvm::Instruction& instruction);
/* "in function 'f' (tree.c:10)" */
std::string where(const llvm::Function& function);
/* "in the module variable 'v' (tree.c:3)" */
std::string where(const llvm::GlobalVariable& global);
/* "variable 'n' (tree.c:3)" or "the stack slot '%n'" */
std::string variable(const llvm::AllocaInst& slot);
/* "'name'" or the IR operand "'%3'" */
std::string name_of(const llvm::Value& value);

} // namespace echo::jit

#endif // ECHO_JIT_COMPILER_WHERE_H
