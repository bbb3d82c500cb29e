// SPDX-License-Identifier: MIT
//
// Purpose     Live map and run listing, one word at a time: from bit to bit and from edge to edge with
//             count-trailing-zeros. The choice between the forms.
#include "heap/run_list.h"

#include "heap/assert.h"
#include "heap/delay_line.h"
#include "heap/fault.h"
#include "heap/run_list_x86.h"

#include <algorithm>
#include <bit>

namespace echo {

namespace {

void set_range(LiveMap& map, std::size_t first, std::size_t count) {
  while (count != 0) {
    const std::size_t in_word = first % 64;
    const std::size_t here = std::min(count, 64 - in_word);
    const std::uint64_t ones = here == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << here) - 1;
    map[first / 64] |= ones << in_word;
    first += here;
    count -= here;
  }
}

} // namespace

void SlabMarks::copy(const MarkBits& bits, Address slab) {
  const std::uint64_t* const from_marks = bits.slab_marks(slab);
  const std::uint64_t* const from_odd = bits.slab_odd(slab);
  for (std::size_t w = 0; w < marks.size(); ++w) {
    marks[w] = __atomic_load_n(&from_marks[w], __ATOMIC_RELAXED);
    odd[w] = __atomic_load_n(&from_odd[w], __ATOMIC_RELAXED);
  }
}

// The headers lie anywhere in the slab, which nobody has read since the mark: each is asked for some objects ahead of its
// turn.
void build_live_map(Address slab, const SlabMarks& marks, const LayoutTable& layouts, LiveMap* out) {
  constexpr std::size_t kAhead = 16;
  DelayLine<kAhead> asked_for;
  out->fill(0);
  const auto add = [&](Address object) {
    if (object == 0) {
      return;
    }
    const std::size_t first = (object - slab) / kGranule;
    const std::size_t granules = layouts.object_bytes({object}) / kGranule;
    ECHO_CHECK(granules != 0 && first + granules <= kGranulesPerSlab,
               "[heap.runs.1] an object leaves its slab");
    set_range(*out, first, granules);
  };
  for_each_marked(slab, marks.marks.data(), marks.odd.data(), [&](Address object) {
    if (has_fault(Fault::BitmapWordDropped) && (object - slab) / MarkBits::kBytesPerWord == 3) {
      return;
    }
    __builtin_prefetch(reinterpret_cast<const void*>(object));
    add(asked_for.exchange(object));
  });
  for (std::size_t i = 0; i < kAhead; ++i) {
    add(asked_for.exchange(0));
  }
}

namespace {

std::size_t list_scalar(const LiveMap& map, FreeRun* out) {
  std::size_t count = 0;
  bool open = false;
  std::size_t start = 0;
  for (std::size_t w = 0; w < map.size(); ++w) {
    const std::uint64_t live = map[w];
    if (live == (open ? 0 : ~std::uint64_t{0})) {
      continue; // no edge in this word
    }
    std::size_t position = 0;
    while (position < 64) {
      // Looking for the next set bit while a run is open, for the next clear bit otherwise.
      const std::uint64_t sought = (open ? live : ~live) & (~std::uint64_t{0} << position);
      if (sought == 0) {
        break;
      }
      position = static_cast<std::size_t>(std::countr_zero(sought));
      if (open) {
        out[count++] = {static_cast<std::uint16_t>(start),
                        static_cast<std::uint16_t>(w * 64 + position - start)};
      } else {
        start = w * 64 + position;
      }
      open = !open;
    }
  }
  if (open) {
    out[count++] = {static_cast<std::uint16_t>(start), static_cast<std::uint16_t>(kGranulesPerSlab - start)};
  }
  return count;
}

} // namespace

RunLister run_lister(RunListerKind kind) {
  switch (kind) {
  case RunListerKind::Scalar:
    return list_scalar;
  case RunListerKind::Avx2:
    return x86::has_avx2() ? x86::list_avx2 : nullptr;
  case RunListerKind::Avx512:
    return x86::has_avx512() ? x86::list_avx512 : nullptr;
  }
  return nullptr;
}

RunListerKind best_run_lister() {
  for (const RunListerKind kind : {RunListerKind::Avx512, RunListerKind::Avx2}) {
    if (run_lister(kind) != nullptr) {
      return kind;
    }
  }
  return RunListerKind::Scalar;
}

namespace {
const RunLister g_best = run_lister(best_run_lister()); // when the library is loaded: no guard in the way
}

std::size_t list_free_runs(const LiveMap& map, FreeRun* out) {
  return g_best(map, out);
}

} // namespace echo
