// SPDX-License-Identifier: MIT
//
// Purpose     Blocks of memory that the program asks for: malloc and slices.
// Invariants  [runtime.block.1] A block's words are 0 at birth, and each may become a pointer, whatever its elements are.
//             [runtime.block.2] A block has a byte more than asked for, so that the address behind its last element still
//             keeps it alive; only the 24 bytes of a string's header, which nobody walks through, have none.
//             [runtime.block.3] Sizes are computed in 64 bits and refused before anything happens.
#include "functions.h"
#include "text.h"

#include <algorithm>
#include <cstring>

namespace echo::runtime {
namespace {

// Of two int32 that are positive: below 2^62.
std::uint64_t slice_bytes(std::int32_t capacity, std::int32_t element) {
  return static_cast<std::uint64_t>(capacity) * static_cast<std::uint64_t>(element);
}

void* new_block(echo_runtime& runtime, const char* function, std::uint64_t bytes) {
  if (bytes > kMostBytes) {
    fail(&runtime, function, ECHO_INVALID_ARGUMENT, "a block of %llu bytes is over the limit of 2^47",
         static_cast<unsigned long long>(bytes));
  }
  return runtime.memory.words(function, bytes + 1);
}

} // namespace
} // namespace echo::runtime

using namespace echo::runtime;

void* echo_runtime_malloc(std::int64_t bytes) {
  echo_runtime& runtime = here("malloc");
  if (bytes == static_cast<std::int64_t>(sizeof(Text))) [[likely]] {
    return runtime.memory.words("malloc", sizeof(Text));
  }
  if (bytes < 0) {
    fail(&runtime, "malloc", ECHO_INVALID_ARGUMENT, "%lld bytes", static_cast<long long>(bytes));
  }
  return new_block(runtime, "malloc", static_cast<std::uint64_t>(bytes));
}

void* runtime_alloc_slice(std::int32_t capacity, std::int32_t element) {
  if (capacity <= 0 || element <= 0) {
    return nullptr;
  }
  return new_block(here("runtime_alloc_slice"), "runtime_alloc_slice", slice_bytes(capacity, element));
}

void* runtime_realloc_slice(void* slice, std::int32_t old_capacity, std::int32_t new_capacity,
                            std::int32_t element) {
  constexpr const char* kFunction = "runtime_realloc_slice";
  if (new_capacity <= 0 || element <= 0) {
    return nullptr;
  }
  echo_runtime& runtime = here(kFunction);
  const std::uint64_t kept =
      slice == nullptr || old_capacity <= 0 ? 0 : slice_bytes(std::min(old_capacity, new_capacity), element);
  if (kept != 0) {
    if (const std::uint64_t room = runtime.memory.room_at(slice); room < kept) {
      fail(&runtime, kFunction, ECHO_INVALID_ARGUMENT, "the slice at %p has %llu bytes, not the %llu to keep",
           slice, static_cast<unsigned long long>(room), static_cast<unsigned long long>(kept));
    }
  }
  void* const fresh = new_block(runtime, kFunction, slice_bytes(new_capacity, element));
  if (kept != 0) {
    std::memcpy(fresh, slice, kept); // born in this call: nothing to announce
  }
  keep(slice);
  return fresh;
}

// A hint, which a collector does not need.
void runtime_free_slice(void*) {}
