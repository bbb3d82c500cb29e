// SPDX-License-Identifier: MIT
//
// options.cpp - the checker's option table.
#include "options.h"

#include <cstdlib>
#include <cstring>
#include <string_view>
#include <variant>

namespace check {

namespace {

using Field = std::variant<std::string Options::*, std::uint64_t Options::*>;
struct Row {
  const char* name;
  echo_option_type type;
  const char *default_value, *range;
  std::uint64_t high;
  Field field;
  const char* sentence;
};
constexpr Row kRows[] = {
    {"check_report", ECHO_OPTION_PATH, "stderr", "a path", 0, &Options::report,
     "file that the mistakes are appended to; stderr: standard error"},
    {"check_every", ECHO_OPTION_COUNT, "0", "0..1000000000", 1000000000, &Options::every,
     "compare the heap with its shadow at every Nth safepoint; 0: as often as it costs about what the "
     "program does"},
    {"check_poll_ms", ECHO_OPTION_COUNT, "500", "0..3600000", 3600000, &Options::poll_ms,
     "a managed thread that does not poll for so many milliseconds while a stop is asked for is a mistake; "
     "0: never"},
};

bool parse_count(std::string_view text, std::uint64_t high, std::uint64_t* out) {
  if (text.empty() || text.size() > 12)
    return false;
  std::uint64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9')
      return false;
    value = value * 10 + static_cast<std::uint64_t>(c - '0');
  }
  *out = value;
  return value <= high;
}

echo_status apply(std::string_view name, std::string_view value, Options* out, std::string* why) {
  for (const Row& row : kRows) {
    if (name != row.name)
      continue;
    if (const auto* text = std::get_if<std::string Options::*>(&row.field)) {
      if (value.empty()) {
        *why = std::string("option ") + row.name + " takes " + row.range;
        return ECHO_BAD_OPTION_VALUE;
      }
      out->** text = std::string(value);
    } else if (!parse_count(value, row.high, &(out->*std::get<std::uint64_t Options::*>(row.field)))) {
      *why = std::string("option ") + row.name + " takes a whole number in " + row.range;
      return ECHO_BAD_OPTION_VALUE;
    }
    return ECHO_OK;
  }
  *why = "the checker has no option " + quoted(name);
  return ECHO_UNKNOWN_OPTION;
}

} // namespace

std::string quoted(std::string_view text) {
  std::string shown(text.substr(0, 64));
  for (char& c : shown)
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7F)
      c = '?';
  return "'" + shown + "'";
}

echo_status split_options(const char* text, Options* out, std::string* rest, std::string* why) {
  constexpr std::size_t kMostText = 8192;
  std::string_view left =
      text == nullptr ? std::string_view{} : std::string_view(text, ::strnlen(text, kMostText));
  while (!left.empty()) {
    const std::size_t comma = left.find(',');
    const std::string_view item = left.substr(0, comma);
    left = comma == std::string_view::npos ? std::string_view{} : left.substr(comma + 1);
    const std::size_t equals = item.find('=');
    if (item.substr(0, 6) != "check_" || equals == std::string_view::npos) {
      rest->append(rest->empty() ? "" : ",").append(item);
    } else if (const echo_status status = apply(item.substr(0, equals), item.substr(equals + 1), out, why);
               status != ECHO_OK) {
      return status;
    }
  }
  return ECHO_OK;
}

echo_status environment_options(Options* out, std::string* why) {
  std::string rest;
  const echo_status status = split_options(std::getenv("ECHO_CHECK_OPTIONS"), out, &rest, why);
  if (status == ECHO_OK && !rest.empty()) {
    *why = "ECHO_CHECK_OPTIONS holds what is none of the checker's: " + quoted(rest);
    return ECHO_UNKNOWN_OPTION;
  }
  return status;
}

bool option_row(std::uint32_t index, echo_option_info* out) {
  if (index >= std::size(kRows))
    return false;
  const Row& row = kRows[index];
  *out = {out->size,   static_cast<std::uint32_t>(row.type), row.name, row.default_value, row.range,
          row.sentence};
  return true;
}

} // namespace check
