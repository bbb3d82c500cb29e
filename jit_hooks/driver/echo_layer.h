/* SPDX-License-Identifier: MIT
 *
 * echo_layer.h - the Echo runtime layer under an unmodified program: loaded, bound to the JIT, entered and left.
 *
 * Invariants  [run.echo.1] The layer calls back into compiled code through the JIT, so every function of the program has
 *             its thread. [run.echo.2] An error raised inside the layer leaves every active call, tasks first, then main:
 *             the program ends with ECHO_RUNTIME_FAILED and the layer's sentence. [run.echo.3] Nothing of the layer is
 *             called before all its symbols were found.
 */
#ifndef ECHO_RUN_ECHO_LAYER_H
#define ECHO_RUN_ECHO_LAYER_H

#include <string>

#include "echo/runtime.h"
#include "plugins.h"

namespace echo::run {

class EchoLayer {
public:
  EchoLayer() = default;
  ~EchoLayer();
  EchoLayer(const EchoLayer&) = delete;
  EchoLayer& operator=(const EchoLayer&) = delete;

  /* libecho_runtime. */
  Failure load(const std::string& path);
  /* A runtime on the heap; before the JIT is created. */
  Failure create(const Plugins& plugins, echo_heap* heap, uint32_t print);
  /* What the JIT must be created with. */
  void adjust(echo_jit_options& options);
  /* The JIT that it calls back through. */
  void use(echo_jit* jit) { jit_ = jit; }
  /* Its functions under the names that modules call. */
  Failure define();
  /* On the program's thread, around its main. */
  Failure enter(echo_thread* thread);
  Failure leave();
  const std::string& path() const { return path_; }

private:
  static echo_status on_literal(void* layer, const void* address, uint64_t bytes, int added, echo_error* why);
  static void on_failure(void* layer, const echo_error* why);
  static void call_task(void* layer, void (*entry)(void*), void* argument);

  std::string path_;
  const Plugins* plugins_ = nullptr;
  echo_jit* jit_ = nullptr;
  echo_runtime* runtime_ = nullptr;
  decltype(&echo_runtime_create) create_ = nullptr;
  decltype(&echo_runtime_destroy) destroy_ = nullptr;
  decltype(&echo_runtime_enter) enter_ = nullptr;
  decltype(&echo_runtime_leave) leave_ = nullptr;
  decltype(&echo_runtime_symbol_at) symbol_at_ = nullptr;
  decltype(&echo_runtime_literals_add) literals_add_ = nullptr;
  decltype(&echo_runtime_literals_remove) literals_remove_ = nullptr;
};

} // namespace echo::run

#endif
