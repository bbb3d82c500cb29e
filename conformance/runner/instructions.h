// SPDX-License-Identifier: MIT
//
// instructions.h - how many instructions something takes: exact where a clock is not.
//
// Method      The processor traps after each instruction while a flag is set, and the handler of the signal counts. x86-64; about
//             a microsecond each.
#ifndef ECHO_CONFORMANCE_INSTRUCTIONS_H
#define ECHO_CONFORMANCE_INSTRUCTIONS_H

#include "harness.h"

#include <cstdint>

namespace conformance {

// Between the two, on the calling thread. Other threads are not counted. Skips the test where the processor is another.
void count_instructions();
std::uint64_t counted_instructions();

// Of `count` calls of run(i).
template <typename Run> std::uint64_t instructions_of(std::uint64_t count, const Run& run) {
  count_instructions();
  for (std::uint64_t i = 0; i < count; ++i)
    run(i);
  return counted_instructions();
}

// What costs the same however much there is: twice as much is let pass, for what grows by doubling.
inline void expect_same_cost(std::uint64_t among_few, std::uint64_t among_many, const std::string& what) {
  EXPECT(among_few > 0, what + ": no instruction was counted");
  EXPECT(among_many <= 2 * among_few,
         what + " takes " + show(among_many) + " instructions among many, " + show(among_few) + " among few");
}

} // namespace conformance

#endif // ECHO_CONFORMANCE_INSTRUCTIONS_H
