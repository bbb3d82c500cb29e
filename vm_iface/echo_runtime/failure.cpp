// SPDX-License-Identifier: MIT
#include "failure.h"

#include "state.h"

#include <cstdarg>
#include <cstdio>
#include <cstdlib>

namespace echo::runtime {

void fail(const echo_runtime* runtime, const char* function, echo_status status, const char* format, ...) {
  echo_error error{};
  error.code = status;
  const int begun = std::snprintf(error.message, sizeof error.message, "%s: ", function);
  const auto at = static_cast<std::size_t>(begun);
  std::va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(error.message + at, sizeof error.message - at, format, arguments);
  va_end(arguments);
  if (runtime != nullptr && runtime->options.fail != nullptr) {
    runtime->options.fail(runtime->options.fail_context, &error);
  }
  std::fflush(stdout); // what was printed before comes first
  std::fprintf(stderr, "%s\n", error.message);
  std::exit(ECHO_RUNTIME_FAILED);
}

echo_status report(echo_error* why, echo_status status, const char* format, ...) {
  if (why != nullptr) {
    why->code = status;
    std::va_list arguments;
    va_start(arguments, format);
    std::vsnprintf(why->message, sizeof why->message, format, arguments);
    va_end(arguments);
  }
  return status;
}

} // namespace echo::runtime
