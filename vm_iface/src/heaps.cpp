// SPDX-License-Identifier: MIT
//
// Purpose     Heaps: creation from options, destruction, recipes; and the option table.
#include "vm_iface/src/calls.h"

#include "vm_iface/src/options.h"

#include <cstring>
#include <memory>

using echo::guarded;
using echo::null_argument;
using echo::report;

extern "C" {

echo_status echo_heap_create(const char* options, echo_heap** out, echo_error* why) {
  if (out == nullptr) {
    return null_argument(why, "out");
  }
  *out = nullptr;
  return guarded(why, [&](std::string* message) {
    echo::Config config;
    echo_status status = echo::parse_environment(&config, message);
    if (status == ECHO_OK && options != nullptr) {
      status = echo::parse_options({options, ::strnlen(options, 8192)}, &config, message);
    }
    if (status != ECHO_OK) {
      return status;
    }
    auto heap = std::make_unique<echo_heap>(config);
    if (!heap->library.acquire(message)) {
      return ECHO_SYSTEM_MEMORY;
    }
    if (status = heap->collector.open(message); status == ECHO_OK) {
      heap->recipes = echo::plugin_recipes();
      *out = heap.release();
    }
    return status;
  });
}

// All of echo_heap_destroy but giving back the hold on the library: heap_destroy.S. Two registers.
struct DestroyedHeap {
  void* library;
  std::uint64_t status;
};
DestroyedHeap echo_heap_destroy_body(echo_heap* heap, echo_error* why) {
  if (heap == nullptr) {
    return {nullptr, static_cast<std::uint64_t>(null_argument(why, "heap"))};
  }
  if (const echo_status status = echo::unusable(heap, why); status != ECHO_OK) {
    return {nullptr, static_cast<std::uint64_t>(status)};
  }
  if (const std::size_t threads = heap->collector.safepoints.attached(); threads != 0) {
    return {nullptr, static_cast<std::uint64_t>(
                         report(why, ECHO_THREADS_ATTACHED,
                                std::to_string(threads) + " threads are attached; detach them first"))};
  }
  void* const library = heap->library.release();
  delete heap;
  return {library, ECHO_OK};
}

echo_status echo_option_get_info(uint32_t index, echo_option_info* out) {
  if (out == nullptr || out->size < sizeof(echo_option_info)) {
    return ECHO_INVALID_ARGUMENT;
  }
  return echo::option_row(index, out) ? ECHO_OK : ECHO_INVALID_ARGUMENT;
}

echo_status echo_get_recipes(echo_heap* heap, uint32_t set, const echo_recipes** out) {
  if (heap == nullptr || out == nullptr || set > ECHO_RECIPES_PORTABLE) {
    return ECHO_INVALID_ARGUMENT;
  }
  // One barrier serves every mode of this plugin: the fastest set is portable.
  *out = &heap->recipes;
  return ECHO_OK;
}

} // extern "C"
