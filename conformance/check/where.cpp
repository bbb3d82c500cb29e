// SPDX-License-Identifier: MIT
//
// where.cpp - names of places: by the loader's symbols, and by the compiler of the code.
#include "where.h"

#include "echo/base.h"

#include <atomic>
#include <cstdio>
#include <cstring>
#include <dlfcn.h>
#include <string_view>

namespace check {

namespace {

using WhereFunction = echo_status (*)(std::uintptr_t pc, char* text, std::uint64_t capacity);
std::atomic<WhereFunction> compiler{nullptr};

std::string hexadecimal(std::uintptr_t value) {
  char text[32];
  std::snprintf(text, sizeof text, "0x%lx", static_cast<unsigned long>(value));
  return text;
}

bool by_loader(std::uintptr_t pc, std::string* out) {
  Dl_info info{};
  if (pc == 0 || dladdr(reinterpret_cast<void*>(pc), &info) == 0 || info.dli_fname == nullptr)
    return false;
  const char* const slash = std::strrchr(info.dli_fname, '/');
  const std::string file = slash != nullptr ? slash + 1 : info.dli_fname;
  *out = info.dli_sname != nullptr
             ? std::string(info.dli_sname) + "+" +
                   hexadecimal(pc - reinterpret_cast<std::uintptr_t>(info.dli_saddr)) + " in " + file
             : file + "(+" + hexadecimal(pc - reinterpret_cast<std::uintptr_t>(info.dli_fbase)) + ")";
  return true;
}

bool by_compiler(std::uintptr_t pc, std::string* out) {
  const WhereFunction where = compiler.load();
  char text[512];
  if (pc == 0 || where == nullptr || where(pc, text, sizeof text) != ECHO_OK)
    return false;
  *out = text;
  return true;
}

} // namespace

void learn_compiler(const void* address_in_library) {
  Dl_info info{};
  if (address_in_library == nullptr || dladdr(address_in_library, &info) == 0 || info.dli_fname == nullptr)
    return;
  void* const library = dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD);
  if (library == nullptr)
    return;
  if (void* const symbol = dlsym(library, "echo_jit_where"); symbol != nullptr)
    compiler.store(reinterpret_cast<WhereFunction>(symbol));
  dlclose(library); // whoever gave the frame source keeps it
}

std::string describe(const Site& site) {
  std::string text;
  constexpr std::string_view kStub = "echo.stub."; // of libecho_jit: between compiled code and cold paths
  if (by_compiler(site.caller, &text) && text.compare(0, kStub.size(), kStub) != 0)
    return text;
  if (!text.empty() && by_compiler(site.beyond, &text))
    return text;
  if (by_loader(site.caller, &text)) {
    std::string from;
    return by_compiler(site.managed, &from) ? text + ", called from " + from : text;
  }
  if (by_compiler(site.beyond, &text))
    return text;
  return "address " + hexadecimal(site.beyond != 0 ? site.beyond : site.caller);
}

} // namespace check
