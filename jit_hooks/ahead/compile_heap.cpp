/* SPDX-License-Identifier: MIT
 *
 * ahead/compile_heap.cpp - see compile_heap.h.
 */
#include "ahead/compile_heap.h"

#include "driver/plugins.h"
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

CompileHeap::~CompileHeap() {
  if (heap_ != nullptr)
    api_->heap_destroy(heap_, nullptr);
}

} // namespace echo::ahead
