/* SPDX-License-Identifier: MIT
 *
 * orc/sections.h - names of the object sections that the linker plugin reads.
 */
#ifndef ECHO_JIT_ORC_SECTIONS_H
#define ECHO_JIT_ORC_SECTIONS_H

namespace echo::jit {

inline constexpr const char* kStackMapSection = ".llvm_stackmaps";
inline constexpr const char* kRootsSection = "echo_roots";
inline constexpr const char* kAmbiguousSection = "echo_ambiguous";
inline constexpr const char* kLiteralsSection = "echo_literals";

} // namespace echo::jit

#endif // ECHO_JIT_ORC_SECTIONS_H
