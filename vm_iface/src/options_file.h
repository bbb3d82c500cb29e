// SPDX-License-Identifier: MIT
//
// Purpose     The text of an options file.
// Invariants  [options.file.1] Reading is bounded and never waits: a regular file of at most 64 KiB, opened without blocking.
//             [options.file.2] A set-user-ID or set-group-ID process reads no options file, whoever names it.
#pragma once

#include "echo/base.h"

#include <string>
#include <string_view>

namespace echo {

inline constexpr std::size_t kMaxOptionsFile = std::size_t{64} * 1024;

// IO_ERROR with the system's reason, BAD_OPTION_VALUE for what is no such file, WRONG_STATE. [options.file.2]
echo_status read_options_file(std::string_view path, std::string* text, std::string* why);

// A path as it may appear in a sentence: its end, without control characters.
std::string quoted_path(std::string_view path);

} // namespace echo
