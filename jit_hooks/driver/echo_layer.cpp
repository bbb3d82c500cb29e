/* SPDX-License-Identifier: MIT
 *
 * echo_layer.cpp - see echo_layer.h.
 */
#include "echo_layer.h"

#include <cstring>
#include <string_view>

#include "current_thread.h"

namespace echo::run {

namespace {

template <typename Function> bool find(void* library, const char* name, Function& out, std::string& missing) {
  out = reinterpret_cast<Function>(library_symbol(library, name));
  if (out == nullptr && missing.empty())
    missing = name;
  return out != nullptr;
}

} // namespace

EchoLayer::~EchoLayer() {
  if (runtime_ != nullptr)
    destroy_(runtime_, nullptr);
}

Failure EchoLayer::load(const std::string& path) {
  path_ = path;
  const std::string option = "give the Echo runtime layer of this version with --echo-runtime=PATH";
  void* library = nullptr;
  if (Failure failure = open_library(path, option, library))
    return failure;
  std::string missing;
  find(library, "echo_runtime_create", create_, missing);
  find(library, "echo_runtime_destroy", destroy_, missing);
  find(library, "echo_runtime_enter", enter_, missing);
  find(library, "echo_runtime_leave", leave_, missing);
  find(library, "echo_runtime_symbol_at", symbol_at_, missing);
  find(library, "echo_runtime_literals_add", literals_add_, missing);
  find(library, "echo_runtime_literals_remove", literals_remove_, missing);
  if (missing.empty())
    return {};
  return {ECHO_MISSING_SYMBOL, "there is no symbol " + missing + ", in '" + path + "', " + option};
}

Failure EchoLayer::create(const Plugins& plugins, echo_heap* heap, uint32_t print) {
  plugins_ = &plugins;
  echo_runtime_options options{};
  options.size = sizeof options;
  options.print = print;
  options.fail = &EchoLayer::on_failure;
  options.fail_context = this;
  options.call = &EchoLayer::call_task;
  options.call_context = this;
  echo_error why{};
  const echo_status status = create_(plugins.heap, heap, &options, &runtime_, &why);
  return status == ECHO_OK ? Failure{} : failure_from(status, why, "'" + path_ + "'");
}

void EchoLayer::adjust(echo_jit_options& options) {
  options.profile = ECHO_JIT_PROFILE_UNMODIFIED;
  options.literal = &EchoLayer::on_literal;
  options.literal_context = this;
}

Failure EchoLayer::define() {
  for (uint32_t index = 0;; ++index) {
    echo_runtime_symbol_info symbol{};
    symbol.size = sizeof symbol;
    if (symbol_at_(index, &symbol) != ECHO_OK)
      return {};
    echo_error why{};
    const bool typed =
        std::strchr(symbol.type, '?') == nullptr; /* letters cannot say the one it stands for */
    const echo_status status =
        typed ? plugins_->jit->define_typed(jit_, symbol.exported, symbol.address, ECHO_JIT_SYMBOL_NATIVE,
                                            symbol.type, &why)
              : plugins_->jit->define(jit_, symbol.exported, symbol.address, ECHO_JIT_SYMBOL_NATIVE, &why);
    if (status != ECHO_OK)
      return failure_from(status, why, std::string("the definition of ") + symbol.exported);
  }
}

Failure EchoLayer::enter(echo_thread* thread) {
  echo_error why{};
  const echo_status status = enter_(runtime_, thread, &why);
  return status == ECHO_OK ? Failure{} : failure_from(status, why, "the entry into the Echo runtime layer");
}

Failure EchoLayer::leave() {
  echo_error why{};
  const echo_status status = leave_(runtime_, &why);
  return status == ECHO_OK ? Failure{} : failure_from(status, why, "the end of the program");
}

echo_status EchoLayer::on_literal(void* layer, const void* address, uint64_t bytes, int added,
                                  echo_error* why) {
  const auto& self = *static_cast<EchoLayer*>(layer);
  return added != 0 ? self.literals_add_(self.runtime_, address, bytes, why)
                    : self.literals_remove_(self.runtime_, address, why);
}

/* Frames of the layer between here and the program need no clean-up; this one owns nothing. [run.thread.3] */
void EchoLayer::on_failure(void* layer, const echo_error* why) {
  const auto& self = *static_cast<EchoLayer*>(layer);
  current_thread.layer_failed = true;
  self.plugins_->jit->abandon(self.jit_, current_thread.thread, why);
  /* It comes back only where no call is active; then the layer ends the process itself. */
}

void EchoLayer::call_task(void* layer, void (*entry)(void*), void* argument) {
  const auto& self = *static_cast<EchoLayer*>(layer);
  const auto word = reinterpret_cast<uint64_t>(argument);
  uint64_t result = 0;
  echo_error why{};
  const echo_status status = self.plugins_->jit->call(
      self.jit_, current_thread.thread, reinterpret_cast<void*>(entry), &word, 1, &result, &why);
  if (status == ECHO_OK)
    return;
  why.code = status;
  self.plugins_->jit->abandon(self.jit_, current_thread.thread, &why); /* [run.echo.2] */
}

} // namespace echo::run
