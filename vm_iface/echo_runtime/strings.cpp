// SPDX-License-Identifier: MIT
//
// Purpose     Strings: joining, comparing, searching, changing case, splitting. Bytes, except where it says code points.
#include "functions.h"
#include "text.h"

#include <algorithm>
#include <cstring>
#include <limits>

namespace echo::runtime {

void bad_text(const char* function, const void* string) {
  const auto& text = *static_cast<const Text*>(string);
  fail(current, function, ECHO_INVALID_ARGUMENT, "the string at %p is none: data %p, len %lld, cap %lld",
       string, static_cast<const void*>(text.data), static_cast<long long>(text.len),
       static_cast<long long>(text.cap));
}

void too_long(const char* function, std::uint64_t bytes) {
  fail(current, function, ECHO_INVALID_ARGUMENT, "a string of %llu bytes is over the limit of 2^47",
       static_cast<unsigned long long>(bytes));
}

namespace {

// isspace of the C locale, whatever the process's is.
constexpr bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_space(text.front())) {
    text.remove_prefix(1);
  }
  while (!text.empty() && is_space(text.back())) {
    text.remove_suffix(1);
  }
  return text;
}

std::size_t find(std::string_view text, std::string_view part) {
  // Linear in the text whatever the part (memmem: two-way, Crochemore and Perrin 1991).
  if (part.empty()) {
    return 0;
  }
  const void* const at =
      text.empty() ? nullptr : ::memmem(text.data(), text.size(), part.data(), part.size());
  return at == nullptr ? std::string_view::npos
                       : static_cast<std::size_t>(static_cast<const char*>(at) - text.data());
}

template <class Change> void* changed(const char* function, void* string, Change change) {
  echo_runtime& runtime = here(function);
  const std::string_view from = view(function, string);
  Text* const to = new_text(runtime, function, from.size());
  std::transform(from.begin(), from.end(), to->data, change);
  keep(string);
  return to;
}

// What runtime_string_split and runtime_string_to_bytes return.
struct Counted {
  void* elements;
  std::int32_t count;
};

} // namespace
} // namespace echo::runtime

using namespace echo::runtime;

void* string_concat(void* left, void* right) {
  echo_runtime& runtime = here("string_concat");
  const std::string_view first = view("string_concat", left), second = view("string_concat", right);
  Text* const both = new_text(runtime, "string_concat", first.size() + second.size());
  if (!first.empty()) {
    std::memcpy(both->data, first.data(), first.size());
  }
  if (!second.empty()) {
    std::memcpy(both->data + first.size(), second.data(), second.size());
  }
  keep(left);
  keep(right);
  return both;
}

