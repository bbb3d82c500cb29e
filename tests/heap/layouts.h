// SPDX-License-Identifier: MIT
//
// Purpose     Layout descriptors in one line each.
#pragma once

#include "echo/layout.h"

#include <vector>

namespace echo::test {

// The slots must outlive the descriptor.
inline echo_layout describe(const char* name, echo_layout_kind kind, std::uint64_t fixed_bytes,
                            std::uint32_t element_bytes, const std::vector<echo_slot>& slots = {}) {
  return {sizeof(echo_layout),
          static_cast<std::uint32_t>(kind),
          name,
          fixed_bytes,
          element_bytes,
          0,
          0,
          static_cast<std::uint32_t>(slots.size()),
          slots.data()};
}
inline echo_layout fixed_layout(const char* name, std::uint64_t bytes,
                                const std::vector<echo_slot>& slots = {}) {
  return describe(name, ECHO_LAYOUT_FIXED, bytes, 0, slots);
}
inline echo_layout raw_array_layout(const char* name, std::uint32_t element_bytes) {
  return describe(name, ECHO_LAYOUT_RAW_ARRAY, 16, element_bytes);
}
inline echo_layout ref_array_layout(const char* name) {
  return describe(name, ECHO_LAYOUT_REF_ARRAY, 16, 8);
}

} // namespace echo::test
