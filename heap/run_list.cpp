// SPDX-License-Identifier: MIT
//
// Purpose     Run listing, one word at a time: jumps from edge to edge of the bitmap with
// count-trailing-zeros.
#include "heap/run_list.h"

#include <bit>

namespace echo {

std::size_t list_free_runs(const PageBits* bits, FreeRun* out) {
  constexpr std::size_t kWords = kGranulesPerSlab / 64;
  std::size_t count = 0;
  bool open = false;
  std::size_t start = 0;
  for (std::size_t w = 0; w < kWords; ++w) {
    const std::uint64_t live = bits[w / 8].live[w % 8];
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

} // namespace echo
