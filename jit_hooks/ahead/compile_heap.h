/* SPDX-License-Identifier: MIT
 *
 * ahead/compile_heap.h - the heap that code is compiled for: it hands out recipes and judges layouts.
 *
 * Purpose     Nothing of the heap is mirrored in the compiler: what it must know it asks a heap of the plugin, ahead of
 *             time as in the JIT. The heap lives as long as one compilation.
 */
#ifndef ECHO_AHEAD_COMPILE_HEAP_H
#define ECHO_AHEAD_COMPILE_HEAP_H

#include "echo/heap.h"
#include "outcome.h"

#include <string>

#include <string>
#include <vector>

namespace echo::ahead {

/* One function of the Echo runtime layer as modules of the unmodified profile call it; a type with `?` is not told. */
struct RuntimeSymbol {
  std::string name, type;
};
/* Those of the runtime layer at ECHO_RUNTIME, default: beside this library. */
jit::Outcome runtime_symbols(std::vector<RuntimeSymbol>& out);

class CompileHeap {
public:
  CompileHeap() = default;
  ~CompileHeap();
  CompileHeap(const CompileHeap&) = delete;
  CompileHeap& operator=(const CompileHeap&) = delete;

  /* The plugin at ECHO_HEAP_PLUGIN, or else libecho_heap.so beside this library. */
  jit::Outcome open();
  const echo_heap_api& api() const { return *api_; }
  echo_heap* heap() const { return heap_; }
  const echo_recipes& recipes() const { return recipes_; }

private:
  const echo_heap_api* api_ = nullptr;
  echo_heap* heap_ = nullptr;
  echo_recipes recipes_{};
};

} // namespace echo::ahead

#endif // ECHO_AHEAD_COMPILE_HEAP_H
