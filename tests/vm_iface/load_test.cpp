// SPDX-License-Identifier: MIT
//
// Purpose     The plugin as a file: loaded, used by threads, destroyed, unloaded, and again. This program
// does not link
//             it, so the last dlclose really unmaps it.
#include "echo/heap.h"

#include <gtest/gtest.h>

#include <dlfcn.h>
#include <thread>

namespace {

constexpr const char* kPlugin = ECHO_TEST_PLUGIN;

void use(const echo_heap_api& api) {
  echo_error why{};
  echo_heap* heap = nullptr;
  ASSERT_EQ(api.heap_create("max_heap=4m,reserve=1,keep_free=0", &heap, &why), ECHO_OK) << why.message;
  const echo_layout layout{sizeof(echo_layout), ECHO_LAYOUT_RAW_ARRAY, "bytes", 16, 1, 0, 0, 0, nullptr};
  echo_layout_id bytes = 0;
  ASSERT_EQ(api.layout_register(heap, &layout, &bytes, &why), ECHO_OK);
  std::thread threads[2];
  for (std::thread& thread : threads) {
    thread = std::thread([&] {
      echo_thread* me = nullptr;
      echo_error error{};
      ASSERT_EQ(api.attach(heap, &me, &error), ECHO_OK) << error.message;
      for (int i = 0; i < 500; ++i) {
        ASSERT_NE(api.allocate(me, bytes, static_cast<std::uint64_t>(i) * 100), nullptr);
      }
      ASSERT_EQ(api.collect(me, ECHO_COLLECT_FULL, &error), ECHO_OK);
      ASSERT_EQ(api.detach(me, &error), ECHO_OK);
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  ASSERT_EQ(api.heap_destroy(heap, &why), ECHO_OK) << why.message;
}

TEST(Load, AgainAndAgain) {
  for (int round = 0; round < 10; ++round) {
    ASSERT_EQ(::dlopen(kPlugin, RTLD_NOW | RTLD_NOLOAD), nullptr) << "unloaded before round " << round;
    void* plugin = ::dlopen(kPlugin, RTLD_NOW | RTLD_LOCAL);
    ASSERT_NE(plugin, nullptr) << ::dlerror();
    auto* entry = reinterpret_cast<decltype(&echo_heap_plugin)>(::dlsym(plugin, "echo_heap_plugin"));
    ASSERT_NE(entry, nullptr);
    const echo_heap_api* api = entry(ECHO_ABI_MAJOR, ECHO_ABI_MINOR, nullptr);
    ASSERT_NE(api, nullptr);
    use(*api);
    ASSERT_EQ(::dlclose(plugin), 0);
  }
  EXPECT_EQ(::dlopen(kPlugin, RTLD_NOW | RTLD_NOLOAD), nullptr);
}

// A thread that used the plugin outlives it.
TEST(Load, ThreadsMayOutliveThePlugin) {
  void* plugin = ::dlopen(kPlugin, RTLD_NOW | RTLD_LOCAL);
  ASSERT_NE(plugin, nullptr) << ::dlerror();
  std::thread survivor([plugin] {
    const auto entry = reinterpret_cast<decltype(&echo_heap_plugin)>(::dlsym(plugin, "echo_heap_plugin"));
    use(*entry(ECHO_ABI_MAJOR, ECHO_ABI_MINOR, nullptr));
    EXPECT_EQ(::dlclose(plugin), 0);
  }); // and ends after it
  survivor.join();
  EXPECT_EQ(::dlopen(kPlugin, RTLD_NOW | RTLD_NOLOAD), nullptr);
}

} // namespace
