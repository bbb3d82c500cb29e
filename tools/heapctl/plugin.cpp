// SPDX-License-Identifier: MIT
//
// Purpose     See plugin.h.
#include "plugin.h"

#include <cstddef>
#include <dlfcn.h>
#include <filesystem>
#include <system_error>

namespace echo::ctl {

namespace {

constexpr std::uint32_t kMostOptions = 1024; // a table that never ends is cut here

std::string version(std::uint32_t major, std::uint32_t minor) {
  return std::to_string(major) + "." + std::to_string(minor);
}

bool serves(const echo_heap_api& table, std::uint32_t major, std::uint32_t minor) {
  return table.abi_major == major && table.abi_minor >= minor;
}

const echo_heap_api* table_of(void* library, const std::string& path) {
  using Entry = const echo_heap_api* (*)(std::uint32_t, std::uint32_t, echo_error*);
  const auto entry = reinterpret_cast<Entry>(::dlsym(library, "echo_heap_plugin"));
  const std::string advice = ", give a heap plugin with --plugin=PATH";
  if (entry == nullptr)
    throw Problem(ECHO_MISSING_SYMBOL, "there is no symbol echo_heap_plugin, in '" + path + "'" + advice);
  echo_error why{};
  const echo_heap_api* const table = entry(ECHO_ABI_MAJOR, ECHO_ABI_MINOR, &why);
  if (table == nullptr)
    throw Problem(ECHO_VERSION_MISMATCH, std::string(why.message) + ", in '" + path + "'" + advice);
  if (!serves(*table, ECHO_ABI_MAJOR, ECHO_ABI_MINOR) || table->size < sizeof(echo_heap_api))
    throw Problem(ECHO_VERSION_MISMATCH,
                  "the table is of version " + version(table->abi_major, table->abi_minor) + " with " +
                      std::to_string(table->size) + " bytes and version " +
                      version(ECHO_ABI_MAJOR, ECHO_ABI_MINOR) + " with " +
                      std::to_string(sizeof(echo_heap_api)) + " is needed, in '" + path + "'" + advice);
  return table;
}

} // namespace

Plugin::Plugin(const std::string& path) {
  // A bare name means a file here: dlopen alone would only look into the system's directories.
  const std::string file = path.find('/') == std::string::npos ? "./" + path : path;
  library_ = ::dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (library_ == nullptr) {
    const char* const reason = ::dlerror();
    throw Problem(ECHO_IO_ERROR, std::string(reason != nullptr ? reason : "unknown reason") + ", loading '" +
                                     path + "', give a heap plugin with --plugin=PATH");
  }
  try {
    api_ = table_of(library_, path);
  } catch (...) {
    ::dlclose(library_);
    throw;
  }
}

Plugin::~Plugin() {
  ::dlclose(library_);
}

std::vector<echo_option_info> Plugin::options() const {
  std::vector<echo_option_info> rows;
  for (std::uint32_t index = 0; index < kMostOptions; ++index) {
    echo_option_info row{};
    row.size = sizeof row;
    if (api_->option_info(index, &row) != ECHO_OK)
      break;
    rows.push_back(row);
  }
  return rows;
}

Heap::Heap(const Plugin& plugin, const std::string& options) : api_(plugin.api()) {
  echo_error why{};
  const echo_status status = api_.heap_create(options.c_str(), &heap_, &why);
  if (status != ECHO_OK)
    throw Problem(status,
                  std::string(why.message) + ", in --heap or ECHO_HEAP_OPTIONS, see echo-heapctl options");
}

Heap::~Heap() {
  api_.heap_destroy(heap_, nullptr);
}

const echo_recipes& Heap::recipes(echo_recipe_set set) const {
  const echo_recipes* found = nullptr;
  const echo_status status = api_.recipes(heap_, set, &found);
  if (status != ECHO_OK || found == nullptr || found->size < sizeof *found)
    throw Problem(ECHO_VERSION_MISMATCH, "the heap has no recipes of this version, set " +
                                             std::to_string(set) +
                                             ", use the echo-heapctl of the plugin's build");
  return *found;
}

std::string default_plugin() {
  namespace fs = std::filesystem;
  static constexpr const char* kFile = "libecho_heap.so";
  std::error_code problem;
  const fs::path self = fs::read_symlink("/proc/self/exe", problem);
  if (problem)
    return kFile;
  const fs::path prefix = self.parent_path().parent_path();
  const fs::path beside = prefix / "lib" / kFile;
  const fs::path installed = prefix / ECHO_HEAPCTL_LIBRARY_DIRECTORY / kFile;
  return !fs::exists(beside, problem) && fs::exists(installed, problem) ? installed.string()
                                                                        : beside.string();
}

} // namespace echo::ctl
