// SPDX-License-Identifier: MIT
//
// Purpose     The ABI as data: what the public headers declare, with the compiler's numbers, and what a plugin answers.
// Invariants  [heapctl.abi.1] Nothing is written down a second time: names come from the headers, numbers from the
//             compiler, recipes and options from the plugin. [heapctl.abi.2] Every byte of a struct belongs to a field
//             or is padding before an aligned one. [heapctl.schema.1] The schema number grows when a member changes its
//             meaning or goes; new members may come any time.
#pragma once

#include "plugin.h"

#include <nlohmann/json.hpp>

namespace echo::ctl {

inline constexpr int kSchema = 1;

nlohmann::ordered_json options_as_json(const Plugin& plugin);
nlohmann::ordered_json abi_as_json(const Plugin& plugin, const Heap& heap);

// bytes, count, on|off, word or path.
const char* option_kind(std::uint32_t type);

} // namespace echo::ctl
