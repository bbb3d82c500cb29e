// SPDX-License-Identifier: MIT
//
// Purpose     The counting walk, several spans at a time.
#include "gc/census.h"

#include <array>

namespace echo {

std::uint64_t Census::count(const std::vector<RetiredSpan>& spans) const {
  constexpr std::size_t kLanes = 8;
  std::array<RetiredSpan, kLanes> lanes{};
  std::uint64_t objects = 0;
  std::size_t next = 0;
  bool busy = true;
  while (busy) {
    busy = false;
    for (RetiredSpan& lane : lanes) {
      if (lane.start >= lane.end) {
        if (next == spans.size()) {
          continue;
        }
        lane = spans[next++];
      }
      busy = true;
      const HeaderWord header = load_header({lane.start});
      if (!known(header)) {
        lane.start = lane.end;
        continue;
      }
      objects += header.is_filler() ? 0 : 1;
      lane.start += layouts_.object_bytes({lane.start});
    }
  }
  return objects;
}

} // namespace echo
