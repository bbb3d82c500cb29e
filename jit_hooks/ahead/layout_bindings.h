/* SPDX-License-Identifier: MIT
 *
 * ahead/layout_bindings.h - layouts whose numbers are not known when code is compiled: ahead/image.h, [aot.layout.1].
 */
#ifndef ECHO_AHEAD_LAYOUT_BINDINGS_H
#define ECHO_AHEAD_LAYOUT_BINDINGS_H

#include "compiler/context.h"

#include "llvm/IR/IRBuilder.h"

namespace echo::ahead {

/* The LayoutBinding of a layout, which refers to its descriptor in the module; it outlives optimisation. */
llvm::GlobalVariable* declare_binding(llvm::Module& module, const jit::AllocationLayout& layout,
                                      const llvm::GlobalVariable& descriptor, uint64_t offset);
llvm::Value* load_number(llvm::IRBuilder<>& builder, llvm::GlobalVariable& binding);
llvm::Value* load_header_word(llvm::IRBuilder<>& builder, llvm::GlobalVariable& binding);

} // namespace echo::ahead

#endif // ECHO_AHEAD_LAYOUT_BINDINGS_H
