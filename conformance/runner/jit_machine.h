// SPDX-License-Identifier: MIT
//
// jit_machine.h - libecho_jit on a heap, for tests whose code is a few lines of LLVM IR.
#ifndef ECHO_CONFORMANCE_JIT_MACHINE_H
#define ECHO_CONFORMANCE_JIT_MACHINE_H

#include "plugin.h"

#include "echo/jit.h"

#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

namespace conformance {

// The layouts and declarations that the tests' modules share: `node` (two references and a value), `leaf` (16
// bytes), `refs`, `words` and `bytes` (arrays).
extern const char* const kJitPrelude;

class JitMachine {
public:
  // Skips the test if no libecho_jit was given. `optimise` is 0 or 2. The calling thread is `mutator`'s.
  JitMachine(const Context& context, const Mutator& mutator, std::uint32_t optimise,
             std::uint32_t operations = ECHO_JIT_OPERATIONS_INLINE, std::uint32_t switches = 0);
  ~JitMachine();
  JitMachine(const JitMachine&) = delete;
  JitMachine& operator=(const JitMachine&) = delete;

  echo_jit* get() const { return jit_; }
  const echo_jit_api& api() const { return *api_; }

  // A native function for modules added later.
  void define(const char* name, void* address, std::uint32_t kind = ECHO_JIT_SYMBOL_NATIVE) const;
  // Adds the prelude and `text`; must succeed.
  void add(const std::string& text) const;
  // Adds `text` as it is; the status, and the error in *why.
  echo_status try_add(const std::string& text, echo_error* why) const;
  void* function(const char* name) const;
  // Calls on the machine's thread; must succeed.
  std::uint64_t call(const char* name, std::initializer_list<std::uint64_t> arguments = {}) const;
  std::uint64_t call_on(const Mutator& mutator, void* function,
                        std::initializer_list<std::uint64_t> arguments) const;
  echo_status try_call(const char* name, std::initializer_list<std::uint64_t> arguments,
                       std::uint64_t* result, echo_error* why) const;

private:
  void* library_ = nullptr;
  const echo_jit_api* api_ = nullptr;
  const Mutator* mutator_;
  echo_jit* jit_ = nullptr;
};

} // namespace conformance

#endif // ECHO_CONFORMANCE_JIT_MACHINE_H
