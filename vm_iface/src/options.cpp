// SPDX-License-Identifier: MIT
//
// Purpose     The one table of options.
#include "vm_iface/src/options.h"

#include "vm_iface/src/options_file.h"

#include <cstdlib>
#include <cstring>
#include <limits>
#include <variant>

namespace echo {

namespace {

constexpr std::uint64_t kKiB = 1024;
constexpr std::uint64_t kGiB = kKiB * kKiB * kKiB;
constexpr std::uint64_t kMaxBytes = 1024 * kGiB;
constexpr std::size_t kMaxText = 4096;
constexpr const char* kFileOption = "file";

using Field = std::variant<std::size_t Config::*, bool Config::*, MarkMode Config::*, HeapPolicy Config::*>;

struct Row {
  const char* name;
  echo_option_type type;
  const char* default_value;
  const char* range;
  std::uint64_t low, high;
  Field field;
  const char* sentence;
};

constexpr Row kRows[] = {
    {"max_heap", ECHO_OPTION_BYTES, "1g", "1m..1024g", kKiB* kKiB, kMaxBytes, &Config::max_heap,
     "limit of the memory that holds objects: slabs and pages of large objects"},
    {"trigger", ECHO_OPTION_BYTES, "0", "0..1024g", 0, kMaxBytes, &Config::initial_trigger,
     "what a program with little alive may allocate between collections; less, down to 1m, while they are "
     "cheap"},
    {"policy", ECHO_OPTION_WORD, "growth", "growth|fixed|membalancer", 0, 2, &Config::policy,
     "how much the program may use until the next collection is over: in proportion to what is alive (option "
     "growth); a fixed size (option trigger, or all that max_heap allows); or as much as makes collecting "
     "cost "
     "what the memory is worth (option balance)"},
    {"growth", ECHO_OPTION_COUNT, "200", "101..10000", 101, 10000, &Config::growth_percent,
     "the next collection comes when the program has allocated live * (growth - 100) percent"},
    {"balance", ECHO_OPTION_COUNT, "500", "0..1000000000", 0, 1000000000, &Config::balance,
     "policy membalancer: the heap grows while a MiB more saves at least so many millionths of the time for "
     "collecting; less is a larger heap, 0 takes all that max_heap allows"},
    {"reserve", ECHO_OPTION_BYTES, "0", "0..1024g", 0, kMaxBytes, &Config::reserve_bytes,
     "address space of the heap; 0 takes 64g; at least twice max_heap and 6m are taken"},
    {"keep_free", ECHO_OPTION_BYTES, "0", "0..1024g", 0, kMaxBytes, &Config::keep_free,
     "empty memory that is kept after a collection, the rest goes back to the operating system; 0 keeps what "
     "the program may allocate until the next collection, and at least 32m"},
    {"idle", ECHO_OPTION_COUNT, "5000", "0..1000000000", 0, 1000000000, &Config::idle_ms,
     "milliseconds without allocation, up to twice as many, after which empty memory beyond keep_free, or "
     "beyond "
     "populate if that is 0, goes back to the operating system; 0 is never"},
    {"idle_collect", ECHO_OPTION_SWITCH, "off", "on|off", 0, 1, &Config::idle_collect,
     "collect before that, if an eighth of what is alive, and 1m, was allocated since the last collection"},
    {"populate", ECHO_OPTION_BYTES, "8m", "0..1024g", 0, kMaxBytes, &Config::populate,
     "memory that the background thread brings in ahead of the program, more while the program is faster; 0 "
     "leaves "
     "it to the first touch"},
    {"mark_region", ECHO_OPTION_BYTES, "0", "0..1024g", 0, kMaxBytes, &Config::mark_region,
     "part of the heap that the marker works on before it goes to the next, rounded up to a power of two; 0 "
     "takes the whole of a heap up to 256m, and 32m of a larger one"},
    {"huge_pages", ECHO_OPTION_SWITCH, "on", "on|off", 0, 1, &Config::huge_pages,
     "ask for transparent huge pages"},
    {"mode", ECHO_OPTION_WORD, "concurrent", "concurrent|stw|incremental", 0, 2, &Config::mode,
     "where collecting is done: on a thread of the heap beside the program, inside one stop, or in steps on "
     "the program's "
     "threads, as they allocate or call echo_step"},
    {"permits", ECHO_OPTION_COUNT, "0", "0..1000000000", 0, 1000000000, &Config::permits,
     "how many threads run managed code at a time, the others waiting for their turn at rest: with as many "
     "as processors "
     "stops stay short, whatever the number of threads; 0 lets all run"},
    {"markers", ECHO_OPTION_COUNT, "0", "0..16", 0, 16, &Config::markers,
     "threads that mark together, if a mark is not done in steps; 0 takes up to 8, as long as there are "
     "processors for them and for the threads that run managed code, and one for a small heap"},
    {"assists", ECHO_OPTION_SWITCH, "on", "on|off", 0, 1, &Config::assists,
     "threads that allocate faster than is marked mark slices themselves; off lets them wait at the limit"},
    {"census", ECHO_OPTION_SWITCH, "on", "on|off", 0, 1, &Config::census,
     "count allocated objects exactly by walking their headers in each collection"},
    {"soft_limit", ECHO_OPTION_BYTES, "0", "0..1024g", 0, kMaxBytes, &Config::soft_limit,
     "from this much memory in use on, collections come as soon as a sixteenth of what is alive, or 1m, was "
     "allocated; 0 is none"},
    {"stress_collect", ECHO_OPTION_COUNT, "0", "0..1000000000", 0, 1000000000, &Config::stress_collect,
     "collect at every Nth allocation; 0 is off"},
    {"poison", ECHO_OPTION_SWITCH, "off", "on|off", 0, 1, &Config::poison,
     "fill freed memory with an illegal pattern"},
    {"verify", ECHO_OPTION_SWITCH, "off", "on|off", 0, 1, &Config::verify,
     "verify the whole heap before and after every mark"},
    {"stress_yield", ECHO_OPTION_SWITCH, "off", "on|off", 0, 1, &Config::stress_yield,
     "yield the processor at random at every step of the stop protocol"},
    {"stress_frames", ECHO_OPTION_SWITCH, "off", "on|off", 0, 1, &Config::stress_frames,
     "after a collection, check the references of older frames in portions, each before control comes back "
     "to it"},
    {"stress_barriers", ECHO_OPTION_SWITCH, "off", "on|off", 0, 1, &Config::stress_barriers,
     "send every reference store down the cold path and verify at each stop that none was missed"},
    {"stepping", ECHO_OPTION_SWITCH, "off", "on|off", 0, 1, &Config::stepping,
     "serve the calls of echo/stepping.h, with which tests drive a collection step by step"},
    {"seed", ECHO_OPTION_COUNT, "1", "0..2^64-1", 0, std::numeric_limits<std::uint64_t>::max(), &Config::seed,
     "seed of random stress decisions"},
};
static_assert(sizeof(std::size_t) == sizeof(std::uint64_t), "one field type for bytes and counts");

const char* type_name(echo_option_type type) {
  switch (type) {
  case ECHO_OPTION_BYTES:
    return "bytes with an optional suffix k, m or g";
  case ECHO_OPTION_COUNT:
    return "a whole number";
  case ECHO_OPTION_SWITCH:
    return "on or off";
  case ECHO_OPTION_WORD:
  case ECHO_OPTION_PATH:
    break;
  }
  return "one of the words";
}

std::string_view trim(std::string_view s) {
  while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) {
    s.remove_prefix(1);
  }
  while (!s.empty() && (s.back() == ' ' || s.back() == '\t')) {
    s.remove_suffix(1);
  }
  return s;
}

bool parse_number(std::string_view text, bool suffix_allowed, std::uint64_t* out) {
  std::uint64_t unit = 1;
  if (suffix_allowed && !text.empty()) {
    switch (text.back()) {
    case 'k':
    case 'K':
      unit = kKiB;
      break;
    case 'm':
    case 'M':
      unit = kKiB * kKiB;
      break;
    case 'g':
    case 'G':
      unit = kGiB;
      break;
    default:
      break;
    }
    if (unit != 1) {
      text.remove_suffix(1);
    }
  }
  if (text.empty() || text.size() > 20) {
    return false;
  }
  std::uint64_t value = 0;
  for (const char c : text) {
    if (c < '0' || c > '9' || __builtin_mul_overflow(value, 10u, &value) ||
        __builtin_add_overflow(value, static_cast<std::uint64_t>(c - '0'), &value)) {
      return false;
    }
  }
  return !__builtin_mul_overflow(value, unit, out);
}

// The position of a word in "one|two|three".
bool parse_word(std::string_view words, std::string_view text, std::uint64_t* out) {
  for (*out = 0;; ++*out) {
    const std::size_t bar = words.find('|');
    if (!text.empty() && words.substr(0, bar) == text) {
      return true;
    }
    if (bar == std::string_view::npos) {
      return false;
    }
    words.remove_prefix(bar + 1);
  }
}

bool parse_value(const Row& row, std::string_view text, std::uint64_t* out) {
  if (row.type == ECHO_OPTION_WORD) {
    return parse_word(row.range, text, out);
  }
  if (row.type == ECHO_OPTION_SWITCH) {
    *out = text == "on" ? 1 : 0;
    return text == "on" || text == "off";
  }
  return parse_number(text, row.type == ECHO_OPTION_BYTES, out) && *out >= row.low && *out <= row.high;
}

void apply(const Row& row, std::uint64_t value, Config* config) {
  if (const auto* number = std::get_if<std::size_t Config::*>(&row.field)) {
    config->** number = value;
  } else if (const auto* mode = std::get_if<MarkMode Config::*>(&row.field)) {
    config->** mode = static_cast<MarkMode>(value);
  } else if (const auto* policy = std::get_if<HeapPolicy Config::*>(&row.field)) {
    config->** policy = static_cast<HeapPolicy>(value);
  } else {
    config->*std::get<bool Config::*>(row.field) = value != 0;
  }
}

const Row* find_row(std::string_view name) {
  for (const Row& row : kRows) {
    if (name == row.name) {
      return &row;
    }
  }
  return nullptr;
}

// Input as it may appear in a sentence: its beginning, without control characters.
std::string quoted(std::string_view text) {
  std::string shown(text.substr(0, 64));
  for (char& c : shown) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) {
      c = '?';
    }
  }
  return "'" + shown + "'";
}

