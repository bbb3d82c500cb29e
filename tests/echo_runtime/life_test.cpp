// SPDX-License-Identifier: MIT
#include "runtime_fixture.h"

#include <thread>

namespace echo::test {
namespace {

class EchoLife : public RuntimeFixture {
protected:
  echo_status create(const echo_heap_api* with, echo_heap* on, const echo_runtime_options* chosen) {
    echo_runtime* out = nullptr;
    const echo_status status = echo_runtime_create(with, on, chosen, &out, &why);
    EXPECT_EQ(out != nullptr, status == ECHO_OK);
    EXPECT_EQ(echo_runtime_destroy(out, nullptr), ECHO_OK);
    return status;
  }
};

// [runtime.create.1]
TEST_F(EchoLife, WhatAHeapDoesNotHaveIsSaidWhenARuntimeIsCreated) {
  EXPECT_EQ(create(&api, heap, nullptr), ECHO_OK);
  EXPECT_EQ(create(nullptr, heap, nullptr), ECHO_INVALID_ARGUMENT);
  EXPECT_STREQ(why.message, "api is null");
  EXPECT_EQ(create(&api, nullptr, nullptr), ECHO_INVALID_ARGUMENT);
  EXPECT_EQ(echo_runtime_create(&api, heap, nullptr, nullptr, &why), ECHO_INVALID_ARGUMENT);
  echo_heap_api other = api;
  other.features &= ~std::uint64_t{ECHO_FEATURE_AMBIGUOUS_ROOTS};
  EXPECT_EQ(create(&other, heap, nullptr), ECHO_NOT_SUPPORTED);
  EXPECT_NE(std::string(why.message).find("AMBIGUOUS_ROOTS"), std::string::npos);
  other = api;
  other.size = offsetof(echo_heap_api, resolve);
  EXPECT_EQ(create(&other, heap, nullptr), ECHO_NOT_SUPPORTED);
  other = api;
  other.abi_major = 2;
  EXPECT_EQ(create(&other, heap, nullptr), ECHO_VERSION_MISMATCH);
}

TEST_F(EchoLife, OptionsAreChecked) {
  echo_runtime_options chosen = options;
  chosen.size = 4;
  EXPECT_EQ(create(&api, heap, &chosen), ECHO_INVALID_ARGUMENT);
  chosen = options;
  chosen.print = 2;
  EXPECT_EQ(create(&api, heap, &chosen), ECHO_INVALID_ARGUMENT);
}

// [runtime.enter.1]
TEST_F(EchoLife, OneRuntimeForAThreadAndOneThreadForARuntime) {
  EXPECT_EQ(echo_runtime_enter(layer, thread, &why), ECHO_WRONG_STATE);
  echo_runtime* second = nullptr;
  ASSERT_EQ(echo_runtime_create(&api, heap, &options, &second, &why), ECHO_OK);
  EXPECT_EQ(echo_runtime_enter(second, thread, &why), ECHO_WRONG_STATE);
  EXPECT_EQ(echo_runtime_leave(second, &why), ECHO_WRONG_STATE);
  EXPECT_EQ(echo_runtime_destroy(layer, &why), ECHO_WRONG_STATE);
  EXPECT_EQ(echo_runtime_enter(nullptr, thread, &why), ECHO_INVALID_ARGUMENT);
  EXPECT_EQ(echo_runtime_enter(second, nullptr, &why), ECHO_INVALID_ARGUMENT);
  // Another thread enters the second, and not the first.
  ASSERT_EQ(api.enter_blocked(thread), ECHO_OK);
  std::thread([&] {
    echo_error error{};
    echo_thread* mine = nullptr;
    ASSERT_EQ(api.attach(heap, &mine, &error), ECHO_OK) << error.message;
    EXPECT_EQ(echo_runtime_enter(layer, mine, &error), ECHO_WRONG_STATE);
    EXPECT_EQ(echo_runtime_enter(second, mine, &error), ECHO_OK) << error.message;
    EXPECT_EQ(bytes_of(::int_to_string(7)), "7");
    EXPECT_EQ(echo_runtime_leave(second, &error), ECHO_OK) << error.message;
    EXPECT_EQ(api.detach(mine, &error), ECHO_OK) << error.message;
  }).join();
  ASSERT_EQ(api.leave_blocked(thread), ECHO_OK);
  EXPECT_EQ(echo_runtime_destroy(second, &why), ECHO_OK);
}

TEST_F(EchoLife, AThreadOfAnotherHeapIsRefused) {
  echo_heap* other = nullptr;
  echo_thread* there = nullptr;
  ASSERT_EQ(api.heap_create("max_heap=16m", &other, &why), ECHO_OK) << why.message;
  ASSERT_EQ(api.attach(other, &there, &why), ECHO_OK) << why.message;
  EXPECT_EQ(echo_runtime_leave(layer, &why), ECHO_OK);
  EXPECT_EQ(echo_runtime_enter(layer, there, &why), ECHO_INVALID_ARGUMENT);
  EXPECT_EQ(api.detach(there, &why), ECHO_OK);
  EXPECT_EQ(api.heap_destroy(other, &why), ECHO_OK);
  EXPECT_EQ(echo_runtime_enter(layer, thread, &why), ECHO_OK);
}

// What is queued and in channels stays when the thread leaves.
TEST_F(EchoLife, TheRuntimeKeepsItsChannelsBetweenTwoVisits) {
  const std::int32_t handle = ::runtime_create_channel_buffered(4);
  ::runtime_channel_send(handle, ::string_concat(text("still "), text("there")), 24);
  ASSERT_EQ(echo_runtime_leave(layer, &why), ECHO_OK);
  collect();
  ASSERT_EQ(echo_runtime_enter(layer, thread, &why), ECHO_OK);
  for (int i = 0; i < 1000; ++i) {
    (void)::string_concat(text("other "), text("bytes"));
  }
  void* const item = ::runtime_alloc_slice(1, 24);
  ::runtime_channel_recv(handle, item, 24);
  EXPECT_EQ(bytes_of(item), "still there");
}

// [runtime.fail.1]
using EchoLifeDeathTest = EchoLife;

TEST_F(EchoLifeDeathTest, WithoutARuntimeOrAWayToFailTheProgramEnds) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const auto exits = ::testing::ExitedWithCode(ECHO_RUNTIME_FAILED);
  ASSERT_EQ(echo_runtime_leave(layer, &why), ECHO_OK);
  EXPECT_EXIT((void)::int_to_string(1), exits, "^int_to_string: the calling thread has entered no runtime");
  ASSERT_EQ(echo_runtime_enter(layer, thread, &why), ECHO_OK);
  options.fail = nullptr;
  enter_again();
  EXPECT_EXIT((void)::coroutine_await(nullptr), exits, "^coroutine_await: the future is null");
  options.fail = [](void*, const echo_error*) {};
  enter_again();
  EXPECT_EXIT((void)::coroutine_await(nullptr), exits, "^coroutine_await: the future is null");
}

} // namespace
} // namespace echo::test
