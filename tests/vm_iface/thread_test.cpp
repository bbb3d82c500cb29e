// SPDX-License-Identifier: MIT
//
// Purpose     Whose call it is: every function of a thread refuses other threads, other states and null.
#include "tests/vm_iface/heap_fixture.h"

namespace echo {
namespace {

using test::HeapFixture;
using test::untouched;

class ThreadAbi : public HeapFixture {
protected:
  // Every call that belongs to a managed thread and returns a status.
  struct Call {
    const char* name;
    std::function<echo_status(echo_thread*)> run;
  };
  std::vector<Call> managed_calls() {
    return {
        {"store", [this](echo_thread* t) { return echo_store(t, object, 8, nullptr); }},
        {"array_store", [this](echo_thread* t) { return echo_array_store(t, array, 0, nullptr); }},
        {"scope_open",
         [](echo_thread* t) {
           echo_scope scope = 0;
           return echo_scope_open(t, &scope);
         }},
        {"scope_close", [this](echo_thread* t) { return echo_scope_close(t, scope_); }},
        {"handle_set", [this](echo_thread* t) { return echo_handle_set(t, handle, nullptr); }},
        {"collect", [](echo_thread* t) { return echo_collect(t, ECHO_COLLECT_FULL, nullptr); }},
        {"verify", [](echo_thread* t) { return echo_verify(t, 1, nullptr); }},
    };
  }
  void SetUp() override {
    HeapFixture::SetUp();
    ASSERT_EQ(echo_scope_open(thread, &scope_), ECHO_OK);
    object = make(pair);
    handle = echo_handle_new(thread, object);
    array = make(refs, 4);
    (void)echo_handle_new(thread, array);
    ASSERT_EQ(echo_store(thread, object, 8, array), ECHO_OK);
    ASSERT_EQ(echo_array_store(thread, array, 0, object), ECHO_OK);
  }
  void TearDown() override {
    EXPECT_EQ(reinterpret_cast<echo_ref*>(object)[1], array) << "a refused call changed something";
    EXPECT_EQ(echo_handle_get(thread, handle), object);
    EXPECT_EQ(echo_scope_close(thread, scope_), ECHO_OK);
    HeapFixture::TearDown();
  }
  echo_scope scope_ = 0;
  echo_ref object = nullptr, array = nullptr;
  echo_handle handle = nullptr;
};

TEST_F(ThreadAbi, OtherThreadsAreRefused) { // [abi.state.1] [abi.thread.2]
  std::thread([this] {                      // while this one is managed: nothing waits
    for (const Call& call : managed_calls()) {
      EXPECT_EQ(call.run(thread), ECHO_WRONG_THREAD) << call.name;
    }
    EXPECT_EQ(echo_enter_native(thread), ECHO_WRONG_THREAD);
    EXPECT_EQ(echo_leave_native(thread), ECHO_WRONG_THREAD);
    EXPECT_EQ(echo_enter_blocked(thread), ECHO_WRONG_THREAD);
    EXPECT_EQ(echo_leave_blocked(thread), ECHO_WRONG_THREAD);
    echo_error error = untouched();
    EXPECT_EQ(echo_detach(thread, &error), ECHO_WRONG_THREAD);
    EXPECT_STREQ(error.message, "only the thread that attached may detach");
    EXPECT_EQ(echo_collect(thread, ECHO_COLLECT_FULL, &error), ECHO_WRONG_THREAD);
    EXPECT_STREQ(error.message, "the call belongs to the thread that attached");
    EXPECT_EQ(echo_allocate(thread, pair, 0), nullptr);
    EXPECT_EQ(echo_handle_new(thread, object), nullptr);
    EXPECT_EQ(echo_handle_get(thread, handle), nullptr);
    EXPECT_EQ(echo_heap_of(thread), heap) << "this one any thread may ask";
  })
      .join();
  EXPECT_EQ(statistics().collections_full, 0u);
}

TEST_F(ThreadAbi, NativeAndBlockedThreadsAreRefused) {
  for (const bool blocked : {false, true}) {
    ASSERT_EQ(blocked ? echo_enter_blocked(thread) : echo_enter_native(thread), ECHO_OK);
    for (const Call& call : managed_calls()) {
      EXPECT_EQ(call.run(thread), ECHO_WRONG_STATE) << call.name;
    }
    EXPECT_EQ(echo_enter_native(thread), ECHO_WRONG_STATE);
    EXPECT_EQ(echo_enter_blocked(thread), ECHO_WRONG_STATE);
    EXPECT_EQ(blocked ? echo_leave_native(thread) : echo_leave_blocked(thread), ECHO_WRONG_STATE)
        << "each state is left by its own function";
    why = untouched();
    EXPECT_EQ(echo_collect(thread, ECHO_COLLECT_FULL, &why), ECHO_WRONG_STATE);
    EXPECT_STREQ(why.message, "the thread is not managed: leave native state first");
    const std::string sentence = why.message;
    EXPECT_EQ(echo_allocate(thread, pair, 0), nullptr);
    EXPECT_EQ(last_error(ECHO_WRONG_STATE), sentence);
    ASSERT_EQ(blocked ? echo_leave_blocked(thread) : echo_leave_native(thread), ECHO_OK);
  }
  EXPECT_EQ(echo_leave_native(thread), ECHO_WRONG_STATE);
  EXPECT_EQ(echo_leave_blocked(thread), ECHO_WRONG_STATE);
}

// Functions that return null say why.
TEST_F(ThreadAbi, HandlesOfANativeThreadSayWhy) {
  EXPECT_EQ(echo_allocate(thread, 999, 0), nullptr);
  (void)last_error(ECHO_UNKNOWN_LAYOUT); // an older error that must not be taken for the new one
  ASSERT_EQ(echo_enter_native(thread), ECHO_OK);
  EXPECT_EQ(echo_handle_new(thread, nullptr), nullptr);
  EXPECT_EQ(last_error(ECHO_WRONG_STATE), "the thread is not managed: leave native state first");
  ASSERT_EQ(echo_leave_native(thread), ECHO_OK);
  EXPECT_EQ(echo_allocate(thread, 999, 0), nullptr);
  ASSERT_EQ(echo_enter_native(thread), ECHO_OK);
  EXPECT_EQ(echo_handle_get(thread, handle), nullptr);
  EXPECT_EQ(last_error(ECHO_WRONG_STATE), "the thread is not managed: leave native state first");
  ASSERT_EQ(echo_leave_native(thread), ECHO_OK);
}

TEST_F(ThreadAbi, NullThreads) {
  for (const Call& call : managed_calls()) {
    EXPECT_EQ(call.run(nullptr), ECHO_INVALID_ARGUMENT) << call.name;
  }
  EXPECT_EQ(echo_enter_native(nullptr), ECHO_INVALID_ARGUMENT);
  EXPECT_EQ(echo_leave_native(nullptr), ECHO_INVALID_ARGUMENT);
  EXPECT_EQ(echo_enter_blocked(nullptr), ECHO_INVALID_ARGUMENT);
  EXPECT_EQ(echo_leave_blocked(nullptr), ECHO_INVALID_ARGUMENT);
  EXPECT_EQ(echo_detach(nullptr, &why), ECHO_INVALID_ARGUMENT);
  EXPECT_STREQ(why.message, "thread is null");
  EXPECT_EQ(echo_allocate(nullptr, pair, 0), nullptr);
  EXPECT_EQ(echo_handle_new(nullptr, object), nullptr);
  EXPECT_EQ(echo_handle_get(nullptr, handle), nullptr);
  EXPECT_EQ(echo_heap_of(nullptr), nullptr);
  EXPECT_EQ(echo_vm_word(nullptr), nullptr);
  echo_set_vm_word(nullptr, this);
  EXPECT_EQ(echo_last_error(nullptr, &why), ECHO_INVALID_ARGUMENT);
  EXPECT_EQ(echo_last_error(thread, nullptr), ECHO_INVALID_ARGUMENT);
}

TEST_F(ThreadAbi, AttachRefusals) {
  echo_thread* again = thread;
  EXPECT_EQ(echo_attach(heap, &again, &why), ECHO_WRONG_STATE);
  EXPECT_STREQ(why.message, "this thread is attached to this heap already");
  EXPECT_EQ(again, nullptr);
  EXPECT_EQ(echo_attach(nullptr, &again, &why), ECHO_INVALID_ARGUMENT);
  EXPECT_STREQ(why.message, "heap is null");
  EXPECT_EQ(echo_attach(heap, nullptr, &why), ECHO_INVALID_ARGUMENT);
  EXPECT_STREQ(why.message, "out is null");
}

TEST_F(ThreadAbi, OpenScopesForbidDetaching) {
  EXPECT_EQ(echo_detach(thread, &why), ECHO_WRONG_STATE);
  EXPECT_STREQ(why.message, "handle scopes are open: close them before detaching");
  EXPECT_NE(echo_allocate(thread, pair, 0), nullptr) << "still attached";
}

TEST_F(ThreadAbi, WordsOfTheVm) {
  EXPECT_EQ(echo_vm_word(thread), nullptr);
  echo_set_vm_word(thread, this);
  EXPECT_EQ(echo_vm_word(thread), this);
  EXPECT_EQ(echo_heap_of(thread), heap);
}

TEST_F(ThreadAbi, NoErrorYet) {
  why = untouched();
  EXPECT_EQ(echo_last_error(thread, &why), ECHO_OK);
  EXPECT_EQ(why.code, -1) << "left alone";
}

TEST_F(ThreadAbi, ThreadsComeAndGo) {
  elsewhere([this] {
    for (int i = 0; i < 50; ++i) {
      echo_thread* mine = nullptr;
      echo_error error{};
      ASSERT_EQ(echo_attach(heap, &mine, &error), ECHO_OK) << error.message;
      EXPECT_NE(mine, thread);
      EXPECT_NE(echo_allocate(mine, pair, 0), nullptr);
      EXPECT_EQ(echo_collect(mine, ECHO_COLLECT_FULL, &error), ECHO_OK)
          << "a blocked thread is not waited for";
      if (i % 2 == 0) {
        EXPECT_EQ(echo_enter_native(mine), ECHO_OK);
      }
      EXPECT_EQ(echo_detach(mine, &error), ECHO_OK);
    }
  });
  EXPECT_EQ(statistics().collections_full, 50u);
  EXPECT_EQ(statistics().objects_allocated, 52u);
}

} // namespace
} // namespace echo
