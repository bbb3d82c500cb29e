// SPDX-License-Identifier: MIT
//
// Purpose     The end of a failed assertion: one line, written without allocating, then abort.
#include "heap/assert.h"

#include <cstdio>
#include <cstdlib>
#include <unistd.h>

namespace echo {

void assertion_failed(const char* what, const char* file, int line) {
  char text[512];
  const int n =
      std::snprintf(text, sizeof text, "echo heap: broken invariant: %s at %s:%d\n", what, file, line);
  if (n > 0) {
    const auto length =
        static_cast<std::size_t>(n) < sizeof text ? static_cast<std::size_t>(n) : sizeof text - 1;
    [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text, length);
  }
  std::abort();
}

} // namespace echo
