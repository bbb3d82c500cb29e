/* SPDX-License-Identifier: MIT
 *
 * orc/sections.h - names of the object sections that the linker plugin reads.
 */
#ifndef ECHO_JIT_ORC_SECTIONS_H
#define ECHO_JIT_ORC_SECTIONS_H

namespace echo::jit {

inline constexpr const char* kStackMapSection = ".llvm_stackmaps";
inline constexpr const char* kRootsSection = "echo_roots";

} // namespace echo::jit

#endif // ECHO_JIT_ORC_SECTIONS_H
