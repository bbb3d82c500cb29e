/* SPDX-License-Identifier: MIT
 *
 * failure.cpp - see failure.h.
 */
#include "failure.h"

#include <cstring>

#include "descriptor_io.h"
#include "words.h"

namespace echo::run {

namespace {

/* What to do about a failure whose sentence comes from a plugin and cannot know the tool's options. */
std::string advice(int32_t code) {
  switch (code) {
  case ECHO_HEAP_LIMIT:
    return std::string("raise max_heap in ") + words.heap_options + ", or keep less alive";
  case ECHO_SYSTEM_MEMORY:
    return std::string("free memory or lower max_heap in ") + words.heap_options;
  case ECHO_UNKNOWN_OPTION:
  case ECHO_BAD_OPTION_VALUE:
    return words.list_options;
  case ECHO_VERSION_MISMATCH:
    return "use a build that serves this version";
  case ECHO_IR_INVALID:
    return "give LLVM 19 IR or bitcode, e.g. from echo-cc";
  case ECHO_MISSING_SYMBOL:
    return words.missing_symbol;
  default:
    return {};
  }
}

} // namespace

Failure failure_from(echo_status status, const echo_error& why, std::string_view where) {
  Failure failure;
  failure.code = status != ECHO_OK ? static_cast<int32_t>(status) : why.code;
  const std::size_t length = strnlen(why.message, sizeof why.message);
  failure.sentence.assign(why.message, length);
  if (failure.sentence.empty())
    failure.sentence = "no sentence was given";
  while (!failure.sentence.empty() && (failure.sentence.back() == '.' || failure.sentence.back() == '\n'))
    failure.sentence.pop_back();
  if (!where.empty() && failure.sentence.find(where) == std::string::npos)
    failure.sentence.append(", in ").append(where);
  if (const std::string what_to_do = advice(failure.code); !what_to_do.empty())
    failure.sentence.append(", ").append(what_to_do);
  return failure;
}

std::string one_line(std::string_view text) {
  std::string line;
  line.reserve(text.size());
  for (const char byte : text) {
    const auto value = static_cast<unsigned char>(byte);
    const bool blank = value <= 0x20 || value == 0x7f;
    if (!blank)
      line.push_back(byte);
    else if (!line.empty() && line.back() != ' ')
      line.push_back(' ');
  }
  if (!line.empty() && line.back() == ' ')
    line.pop_back();
  return line;
}

std::string failure_line(const Failure& failure) {
  std::string line = words.tool;
  line.append(": ").append(echo_status_name(failure.code)).append(": ").append(one_line(failure.sentence));
  return line;
}

void print_failure(const Failure& failure) {
  const std::string line = failure_line(failure) + '\n';
  write_all(2, line);
}

} // namespace echo::run
