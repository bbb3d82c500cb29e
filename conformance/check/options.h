// SPDX-License-Identifier: MIT
//
// options.h - the checker's own options, taken out of a heap's before the real plugin sees them.
//
// Drawing     ECHO_CHECK_PLUGIN=PATH        the plugin that is checked; else libecho_heap.so beside the checker
//             ECHO_CHECK_OPTIONS=...        check_* options of every heap, which those of the creator override
//             echo_heap_create("max_heap=1g,check_every=1")
#ifndef ECHO_CHECK_OPTIONS_H
#define ECHO_CHECK_OPTIONS_H

#include "echo/heap.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace check {

struct Options {
  std::string report = "stderr"; // file, or standard error
  std::uint64_t every =
      0; // check at every Nth safepoint; 0: as often as it costs about as much as the program
  std::uint64_t poll_ms =
      500; // a managed thread polls at least so often, once a stop is asked for; 0: never mind
};

// Text of the caller as it may stand in a sentence.
std::string quoted(std::string_view text);
// Splits `text` (may be null): what is not the checker's goes to *rest. INVALID_ARGUMENT never; UNKNOWN_OPTION or
// BAD_OPTION_VALUE with a sentence.
echo_status split_options(const char* text, Options* out, std::string* rest, std::string* why);
// ECHO_CHECK_OPTIONS.
echo_status environment_options(Options* out, std::string* why);
// Row `index` of the checker's table; false behind its end.
bool option_row(std::uint32_t index, echo_option_info* out);

} // namespace check

#endif // ECHO_CHECK_OPTIONS_H
