/* SPDX-License-Identifier: MIT
 *
 * heap_plugin_test.cpp - the JIT on the heap plugin: collected at every allocation, verified, by several threads.
 */
#include "jit_fixture.h"

#include <dlfcn.h>
#include <string>
#include <thread>

namespace echo::testing {
namespace {

const echo_heap_api* plugin() {
  static const echo_heap_api* const table = [] {
    echo_error why{};
    void* const library = dlopen(ECHO_HEAP_PLUGIN, RTLD_NOW | RTLD_LOCAL);
    EXPECT_NE(nullptr, library) << dlerror();
    const auto entry = reinterpret_cast<decltype(&echo_heap_plugin)>(dlsym(library, "echo_heap_plugin"));
    EXPECT_NE(nullptr, entry);
    return entry(ECHO_ABI_MAJOR, ECHO_ABI_MINOR, &why);
  }();
  return table;
}

class PluginHeap {
public:
  explicit PluginHeap(const char* options) {
    echo_error why{};
    EXPECT_EQ(ECHO_OK, plugin()->heap_create(options, &heap_, &why)) << why.message;
  }
  ~PluginHeap() {
    echo_error why{};
    EXPECT_EQ(ECHO_OK, plugin()->heap_destroy(heap_, &why)) << why.message;
  }
  PluginHeap(const PluginHeap&) = delete;
  PluginHeap& operator=(const PluginHeap&) = delete;
  echo_heap* get() { return heap_; }
  uint64_t collections() {
    echo_statistics all{};
    all.size = sizeof all;
    EXPECT_EQ(ECHO_OK, plugin()->statistics(heap_, &all));
    return all.collections_full;
  }

private:
  echo_heap* heap_ = nullptr;
};

class PluginJit {
public:
  PluginJit(PluginHeap& heap, uint32_t optimise) {
    echo_jit_options options{};
    options.size = sizeof options;
    options.optimise = optimise;
    echo_error why{};
    EXPECT_EQ(ECHO_OK, echo_jit_create(plugin(), heap.get(), &options, &jit_, &why)) << why.message;
    const std::string text = std::string(kPrelude) + kPrograms;
    EXPECT_EQ(ECHO_OK, echo_jit_add_module(jit_, "programs", text.data(), text.size(), &why)) << why.message;
  }
  ~PluginJit() { EXPECT_EQ(ECHO_OK, echo_jit_destroy(jit_, nullptr)); }
  PluginJit(const PluginJit&) = delete;
  PluginJit& operator=(const PluginJit&) = delete;

