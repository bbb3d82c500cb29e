// SPDX-License-Identifier: MIT
//
// jit_levels.h - how the tests of compiled code run: at both optimisation levels, with operations inline and called.
#ifndef ECHO_CONFORMANCE_JIT_LEVELS_H
#define ECHO_CONFORMANCE_JIT_LEVELS_H

#include "jit_machine.h"
#include "patterns.h"

namespace conformance {

struct Level {
  std::uint32_t optimise, operations;
  const char* name;
};
inline constexpr Level kLevels[] = {{0, ECHO_JIT_OPERATIONS_INLINE, "at O0"},
                                    {2, ECHO_JIT_OPERATIONS_INLINE, "at O2"},
                                    {0, ECHO_JIT_OPERATIONS_CALLED, "at O0, operations called"},
                                    {2, ECHO_JIT_OPERATIONS_CALLED, "at O2, operations called"}};

inline std::string stressed(const Plugin& p) {
  return p.options_with("max_heap=32m", {"stress_collect=1", "poison=on", "verify=on"});
}
inline std::string calm(const Plugin& p) {
  return p.options_with("max_heap=8m", {"poison=on"});
}

// One heap and one machine per level. [jit.level.1]
template <typename Body>
void at_both_levels(Context& context, std::string (*options)(const Plugin&), Body body) {
  if (context.jit_path.empty())
    throw Skipped{"no libecho_jit is given: --jit=PATH"};
  for (const Level& level : kLevels) {
    Fixture f(context, options);
    JitMachine machine(context, f.mutator, level.optimise, level.operations);
    body(f, machine, level.name);
  }
}

inline std::string tight(const Plugin& p) {
  return p.options_with("max_heap=2m", {"poison=on"});
}
inline std::string stressed_barriers(const Plugin& p) {
  return p.options_with("max_heap=32m", {"stress_collect=3", "stress_barriers=on", "poison=on", "verify=on"});
}

// A list of nodes: @build makes it, @sum adds it up.
extern const char* const kLists;

// Rows of the suite, by concept.
std::vector<Test> jit_object_tests();
std::vector<Test> jit_store_tests();
std::vector<Test> jit_place_tests();
std::vector<Test> jit_call_tests();

} // namespace conformance

#endif // ECHO_CONFORMANCE_JIT_LEVELS_H
