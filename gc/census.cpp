// SPDX-License-Identifier: MIT
//
// Purpose     The counting walk.
#include "gc/census.h"

namespace echo {

std::uint64_t Census::count_all(std::span<const RetiredSpan> spans) const {
  std::uint64_t objects = 0;
  std::uint64_t repeated_header = 0; // of a fixed layout, whose size is repeated_bytes
  std::size_t repeated_bytes = 0;
  for (const RetiredSpan& span : spans) {
    for (Address at = span.start; at < span.end;) {
      const HeaderWord header = load_header({at});
      if (header.bits == repeated_header && repeated_bytes != 0) {
        at += repeated_bytes; // does not wait for the load: the branch is predicted
        ++objects;
        continue;
      }
      if (!known(header)) {
        break;
      }
      const std::size_t bytes = layouts_.object_bytes({at});
      if (bytes == 0 || bytes > span.end - at) {
        break; // a length was overwritten
      }
      if (!header.is_filler()) {
        ++objects;
        const bool is_array = layouts_.record({header.layout_number()}).is_array;
        repeated_header = header.bits;
        repeated_bytes = is_array ? 0 : bytes;
      }
      at += bytes;
    }
  }
  return objects;
}

} // namespace echo
