// SPDX-License-Identifier: MIT
//
// Purpose     The plugin as a file: loaded, used by threads, destroyed, unloaded, and again; unloaded too early; several
//             plugins at once. This program does not link it, so the last dlclose really unmaps it. [abi.unload.*]
#include "../../conformance/runner/sanitizers.h"
#include "echo/heap.h"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <dirent.h>
#include <dlfcn.h>
#include <filesystem>
#include <fstream>
#include <memory>
#include <pthread.h>
#include <string>
#include <thread>
#include <vector>

namespace {

constexpr const char* kPlugin = ECHO_TEST_PLUGIN;
constexpr const char* kNullPlugin = ECHO_TEST_NULL_PLUGIN;

// What the process has of `path` and in all.
bool is_mapped(const std::string& path) {
  const std::string real = std::filesystem::canonical(path).string();
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.size() > real.size() && line.compare(line.size() - real.size(), real.size(), real) == 0) {
      return true;
    }
  }
  return false;
}

std::size_t entries(const char* folder) {
  std::size_t count = 0;
  DIR* const open = ::opendir(folder);
  while (open != nullptr && ::readdir(open) != nullptr) {
    ++count;
  }
  if (open != nullptr) {
    ::closedir(open);
  }
  return count;
}

std::size_t mappings() {
  std::ifstream maps("/proc/self/maps");
  std::size_t count = 0;
  for (std::string line; std::getline(maps, line);) {
    ++count;
  }
  return count;
}

// Thread keys that could still be made.
std::size_t free_keys() {
  std::vector<pthread_key_t> keys;
  pthread_key_t key{};
  while (::pthread_key_create(&key, nullptr) == 0) {
    keys.push_back(key);
  }
  for (const pthread_key_t made : keys) {
    ::pthread_key_delete(made);
  }
  return keys.size();
}

struct Footprint {
  std::size_t threads = entries("/proc/self/task");
  std::size_t files = entries("/proc/self/fd");
  std::size_t keys = free_keys();
  std::size_t maps = mappings();
};

class Plugin {
public:
  explicit Plugin(const char* path) : library_(::dlopen(path, RTLD_NOW | RTLD_LOCAL)) {
    if (library_ == nullptr) {
      std::fprintf(stderr, "%s\n", ::dlerror());
      std::abort();
    }
    const auto entry = reinterpret_cast<decltype(&echo_heap_plugin)>(::dlsym(library_, "echo_heap_plugin"));
    api_ = entry(ECHO_ABI_MAJOR, ECHO_ABI_MINOR, nullptr);
  }
  ~Plugin() {
    if (library_ != nullptr) {
      close();
    }
  }
  Plugin(const Plugin&) = delete;
  Plugin& operator=(const Plugin&) = delete;
  // The table stays valid for as long as the library is mapped.
  void close() { EXPECT_EQ(::dlclose(std::exchange(library_, nullptr)), 0); }
  const echo_heap_api& api() const { return *api_; }

private:
  void* library_;
  const echo_heap_api* api_ = nullptr;
};

echo_heap* make_heap(const echo_heap_api& api) {
  echo_error why{};
  echo_heap* heap = nullptr;
  EXPECT_EQ(api.heap_create("max_heap=8m", &heap, &why), ECHO_OK) << why.message;
  return heap;
}

// Attached, some garbage, a collection if the plugin has them.
void use(const echo_heap_api& api, echo_heap* heap) {
  echo_error why{};
  const echo_layout layout{sizeof(echo_layout), ECHO_LAYOUT_RAW_ARRAY, "bytes", 16, 1, 0, 0, 0, nullptr};
  echo_layout_id bytes = 0;
  ASSERT_EQ(api.layout_register(heap, &layout, &bytes, &why), ECHO_OK) << why.message;
  echo_thread* me = nullptr;
  ASSERT_EQ(api.attach(heap, &me, &why), ECHO_OK) << why.message;
  for (int i = 0; i < 50; ++i) {
    ASSERT_NE(api.allocate(me, bytes, static_cast<std::uint64_t>(i) * 200), nullptr);
  }
  if ((api.features & ECHO_FEATURE_COLLECTS) != 0) {
    ASSERT_EQ(api.collect(me, ECHO_COLLECT_FULL, &why), ECHO_OK) << why.message;
  }
  ASSERT_EQ(api.detach(me, &why), ECHO_OK) << why.message;
}

