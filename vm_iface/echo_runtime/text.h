// SPDX-License-Identifier: MIT
//
// Purpose     Strings: reading those of the program, making new ones.
// Invariants  [runtime.text.1] A string made here is one object without pointers: header and bytes, the header's data word
//             pointing at the bytes behind it. A copy of the header keeps it alive through that interior pointer.
//             [runtime.text.2] No string at all (NULL) reads as the empty string. [runtime.text.3] A header whose len is
//             negative, or whose data is NULL with bytes to come, is an error of the function that was given it.
#pragma once

#include "state.h"

#include <cstddef>
#include <string_view>

namespace echo::runtime {

[[noreturn, gnu::cold]] void bad_text(const char* function, const void* string);
[[noreturn, gnu::cold]] void too_long(const char* function, std::uint64_t bytes);

// The bytes of the program's string; they stay where they are while `string` is kept.
inline std::string_view view(const char* function, const void* string) {
  if (string == nullptr) {
    return {};
  }
  const Text& text = *static_cast<const Text*>(string);
  const auto bytes = static_cast<std::uint64_t>(text.len);
  if (bytes > kMostBytes || (text.data == nullptr && bytes != 0)) [[unlikely]] {
    bad_text(function, string);
  }
  return {text.data, bytes};
}

// A new string whose `length` bytes the caller writes before the next safepoint. [runtime.fill.1]
inline Text* new_text(echo_runtime& runtime, const char* function, std::uint64_t length) {
  if (length > kMostBytes) [[unlikely]] {
    too_long(function, length);
  }
  auto* const text = static_cast<Text*>(runtime.memory.text(function, length));
  // A leaf: nothing to announce. The address of no bytes would be one past the object.
  text->data = reinterpret_cast<char*>(text + (length != 0));
  text->len = text->cap = static_cast<std::int64_t>(length);
  return text;
}

// A new string of bytes that lie outside the heap, or in an object that the caller keeps.
inline Text* new_text(echo_runtime& runtime, const char* function, std::string_view bytes) {
  Text* const text = new_text(runtime, function, bytes.size());
  if (!bytes.empty()) {
    std::memcpy(text->data, bytes.data(), bytes.size());
  }
  return text;
}

} // namespace echo::runtime
