/* SPDX-License-Identifier: MIT
 *
 * compiler/gc_strategy.h - the strategy behind gc "echo".
 */
#ifndef ECHO_JIT_COMPILER_GC_STRATEGY_H
#define ECHO_JIT_COMPILER_GC_STRATEGY_H

namespace echo::jit {

/* Refers to the registration, so that no linker drops it. */
void link_gc_strategy();
void link_stack_map_printer();

} // namespace echo::jit

#endif // ECHO_JIT_COMPILER_GC_STRATEGY_H
