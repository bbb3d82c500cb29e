// SPDX-License-Identifier: MIT
//
// Purpose     Numbers as text, in the C locale whatever the process's is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace echo::runtime {

// Room for any number: "-9223372036854775808", or 15 digits with sign, point and exponent; and a newline.
struct NumberText {
  char bytes[40];
  std::size_t length = 0;
  std::string_view view() const { return {bytes, length}; }
};

NumberText decimal(std::int64_t value);
// C's %.{digits}g. [runtime.number.1]
NumberText general(double value, int digits);

} // namespace echo::runtime
