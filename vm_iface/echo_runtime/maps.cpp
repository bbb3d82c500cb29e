// SPDX-License-Identifier: MIT
//
// Purpose     The runtime_map_* functions: one template, seven kinds.
#include "functions.h"
#include "map_table.h"

#include <bit>

namespace echo::runtime {
namespace {

const char* name_of(std::uint64_t tag) {
  switch (static_cast<MapKind>(tag - kMapTag)) {
#define ECHO_RUNTIME_MAP_NAME(number, name, words)                                                           \
  case MapKind::name:                                                                                        \
    return words;
    ECHO_RUNTIME_MAP_KINDS(ECHO_RUNTIME_MAP_NAME)
#undef ECHO_RUNTIME_MAP_NAME
  default:
    return nullptr;
  }
}

bool is_empty(const MapHeader& header) {
  return header.cells == nullptr && header.control == nullptr && header.count == 0 && header.tag == 0;
}

[[noreturn, gnu::cold]] void no_map(const char* function, void* map, MapKind wanted) {
  const auto* const header = as_if<MapHeader>(map);
  const char* const is = header == nullptr ? nullptr : name_of(header->tag);
  const char* const should = name_of(kMapTag + static_cast<std::uint64_t>(wanted));
  if (is != nullptr && should != nullptr) {
    fail(current, function, ECHO_INVALID_ARGUMENT, "the map at %p is from %s, not from %s", map, is, should);
  }
  fail(current, function, ECHO_INVALID_ARGUMENT,
       "the block at %p is no map: it is misaligned or holds other data", map);
}

using IntInt = Map<MapKind::IntInt, IntKey, true>;
using IntString = Map<MapKind::IntString, IntKey, false>;
using BoolString = Map<MapKind::BoolString, BoolKey, false>;
using FloatString = Map<MapKind::FloatString, FloatKey, false>;
using StringInt = Map<MapKind::StringInt, StringKey, false>;
using StringFloat = Map<MapKind::StringFloat, StringKey, false>;
using StringString = Map<MapKind::StringString, StringKey, false>;

// What a cell holds.
std::uint64_t word_of(std::int32_t value) {
  return static_cast<std::uint32_t>(value);
}
void* pointer_in(void* cell) {
  return cell == nullptr ? nullptr : *static_cast<void**>(cell);
}

} // namespace

MapHeader& map_of(const char* function, void* map, MapKind kind) {
  auto* const header = as_if<MapHeader>(map);
  if (header == nullptr || (header->tag != kMapTag + static_cast<std::uint64_t>(kind) && !is_empty(*header)))
      [[unlikely]] {
    no_map(function, map, kind);
  }
  return *header;
}

MapHeader& any_map_of(const char* function, void* map) {
  auto* const header = as_if<MapHeader>(map);
  if (header == nullptr || (name_of(header->tag) == nullptr && !is_empty(*header))) [[unlikely]] {
    no_map(function, map, MapKind{});
  }
  return *header;
}

void check_new_map(echo_runtime& runtime, const char* function, void* map) {
  if (const std::uint64_t room = runtime.memory.room_at(map); room < sizeof(MapHeader)) {
    fail(&runtime, function, ECHO_INVALID_ARGUMENT,
         "the block at %p cannot become a map: of 32 bytes that may hold pointers it has %llu", map,
         static_cast<unsigned long long>(room));
  }
}

} // namespace echo::runtime

using namespace echo::runtime;

std::int32_t runtime_map_len(void* map) {
  return map == nullptr ? 0 : static_cast<std::int32_t>(any_map_of("runtime_map_len", map).count);
}

void runtime_map_set_int_int(void* map, std::int32_t key, std::int32_t value) {
  IntInt::set("runtime_map_set_int_int", map, key, word_of(value));
}
std::int32_t* runtime_map_get_int_int(void* map, std::int32_t key) {
  return static_cast<std::int32_t*>(IntInt::find("runtime_map_get_int_int", map, key));
}
std::int32_t runtime_map_contains_int_int(void* map, std::int32_t key) {
  return IntInt::find("runtime_map_contains_int_int", map, key) != nullptr;
}

void runtime_map_set_int_string(void* map, std::int32_t key, void* value) {
  IntString::set("runtime_map_set_int_string", map, key, as_word(value));
}
void* runtime_map_get_int_string(void* map, std::int32_t key) {
  return pointer_in(IntString::find("runtime_map_get_int_string", map, key));
}
void runtime_map_delete_int_string(void* map, std::int32_t key) {
  IntString::remove("runtime_map_delete_int_string", map, key);
}

void runtime_map_set_bool_string(void* map, std::uint32_t key, void* value) {
  BoolString::set("runtime_map_set_bool_string", map, key, as_word(value));
}
void* runtime_map_get_bool_string(void* map, std::uint32_t key) {
  return pointer_in(BoolString::find("runtime_map_get_bool_string", map, key));
}

void runtime_map_set_float_string(void* map, double key, void* value) {
  FloatString::set("runtime_map_set_float_string", map, key, as_word(value));
}
void* runtime_map_get_float_string(void* map, double key) {
  return pointer_in(FloatString::find("runtime_map_get_float_string", map, key));
}
void runtime_map_delete_float_string(void* map, double key) {
  FloatString::remove("runtime_map_delete_float_string", map, key);
}

void runtime_map_set_string_int(void* map, void* key, std::int32_t value) {
  StringInt::set("runtime_map_set_string_int", map, key, word_of(value));
}
std::int32_t* runtime_map_get_string_int(void* map, void* key) {
  return static_cast<std::int32_t*>(StringInt::find("runtime_map_get_string_int", map, key));
}
std::int32_t runtime_map_contains_string_int(void* map, void* key) {
  return StringInt::find("runtime_map_contains_string_int", map, key) != nullptr;
}
void runtime_map_delete_string_int(void* map, void* key) {
  StringInt::remove("runtime_map_delete_string_int", map, key);
}

void runtime_map_set_string_float(void* map, void* key, double value) {
  StringFloat::set("runtime_map_set_string_float", map, key, std::bit_cast<std::uint64_t>(value));
}
double* runtime_map_get_string_float(void* map, void* key) {
  return static_cast<double*>(StringFloat::find("runtime_map_get_string_float", map, key));
}

void runtime_map_set_string_string(void* map, void* key, void* value) {
  StringString::set("runtime_map_set_string_string", map, key, as_word(value));
}
void* runtime_map_get_string_string(void* map, void* key) {
  return pointer_in(StringString::find("runtime_map_get_string_string", map, key));
}
