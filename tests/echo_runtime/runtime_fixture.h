// SPDX-License-Identifier: MIT
//
// Purpose     A runtime on a heap of its own with the calling thread in it; failures as exceptions; which functions a test
//             has called. [runtime.table.2]
#pragma once

#include "functions.h"
#include "state.h"

#include "echo/heap.h"
#include "echo/runtime.h"

#include <gtest/gtest.h>

#include <bit>
#include <cstdlib>
#include <cstring>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace echo::test {

using runtime::Text;

// What a function of the layer said instead of returning.
struct Failed {
  echo_error error;
};

// Options of the heap that a test does not choose are those of ECHO_HEAP_OPTIONS: under stress, a collection at every
// allocation.
inline bool under_stress() {
  const char* const options = std::getenv("ECHO_HEAP_OPTIONS");
  return options != nullptr && std::strstr(options, "stress_collect=1") != nullptr;
}

// Calls a function with whole registers as its arguments, as a caller does that leaves anything above a narrow one.
template <class Result, class Function, class... Words>
#ifdef __clang__
[[clang::no_sanitize("function")]]
#endif
Result call_wide(Function* function, Words... words) {
  return reinterpret_cast<Result (*)(Words...)>(reinterpret_cast<void*>(function))(words...);
}

class RuntimeFixture : public ::testing::Test {
protected:
  explicit RuntimeFixture(const char* with_heap_options = "max_heap=64m") : heap_options(with_heap_options) {}

  void SetUp() override {
    const echo_heap_api* const plugin = echo_heap_plugin(ECHO_ABI_MAJOR, ECHO_ABI_MINOR, &why);
    ASSERT_NE(plugin, nullptr) << why.message;
    api = *plugin;
    ASSERT_EQ(api.heap_create(heap_options, &heap, &why), ECHO_OK) << why.message;
    ASSERT_EQ(api.attach(heap, &thread, &why), ECHO_OK) << why.message;
    options.size = sizeof options;
    options.seed = 1;
    options.output = [](void* self, const char* bytes, std::uint64_t length) {
      auto& fixture = *static_cast<RuntimeFixture*>(self);
      fixture.printed.append(bytes, length);
      ++fixture.writes;
    };
    options.output_context = this;
    options.fail = [](void*, const echo_error* error) { throw Failed{*error}; };
    enter();
  }
  void TearDown() override {
    leave();
    if (thread != nullptr) {
      EXPECT_EQ(api.detach(thread, &why), ECHO_OK) << why.message;
    }
    if (heap != nullptr) {
      EXPECT_EQ(api.heap_destroy(heap, &why), ECHO_OK) << why.message;
    }
    // The test of a function calls it. [runtime.table.2]
    const std::string name = ::testing::UnitTest::GetInstance()->current_test_info()->name();
    if (echo_runtime_symbol(name.c_str()) != nullptr) {
      EXPECT_TRUE(called.contains(name)) << name << " was not called by its test";
    }
  }
  void enter() {
    ASSERT_EQ(echo_runtime_create(&api, heap, &options, &layer, &why), ECHO_OK) << why.message;
    ASSERT_EQ(echo_runtime_enter(layer, thread, &why), ECHO_OK) << why.message;
  }
  void leave() {
    if (layer != nullptr) {
      EXPECT_EQ(echo_runtime_leave(layer, &why), ECHO_OK) << why.message;
      EXPECT_EQ(echo_runtime_destroy(layer, &why), ECHO_OK) << why.message;
      layer = nullptr;
    }
  }
  // A runtime with other options.
  void enter_again() {
    leave();
    enter();
  }

  template <class Function> Function* noted(const char* name, Function* function) {
    called.insert(name);
    return function;
  }

  // A string as the compiler makes one of a literal: a block of malloc with the three words of a view.
  static void* text(std::string_view bytes) {
    void* const copy =
        ::runtime_bytes_to_string(const_cast<char*>(bytes.data()), static_cast<int>(bytes.size()));
    auto* const header = static_cast<Text*>(::echo_runtime_malloc(sizeof(Text)));
    *header = *static_cast<Text*>(copy);
    return header;
  }
  static std::string_view bytes_of(const void* string) {
    const auto& found = *static_cast<const Text*>(string);
    EXPECT_GE(found.len, 0);
    EXPECT_GE(found.cap, found.len);
    return {found.data, static_cast<std::size_t>(found.len)};
  }
  void collect() { ASSERT_EQ(api.collect(thread, ECHO_COLLECT_FULL, &why), ECHO_OK) << why.message; }
  std::string take_printed() { return std::exchange(printed, {}); }
  // The sentence with which `call` fails; "" if it returns.
  template <class Call> std::string failure_of(Call call, echo_status expected = ECHO_INVALID_ARGUMENT) {
    try {
      call();
    } catch (const Failed& failed) {
      EXPECT_EQ(failed.error.code, expected) << failed.error.message;
      return failed.error.message;
    }
    return {};
  }

  const char* heap_options;
  echo_heap_api api{};
  echo_heap* heap = nullptr;
  echo_thread* thread = nullptr;
  echo_runtime* layer = nullptr;
  echo_runtime_options options{};
  echo_error why{};
  std::string printed;
  unsigned writes = 0;
  std::set<std::string> called;
};

// Calls one of the 60 by the name that the program's module has for it, and remembers that.
#define CALL(name, ...) (*noted(#name, &ECHO_TEST_EXPORTED(name)))(__VA_ARGS__)
#define ECHO_TEST_EXPORTED(name) ::name

} // namespace echo::test
