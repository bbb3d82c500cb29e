/* SPDX-License-Identifier: MIT
 *
 * compiler/parse.h - bytes to a verified module for this machine.
 */
#ifndef ECHO_JIT_COMPILER_PARSE_H
#define ECHO_JIT_COMPILER_PARSE_H

#include "outcome.h"

#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/Module.h"
#include "llvm/Target/TargetMachine.h"

#include <memory>
#include <string_view>

namespace echo::jit {

/* Parses text or bitcode; verifies it; sets the target's data layout with address space 1 non-integral.
 * IR_INVALID names the place in text, or what the verifier found. */
Outcome parse_module(std::string_view bytes, const std::string& name, const llvm::TargetMachine& machine,
                     llvm::LLVMContext& llvm_context, std::unique_ptr<llvm::Module>& out);

/* The same for a module that somebody else parsed. */
Outcome adopt_module(llvm::Module& module, const llvm::TargetMachine& machine);

/* The data layout of compiled code: [jit.ni.1] references are never integers. */
std::string data_layout_of(const llvm::TargetMachine& machine);

} // namespace echo::jit

#endif // ECHO_JIT_COMPILER_PARSE_H
