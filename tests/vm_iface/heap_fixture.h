// SPDX-License-Identifier: MIT
//
// Purpose     A heap through the C ABI with the calling thread attached, and another thread to call from.
#pragma once

#include "echo/heap.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <functional>
#include <string>
#include <thread>
#include <vector>

namespace echo::test {

// What a failing call must leave in *why, and a succeeding one alone.
inline echo_error untouched() {
  echo_error error{};
  error.code = -1;
  std::snprintf(error.message, sizeof error.message, "untouched");
  return error;
}

class HeapFixture : public ::testing::Test {
protected:
  explicit HeapFixture(const char* with_options = "max_heap=16m,trigger=16m,reserve=1")
      : options(with_options) {}
  void SetUp() override {
    ASSERT_EQ(echo_heap_create(options, &heap, &why), ECHO_OK) << why.message;
    ASSERT_EQ(echo_attach(heap, &thread, &why), ECHO_OK) << why.message;
    const echo_slot two[] = {{8, ECHO_SLOT_STRONG}, {16, ECHO_SLOT_STRONG}};
    pair = add({sizeof(echo_layout), ECHO_LAYOUT_FIXED, "pair", 24, 0, 0, 0, 2, two});
    refs = add({sizeof(echo_layout), ECHO_LAYOUT_REF_ARRAY, "refs", 16, 8, 0, 0, 0, nullptr});
    bytes = add({sizeof(echo_layout), ECHO_LAYOUT_RAW_ARRAY, "bytes", 16, 1, 0, 0, 0, nullptr});
  }
  void TearDown() override {
    if (thread != nullptr) {
      EXPECT_EQ(echo_detach(thread, &why), ECHO_OK) << why.message;
    }
    if (heap != nullptr) {
      EXPECT_EQ(echo_heap_destroy(heap, &why), ECHO_OK) << why.message;
    }
  }
  echo_layout_id add(const echo_layout& layout) {
    echo_layout_id id = 0;
    EXPECT_EQ(echo_layout_register(heap, &layout, &id, &why), ECHO_OK) << why.message;
    return id;
  }
  echo_ref make(echo_layout_id layout, std::uint64_t length = 0) {
    const echo_ref object = echo_allocate(thread, layout, length);
    EXPECT_NE(object, nullptr);
    return object;
  }
  // The thread's latest error.
  std::string last_error(echo_status expected) {
    echo_error error{};
    EXPECT_EQ(echo_last_error(thread, &error), expected);
    return error.message;
  }
  echo_statistics statistics() {
    echo_statistics all{};
    all.size = sizeof all;
    EXPECT_EQ(echo_get_statistics(heap, &all), ECHO_OK);
    return all;
  }
  // Runs `body` on another thread while this one is blocked.
  void elsewhere(const std::function<void()>& body) {
    EXPECT_EQ(echo_enter_blocked(thread), ECHO_OK);
    std::thread(body).join();
    EXPECT_EQ(echo_leave_blocked(thread), ECHO_OK);
  }

  const char* options;
  echo_heap* heap = nullptr;
  echo_thread* thread = nullptr;
  echo_error why{};
  echo_layout_id pair = 0, refs = 0, bytes = 0;
};

} // namespace echo::test