// Threads that use a heap and then live on until they are let go.
class Survivors {
public:
  Survivors(const echo_heap_api& api, echo_heap* heap, int count) {
    for (int i = 0; i < count; ++i) {
      threads_.emplace_back([this, &api, heap] {
        use(api, heap);
        ++finished_;
        finished_.notify_one();
        free_.wait(false);
      });
    }
    for (int seen = finished_; seen != count; seen = finished_) {
      finished_.wait(seen);
    }
  }
  ~Survivors() {
    free_ = true;
    free_.notify_all();
    for (std::thread& thread : threads_) {
      thread.join();
    }
  }
  Survivors(const Survivors&) = delete;
  Survivors& operator=(const Survivors&) = delete;

private:
  std::atomic<int> finished_{0};
  std::atomic<bool> free_{false};
  std::vector<std::thread> threads_;
};

// [abi.unload.1] Every round ends with the threads that used the plugin still there, and the plugin gone.
TEST(Load, AHundredTimes) {
  std::unique_ptr<Footprint> early;
  for (int round = 0; round < 100; ++round) {
    ASSERT_FALSE(is_mapped(kPlugin)) << "before round " << round;
    Plugin plugin(kPlugin);
    ASSERT_TRUE(is_mapped(kPlugin)) << "the test does not see the plugin";
    echo_heap* const heap = make_heap(plugin.api());
    {
      const Survivors survivors(plugin.api(), heap, 2);
      use(plugin.api(), heap);
      EXPECT_EQ(plugin.api().heap_destroy(heap, nullptr), ECHO_OK);
      plugin.close();
      ASSERT_FALSE(is_mapped(kPlugin)) << "after round " << round;
    } // the survivors end
    if (round == 4) { // what the process's own libraries keep, they have by now
      early = std::make_unique<Footprint>();
    }
  }
  const Footprint late;
  EXPECT_EQ(late.threads, early->threads);
  EXPECT_EQ(late.files, early->files);
  EXPECT_EQ(late.keys, early->keys);
  EXPECT_LE(late.maps, early->maps + (conformance::kThreadSanitizer ? 40 : 8)) << "95 rounds leave mappings";
}

// A thread that used the plugin unloads it itself, and ends after it.
TEST(Load, TheLastUserUnloads) {
  std::thread([] {
    Plugin plugin(kPlugin);
    echo_heap* const heap = make_heap(plugin.api());
    use(plugin.api(), heap);
    EXPECT_EQ(plugin.api().heap_destroy(heap, nullptr), ECHO_OK);
    plugin.close();
    EXPECT_FALSE(is_mapped(kPlugin));
  }).join();
}

// [abi.unload.2] [abi.unload.3]
TEST(Unload, WaitsForTheLastHeap) {
  Plugin plugin(kPlugin);
  const echo_heap_api& api = plugin.api();
  echo_heap* const one = make_heap(api);
  echo_heap* const two = make_heap(api);
  plugin.close();
  ASSERT_TRUE(is_mapped(kPlugin)) << "unmapped while two heaps exist";
  use(api, one);
  EXPECT_EQ(api.heap_destroy(one, nullptr), ECHO_OK);
  ASSERT_TRUE(is_mapped(kPlugin)) << "unmapped while a heap exists";
  use(api, two);
  EXPECT_EQ(api.heap_destroy(two, nullptr), ECHO_OK);
  EXPECT_FALSE(is_mapped(kPlugin)) << "the last heap has gone";
}

