// SPDX-License-Identifier: MIT
//
// Purpose     A turn of a loop that waits for another processor.
#pragma once

namespace echo {

inline void cpu_relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

} // namespace echo