enum class From { Text, File };

echo_status nested_file(std::string* why) {
  *why = std::string("option '") + kFileOption + "' stands in an options file, which cannot name another one";
  return ECHO_BAD_OPTION_VALUE;
}

echo_status parse_one(std::string_view item, From file_from, Config* config, std::string* why) {
  const std::size_t equals = item.find('=');
  const std::string_view name = trim(item.substr(0, equals));
  const Row* row = find_row(name);
  const std::string_view text = equals == std::string_view::npos ? "" : trim(item.substr(equals + 1));
  if (row == nullptr && name == kFileOption) {
    return file_from == From::File ? nested_file(why) : parse_options_file(text, config, why);
  }
  if (row == nullptr) {
    *why = "option " + quoted(name) + " is unknown; known are:";
    for (const Row& known : kRows) {
      *why += std::string(" ") + known.name;
    }
    *why += std::string(" ") + kFileOption;
    return ECHO_UNKNOWN_OPTION;
  }
  std::uint64_t value = 0;
  if (!parse_value(*row, text, &value)) {
    *why = "option " + quoted(name) + " has the value " + quoted(text) + ": expected " +
           type_name(row->type) + " in " + row->range;
    return ECHO_BAD_OPTION_VALUE;
  }
  apply(*row, value, config);
  return ECHO_OK;
}

