// SPDX-License-Identifier: MIT
//
// Purpose     The free runs of a recycled slab, listed from its L bits.
// Invariants  [heap.runs.1] Runs are maximal, disjoint, in address order, and cover exactly the clear L bits
// of the
//             slab. (Runs too short for any object are listed too: the caller skips them and they count as
//             waste.)
// Equations   at most kGranulesPerSlab / 2 runs
#pragma once

#include "heap/side_metadata.h"

#include <cstdint>

namespace echo {

struct FreeRun {
  std::uint16_t first = 0;    // granule in the slab
  std::uint16_t granules = 0; // 0 never occurs; 8192 is an empty slab
};

inline constexpr std::size_t kMaxRunsPerSlab = kGranulesPerSlab / 2;

// Lists the runs of the slab whose bits begin at `bits` into out[kMaxRunsPerSlab]; returns their number.
std::size_t list_free_runs(const PageBits* bits, FreeRun* out);

} // namespace echo
