// SPDX-License-Identifier: MIT
//
// Purpose     The constants of the ABI's JSON as source text, for compilers that read neither JSON nor C headers.
// Invariants  [heapctl.emit.1] C and Go carry the same names and values, in the order of constants_of().
#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <string>
#include <vector>

namespace echo::ctl {

struct Constant {
  std::string name; // words joined by _, e.g. STATUS_HEAP_LIMIT, SIZE_echo_error, RECIPE_cursor_offset
  std::uint64_t value;
};

// Every number of the JSON; recipes of the portable set.
std::vector<Constant> constants_of(const nlohmann::ordered_json& abi);
// A header that any C compiler and preprocessor reads: #define ECHOABI_<name> <value>.
std::string as_c(const nlohmann::ordered_json& abi);
// Package echoabi: one untyped constant each, STATUS_HEAP_LIMIT as StatusHeapLimit.
std::string as_go(const nlohmann::ordered_json& abi);

} // namespace echo::ctl