// Items between commas; the error is that of the first bad one.
echo_status parse_items(std::string_view text, From from, Config* config, std::string* why) {
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    const std::string_view item = trim(text.substr(0, comma));
    text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
    if (item.empty()) {
      continue;
    }
    if (const echo_status status = parse_one(item, from, config, why); status != ECHO_OK) {
      return status;
    }
  }
  return ECHO_OK;
}

} // namespace

echo_status parse_options(std::string_view text, Config* config, std::string* why) {
  if (text.size() > kMaxText) {
    *why = "the options are longer than " + std::to_string(kMaxText) + " bytes";
    return ECHO_BAD_OPTION_VALUE;
  }
  Config parsed = *config; // nothing is half applied
  const echo_status status = parse_items(text, From::Text, &parsed, why);
  if (status == ECHO_OK) {
    *config = parsed;
  }
  return status;
}

echo_status parse_options_file(std::string_view path, Config* config, std::string* why) {
  std::string text;
  if (const echo_status status = read_options_file(path, &text, why); status != ECHO_OK) {
    return status;
  }
  Config parsed = *config;
  std::string_view rest = text;
  for (std::size_t line = 1; !rest.empty(); ++line) {
    const std::size_t end = rest.find('\n');
    std::string_view items = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    if (!items.empty() && items.back() == '\r') {
      items.remove_suffix(1);
    }
    items = items.substr(0, items.find('#'));
    if (const echo_status status = parse_items(items, From::File, &parsed, why); status != ECHO_OK) {
      *why = "in the options file " + quoted_path(path) + ", line " + std::to_string(line) + ": " + *why;
      return status;
    }
  }
  *config = parsed;
  return ECHO_OK;
}

echo_status parse_environment(Config* config, std::string* why) {
  // secure_getenv: null in set-user-ID and set-group-ID processes.
  const char* const path = ::secure_getenv("ECHO_HEAP_OPTIONS_FILE");
  if (path != nullptr && *path != '\0') {
    if (const echo_status from_file = parse_options_file(path, config, why); from_file != ECHO_OK) {
      *why = "in ECHO_HEAP_OPTIONS_FILE: " + *why;
      return from_file;
    }
  }
  const char* const text = ::secure_getenv("ECHO_HEAP_OPTIONS");
  if (text == nullptr) {
    return ECHO_OK;
  }
  const echo_status status = parse_options({text, ::strnlen(text, kMaxText + 1)}, config, why);
  if (status != ECHO_OK) {
    *why = "in ECHO_HEAP_OPTIONS: " + *why;
  }
  return status;
}

bool option_row(std::uint32_t index, echo_option_info* out) {
  if (index == std::size(kRows)) {
    out->type = ECHO_OPTION_PATH;
    out->name = kFileOption;
    out->default_value = "";
    out->range = "a regular file of at most 64k";
    out->sentence =
        "more options, one or several to a line, from # on a comment; what stands behind this option "
        "overrides them";
    return true;
  }
  if (index > std::size(kRows)) {
    return false;
  }
  const Row& row = kRows[index];
  out->type = row.type;
  out->name = row.name;
  out->default_value = row.default_value;
  out->range = row.range;
  out->sentence = row.sentence;
  return true;
}

} // namespace echo
