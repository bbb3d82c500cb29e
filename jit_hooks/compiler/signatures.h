/* SPDX-License-Identifier: MIT
 *
 * compiler/signatures.h - what a caller from outside must know of a compiled function.
 */
#ifndef ECHO_JIT_COMPILER_SIGNATURES_H
#define ECHO_JIT_COMPILER_SIGNATURES_H

#include "maps/code_index.h"

namespace llvm {
class Function;
} // namespace llvm

namespace echo::jit {

/* Of a function that has its thread parameter; the thread does not count. */
Signature signature_of(const llvm::Function& function);

} // namespace echo::jit

#endif // ECHO_JIT_COMPILER_SIGNATURES_H
