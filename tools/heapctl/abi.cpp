// SPDX-License-Identifier: MIT
//
// Purpose     See abi.h. The rows of the headers are read three times: sizes and offsets, the recipes' values, constants.
#include "abi.h"

#include <array>
#include <cstddef>
#include <type_traits>

namespace echo::ctl {

namespace {

using Json = nlohmann::ordered_json;

struct Field {
  const char* name;
  std::size_t offset, bytes;
};

// [heapctl.abi.2]
template <std::size_t count>
consteval bool covers(const std::array<Field, count>& fields, std::size_t size, std::size_t alignment) {
  std::size_t end = 0;
  for (const Field& field : fields) {
    if (field.offset < end || field.offset - end >= alignment)
      return false;
    end = field.offset + field.bytes;
  }
  return size - end < alignment;
}

template <std::size_t count>
Json struct_as_json(const char* name, std::size_t size, const std::array<Field, count>& fields) {
  Json rows = Json::array();
  for (const Field& field : fields)
    rows.push_back({{"name", field.name}, {"offset", field.offset}, {"bytes", field.bytes}});
  return {{"name", name}, {"size", size}, {"fields", rows}};
}

Json structs() {
  Json all = Json::array();
#define ECHO_STRUCT(type)                                                                                    \
  {                                                                                                          \
    using Type = type;                                                                                       \
    static constexpr const char* kName = #type;                                                              \
    static constexpr auto kFields = std::to_array<Field>({
#define ECHO_FIELD(type, field) {#field, offsetof(type, field), sizeof(type::field)},
#define ECHO_STRUCT_END(type)                                                                                \
  });                                                                                                        \
  static_assert(covers(kFields, sizeof(Type), alignof(Type)), "a field of " #type " has no row");            \
  all.push_back(struct_as_json(kName, sizeof(Type), kFields));                                               \
  }
#include "rows.inc"
  return all;
}

Json constants() {
  Json all = Json::array();
#define ECHO_GROUP(group)                                                                                    \
  {                                                                                                          \
    static constexpr const char* kGroup = #group;                                                            \
    Json rows = Json::array();
#define ECHO_CONSTANT(name) rows.push_back({{"name", #name}, {"value", static_cast<std::uint64_t>(name)}});
#define ECHO_GROUP_END(group)                                                                                \
  all.push_back({{"name", kGroup}, {"values", rows}});                                                       \
  }
#include "rows.inc"
  return all;
}

// A number is its value; a cold path is where in echo_recipes its address stands: it differs in every process.
template <typename Type> Json recipe_field(const char* name, std::size_t offset, Type value) {
  if constexpr (std::is_pointer_v<Type>)
    return {{"name", name}, {"cold_path_at", offset}, {"present", value != nullptr}};
  else
    return {{"name", name}, {"value", value}};
}

// Every field of echo_recipes and no other struct's.
template <typename Type> Json fields_of_recipes(const Type& recipes) {
  Json all = Json::array();
#define ECHO_FIELD(type, field)                                                                              \
  if constexpr (std::is_same_v<Type, type>)                                                                  \
    all.push_back(recipe_field(#field, offsetof(type, field), recipes.field));
  static_assert(std::is_same_v<Type, echo_recipes>);
#include "rows.inc"
  return all;
}

Json statuses() {
  Json all = Json::array();
#define ECHO_ROW(number, name, meaning)                                                                      \
  all.push_back({{"name", #name}, {"value", number}, {"meaning", meaning}});
  ECHO_STATUS_TABLE(ECHO_ROW)
#undef ECHO_ROW
  return all;
}

Json features(std::uint64_t present) {
  Json all = Json::array();
#define ECHO_ROW(bit, name, sentence)                                                                        \
  all.push_back(                                                                                             \
      {{"name", #name}, {"bit", bit}, {"present", (present >> (bit)) % 2 == 1}, {"meaning", sentence}});
  ECHO_FEATURE_TABLE(ECHO_ROW)
#undef ECHO_ROW
  return all;
}

Json causes() {
  Json all = Json::array();
#define ECHO_ROW(name, sentence)                                                                             \
  all.push_back({{"name", #name}, {"value", static_cast<int>(ECHO_CAUSE_##name)}, {"meaning", sentence}});
  ECHO_CAUSE_TABLE(ECHO_ROW)
#undef ECHO_ROW
  return all;
}

Json pins() {
  Json all = Json::array();
#define ECHO_ROW(name, sentence)                                                                             \
  all.push_back({{"name", #name}, {"value", static_cast<int>(ECHO_PIN_##name)}, {"meaning", sentence}});
  ECHO_PIN_TABLE(ECHO_ROW)
#undef ECHO_ROW
  return all;
}

// [heapctl.rows.1] One row for each field, in the struct's order: tests compare them.
Json statistics() {
  Json all = Json::array();
#define ECHO_ROW(field, unit, sentence)                                                                      \
  all.push_back({{"name", #field}, {"unit", unit}, {"meaning", sentence}});                                  \
  static_assert(sizeof(echo_statistics::field) != 0);
  ECHO_STATISTICS_TABLE(ECHO_ROW)
#undef ECHO_ROW
  return all;
}

Json events() {
  Json all = Json::array();
#define ECHO_ROW(name, arguments, sentence)                                                                  \
  all.push_back({{"name", #name},                                                                            \
                 {"value", static_cast<int>(ECHO_EVENT_##name)},                                             \
                 {"arguments", arguments},                                                                   \
                 {"meaning", sentence}});
  ECHO_EVENT_TABLE(ECHO_ROW)
#undef ECHO_ROW
  return all;
}

Json header_word() {
  Json all = Json::array();
#define ECHO_ROW(first, bits, name, meaning)                                                                 \
  all.push_back({{"name", #name}, {"first_bit", first}, {"bits", bits}, {"meaning", meaning}});
  ECHO_HEADER_TABLE(ECHO_ROW)
#undef ECHO_ROW
  return all;
}

std::string text_of(const char* text) {
  return text != nullptr ? text : "";
}

} // namespace

const char* option_kind(std::uint32_t type) {
  static constexpr std::array<const char*, 5> kKinds{"bytes", "count", "on|off", "word", "path"};
  return type < kKinds.size() ? kKinds[type] : "unknown";
}

Json options_as_json(const Plugin& plugin) {
  Json rows = Json::array();
  for (const echo_option_info& row : plugin.options())
    rows.push_back({{"name", text_of(row.name)},
                    {"kind", option_kind(row.type)},
                    {"default", text_of(row.default_value)},
                    {"range", text_of(row.range)},
                    {"meaning", text_of(row.sentence)}});
  return rows;
}

Json abi_as_json(const Plugin& plugin, const Heap& heap) {
  const echo_heap_api& api = plugin.api();
  Json abi;
  abi["schema"] = kSchema;
  abi["abi"] = {{"major", api.abi_major}, {"minor", api.abi_minor}};
  abi["build"] = text_of(api.build_id);
  abi["features"] = features(api.features);
  abi["status"] = statuses();
  abi["causes"] = causes();
  abi["pins"] = pins();
  abi["events"] = events();
  abi["statistics"] = statistics();
  abi["header_word"] = header_word();
  abi["recipes"] = {{"fastest", fields_of_recipes(heap.recipes(ECHO_RECIPES_FASTEST))},
                    {"portable", fields_of_recipes(heap.recipes(ECHO_RECIPES_PORTABLE))}};
  abi["constants"] = constants();
  abi["structs"] = structs();
  abi["options"] = options_as_json(plugin);
  return abi;
}

} // namespace echo::ctl
