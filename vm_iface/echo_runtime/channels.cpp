// SPDX-License-Identifier: MIT
//
// Purpose     Channels of both families: of references, by object; of bytes, by handle.
// Drawing     channel [tag][ring][head][count][capacity][closed]   capacity: 0 for as many as come
//             ring    [word][word] ...                             a power of two of them; free ones are 0
//             A channel of bytes is one whose words are blocks with copies of the items: every word of an item is traced, so a
//             string's header keeps its bytes alive.
// Invariants  [runtime.channel.1] Oldest first. [runtime.channel.2] Nothing is lost: a send to a full channel, and a receive from
//             an empty one, runs tasks until it can be done, and fails if none is left. [runtime.channel.3] Handles are positive,
//             never reused, and live as long as the runtime.
#include "functions.h"
#include "tasks.h"

#include <cstring>
#include <limits>

namespace echo::runtime {
namespace {

constexpr std::uint64_t kChannelTag = 0xEC40'4368'6100'0000;
constexpr std::uint64_t kFirstRing = 8;

struct Channel {
  std::uint64_t tag;
  void** ring;
  std::uint64_t head, count, capacity, closed;

  std::uint64_t ring_words() const { return Memory::length_of(ring) / kWord; }
};

Channel* new_channel(echo_runtime& runtime, const char* function, std::uint64_t capacity) {
  auto* const channel = static_cast<Channel*>(runtime.memory.words(function, sizeof(Channel)));
  void* const ring = runtime.memory.words(function, kFirstRing * kWord);
  runtime.memory.store(&channel->ring, ring);
  channel->capacity = capacity;
  channel->tag = kChannelTag;
  return channel;
}

Channel& channel_of(const echo_runtime& runtime, const char* function, void* channel) {
  if (channel == nullptr) {
    fail(&runtime, function, ECHO_INVALID_ARGUMENT, "the channel is null");
  }
  auto* const found = as_if<Channel>(channel);
  if (found == nullptr || found->tag != kChannelTag) {
    fail(&runtime, function, ECHO_INVALID_ARGUMENT, "the object at %p is no channel", channel);
  }
  return *found;
}

Channel& channel_of(const echo_runtime& runtime, const char* function, std::int32_t handle) {
  if (handle <= 0 || static_cast<std::uint64_t>(handle) > runtime.handle_count) {
    fail(&runtime, function, ECHO_INVALID_ARGUMENT, "no channel has the handle %d (there are %llu)", handle,
         static_cast<unsigned long long>(runtime.handle_count));
  }
  return *static_cast<Channel*>(static_cast<void**>(runtime.roots.handles)[handle - 1]);
}

void grow(echo_runtime& runtime, const char* function, Channel& channel) {
  const std::uint64_t before = channel.ring_words();
  auto* const ring = static_cast<void**>(runtime.memory.words(function, 2 * before * kWord));
  for (std::uint64_t i = 0; i < channel.count; ++i) {
    put_word(&ring[i], as_word(channel.ring[(channel.head + i) & (before - 1)])); // born in this call
  }
  runtime.memory.store(&channel.ring, ring);
  put_word(&channel.head, 0);
}

void append(echo_runtime& runtime, const char* function, Channel& channel, void* value) {
  if (channel.count == channel.ring_words()) {
    grow(runtime, function, channel);
  }
  runtime.memory.store(&channel.ring[(channel.head + channel.count) & (channel.ring_words() - 1)], value);
  put_word(&channel.count, channel.count + 1);
}

void* oldest(const Channel& channel) {
  return channel.ring[channel.head];
}

void drop_oldest(echo_runtime& runtime, Channel& channel) {
  runtime.memory.store(&channel.ring[channel.head], nullptr);
  put_word(&channel.head, (channel.head + 1) & (channel.ring_words() - 1));
  put_word(&channel.count, channel.count - 1);
}

void check_item(const echo_runtime& runtime, const char* function, const void* item, std::int32_t bytes) {
  if (bytes < 0 || (item == nullptr && bytes != 0)) {
    fail(&runtime, function, ECHO_INVALID_ARGUMENT, "an item of %d bytes at %p", bytes, item);
  }
}

} // namespace
} // namespace echo::runtime

using namespace echo::runtime;