  void* lookup(const char* name) {
    void* address = nullptr;
    echo_error why{};
    EXPECT_EQ(ECHO_OK, echo_jit_lookup(jit_, name, &address, &why)) << why.message;
    return address;
  }
  uint64_t call(echo_thread* thread, const char* name, uint64_t argument) {
    uint64_t result = 0;
    echo_error why{};
    EXPECT_EQ(ECHO_OK, echo_jit_call(jit_, thread, lookup(name), &argument, 1, &result, &why)) << why.message;
    return result;
  }
  echo_status try_call(echo_thread* thread, const char* name, uint64_t argument, echo_error* why) {
    uint64_t result = 0;
    return echo_jit_call(jit_, thread, lookup(name), &argument, 1, &result, why);
  }

private:
  echo_jit* jit_ = nullptr;
};

/* Attached for the life of the object. */
class Attached {
public:
  explicit Attached(PluginHeap& heap) {
    echo_error why{};
    EXPECT_EQ(ECHO_OK, plugin()->attach(heap.get(), &thread_, &why)) << why.message;
  }
  ~Attached() { EXPECT_EQ(ECHO_OK, plugin()->detach(thread_, nullptr)); }
  Attached(const Attached&) = delete;
  Attached& operator=(const Attached&) = delete;
  operator echo_thread*() const { return thread_; }

private:
  echo_thread* thread_ = nullptr;
};

void run_all(PluginJit& jit, echo_thread* thread) {
  EXPECT_EQ(10u * 15 + 127, jit.call(thread, "trees", 6));
  EXPECT_EQ(1u + 1 + 15, jit.call(thread, "pair", 1));
  EXPECT_EQ(2u * 15 + 2 * 7, jit.call(thread, "interior", 1));
  EXPECT_EQ(31u + 7, jit.call(thread, "vector", 1));
  EXPECT_EQ(15u + 3, jit.call(thread, "structs", 3));
  EXPECT_EQ(3u * 1000000000 + 20u * 1000000 + 20u * 1000 + 20u * 3, jit.call(thread, "arrays", 20));
  EXPECT_EQ(7u, jit.call(thread, "raw", 50));
}

class OnThePlugin : public ::testing::TestWithParam<uint32_t> {};
INSTANTIATE_TEST_SUITE_P(Levels, OnThePlugin, ::testing::Values(0u, 2u),
                         [](const ::testing::TestParamInfo<uint32_t>& level) {
                           return "O" + std::to_string(level.param);
                         });

TEST_P(OnThePlugin, CollectedAtEveryAllocation) {
  PluginHeap heap("max_heap=64m,stress_collect=1,poison=on,verify=on,stress_barriers=on,stress_frames=on");
  PluginJit jit(heap, GetParam());
  const Attached thread(heap);
  run_all(jit, thread);
  EXPECT_EQ(15u + 7 + 3, jit.call(thread, "globals", 5));
  EXPECT_GT(heap.collections(), 300u);
}

TEST_P(OnThePlugin, ThreeThreads) {
  PluginHeap heap(
      "max_heap=64m,stress_collect=13,poison=on,stress_yield=on,stress_barriers=on,stress_frames=on");
  PluginJit jit(heap, GetParam());
  std::vector<std::thread> threads;
  threads.reserve(3);
  for (int i = 0; i < 3; ++i)
    threads.emplace_back([&] {
      const Attached thread(heap);
      for (int round = 0; round < 5; ++round)
        run_all(jit, thread);
    });
  for (std::thread& thread : threads)
    thread.join();
  EXPECT_GT(heap.collections(), 100u);
}

TEST_P(OnThePlugin, CollectedOnlyBecauseItAllocates) {
  PluginHeap heap("max_heap=16m");
  PluginJit jit(heap, GetParam());
  const Attached thread(heap);
  for (int round = 0; round < 20; ++round) /* 20 * 2^18 nodes of 24 bytes: 8 times the heap */
    EXPECT_EQ(10u * 15 + (1u << 18) - 1, jit.call(thread, "trees", 17));
  EXPECT_GT(heap.collections(), 5u);
}

TEST_P(OnThePlugin, TooSmallHeapEndsTheCall) {
  PluginHeap heap("max_heap=4m");
  PluginJit jit(heap, GetParam());
  const Attached thread(heap);
  echo_error why{};
  EXPECT_EQ(ECHO_HEAP_LIMIT, jit.try_call(thread, "trees", 24, &why)) << why.message;
  EXPECT_EQ(10u * 15 + 127, jit.call(thread, "trees", 6)) << "usable afterwards";
}

echo_heap* blocking_heap = nullptr;

/* Blocks until another thread has collected: never, if the collection waited for this thread. */
extern "C" int64_t plugin_block(int64_t x) {
  std::thread([] {
    echo_error why{};
    echo_thread* thread = nullptr;
    EXPECT_EQ(ECHO_OK, plugin()->attach(blocking_heap, &thread, &why)) << why.message;
    EXPECT_EQ(ECHO_OK, plugin()->collect(thread, ECHO_COLLECT_FULL, &why)) << why.message;
    EXPECT_EQ(ECHO_OK, plugin()->detach(thread, &why)) << why.message;
  }).join();
  return x + 1;
}

TEST_P(OnThePlugin, AStopArrivesWhileTheThreadIsNative) {
  for (uint32_t operations : {ECHO_JIT_OPERATIONS_INLINE, ECHO_JIT_OPERATIONS_CALLED}) {
    PluginHeap heap("max_heap=64m,poison=on,stress_yield=on,stress_frames=on");
    blocking_heap = heap.get();
    echo_jit_options options{};
    options.size = sizeof options;
    options.optimise = GetParam();
    options.operations = operations;
    echo_error why{};
    echo_jit* jit = nullptr;
    ASSERT_EQ(ECHO_OK, echo_jit_create(plugin(), heap.get(), &options, &jit, &why)) << why.message;
    ASSERT_EQ(ECHO_OK, echo_jit_define(jit, "test.block", reinterpret_cast<void*>(plugin_block),
                                       ECHO_JIT_SYMBOL_BLOCKING, &why));
    const std::string text = std::string(kPrelude) + R"(
declare i64 @test.block(i64)
define i64 @f(i64 %n) {
entry:
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %j, %loop ]
  %sum = phi i64 [ 0, %entry ], [ %sum1, %loop ]
  %o = call ptr addrspace(1) @echo.gc.new(ptr @box)
  %p = getelementptr i8, ptr addrspace(1) %o, i64 8
  store i64 %i, ptr addrspace(1) %p
  %h = call i64 @echo.gc.identity_hash(ptr addrspace(1) %o)
  %j = call i64 @test.block(i64 %i)
  %v = load volatile i64, ptr addrspace(1) %p
  %h1 = call i64 @echo.gc.identity_hash(ptr addrspace(1) %o)
  %same = icmp eq i64 %h, %h1
  %one = zext i1 %same to i64
  %sum0 = add i64 %sum, %v
  %sum1 = add i64 %sum0, %one
  %go = icmp ult i64 %j, %n
  br i1 %go, label %loop, label %done
done:
  ret i64 %sum1
})";
    ASSERT_EQ(ECHO_OK, echo_jit_add_module(jit, "blocking", text.data(), text.size(), &why)) << why.message;
    void* function = nullptr;
    ASSERT_EQ(ECHO_OK, echo_jit_lookup(jit, "f", &function, &why)) << why.message;
    {
      const Attached thread(heap);
      const uint64_t n = 50;
      uint64_t result = 0;
      EXPECT_EQ(ECHO_OK, echo_jit_call(jit, thread, function, &n, 1, &result, &why)) << why.message;
      EXPECT_EQ(50u * 49 / 2 + 50, result);
      EXPECT_GE(heap.collections(), 50u);
    }
    EXPECT_EQ(ECHO_OK, echo_jit_destroy(jit, &why)) << why.message;
  }
}

} // namespace
} // namespace echo::testing
