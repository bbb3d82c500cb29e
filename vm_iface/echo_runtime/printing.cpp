// SPDX-License-Identifier: MIT
//
// Purpose     print_*: text, and behind it a newline or nothing. [runtime.print.1]
// Invariants  [runtime.print.2] The thread is native while the C library may ask the system to write standard output: nobody
//             waits for a reader that is slow. Entering native state copies an ambiguous stack, so text that only goes into
//             the library's buffer is written without. options.output is called managed.
//             [runtime.print.3] A write that fails is reported when the thread leaves the runtime, and what is printed behind it
//             is lost; the program goes on.
#include "conversions.h"
#include "functions.h"
#include "text.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include <stdio_ext.h>

namespace echo::runtime {
namespace {

// Whether `length` more bytes stay in the buffer: it has room, and no line is written by itself.
bool stays_in_buffer(std::FILE* stream, std::size_t length) {
  return ::__flbf(stream) == 0 && ::__fpending(stream) + length < ::__fbufsize(stream);
}

void write(echo_runtime& runtime, const char* function, std::string_view bytes) {
  if (runtime.options.output != nullptr) {
    runtime.options.output(runtime.options.output_context, bytes.data(), bytes.size());
    return;
  }
  if (runtime.write_error != 0) {
    return;
  }
  const echo_heap_api& api = runtime.memory.api();
  echo_thread* const thread = runtime.memory.thread();
  const bool quick = stays_in_buffer(stdout, bytes.size());
  if (const echo_status status = quick ? ECHO_OK : api.enter_native(thread); status != ECHO_OK) {
    fail(&runtime, function, status, "the thread is not managed");
  }
  if (std::fwrite(bytes.data(), 1, bytes.size(), stdout) != bytes.size()) {
    runtime.write_error = errno != 0 ? errno : EIO;
  }
  if (!quick) {
    (void)api.leave_native(thread); // from native: cannot fail
  }
}

void print(const char* function, std::string_view text) {
  echo_runtime& runtime = here(function);
  const bool line = runtime.options.print == ECHO_RUNTIME_PRINT_LINES;
  char together[512];
  if (line && text.size() < sizeof together) {
    std::copy(text.begin(), text.end(), together);
    together[text.size()] = '\n';
    write(runtime, function, {together, text.size() + 1});
    return;
  }
  if (!text.empty()) {
    write(runtime, function, text);
  }
  if (line) {
    write(runtime, function, "\n");
  }
}

} // namespace
} // namespace echo::runtime

using namespace echo::runtime;

void print_int(std::int32_t value) {
  print("print_int", decimal(value).view());
}

void print_float(double value) {
  print("print_float", general(value, 6).view());
}

void print_bool(std::uint32_t value) {
  print("print_bool", (value & 1) != 0 ? "true" : "false"); // [runtime.width.1]
}

void print_string(void* string) {
  print("print_string", view("print_string", string));
  keep(string);
}
