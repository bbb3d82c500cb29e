/* SPDX-License-Identifier: MIT
 *
 * native_symbol.h - what the VM said of a symbol it defined.
 */
#ifndef ECHO_JIT_NATIVE_SYMBOL_H
#define ECHO_JIT_NATIVE_SYMBOL_H

#include <cstdint>
#include <string>

namespace echo::jit {

struct NativeSymbol {
  uint32_t kind = 0; /* ECHO_JIT_SYMBOL_* */
  std::string type;  /* letters of echo_jit_define_typed; empty: unknown, anything goes */
};

} // namespace echo::jit

#endif // ECHO_JIT_NATIVE_SYMBOL_H
