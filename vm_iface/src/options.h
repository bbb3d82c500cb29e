// SPDX-License-Identifier: MIT
//
// Purpose     The option table and its parser: name, type, default, range, sentence; --help, echo-heapctl and
//             the documentation come from the same rows.
// Invariants  [options.table.1] A row's default is the value of a default Config. [options.parse.1] An
//             unknown name or a value outside its range is refused with the name, the type and the range;
//             nothing is half applied.
#pragma once

#include "echo/heap.h"
#include "heap/config.h"

#include <string>
#include <string_view>

namespace echo {

// Applies "name=value,name=value" to *config. Spaces around names and values are ignored; at most 4096 bytes.
echo_status parse_options(std::string_view text, Config* config, std::string* why);
// The same from the lines of a file. [options.file.*]
echo_status parse_options_file(std::string_view path, Config* config, std::string* why);
// Options of the environment: the file that ECHO_HEAP_OPTIONS_FILE names, over it those of ECHO_HEAP_OPTIONS. Both
// variables are ignored in set-user-ID processes.
echo_status parse_environment(Config* config, std::string* why);
// Row `index`; false past the end.
bool option_row(std::uint32_t index, echo_option_info* out);

} // namespace echo