TEST(Unload, WaitsForAttachedThreads) {
  Plugin plugin(kPlugin);
  const echo_heap_api& api = plugin.api();
  echo_heap* const heap = make_heap(api);
  echo_thread* me = nullptr;
  echo_error why{};
  ASSERT_EQ(api.attach(heap, &me, &why), ECHO_OK);
  plugin.close();
  ASSERT_TRUE(is_mapped(kPlugin));
  EXPECT_EQ(api.heap_destroy(heap, &why), ECHO_THREADS_ATTACHED); // [abi.heap.2]
  EXPECT_STREQ(why.message, "1 threads are attached; detach them first");
  ASSERT_TRUE(is_mapped(kPlugin));
  EXPECT_EQ(api.detach(me, &why), ECHO_OK);
  EXPECT_EQ(api.heap_destroy(heap, &why), ECHO_OK);
  EXPECT_FALSE(is_mapped(kPlugin));
}

// Whoever is last unmaps the code that the others have just left.
TEST(Unload, FourThreadsDestroyTheLastHeaps) {
  for (int round = 0; round < 20; ++round) {
    Plugin plugin(kPlugin);
    const echo_heap_api& api = plugin.api();
    std::vector<std::thread> threads;
    std::atomic<int> ready{0};
    for (int i = 0; i < 4; ++i) {
      threads.emplace_back([&api, &ready, heap = make_heap(api)] {
        const auto destroy = api.heap_destroy;
        ++ready;
        while (ready != 5) {
        }
        EXPECT_EQ(destroy(heap, nullptr), ECHO_OK);
      });
    }
    while (ready != 4) {
    }
    plugin.close();
    ++ready;
    for (std::thread& thread : threads) {
      thread.join();
    }
    ASSERT_FALSE(is_mapped(kPlugin)) << "round " << round;
  }
}

TEST(Unload, AHeapThatWasRefusedHoldsNothing) {
  Plugin plugin(kPlugin);
  echo_heap* heap = nullptr;
  echo_error why{};
  EXPECT_EQ(plugin.api().heap_create("no_such_option=1", &heap, &why), ECHO_UNKNOWN_OPTION);
  EXPECT_EQ(plugin.api().heap_destroy(nullptr, &why), ECHO_INVALID_ARGUMENT);
  plugin.close();
  EXPECT_FALSE(is_mapped(kPlugin));
}

// [abi.heap.1] Two plugins and a copy of one of them, each with heaps and threads; one goes, the others stay.
TEST(Plugins, SeveralInOneProcess) {
  char folder[] = "plugins-XXXXXX";
  ASSERT_NE(::mkdtemp(folder), nullptr);
  const std::string copy = std::string(folder) + "/copy.so";
  std::filesystem::copy_file(kPlugin, copy);
  {
    Plugin first(kPlugin);
    const Plugin second(copy.c_str());
    const Plugin third(kNullPlugin);
    ASSERT_NE(&first.api(), &second.api());
    echo_heap* const heap_one = make_heap(first.api());
    echo_heap* const heap_two = make_heap(second.api());
    echo_heap* const heap_three = make_heap(third.api());
    std::vector<std::thread> threads;
    for (int t = 0; t < 2; ++t) {
      threads.emplace_back([&] {
        for (int round = 0; round < 5; ++round) {
          use(first.api(), heap_one);
          use(second.api(), heap_two);
          use(third.api(), heap_three);
        }
      });
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
    // A thread may be attached to a heap of each at a time.
    echo_thread* there = nullptr;
    ASSERT_EQ(second.api().attach(heap_two, &there, nullptr), ECHO_OK);
    use(first.api(), heap_one);
    EXPECT_EQ(first.api().heap_destroy(heap_one, nullptr), ECHO_OK);
    first.close();
    EXPECT_FALSE(is_mapped(kPlugin));
    EXPECT_EQ(second.api().collect(there, ECHO_COLLECT_FULL, nullptr), ECHO_OK);
    EXPECT_EQ(second.api().detach(there, nullptr), ECHO_OK);
    use(third.api(), heap_three);
    EXPECT_EQ(second.api().heap_destroy(heap_two, nullptr), ECHO_OK);
    EXPECT_EQ(third.api().heap_destroy(heap_three, nullptr), ECHO_OK);
  }
  EXPECT_FALSE(is_mapped(copy));
  std::filesystem::remove_all(folder);
}

} // namespace
