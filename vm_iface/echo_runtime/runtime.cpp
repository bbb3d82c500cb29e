// SPDX-License-Identifier: MIT
//
// Purpose     Life of a runtime: create, enter, leave, destroy.
// Invariants  [runtime.enter.1] [runtime.enter.2] [runtime.create.1] A runtime exists only on a heap that has all it needs:
//             what is missing is said when it is created.
#include "echo/runtime.h"

#include "functions.h"
#include "state.h"

#include <sys/random.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <new>

namespace echo::runtime {

constinit thread_local echo_runtime* current __attribute__((tls_model("initial-exec"))) = nullptr;

void nobody_in(const char* function) {
  fail(nullptr, function, ECHO_WRONG_STATE, "the calling thread has entered no runtime (echo_runtime_enter)");
}

namespace {

// What the layer calls of the table, up to its last entry.
constexpr std::size_t kTableNeeded = offsetof(echo_heap_api, resolve) + sizeof(echo_heap_api::resolve);

echo_status check_arguments(const echo_heap_api* api, echo_heap* heap, const echo_runtime_options* options,
                            echo_runtime** out, echo_error* why) {
  if (api == nullptr || heap == nullptr || out == nullptr) {
    return report(why, ECHO_INVALID_ARGUMENT, "%s is null",
                  api == nullptr    ? "api"
                  : heap == nullptr ? "heap"
                                    : "out");
  }
  if (api->abi_major != ECHO_ABI_MAJOR) {
    return report(why, ECHO_VERSION_MISMATCH, "the plugin's ABI has major version %u, this layer needs %u",
                  api->abi_major, ECHO_ABI_MAJOR);
  }
  if (api->size < kTableNeeded || (api->features & ECHO_FEATURE_AMBIGUOUS_ROOTS) == 0) {
    return report(
        why, ECHO_NOT_SUPPORTED,
        "the plugin has no ambiguous roots, without which nobody sees the pointers of a program that "
        "describes none (feature AMBIGUOUS_ROOTS)");
  }
  if (options == nullptr) {
    return ECHO_OK;
  }
  if (options->size < sizeof(echo_runtime_options)) {
    return report(why, ECHO_INVALID_ARGUMENT, "options.size is %u, not sizeof(echo_runtime_options) = %zu",
                  options->size, sizeof(echo_runtime_options));
  }
  if (options->print > ECHO_RUNTIME_PRINT_RAW) {
    return report(why, ECHO_INVALID_ARGUMENT, "options.print is %u: neither lines (0) nor raw (1)",
                  options->print);
  }
  return ECHO_OK;
}

bool random_seed(HashSeed* seed) {
  std::uint64_t words[2];
  if (::getrandom(words, sizeof words, 0) != static_cast<ssize_t>(sizeof words)) {
    return false;
  }
  *seed = {words[0], words[1]};
  return true;
}

// SplitMix64 (Steele, Lea, Flood 2014): two words that have nothing to do with each other from one.
std::uint64_t spread(std::uint64_t& state) {
  std::uint64_t z = (state += 0x9E3779B97F4A7C15ull);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return z ^ (z >> 31);
}

} // namespace
} // namespace echo::runtime

using namespace echo::runtime;

extern "C" {

echo_status echo_runtime_create(const echo_heap_api* api, echo_heap* heap,
                                const echo_runtime_options* options, echo_runtime** out, echo_error* why) {
  if (const echo_status status = check_arguments(api, heap, options, out, why); status != ECHO_OK) {
    return status;
  }
  *out = nullptr;
  std::unique_ptr<echo_runtime> runtime(new (std::nothrow) echo_runtime);
  if (!runtime) {
    return report(why, ECHO_SYSTEM_MEMORY, "no native memory for a runtime");
  }
  if (options != nullptr) {
    runtime->options = *options;
  }
  if (std::uint64_t state = runtime->options.seed; state != 0) {
    runtime->seed = {spread(state), spread(state)};
  } else if (!random_seed(&runtime->seed)) {
    return report(why, ECHO_SYSTEM_MEMORY, "the system gives no random numbers for the seed of maps");
  }
  if (const echo_status status = runtime->memory.open(api, heap, why); status != ECHO_OK) {
    return status;
  }
  if (const echo_status status = api->ambiguous_range_add(heap, &runtime->roots, sizeof runtime->roots, why);
      status != ECHO_OK) {
    return status;
  }
  *out = runtime.release();
  return ECHO_OK;
}

echo_status echo_runtime_destroy(echo_runtime* runtime, echo_error* why) {
  if (runtime == nullptr) {
    return ECHO_OK;
  }
  if (runtime->taken.load(std::memory_order_acquire)) {
    return report(why, ECHO_WRONG_STATE, "a thread is in the runtime: it leaves first");
  }
  const Memory& memory = runtime->memory;
  if (const echo_status status = memory.api().ambiguous_range_remove(memory.heap(), &runtime->roots, why);
      status != ECHO_OK) {
    return status;
  }
  delete runtime;
  return ECHO_OK;
}

echo_status echo_runtime_enter(echo_runtime* runtime, echo_thread* thread, echo_error* why) {
  if (runtime == nullptr || thread == nullptr) {
    return report(why, ECHO_INVALID_ARGUMENT, "%s is null", runtime == nullptr ? "runtime" : "thread");
  }
  if (current != nullptr) {
    return report(why, ECHO_WRONG_STATE, "the calling thread is in %s runtime already",
                  current == runtime ? "this" : "another");
  }
  Memory& memory = runtime->memory;
  if (memory.api().heap_of(thread) != memory.heap()) {
    return report(why, ECHO_INVALID_ARGUMENT, "the thread is attached to another heap than the runtime's");
  }
  if (runtime->taken.exchange(true, std::memory_order_acquire)) {
    return report(why, ECHO_WRONG_STATE, "another thread is in the runtime");
  }
  if (const echo_status status = memory.api().ambiguous_stack(thread, 1, why); status != ECHO_OK) {
    runtime->taken.store(false, std::memory_order_release);
    return status;
  }
  memory.set_thread(thread);
  runtime->depth = 0;
  runtime->write_error = 0;
  current = runtime;
  return ECHO_OK;
}

echo_status echo_runtime_leave(echo_runtime* runtime, echo_error* why) {
  if (runtime == nullptr || current != runtime) {
    return report(why, ECHO_WRONG_STATE, "the calling thread is in %s runtime",
                  current == nullptr ? "no" : "another");
  }
  Memory& memory = runtime->memory;
  if (const echo_status status = memory.api().ambiguous_stack(memory.thread(), 0, why); status != ECHO_OK) {
    return status;
  }
  if (runtime->options.output == nullptr && std::fflush(stdout) != 0 && runtime->write_error == 0) {
    runtime->write_error = errno;
  }
  const int error = runtime->write_error;
  runtime->literals.forget_symbols();
  memory.set_thread(nullptr);
  current = nullptr;
  runtime->taken.store(false, std::memory_order_release);
  if (error != 0) {
    char text[128];
    return report(why, ECHO_IO_ERROR, "what the program printed could not be written: %s",
                  ::strerror_r(error, text, sizeof text));
  }
  return ECHO_OK;
}

} // extern "C"
