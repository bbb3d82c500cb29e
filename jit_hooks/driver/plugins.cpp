/* SPDX-License-Identifier: MIT
 *
 * plugins.cpp - see plugins.h.
 */
#include "plugins.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstring>
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <filesystem>
#include <link.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

#include "descriptor_io.h"
#include "words.h"

namespace echo::run {

namespace {

template <typename Api> using PluginSymbol = const Api* (*)(uint32_t, uint32_t, echo_error*);

/* Are all words of the table from `first` to the end of the version we know non-null? All of them are
 * pointers. */
bool pointers_complete(const void* table, std::size_t first, std::size_t end) {
  for (std::size_t at = first; at + sizeof(void*) <= end; at += sizeof(void*)) {
    void* entry = nullptr;
    std::memcpy(&entry, static_cast<const char*>(table) + at, sizeof entry);
    if (entry == nullptr)
      return false;
  }
  return true;
}

/* dlopen maps what the program headers promise; where the file ends before that, the loader dies of SIGBUS.
 * So a file that can be opened by its path must reach as far as its headers say. [run.plugin.3] */
bool cut_short(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat info{};
  if (!file.open() || ::fstat(file.number(), &info) != 0 || !S_ISREG(info.st_mode))
    return false; /* dlopen says what is wrong with it */
  const auto bytes = static_cast<uint64_t>(info.st_size);
  ElfW(Ehdr) header{};
  if (::pread(file.number(), &header, sizeof header, 0) != static_cast<ssize_t>(sizeof header))
    return true;
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_phentsize != sizeof(ElfW(Phdr)))
    return false;
  for (uint32_t index = 0; index < header.e_phnum; ++index) {
    ElfW(Phdr) segment{};
    const uint64_t at = uint64_t{index} * sizeof segment;
    if (header.e_phoff > bytes || at > bytes - header.e_phoff ||
        ::pread(file.number(), &segment, sizeof segment, static_cast<off_t>(header.e_phoff + at)) !=
            static_cast<ssize_t>(sizeof segment))
      return true;
    if (segment.p_type == PT_LOAD &&
        (segment.p_offset > bytes || segment.p_filesz > bytes - segment.p_offset))
      return true;
  }
  return false;
}

template <typename Api>
Failure load(const std::string& path, const char* symbol, const std::string& option,
             std::size_t first_function, const Api*& out) {
  void* library = nullptr;
  if (Failure failure = open_library(path, option, library))
    return failure;
  const auto entry = reinterpret_cast<PluginSymbol<Api>>(dlsym(library, symbol));
  if (entry == nullptr)
    return {ECHO_MISSING_SYMBOL,
            "there is no symbol " + std::string(symbol) + ", in '" + path + "', " + option};
  echo_error why{};
  const Api* table = entry(ECHO_ABI_MAJOR, ECHO_ABI_MINOR, &why);
  const std::string wanted = std::to_string(ECHO_ABI_MAJOR) + "." + std::to_string(ECHO_ABI_MINOR);
  if (table == nullptr)
    return failure_from(why.code == ECHO_OK ? ECHO_VERSION_MISMATCH : static_cast<echo_status>(why.code), why,
                        "'" + path + "'");
  if (table->abi_major != ECHO_ABI_MAJOR || table->abi_minor < ECHO_ABI_MINOR)
    return {ECHO_VERSION_MISMATCH, "the table is of version " + std::to_string(table->abi_major) + "." +
                                       std::to_string(table->abi_minor) + " and " + wanted +
                                       " is needed, in '" + path + "', " + option};
  if (table->size < sizeof(Api))
    return {ECHO_VERSION_MISMATCH, "the table has " + std::to_string(table->size) + " bytes and version " +
                                       wanted + " has " + std::to_string(sizeof(Api)) + ", in '" + path +
                                       "', " + option};
  if (!pointers_complete(table, first_function, sizeof(Api)))
    return {ECHO_VERSION_MISMATCH, "a function of the table is null, in '" + path + "', " + option};
  out = table;
  return {};
}

} // namespace

Failure open_library(const std::string& path, const std::string& option, void*& out) {
  /* A bare name means a file here first: dlopen alone would only look into the system's directories. */
  std::error_code problem;
  const bool here = path.find('/') == std::string::npos && std::filesystem::exists(path, problem);
  if (cut_short(path))
    return {ECHO_IO_ERROR, "cannot load '" + path + "' (the file is cut short), " + option};
  out = dlopen((here ? "./" + path : path).c_str(), RTLD_NOW | RTLD_LOCAL);
  if (out != nullptr)
    return {};
  const char* given = dlerror();
  std::string reason = given != nullptr ? given : "unknown reason";
  if (reason.starts_with(path + ": "))
    reason.erase(0, path.size() + 2);
  return {ECHO_IO_ERROR, "cannot load '" + path + "' (" + reason + "), " + option};
}

void* library_symbol(void* library, const char* name) {
  return dlsym(library, name);
}

std::string default_library(const char* file) {
  namespace fs = std::filesystem;
  std::error_code problem;
  const fs::path self = fs::read_symlink("/proc/self/exe", problem);
  if (problem)
    return file;
  const fs::path prefix = self.parent_path().parent_path();
  const fs::path beside = prefix / "lib" / file;
  const fs::path installed = prefix / ECHO_RUN_LIBRARY_DIRECTORY / file;
  return !fs::exists(beside, problem) && fs::exists(installed, problem) ? installed.string()
                                                                        : beside.string();
}

std::string beside_this_library(const char* file) {
  Dl_info info{};
  if (dladdr(reinterpret_cast<const void*>(&beside_this_library), &info) == 0 || info.dli_fname == nullptr)
    return file;
  return (std::filesystem::path(info.dli_fname).parent_path() / file).string();
}

Failure load_heap_plugin(const std::string& path, Plugins& out) {
  out.heap_path = path;
  return load<echo_heap_api>(path, "echo_heap_plugin",
                             std::string("give a heap plugin of this version with ") + words.heap_plugin,
                             offsetof(echo_heap_api, heap_create), out.heap);
}

Failure load_jit(const std::string& path, Plugins& out) {
  out.jit_path = path;
  return load<echo_jit_api>(path, "echo_jit_plugin", "install libecho_jit.so of the same build as echo-run",
                            offsetof(echo_jit_api, create), out.jit);
}

std::string heap_option_help(const echo_heap_api& heap) {
  static constexpr std::array<const char*, 4> types{"bytes", "count", "on|off", "word"};
  std::string text = "Options of the heap (--heap=name=value,...)\n";
  constexpr uint32_t most = 1024; /* no plugin has more; one that never ends its table is cut here */
  for (uint32_t index = 0; index < most; ++index) {
    echo_option_info info{};
    info.size = sizeof info;
    if (heap.option_info(index, &info) != ECHO_OK)
      break;
    const auto word = [](const char* value) { return std::string(value != nullptr ? value : ""); };
    std::string left = "  " + word(info.name) + "=" + (info.type < types.size() ? types[info.type] : "?");
    left.resize(std::max<std::size_t>(left.size() + 2, 30), ' ');
    text += left + word(info.sentence) + " (" + word(info.range) + "; default " + word(info.default_value) +
            ")\n";
  }
  return text;
}

} // namespace echo::run
