/* SPDX-License-Identifier: MIT
 *
 * compiler/stub_functions.h - stubs as functions of a module.
 */
#ifndef ECHO_JIT_COMPILER_STUB_FUNCTIONS_H
#define ECHO_JIT_COMPILER_STUB_FUNCTIONS_H

#include "arch/x86_64/stubs.h"

namespace llvm {
class Function;
class Module;
} // namespace llvm

namespace echo::jit {

/* Adds the stub as a naked function; what the module declared under its name is this function from then on. */
llvm::Function* define_stub(llvm::Module& module, const Stub& stub);

} // namespace echo::jit

#endif // ECHO_JIT_COMPILER_STUB_FUNCTIONS_H
