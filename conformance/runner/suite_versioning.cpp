// SPDX-License-Identifier: MIT
//
// suite_versioning.cpp - one symbol, a table that only grows, errors as values.
#include "plugin.h"

#include <cstring>
#include <dlfcn.h>

namespace conformance {

namespace {

// The entry function without the checks that class Plugin makes.
struct Entry {
  void* library;
  decltype(&echo_heap_plugin) plugin;

  explicit Entry(const Context& context)
      : library(dlopen(context.plugin_path.c_str(), RTLD_NOW | RTLD_LOCAL)) {
    EXPECT(library != nullptr, std::string("dlopen: ") + dlerror());
    plugin = reinterpret_cast<decltype(plugin)>(dlsym(library, "echo_heap_plugin"));
    EXPECT(plugin != nullptr, "there is no symbol echo_heap_plugin");
  }
};

void serves_its_version(Context& context) {
  const Entry entry(context);
  echo_error why = untouched_error();
  const echo_heap_api* api = entry.plugin(ECHO_ABI_MAJOR, ECHO_ABI_MINOR, &why);
  EXPECT(api != nullptr, "the version of these headers is refused: " + status_text(why.code, why));
  EXPECT(is_untouched(why), "an error was written although the call succeeded");
  EXPECT_EQ(api->abi_major, ECHO_ABI_MAJOR, "abi_major");
  EXPECT(api->abi_minor >= ECHO_ABI_MINOR, "abi_minor is below the minor that was asked for");
  EXPECT(api->size >= sizeof(echo_heap_api), "the table is smaller than its version has it");
  EXPECT(api->build_id != nullptr && *api->build_id != '\0', "build_id is empty");
  EXPECT(entry.plugin(ECHO_ABI_MAJOR, 0, nullptr) != nullptr, "minor 0 is refused, though minors only add");
}

void refuses_other_majors(Context& context) {
  const Entry entry(context);
  for (const std::uint32_t major : {0u, ECHO_ABI_MAJOR + 1, 0x10000u + ECHO_ABI_MAJOR, UINT32_MAX}) {
    echo_error why = untouched_error();
    EXPECT(entry.plugin(major, 0, &why) == nullptr, "major " + show(major) + " is served");
    expect_error(why, ECHO_VERSION_MISMATCH, "major " + show(major));
    EXPECT(entry.plugin(major, 0, nullptr) == nullptr,
           "major " + show(major) + " is served without an error struct");
  }
}

void refuses_newer_minors(Context& context) {
  const Entry entry(context);
  const echo_heap_api* api = entry.plugin(ECHO_ABI_MAJOR, 0, nullptr);
  EXPECT(api != nullptr, "minor 0 is refused");
  for (const std::uint32_t minor : {api->abi_minor + 1u, 0x10000u + api->abi_minor, UINT32_MAX}) {
    echo_error why = untouched_error();
    EXPECT(entry.plugin(ECHO_ABI_MAJOR, minor, &why) == nullptr, "minor " + show(minor) + " is served");
    expect_error(why, ECHO_VERSION_MISMATCH, "minor " + show(minor));
  }
}

void table_is_static(Context& context) {
  const Entry entry(context);
  const echo_heap_api* first = entry.plugin(ECHO_ABI_MAJOR, 0, nullptr);
  EXPECT(first != nullptr && first == entry.plugin(ECHO_ABI_MAJOR, ECHO_ABI_MINOR, nullptr),
         "two calls answer different tables");
}

void table_is_complete(Context& context) {
  const Plugin plugin(context.plugin_path);
  // Every member from the first function on is a pointer to a function.
  constexpr std::size_t kFirst = offsetof(echo_heap_api, heap_create);
  static_assert((sizeof(echo_heap_api) - kFirst) % sizeof(void*) == 0);
  for (std::size_t at = kFirst; at < sizeof(echo_heap_api); at += sizeof(void*)) {
    const void* function = nullptr;
    std::memcpy(&function, reinterpret_cast<const char*>(&plugin.api()) + at, sizeof function);
    Dl_info where;
    EXPECT(function != nullptr, "the function at offset " + show(at) + " of the table is null");
    EXPECT(dladdr(function, &where) != 0,
           "the function at offset " + show(at) + " of the table lies in no library");
  }
}

void exports_by_name(Context& context) {
  const Plugin plugin(context.plugin_path);
  for (const char* name : {"echo_heap_plugin",     "echo_heap_create",     "echo_heap_destroy",
                           "echo_option_get_info", "echo_layout_register", "echo_layout_get",
                           "echo_layout_get_slot", "echo_layout_count",    "echo_attach",
                           "echo_detach",          "echo_enter_native",    "echo_leave_native",
                           "echo_enter_blocked",   "echo_leave_blocked",   "echo_poll",
                           "echo_heap_of",         "echo_vm_word",         "echo_set_vm_word",
                           "echo_last_error",      "echo_allocate",        "echo_store",
                           "echo_array_store",     "echo_object_bytes",    "echo_object_layout",
                           "echo_array_length",    "echo_scope_open",      "echo_scope_close",
                           "echo_handle_new",      "echo_handle_get",      "echo_handle_set",
                           "echo_roots_add",       "echo_roots_remove",    "echo_frame_source_set",
                           "echo_collect",         "echo_get_statistics",  "echo_verify",
                           "echo_get_recipes"})
    EXPECT(plugin.symbol(name) != nullptr, std::string("the function ") + name + " is not exported");
}

void knows_its_features(Context& context) {
  const Plugin plugin(context.plugin_path);
  std::uint64_t known = 0;
#define ECHO_CONFORMANCE_BIT(bit, name, sentence) known |= ECHO_FEATURE_##name;
  ECHO_FEATURE_TABLE(ECHO_CONFORMANCE_BIT)
#undef ECHO_CONFORMANCE_BIT
  if (plugin.api().abi_minor == ECHO_ABI_MINOR)
    EXPECT_EQ(plugin.api().features & ~known, std::uint64_t{0},
              "feature bits that this version does not define");
}

// Clear bits answer NOT_SUPPORTED; what is not tied to one function is judged where it belongs.
void clear_features_say_so(Context& context) {
  Fixture f(context);
  const auto collect = [&](std::uint32_t kind) {
    echo_error why = untouched_error();
    const echo_status status = f.mutator.api().collect(f.mutator.get(), kind, &why);
    if (status != ECHO_OK)
      expect_error(why, status, "collect of kind " + show(kind));
    return status;
  };
  if (!f.plugin.has(ECHO_FEATURE_COLLECTS))
    EXPECT_STATUS(collect(ECHO_COLLECT_FULL), ECHO_NOT_SUPPORTED, "full collection without COLLECTS");
  if (!f.plugin.has(ECHO_FEATURE_GENERATIONS))
    EXPECT_STATUS(collect(ECHO_COLLECT_YOUNG), ECHO_NOT_SUPPORTED, "young collection without GENERATIONS");
  if (!f.plugin.has(ECHO_FEATURE_MOVES))
    EXPECT_STATUS(collect(ECHO_COLLECT_COMPACT), ECHO_NOT_SUPPORTED, "compaction without MOVES");
  EXPECT(collect(77) != ECHO_OK, "a kind of collection that does not exist succeeds");
  if (!f.plugin.has(ECHO_FEATURE_VERIFIER)) {
    echo_error why = untouched_error();
    EXPECT_STATUS(f.mutator.api().verify(f.mutator.get(), 0, &why), ECHO_NOT_SUPPORTED,
                  "verify without VERIFIER");
    expect_error(why, ECHO_NOT_SUPPORTED, "verify");
  }
}

void null_arguments_are_errors(Context& context) {
  Fixture f(context);
  const echo_heap_api& api = f.plugin.api();
  echo_error why = untouched_error();
  echo_heap* heap = nullptr;
  echo_thread* thread = nullptr;
  echo_layout_id id = 0;
  echo_layout_info info{};
  const echo_recipes* recipes = nullptr;
  EXPECT_STATUS(api.heap_create(nullptr, nullptr, &why), ECHO_INVALID_ARGUMENT, "heap_create without out");
  expect_error(why, ECHO_INVALID_ARGUMENT, "heap_create without out");
  EXPECT_STATUS(api.heap_destroy(heap, nullptr), ECHO_INVALID_ARGUMENT, "heap_destroy of null");
  EXPECT_STATUS(api.option_info(0, nullptr), ECHO_INVALID_ARGUMENT, "option_info without out");
  EXPECT_STATUS(api.layout_register(f.heap.get(), nullptr, &id, nullptr), ECHO_INVALID_ARGUMENT,
                "no descriptor");
  EXPECT_STATUS(api.layout_get(f.heap.get(), 1, nullptr), ECHO_INVALID_ARGUMENT, "layout_get without out");
  EXPECT_STATUS(api.layout_get(heap, 1, &info), ECHO_INVALID_ARGUMENT, "layout_get of no heap");
  EXPECT_STATUS(api.attach(heap, &thread, nullptr), ECHO_INVALID_ARGUMENT, "attach to no heap");
  EXPECT_STATUS(api.attach(f.heap.get(), nullptr, nullptr), ECHO_INVALID_ARGUMENT, "attach without out");
  EXPECT_STATUS(api.detach(nullptr, nullptr), ECHO_INVALID_ARGUMENT, "detach of null");
  EXPECT_STATUS(api.statistics(f.heap.get(), nullptr), ECHO_INVALID_ARGUMENT, "statistics without out");
  EXPECT_STATUS(api.recipes(f.heap.get(), 77, &recipes), ECHO_INVALID_ARGUMENT,
                "a recipe set that does not exist");
  EXPECT_STATUS(api.recipes(f.heap.get(), 0, nullptr), ECHO_INVALID_ARGUMENT, "recipes without out");
  EXPECT_STATUS(api.scope_open(f.mutator.get(), nullptr), ECHO_INVALID_ARGUMENT, "scope_open without out");
}

} // namespace

Suite versioning_suite() {
  return {
      "versioning",
      "one symbol, a table that only grows, errors as values",
      {
          {"serves_its_version", "the plugin serves the version of these headers and every older minor",
           "[abi.version.1] [abi.table.1]", serves_its_version},
          {"refuses_other_majors", "another major version gives null and a sentence",
           "[abi.version.1] [abi.error.1]", refuses_other_majors},
          {"refuses_newer_minors", "a newer minor version gives null and a sentence",
           "[abi.version.1] [abi.error.1]", refuses_newer_minors},
          {"table_is_static", "the table is the same at every call", "[abi.table.1]", table_is_static},
          {"table_is_complete", "every function of the table is there", "[abi.table.1]", table_is_complete},
          {"exports_by_name", "the same functions are exported by name", "[abi.table.1]", exports_by_name},
          {"knows_its_features", "no feature bit is set that the version does not define", "[abi.feature.1]",
           knows_its_features},
          {"clear_features_say_so", "what a clear feature bit stands for answers NOT_SUPPORTED",
           "[abi.feature.1]", clear_features_say_so},
          {"null_arguments_are_errors", "null where something is needed is INVALID_ARGUMENT", "[abi.error.1]",
           null_arguments_are_errors},
      }};
}

} // namespace conformance
