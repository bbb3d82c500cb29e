// SPDX-License-Identifier: MIT
//
// plugin.cpp - loading, and the shorthand of the tests.
#include "plugin.h"

#include <cstring>
#include <dlfcn.h>
#include <mutex>

namespace conformance {

void fail_at(const char* file, int line, const std::string& what) {
  const char* slash = std::strrchr(file, '/');
  throw Failed{what + " (" + (slash == nullptr ? file : slash + 1) + ":" + std::to_string(line) + ")"};
}

namespace {
std::mutex noted_mutex;
std::string noted;
} // namespace

void note_failure(const std::string& what) {
  const std::lock_guard lock(noted_mutex);
  if (noted.empty())
    noted = what;
}
std::string noted_failure() {
  const std::lock_guard lock(noted_mutex);
  return noted;
}

std::string status_text(std::int32_t status, const echo_error& why) {
  std::string text = echo_status_name(status);
  if (status != ECHO_OK && !is_untouched(why))
    text += " ('" + std::string(why.message, strnlen(why.message, sizeof why.message)) + "')";
  return text;
}

echo_error untouched_error() {
  echo_error why;
  std::memset(&why, 0x5A, sizeof why);
  return why;
}
bool is_untouched(const echo_error& why) {
  const echo_error pattern = untouched_error();
  return std::memcmp(&why, &pattern, sizeof why) == 0;
}

void expect_error(const echo_error& why, std::int32_t status, const std::string& of_what) {
  EXPECT(!is_untouched(why), of_what + ": the error was not filled");
  EXPECT_EQ(std::string(echo_status_name(why.code)), echo_status_name(status),
            of_what + ": code of the error");
  const std::size_t length = strnlen(why.message, sizeof why.message);
  EXPECT(length < sizeof why.message, of_what + ": the message is not NUL-terminated");
  EXPECT(length > 5, of_what + ": the message is no sentence: '" + std::string(why.message, length) + "'");
  for (std::size_t i = 0; i < length; ++i)
    EXPECT(static_cast<unsigned char>(why.message[i]) >= 0x20,
           of_what + ": the message has control characters");
}

std::string feature_names(std::uint64_t bits) {
  std::string names;
#define ECHO_CONFORMANCE_NAME(bit, name, sentence)                                                           \
  if ((bits & ECHO_FEATURE_##name) != 0)                                                                     \
    names += std::string(names.empty() ? "" : " ") + #name;
  ECHO_FEATURE_TABLE(ECHO_CONFORMANCE_NAME)
#undef ECHO_CONFORMANCE_NAME
  return names;
}

Plugin::Plugin(const std::string& path) : library_(dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) {
  if (library_ == nullptr)
    throw Failed{std::string("the plugin does not load: ") + dlerror()};
  const auto entry = reinterpret_cast<decltype(&echo_heap_plugin)>(symbol("echo_heap_plugin"));
  EXPECT(entry != nullptr, "the plugin has no symbol echo_heap_plugin");
  echo_error why = untouched_error();
  api_ = entry(ECHO_ABI_MAJOR, ECHO_ABI_MINOR, &why);
  EXPECT(api_ != nullptr,
         "echo_heap_plugin refuses the version of these headers: " + status_text(why.code, why));
  EXPECT(api_->size >= sizeof(echo_heap_api), "the table of functions is smaller than its version has it");
}

Plugin::~Plugin() {
  if (library_ != nullptr && dlclose(library_) != 0)
    note_failure("dlclose refused to unload the plugin");
}

void Plugin::close() {
  EXPECT(dlclose(library_) == 0, "dlclose refused to unload the plugin");
  library_ = nullptr;
  api_ = nullptr;
}

void* Plugin::symbol(const char* name) const {
  return dlsym(library_, name);
}

void Plugin::require(std::uint64_t feature) const {
  if (!has(feature))
    throw Failed{"the feature " + feature_names(feature) + " is missing"};
}
void Plugin::skip_without(std::uint64_t feature) const {
  if (!has(feature))
    throw Skipped{"the plugin does not have the feature " + feature_names(feature)};
}

std::vector<echo_option_info> Plugin::options() const {
  std::vector<echo_option_info> rows;
  for (std::uint32_t index = 0; index < 10000; ++index) {
    echo_option_info row{};
    row.size = sizeof row;
    if (api_->option_info(index, &row) != ECHO_OK)
      return rows;
    rows.push_back(row);
  }
  throw Failed{"the option table has no end"};
}

bool Plugin::has_option(const std::string& name) const {
  for (const echo_option_info& row : options())
    if (row.name != nullptr && name == row.name)
      return true;
  return false;
}

void Plugin::skip_without_option(const std::string& name) const {
  if (!has_option(name))
    throw Skipped{"the plugin has no option " + name};
}

std::string Plugin::options_with(std::string must, std::initializer_list<const char*> wishes) const {
  for (const std::string wish : wishes)
    if (has_option(wish.substr(0, wish.find('='))))
      must += (must.empty() ? "" : ",") + wish;
  return must;
}

Heap::Heap(const Plugin& plugin, const std::string& options) : plugin_(&plugin) {
  echo_error why = untouched_error();
  const echo_status status = api().heap_create(options.empty() ? nullptr : options.c_str(), &heap_, &why);
  EXPECT(status == ECHO_OK, "heap_create(\"" + options + "\"): " + status_text(status, why));
  EXPECT(heap_ != nullptr, "heap_create succeeded but gave no heap");
}

// Whatever a test did to the heap, no hold of a thread may have done more work than its cap. [stop.budget.1]
std::uint64_t Heap::holds_over_cap() const {
  echo_statistics s{};
  s.size = sizeof s;
  return api().statistics(heap_, &s) == ECHO_OK ? s.holds_over_cap : 0;
}

Heap::~Heap() {
  echo_error why = untouched_error();
  if (heap_ != nullptr && holds_over_cap() != 0)
    note_failure("a stop or a slice did more work than its cap, " + show(holds_over_cap()) + " times");
  if (heap_ != nullptr)
    if (const echo_status status = api().heap_destroy(heap_, &why); status != ECHO_OK)
      note_failure("heap_destroy at the end of the test: " + status_text(status, why));
}

void Heap::destroy() {
  echo_error why = untouched_error();
  EXPECT_EQ(holds_over_cap(), std::uint64_t{0}, "stops and slices that did more work than their cap");
  const echo_status status = api().heap_destroy(heap_, &why);
  EXPECT(status == ECHO_OK, "heap_destroy: " + status_text(status, why));
  heap_ = nullptr;
}

echo_layout_id Heap::add(const echo_layout& layout) const {
  echo_layout_id id = 0;
  echo_error why = untouched_error();
  const echo_status status = api().layout_register(heap_, &layout, &id, &why);
  EXPECT(status == ECHO_OK, std::string("layout_register(") + layout.name + "): " + status_text(status, why));
  EXPECT(id != 0, "a registered layout has number 0");
  return id;
}

echo_layout_id Heap::fixed(const char* name, std::uint64_t bytes, const std::vector<std::uint32_t>& slots,
                           std::uint32_t alignment) const {
  std::vector<echo_slot> rows;
  rows.reserve(slots.size());
  for (const std::uint32_t slot : slots)
    rows.push_back({slot * 8, ECHO_SLOT_STRONG});
  return add({sizeof(echo_layout), ECHO_LAYOUT_FIXED, name, bytes, 0, alignment, 0,
              static_cast<std::uint32_t>(rows.size()), rows.empty() ? nullptr : rows.data()});
}
echo_layout_id Heap::raw_array(const char* name, std::uint32_t element_bytes) const {
  return add({sizeof(echo_layout), ECHO_LAYOUT_RAW_ARRAY, name, 16, element_bytes, 0, 0, 0, nullptr});
}
echo_layout_id Heap::ref_array(const char* name) const {
  return add({sizeof(echo_layout), ECHO_LAYOUT_REF_ARRAY, name, 16, 8, 0, 0, 0, nullptr});
}

echo_layout_info Heap::info(echo_layout_id id) const {
  echo_layout_info info{};
  info.size = sizeof info;
  EXPECT_STATUS(api().layout_get(heap_, id, &info), ECHO_OK, "layout_get of a registered layout");
  return info;
}

echo_statistics Heap::statistics() const {
  echo_statistics statistics{};
  statistics.size = sizeof statistics;
  EXPECT_STATUS(api().statistics(heap_, &statistics), ECHO_OK, "statistics");
  return statistics;
}

Mutator::Mutator(const Heap& heap) : heap_(&heap) {
  echo_error why = untouched_error();
  const echo_status status = api().attach(heap.get(), &thread_, &why);
  EXPECT(status == ECHO_OK, "attach: " + status_text(status, why));
}

Mutator::~Mutator() {
  echo_error why = untouched_error();
  if (thread_ != nullptr)
    if (const echo_status status = api().detach(thread_, &why); status != ECHO_OK)
      note_failure("detach at the end of the test: " + status_text(status, why));
}

void Mutator::detach() {
  echo_error why = untouched_error();
  const echo_status status = api().detach(thread_, &why);
  EXPECT(status == ECHO_OK, "detach: " + status_text(status, why));
  thread_ = nullptr;
}

echo_ref Mutator::allocate(echo_layout_id layout, std::uint64_t length) const {
  const echo_ref object = api().allocate(thread_, layout, length);
  if (object == nullptr) {
    echo_error why = untouched_error();
    const echo_status status = api().last_error(thread_, &why);
    throw Failed{"allocate(layout " + std::to_string(layout) + ", " + std::to_string(length) +
                 "): " + status_text(status, why)};
  }
  return object;
}

echo_error Mutator::allocate_refused(echo_layout_id layout, std::uint64_t length) const {
  const std::string what = "allocate(layout " + std::to_string(layout) + ", " + std::to_string(length) + ")";
  EXPECT(api().allocate(thread_, layout, length) == nullptr, what + " gave an object");
  echo_error why = untouched_error();
  const echo_status status = api().last_error(thread_, &why);
  EXPECT(status != ECHO_OK, what + " gave null, but echo_last_error says OK");
  expect_error(why, status, what);
  return why;
}

echo_status Mutator::last_error() const {
  echo_error why = untouched_error();
  const echo_status status = api().last_error(thread_, &why);
  expect_error(why, status, "the thread's latest error");
  return status;
}

void Mutator::store(echo_ref object, std::uint64_t word_index, echo_ref value) const {
  EXPECT_STATUS(api().store(thread_, object, word_index * 8, value), ECHO_OK, "store into a slot");
}
void Mutator::array_store(echo_ref array, std::uint64_t index, echo_ref value) const {
  EXPECT_STATUS(api().array_store(thread_, array, index, value), ECHO_OK, "store into an element");
}

void Mutator::collect(std::uint32_t kind) const {
  echo_error why = untouched_error();
  const echo_status status = api().collect(thread_, kind, &why);
  EXPECT(status == ECHO_OK, "collect: " + status_text(status, why));
}

void Mutator::verify() const {
  if (!heap_->plugin().has(ECHO_FEATURE_VERIFIER))
    return;
  echo_error why = untouched_error();
  const echo_status status = api().verify(thread_, 1, &why);
  EXPECT(status == ECHO_OK, "the plugin's own verifier: " + status_text(status, why));
}

echo_handle Mutator::root(echo_ref object) const {
  const echo_handle handle = api().handle_new(thread_, object);
  EXPECT(handle != nullptr, "handle_new gave no handle");
  return handle;
}
echo_ref Mutator::get(echo_handle handle) const {
  return api().handle_get(thread_, handle);
}
void Mutator::set(echo_handle handle, echo_ref object) const {
  EXPECT_STATUS(api().handle_set(thread_, handle, object), ECHO_OK, "handle_set");
}

Scope::Scope(const Mutator& mutator) : mutator_(&mutator) {
  EXPECT_STATUS(mutator.api().scope_open(mutator.get(), &scope_), ECHO_OK, "scope_open");
}
Scope::~Scope() {
  if (open_)
    if (const echo_status status = mutator_->api().scope_close(mutator_->get(), scope_); status != ECHO_OK)
      note_failure(std::string("scope_close at the end of the test: ") + echo_status_name(status));
}
void Scope::close() {
  open_ = false;
  EXPECT_STATUS(mutator_->api().scope_close(mutator_->get(), scope_), ECHO_OK, "scope_close");
}

} // namespace conformance