void* channel_create() {
  return new_channel(here("channel_create"), "channel_create", 0);
}

void channel_send(void* channel, void* value) {
  echo_runtime& runtime = here("channel_send");
  Channel& to = channel_of(runtime, "channel_send", channel);
  if (to.closed != 0) {
    fail(&runtime, "channel_send", ECHO_WRONG_STATE, "the channel is closed");
  }
  append(runtime, "channel_send", to, value);
  keep(channel);
  keep(value);
}

void* channel_receive(void* channel) {
  constexpr const char* kFunction = "channel_receive";
  echo_runtime& runtime = here(kFunction);
  Channel& from = channel_of(runtime, kFunction, channel);
  wait_until(runtime, kFunction, "the channel is empty and no task is left to send",
             [&] { return from.count != 0 || from.closed != 0; });
  if (from.count == 0) {
    return nullptr; // closed
  }
  void* const value = oldest(from);
  drop_oldest(runtime, from);
  keep(channel);
  return value;
}

void channel_close(void* channel) {
  echo_runtime& runtime = here("channel_close");
  put_word(&channel_of(runtime, "channel_close", channel).closed, 1);
}

std::int32_t runtime_create_channel_buffered(std::int32_t capacity) {
  constexpr const char* kFunction = "runtime_create_channel_buffered";
  echo_runtime& runtime = here(kFunction);
  if (capacity < 0) {
    fail(&runtime, kFunction, ECHO_INVALID_ARGUMENT, "a capacity of %d", capacity);
  }
  if (runtime.handle_count == std::numeric_limits<std::int32_t>::max()) {
    fail(&runtime, kFunction, ECHO_LIMIT_EXCEEDED, "every handle is in use");
  }
  Channel* const channel =
      new_channel(runtime, kFunction, capacity == 0 ? 1 : static_cast<std::uint64_t>(capacity));
  auto* handles = static_cast<void**>(runtime.roots.handles);
  const std::uint64_t room = handles == nullptr ? 0 : Memory::length_of(handles) / kWord;
  if (runtime.handle_count == room) {
    auto* const more =
        static_cast<void**>(runtime.memory.words(kFunction, (room == 0 ? 8 : 2 * room) * kWord));
    for (std::uint64_t i = 0; i < room; ++i) {
      put_word(&more[i], as_word(handles[i])); // born in this call
    }
    runtime.roots.handles = handles = more;
  }
  runtime.memory.store(&handles[runtime.handle_count], channel);
  return static_cast<std::int32_t>(++runtime.handle_count);
}

void* runtime_channel_send(std::int32_t handle, void* item, std::int32_t bytes) {
  constexpr const char* kFunction = "runtime_channel_send";
  echo_runtime& runtime = here(kFunction);
  Channel& channel = channel_of(runtime, kFunction, handle);
  check_item(runtime, kFunction, item, bytes);
  wait_until(runtime, kFunction, "the channel is full and no task is left to receive",
             [&] { return channel.count < channel.capacity; });
  void* const copy = runtime.memory.words(kFunction, static_cast<std::uint64_t>(bytes));
  if (bytes != 0) {
    std::memcpy(copy, item, static_cast<std::size_t>(bytes)); // born in this call
  }
  append(runtime, kFunction, channel, copy);
  keep(item);
  return nullptr;
}

void* runtime_channel_recv(std::int32_t handle, void* item, std::int32_t bytes) {
  constexpr const char* kFunction = "runtime_channel_recv";
  echo_runtime& runtime = here(kFunction);
  Channel& channel = channel_of(runtime, kFunction, handle);
  check_item(runtime, kFunction, item, bytes);
  wait_until(runtime, kFunction, "the channel is empty and no task is left to send",
             [&] { return channel.count != 0; });
  void* const copy = oldest(channel);
  if (const std::uint64_t has = Memory::length_of(copy); has != static_cast<std::uint64_t>(bytes)) {
    fail(&runtime, kFunction, ECHO_INVALID_ARGUMENT, "the item has %llu bytes, and %d are asked for",
         static_cast<unsigned long long>(has), bytes);
  }
  if (bytes != 0) {
    runtime.memory.copy(item, copy, static_cast<std::uint64_t>(bytes));
  }
  drop_oldest(runtime, channel);
  keep(copy);
  return nullptr;
}
