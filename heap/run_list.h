// SPDX-License-Identifier: MIT
//
// Purpose     The free runs of a recycled slab.
// Algorithm   Two steps: the marked objects' headers give their sizes, hence the live granules; the edges of
//             that map give the runs. The first step reads the slab's live headers in address order, once per
//             recycling. The second step exists in three forms of one result: a word at a time, with AVX2 and
//             with AVX-512 (run_list_x86.cpp); the best one that the processor has is chosen at start-up.
// Invariants  [heap.runs.1] Runs are maximal, disjoint, in address order, and cover exactly the granules of
//             no marked object. (Runs too short for any object are listed too: the caller skips them and they
//             count as waste.)
// Equations   at most kGranulesPerSlab / 2 runs
#pragma once

#include "heap/layout_table.h"
#include "heap/side_metadata.h"

#include <array>
#include <cstdint>

namespace echo {

struct FreeRun {
  std::uint16_t first = 0;    // granule in the slab
  std::uint16_t granules = 0; // 0 never occurs; 8192 is an empty slab
};

inline constexpr std::size_t kMaxRunsPerSlab = kGranulesPerSlab / 2;

// One bit per granule of a slab: it belongs to a marked object.
using LiveMap = std::array<std::uint64_t, kGranulesPerSlab / 64>;

// The mark words of one slab, copied.
struct SlabMarks {
  std::array<std::uint64_t, SideMetadata::kWordsPerSlab> marks, odd;
  // Beside a thread that clears them.
  void copy(const MarkBits& bits, Address slab);
};

// From a slab's mark words and the headers of its marked objects.
void build_live_map(Address slab, const SlabMarks& marks, const LayoutTable& layouts, LiveMap* out);

// Calls visit(address) for the start of every object of a slab that the words name, in address order.
template <class Visit>
void for_each_marked(Address slab, const std::uint64_t* marks, const std::uint64_t* odd, Visit visit) {
  for (std::size_t w = 0; w < SideMetadata::kWordsPerSlab; ++w) {
    for (std::uint64_t word = marks[w]; word != 0; word &= word - 1) {
      const auto bit = static_cast<std::size_t>(__builtin_ctzll(word));
      const std::size_t upper = (odd[w] >> bit & 1) * kGranule;
      visit(slab + w * SideMetadata::kBytesPerWord + bit * SideMetadata::kCellBytes + upper);
    }
  }
}
template <class Visit> void for_each_marked(Address slab, const MarkBits& bits, Visit visit) {
  for_each_marked(slab, bits.slab_marks(slab), bits.slab_odd(slab), visit);
}

// Lists the runs into out[kMaxRunsPerSlab]; returns their number.
using RunLister = std::size_t (*)(const LiveMap& map, FreeRun* out);

enum class RunListerKind : std::uint8_t { Scalar, Avx2, Avx512 };
// Null: this processor, or this architecture, has not got it. Scalar is never null.
RunLister run_lister(RunListerKind kind);
// The fastest one there is: the choice of start-up.
RunListerKind best_run_lister();
std::size_t list_free_runs(const LiveMap& map, FreeRun* out);

} // namespace echo
