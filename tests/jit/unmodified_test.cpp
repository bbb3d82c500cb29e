/* SPDX-License-Identifier: MIT
 *
 * unmodified_test.cpp - output of the Echo compiler in the JIT, on the heap plugin: stops, roots, literals, removal.
 */
#include "echo/jit.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <dlfcn.h>
#include <future>
#include <map>
#include <string>
#include <thread>

namespace echo::testing {
namespace {

const echo_heap_api* plugin() {
  void* const library = dlopen(ECHO_HEAP_PLUGIN, RTLD_NOW | RTLD_LOCAL);
  const auto entry = reinterpret_cast<decltype(&echo_heap_plugin)>(dlsym(library, "echo_heap_plugin"));
  return entry(ECHO_ABI_MAJOR, ECHO_ABI_MINOR, nullptr);
}

/* What programs of these tests call of a runtime layer. */
std::atomic<int32_t> flag, started;
echo_thread* allocating = nullptr;
echo_layout_id blocks = 0;
extern "C" void* echo_test_block(int32_t count, int32_t bytes) {
  echo_ref const object =
      plugin()->allocate(allocating, blocks, static_cast<uint64_t>(count) * static_cast<uint64_t>(bytes));
  return reinterpret_cast<char*>(object) + 16;
}

class Unmodified : public ::testing::TestWithParam<uint32_t> {
protected:
  void open(const char* options, uint32_t switches = 0) {
    ASSERT_EQ(ECHO_OK, api->heap_create(options, &heap, &why)) << why.message;
    const echo_layout words = {sizeof words, ECHO_LAYOUT_AMBIGUOUS, "words", 16, 1, 0, ECHO_LAYOUT_PINNED, 0,
                               nullptr};
    ASSERT_EQ(ECHO_OK, api->layout_register(heap, &words, &blocks, &why)) << why.message;
    echo_jit_options chosen{};
    chosen.size = sizeof chosen;
    chosen.optimise = GetParam();
    chosen.switches = switches;
    chosen.profile = ECHO_JIT_PROFILE_UNMODIFIED;
    chosen.literal = [](void* self, const void* address, uint64_t bytes, int added, echo_error*) {
      auto& known = static_cast<Unmodified*>(self)->literals;
      if (added != 0)
        known[address] = bytes;
      else
        known.erase(address);
      return ECHO_OK;
    };
    chosen.literal_context = this;
    ASSERT_EQ(ECHO_OK, echo_jit_create(api, heap, &chosen, &jit, &why)) << why.message;
    define("runtime_alloc_slice", reinterpret_cast<void*>(&echo_test_block));
    define("flag", &flag);
    define("started", &started);
    flag = started = 0;
  }
  void define(const char* name, void* address) {
    ASSERT_EQ(ECHO_OK, echo_jit_define(jit, name, address, ECHO_JIT_SYMBOL_NATIVE, &why)) << why.message;
  }
  void add(const std::string& text, const char* name = "program") {
    ASSERT_EQ(ECHO_OK, echo_jit_add_module(jit, name, text.data(), text.size(), &why)) << why.message;
  }
  void* find(const char* name) {
    void* address = nullptr;
    EXPECT_EQ(ECHO_OK, echo_jit_lookup(jit, name, &address, &why)) << why.message;
    return address;
  }
  uint64_t call(echo_thread* thread, void* function) {
    uint64_t result = 0;
    echo_error problem{};
    EXPECT_EQ(ECHO_OK, echo_jit_call(jit, thread, function, nullptr, 0, &result, &problem))
        << problem.message;
    return result;
  }
  echo_thread* attach() {
    echo_thread* thread = nullptr;
    EXPECT_EQ(ECHO_OK, api->attach(heap, &thread, nullptr));
    EXPECT_EQ(ECHO_OK, api->ambiguous_stack(thread, 1, nullptr));
    return thread;
  }
  void TearDown() override {
    if (jit != nullptr) {
      EXPECT_EQ(ECHO_OK, echo_jit_destroy(jit, &why)) << why.message;
    }
    EXPECT_TRUE(literals.empty());
    if (heap != nullptr) {
      EXPECT_EQ(ECHO_OK, api->heap_destroy(heap, &why)) << why.message;
    }
  }
  /* How long a collection by this thread takes while another one runs the program's `spin`. */
  std::future_status collect_beside_a_loop(std::chrono::milliseconds patience) {
    void* const spin = find("spin");
    std::thread looper([&] {
      echo_thread* const mine = attach();
      call(mine, spin);
      api->detach(mine, nullptr);
    });
    while (started.load() == 0)
      std::this_thread::yield();
    auto collection = std::async(std::launch::async, [&] {
      echo_thread* const mine = attach();
      echo_error problem{};
      EXPECT_EQ(ECHO_OK, api->collect(mine, ECHO_COLLECT_FULL, &problem)) << problem.message;
      api->detach(mine, nullptr);
    });
    const std::future_status status = collection.wait_for(patience);
    flag = 1; /* the loop ends, with or without polls */
    looper.join();
    collection.get();
    return status;
  }

