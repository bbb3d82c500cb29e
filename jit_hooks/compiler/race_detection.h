/* SPDX-License-Identifier: MIT
 *
 * compiler/race_detection.h - the thread sanitizer's view of program code. Invariants: race_detection.cpp.
 */
#ifndef ECHO_JIT_COMPILER_RACE_DETECTION_H
#define ECHO_JIT_COMPILER_RACE_DETECTION_H

#include "llvm/IR/Module.h"
#include "llvm/IR/PassManager.h"

#include <functional>

namespace echo::jit {

/* Instruments every function of a module that is ready for code generation; `run` runs passes over it. */
void detect_races(llvm::Module& module, const std::function<void(llvm::FunctionPassManager&&)>& run);

} // namespace echo::jit

#endif // ECHO_JIT_COMPILER_RACE_DETECTION_H
