// SPDX-License-Identifier: MIT
//
// Purpose     The patterns of starts, one per cell size.
#include "heap/native/size_classes.h"

namespace echo::native {

namespace {

constexpr auto make_starts() {
  std::array<SlabBits, kCellCount> starts{};
  for (std::size_t i = 0; i < kCellCount; ++i) {
    for (std::size_t at = 0; at + kCellBytes[i] <= kSlabBytes; at += kCellBytes[i]) {
      starts[i][word_of(at)] |= bit_of(at);
    }
  }
  return starts;
}

} // namespace

constinit const std::array<SlabBits, kCellCount> kStarts = make_starts();

} // namespace echo::native