// Code points of UTF-8: the bytes that do not continue one.
std::int32_t runtime_string_len_utf8(void* string) {
  const std::string_view text = view("runtime_string_len_utf8", string);
  std::uint64_t points = 0;
  for (const char c : text) {
    points += (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }
  if (points > std::numeric_limits<std::int32_t>::max()) {
    fail(current, "runtime_string_len_utf8", ECHO_LIMIT_EXCEEDED, "%llu code points do not fit an int",
         static_cast<unsigned long long>(points));
  }
  return static_cast<std::int32_t>(points);
}

bool runtime_string_equals(void* left, void* right) {
  return view("runtime_string_equals", left) == view("runtime_string_equals", right);
}

bool runtime_string_contains(void* string, void* part) {
  return find(view("runtime_string_contains", string), view("runtime_string_contains", part)) !=
         std::string_view::npos;
}

bool runtime_string_starts_with(void* string, void* prefix) {
  return view("runtime_string_starts_with", string).starts_with(view("runtime_string_starts_with", prefix));
}

bool runtime_string_ends_with(void* string, void* suffix) {
  return view("runtime_string_ends_with", string).ends_with(view("runtime_string_ends_with", suffix));
}

void* runtime_string_to_lower(void* string) {
  return changed("runtime_string_to_lower", string,
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
}

void* runtime_string_to_upper(void* string) {
  return changed("runtime_string_to_upper", string,
                 [](char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; });
}

void* runtime_string_trim(void* string) {
  echo_runtime& runtime = here("runtime_string_trim");
  Text* const text = new_text(runtime, "runtime_string_trim", trimmed(view("runtime_string_trim", string)));
  keep(string);
  return text;
}

// An empty delimiter separates nothing: one piece, as from an empty string.
void* runtime_string_split(void* string, void* delimiter) {
  constexpr const char* kFunction = "runtime_string_split";
  echo_runtime& runtime = here(kFunction);
  const std::string_view text = view(kFunction, string), mark = view(kFunction, delimiter);
  const auto next = [&](std::string_view rest) {
    return mark.empty() ? std::string_view::npos : find(rest, mark);
  };
  std::uint64_t count = 1;
  for (std::string_view rest = text;;) {
    const std::size_t at = next(rest);
    if (at == std::string_view::npos) {
      break;
    }
    rest.remove_prefix(at + mark.size());
    ++count;
  }
  if (count > std::numeric_limits<std::int32_t>::max()) {
    fail(&runtime, kFunction, ECHO_LIMIT_EXCEEDED, "%llu pieces do not fit an int",
         static_cast<unsigned long long>(count));
  }
  auto* const result = static_cast<Counted*>(runtime.memory.words(kFunction, sizeof(Counted)));
  auto* const pieces = static_cast<void**>(runtime.memory.words(kFunction, count * kWord));
  runtime.memory.store(&result->elements, pieces);
  result->count = static_cast<std::int32_t>(count);
  std::string_view rest = text;
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::string_view piece = rest.substr(0, next(rest));
    runtime.memory.store(&pieces[i], new_text(runtime, kFunction, piece));
    rest.remove_prefix(std::min(rest.size(), piece.size() + mark.size()));
  }
  keep(string);
  keep(delimiter);
  return result;
}

void* runtime_string_to_bytes(void* string) {
  constexpr const char* kFunction = "runtime_string_to_bytes";
  echo_runtime& runtime = here(kFunction);
  const std::string_view text = view(kFunction, string);
  if (text.size() > std::numeric_limits<std::int32_t>::max()) {
    fail(&runtime, kFunction, ECHO_LIMIT_EXCEEDED, "%zu bytes do not fit an int", text.size());
  }
  // One byte more, so that an address one past the last is still in it.
  void* const bytes = runtime.memory.bytes(kFunction, text.size() + 1);
  std::copy(text.begin(), text.end(), static_cast<char*>(bytes));
  auto* const result = static_cast<Counted*>(runtime.memory.words(kFunction, sizeof(Counted)));
  runtime.memory.store(&result->elements, bytes);
  result->count = static_cast<std::int32_t>(text.size());
  keep(string);
  return result;
}

void* runtime_bytes_to_string(void* bytes, std::int32_t length) {
  constexpr const char* kFunction = "runtime_bytes_to_string";
  echo_runtime& runtime = here(kFunction);
  if (length < 0 || (bytes == nullptr && length != 0)) {
    fail(&runtime, kFunction, ECHO_INVALID_ARGUMENT, "%d bytes at %p", length, bytes);
  }
  Text* const text =
      new_text(runtime, kFunction, {static_cast<const char*>(bytes), static_cast<std::size_t>(length)});
  keep(bytes);
  return text;
}

// RFC 4648, section 4.
void* runtime_base64_encode_string(void* string) {
  constexpr const char* kFunction = "runtime_base64_encode_string";
  constexpr const char* kAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  echo_runtime& runtime = here(kFunction);
  const std::string_view from = view(kFunction, string);
  Text* const text = new_text(runtime, kFunction, (from.size() + 2) / 3 * 4);
  char* to = text->data;
  for (std::size_t i = 0; i < from.size(); i += 3) {
    const std::size_t have = std::min<std::size_t>(3, from.size() - i);
    std::uint32_t group = 0;
    for (std::size_t j = 0; j < 3; ++j) {
      group = group << 8 | (j < have ? static_cast<unsigned char>(from[i + j]) : 0u);
    }
    for (std::size_t j = 0; j < 4; ++j) {
      *to++ = j <= have ? kAlphabet[group >> (18 - 6 * j) & 63] : '=';
    }
  }
  keep(string);
  return text;
}
