// SPDX-License-Identifier: MIT
#include "runtime_fixture.h"

#include <limits>

namespace echo::test {
namespace {

void* shared_channel = nullptr;
std::int32_t shared_handle = 0;

void send_one(void*) {
  ::channel_send(shared_channel, ::int_to_string(1));
}
void receive_one(void*) {
  ::runtime_channel_recv(shared_handle, ::runtime_alloc_slice(1, 24), 24);
}
void send_bytes(void*) {
  void* const item = ::string_concat(::int_to_string(4), ::int_to_string(2));
  ::runtime_channel_send(shared_handle, item, 24);
}

class EchoChannel : public RuntimeFixture {
protected:
  void SetUp() override {
    RuntimeFixture::SetUp();
    ASSERT_EQ(api.ambiguous_range_add(heap, &shared_channel, sizeof shared_channel, &why), ECHO_OK)
        << why.message;
  }
  void TearDown() override {
    EXPECT_EQ(api.ambiguous_range_remove(heap, &shared_channel, &why), ECHO_OK);
    shared_channel = nullptr;
    RuntimeFixture::TearDown();
  }
};

TEST_F(EchoChannel, channel_create) {
  void *const one = CALL(channel_create), *const other = CALL(channel_create);
  EXPECT_NE(one, other);
  ::channel_send(one, text("one"));
  ::channel_send(other, text("other"));
  EXPECT_EQ(bytes_of(::channel_receive(one)), "one");
  EXPECT_EQ(bytes_of(::channel_receive(other)), "other");
}

TEST_F(EchoChannel, channel_send) {
  void *const channel = ::channel_create(), *const value = text("itself");
  CALL(channel_send, channel, value);
  CALL(channel_send, channel, nullptr);
  EXPECT_EQ(::channel_receive(channel), value);
  EXPECT_EQ(::channel_receive(channel), nullptr);
  EXPECT_EQ(failure_of([] { ::channel_send(nullptr, nullptr); }), "channel_send: the channel is null");
  EXPECT_EQ(failure_of([] { ::channel_send(text("x"), nullptr); }).find("channel_send: the object at 0x"),
            0u);
  EXPECT_NE(failure_of([] { ::channel_send(::future_new(), nullptr); }), "");
}

// The channel is all that holds what is in it. [runtime.channel.1]
TEST_F(EchoChannel, channel_receive) {
  void* const channel = ::channel_create();
  int sent = 0, received = 0;
  for (const int burst : {1, 100, 3, 17, 400}) {
    for (int i = 0; i < burst; ++i) {
      ::channel_send(channel, ::int_to_string(sent++));
    }
    collect();
    for (int i = 0; i < burst / 2 + 1; ++i) {
      ASSERT_EQ(bytes_of(CALL(channel_receive, channel)), std::to_string(received++));
    }
  }
  while (received < sent) {
    ASSERT_EQ(bytes_of(CALL(channel_receive, channel)), std::to_string(received++));
  }
}

// [runtime.channel.2]
TEST_F(EchoChannel, AnEmptyChannelWaitsForTasks) {
  shared_channel = ::channel_create();
  ::coroutine_spawn(send_one, 1, nullptr, nullptr);
  EXPECT_EQ(bytes_of(::channel_receive(shared_channel)), "1");
  EXPECT_EQ(failure_of([] { ::channel_receive(shared_channel); }, ECHO_WRONG_STATE),
            "channel_receive: the channel is empty and no task is left to send");
}

TEST_F(EchoChannel, channel_close) {
  void* const channel = ::channel_create();
  ::channel_send(channel, text("last"));
  CALL(channel_close, channel);
  CALL(channel_close, channel);
  EXPECT_EQ(failure_of([&] { ::channel_send(channel, nullptr); }, ECHO_WRONG_STATE),
            "channel_send: the channel is closed");
  EXPECT_EQ(bytes_of(::channel_receive(channel)), "last");
  EXPECT_EQ(::channel_receive(channel), nullptr);
  EXPECT_EQ(failure_of([] { ::channel_close(nullptr); }), "channel_close: the channel is null");
}

TEST_F(EchoChannel, runtime_create_channel_buffered) {
  // [runtime.channel.3]
  for (int expected = 1; expected <= 40; ++expected) {
    ASSERT_EQ(CALL(runtime_create_channel_buffered, 4), expected);
  }
  std::int64_t item = 17, back = 0;
  ::runtime_channel_send(3, &item, 8);
  collect();
  ::runtime_channel_recv(3, &back, 8);
  EXPECT_EQ(back, 17);
  EXPECT_EQ(failure_of([] { ::runtime_create_channel_buffered(-1); }),
            "runtime_create_channel_buffered: a capacity of -1");
}

// The bytes of a string's header keep its text alive inside.
TEST_F(EchoChannel, runtime_channel_send) {
  const std::int32_t handle = ::runtime_create_channel_buffered(64);
  for (int i = 0; i < 32; ++i) {
    EXPECT_EQ(CALL(runtime_channel_send, handle, ::string_concat(text("item "), ::int_to_string(i)), 24),
              nullptr);
  }
  collect();
  for (int i = 0; i < 1000; ++i) {
    (void)::string_concat(text("other bytes"), text("in their place"));
  }
  for (int i = 0; i < 32; ++i) {
    void* const item = ::runtime_alloc_slice(1, 24);
    ::runtime_channel_recv(handle, item, 24);
    ASSERT_EQ(bytes_of(item), "item " + std::to_string(i));
  }
  char none = 0;
  EXPECT_EQ(failure_of([&] {
              ::runtime_channel_send(handle, &none, -1);
            }).find("runtime_channel_send: an item of -1"),
            0u);
  EXPECT_NE(failure_of([&] { ::runtime_channel_send(handle, nullptr, 1); }), "");
  EXPECT_EQ(failure_of([&] {
              ::runtime_channel_send(handle + 1, &none, 1);
            }).find("runtime_channel_send: no channel has the handle " + std::to_string(handle + 1)),
            0u);
  EXPECT_NE(failure_of([&] { ::runtime_channel_send(0, &none, 1); }), "");
  EXPECT_NE(failure_of([&] { ::runtime_channel_send(std::numeric_limits<int>::min(), &none, 1); }), "");
}

TEST_F(EchoChannel, runtime_channel_recv) {
  const std::int32_t handle = ::runtime_create_channel_buffered(8);
  const char sent[] = "odd size, odd address";
  char received[1 + sizeof sent] = {};
  ::runtime_channel_send(handle, const_cast<char*>(sent), sizeof sent);
  EXPECT_EQ(failure_of([&] { ::runtime_channel_recv(handle, received, 8); }),
            "runtime_channel_recv: the item has 22 bytes, and 8 are asked for");
  CALL(runtime_channel_recv, handle, received + 1, static_cast<std::int32_t>(sizeof sent));
  EXPECT_STREQ(received + 1, sent);
  ::runtime_channel_send(handle, nullptr, 0);
  CALL(runtime_channel_recv, handle, nullptr, 0);
  EXPECT_EQ(failure_of([&] { ::runtime_channel_recv(handle, received, 8); }, ECHO_WRONG_STATE),
            "runtime_channel_recv: the channel is empty and no task is left to send");
  shared_handle = handle;
  ::coroutine_spawn(send_bytes, 1, nullptr, nullptr);
  void* const item = ::runtime_alloc_slice(1, 24);
  CALL(runtime_channel_recv, handle, item, 24);
  collect();
  EXPECT_EQ(bytes_of(item), "42");
}

TEST_F(EchoChannel, AFullChannelWaitsForTasks) {
  shared_handle = ::runtime_create_channel_buffered(0); // 0 counts as 1
  void* const item = text("item");
  ::runtime_channel_send(shared_handle, item, 24);
  ::coroutine_spawn(receive_one, 1, nullptr, nullptr);
  ::runtime_channel_send(shared_handle, item, 24);
  EXPECT_EQ(failure_of([&] { ::runtime_channel_send(shared_handle, item, 24); }, ECHO_WRONG_STATE),
            "runtime_channel_send: the channel is full and no task is left to receive");
}

} // namespace
} // namespace echo::test
