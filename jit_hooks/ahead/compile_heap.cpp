/* SPDX-License-Identifier: MIT
 *
 * ahead/compile_heap.cpp - see compile_heap.h.
 */
#include "ahead/compile_heap.h"

#include "driver/plugins.h"
#include "echo/runtime.h"
#include "managed_code.h"

#include <cstdlib>

namespace echo::ahead {

using jit::Outcome;

Outcome CompileHeap::open() {
  const char* const given = std::getenv("ECHO_HEAP_PLUGIN");
  run::Plugins plugins;
  const std::string path =
      given != nullptr && *given != '\0' ? given : run::beside_this_library("libecho_heap.so");
  if (run::Failure failure = run::load_heap_plugin(path, plugins))
    return {static_cast<echo_status>(failure.code), failure.sentence};
  api_ = plugins.heap;
  echo_error why{};
  if (const echo_status status = api_->heap_create(nullptr, &heap_, &why); status != ECHO_OK)
    return {status, why.message + std::string(", in ECHO_HEAP_OPTIONS or the defaults")};
  return jit::read_recipes(*api_, heap_, ECHO_RECIPES_PORTABLE, recipes_);
}

Outcome runtime_symbols(std::vector<RuntimeSymbol>& out) {
  const char* const given = std::getenv("ECHO_RUNTIME");
  const std::string path =
      given != nullptr && *given != '\0' ? given : run::beside_this_library("libecho_runtime.so");
  void* library = nullptr;
  if (run::Failure failure =
          run::open_library(path, "give the Echo runtime layer with ECHO_RUNTIME=PATH", library))
    return {static_cast<echo_status>(failure.code), failure.sentence};
  const auto symbol_at = reinterpret_cast<decltype(&echo_runtime_symbol_at)>(
      run::library_symbol(library, "echo_runtime_symbol_at"));
  if (symbol_at == nullptr)
    return {ECHO_MISSING_SYMBOL, "there is no symbol echo_runtime_symbol_at, in '" + path + "'"};
  echo_runtime_symbol_info symbol{};
  symbol.size = sizeof symbol;
  for (uint32_t index = 0; symbol_at(index, &symbol) == ECHO_OK; ++index)
    out.push_back({symbol.exported,
                   std::string_view(symbol.type).find('?') == std::string_view::npos ? symbol.type : ""});
  return {};
}

CompileHeap::~CompileHeap() {
  if (heap_ != nullptr)
    api_->heap_destroy(heap_, nullptr);
}

} // namespace echo::ahead
