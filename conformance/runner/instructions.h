// SPDX-License-Identifier: MIT
//
// instructions.h - how many instructions something takes: exact where a clock is not.
//
// Method      The processor traps after each instruction while a flag is set, and the handler of the signal counts. x86-64. A trap takes
//             1 to 50 microseconds, so a few calls must do.
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

// Of `count` calls among few and among at least 500 000: a loop over all of them takes more than 1000 instructions per call, memory for
// some more of them less.
inline void expect_same_cost(std::uint64_t count, std::uint64_t among_few, std::uint64_t among_many,
                             const std::string& what) {
  EXPECT(among_few > 0, what + ": no instruction was counted");
  EXPECT(among_many <= 2 * among_few + 1000 * count,
         what + " takes " + show(among_many) + " instructions among many, " + show(among_few) + " among few");
}

} // namespace conformance

#endif // ECHO_CONFORMANCE_INSTRUCTIONS_H