  const echo_heap_api* const api = plugin();
  echo_heap* heap = nullptr;
  echo_jit* jit = nullptr;
  echo_error why{};
  std::map<const void*, uint64_t> literals;
};

const char* const kLoop = R"(
declare i8* @runtime_alloc_slice(i32, i32)
@flag = external global i32
@started = external global i32
define i32 @spin() {
entry:
  store volatile i32 1, i32* @started
  br label %loop
loop:
  %f = load volatile i32, i32* @flag
  %more = icmp eq i32 %f, 0
  br i1 %more, label %loop, label %done
done:
  ret i32 0
}
)";

/* [unmod.poll.1] [unmod.poll.2] */
TEST_P(Unmodified, ALoopWithoutCallsDelaysNoStop) {
  open("max_heap=16m");
  add(kLoop);
  EXPECT_EQ(std::future_status::ready, collect_beside_a_loop(std::chrono::seconds(60)));
}

TEST_P(Unmodified, WithoutPollsTheStopWaits) {
  open("max_heap=16m", ECHO_JIT_OMIT_POLLS);
  add(kLoop);
  EXPECT_EQ(std::future_status::timeout, collect_beside_a_loop(std::chrono::milliseconds(300)));
}

/* [unmod.variable.1] [unmod.variable.2] [unmod.literal.1] */
TEST_P(Unmodified, VariablesAreRootsAndLiteralsAreToldUntilTheModuleIsRemoved) {
  open("max_heap=16m,stress_collect=1,poison=on");
  add(R"(
declare ptr @runtime_alloc_slice(i32, i32)
@kept = global ptr null
@pair = internal global { i32, ptr } zeroinitializer, align 1
@small = global i16 0
@text = global [5 x i8] c"alpha"
@empty = global [0 x i8] zeroinitializer
@next = constant [5 x i8] c"bravo"
define i64 @fill() {
  %a = call ptr @runtime_alloc_slice(i32 1, i32 64)
  store i64 42, ptr %a
  store ptr %a, ptr @kept
  %b = call ptr @runtime_alloc_slice(i32 1, i32 64)
  store i64 43, ptr %b
  store ptr %b, ptr getelementptr ({ i32, ptr }, ptr @pair, i32 0, i32 1)
  ret i64 0
}
define i64 @sum() {
  %c = call ptr @runtime_alloc_slice(i32 1, i32 64)
  %a = load ptr, ptr @kept
  %b = load ptr, ptr getelementptr ({ i32, ptr }, ptr @pair, i32 0, i32 1)
  %x = load i64, ptr %a
  %y = load i64, ptr %b
  %s = add i64 %x, %y
  ret i64 %s
}
)");
  void* const fill = find("fill");
  ASSERT_EQ(3U, literals.size());
  uint64_t bytes = 0;
  bool text = false;
  for (const auto& [address, length] : literals) {
    bytes += length;
    text = text || (length == 5 && std::memcmp(address, "alpha", 5) == 0);
  }
  EXPECT_TRUE(text);
  EXPECT_EQ(11U, bytes); /* the empty one has a byte of its own */
  allocating = attach();
  call(allocating, fill);
  for (int i = 0; i < 20; ++i)
    echo_test_block(1, 64);
  EXPECT_EQ(85U, call(allocating, find("sum")));
  EXPECT_EQ(ECHO_OK, echo_jit_remove_module(jit, allocating, "program", &why)) << why.message;
  EXPECT_TRUE(literals.empty());
  EXPECT_EQ(ECHO_OK, api->collect(allocating, ECHO_COLLECT_FULL, &why))
      << why.message; /* reads no range that is gone */
  EXPECT_EQ(ECHO_OK, api->detach(allocating, &why)) << why.message;
}

TEST_P(Unmodified, OptionsAreChecked) {
  ASSERT_EQ(ECHO_OK, api->heap_create("max_heap=16m", &heap, &why)) << why.message;
  echo_jit_options chosen{};
  chosen.size = sizeof chosen;
  chosen.optimise = GetParam();
  chosen.profile = 2;
  EXPECT_EQ(ECHO_INVALID_ARGUMENT, echo_jit_create(api, heap, &chosen, &jit, &why));
  chosen.profile = ECHO_JIT_PROFILE_UNMODIFIED;
  chosen.operations = ECHO_JIT_OPERATIONS_CALLED;
  EXPECT_EQ(ECHO_INVALID_ARGUMENT, echo_jit_create(api, heap, &chosen, &jit, &why));
  chosen.operations = ECHO_JIT_OPERATIONS_INLINE;
  echo_heap_api without = *api;
  without.features &= ~uint64_t{ECHO_FEATURE_AMBIGUOUS_ROOTS};
  EXPECT_EQ(ECHO_NOT_SUPPORTED, echo_jit_create(&without, heap, &chosen, &jit, &why));
  EXPECT_NE(nullptr, std::strstr(why.message, "ambiguous roots")) << why.message;
}

INSTANTIATE_TEST_SUITE_P(Levels, Unmodified, ::testing::Values(0U, 2U));

} // namespace
} // namespace echo::testing
