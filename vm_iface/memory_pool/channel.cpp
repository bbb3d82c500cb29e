// SPDX-License-Identifier: MIT
//
// Purpose     cache_aware_channel_*.
#include "channel.h"

#include "echo/async_memory_pool.h"
#include "last_error.h"
#include "spaces.h"

#include <algorithm>
#include <bit>
#include <new>

using namespace echo::memory_pool;

bool cache_aware_channel::open(std::size_t capacity) {
  if (capacity > std::size_t{1} << 40) {
    return false;
  }
  const std::uint64_t slots = std::bit_ceil(capacity);
  bytes_ = slots * sizeof(Slot);
  pool_ = common_pool();
  void* const memory = pool_ == nullptr ? nullptr : pool_->allocate(bytes_);
  if (memory == nullptr) {
    return false;
  }
  slots_ = static_cast<Slot*>(memory);
  for (std::uint64_t i = 0; i < slots; ++i) {
    new (&slots_[i]) Slot;
  }
  mask_ = slots - 1;
  capacity_ = capacity;
  return true;
}

void cache_aware_channel::close() {
  (void)pool_->free(slots_, bytes_);
}

std::size_t cache_aware_channel::send(void** items, std::size_t count) {
  count = static_cast<std::size_t>(std::find(items, items + count, nullptr) - items);
  std::uint64_t first = reserved_.load(std::memory_order_relaxed);
  std::uint64_t room = 0;
  do {
    // Acknowledged before: the slots below are no longer read. [pool.channel.2]
    room = std::min<std::uint64_t>(count, acked_.load(std::memory_order_acquire) + capacity_ - first);
    // A stale `first` may lie so far back that there seems to be more room than capacity; then the exchange
    // fails.
    if (room == 0 || room > capacity_) {
      if (room == 0) {
        return 0;
      }
      room = 0;
    }
  } while (room == 0 || !reserved_.compare_exchange_weak(first, first + room, std::memory_order_relaxed));
  for (std::uint64_t i = 0; i < room; ++i) {
    Slot& slot = slots_[(first + i) & mask_];
    slot.item.store(items[i], std::memory_order_relaxed);
    slot.position.store(first + i + 1, std::memory_order_release);
  }
  return room;
}

void* cache_aware_channel::receive() {
  std::uint64_t position = received_.load(std::memory_order_relaxed);
  for (;;) {
    Slot& slot = slots_[position & mask_];
    if (slot.position.load(std::memory_order_acquire) != position + 1) {
      const std::uint64_t now = received_.load(std::memory_order_relaxed);
      if (now == position) {
        return nullptr;
      }
      position = now;
      continue;
    }
    // If another receiver is faster, the slot may have a newer item by now; then the exchange fails.
    void* const item = slot.item.load(std::memory_order_relaxed);
    if (received_.compare_exchange_weak(position, position + 1, std::memory_order_acq_rel,
                                        std::memory_order_relaxed)) {
      return item;
    }
  }
}

bool cache_aware_channel::acknowledge() {
  std::uint64_t position = acked_.load(std::memory_order_relaxed);
  do {
    if (position >= received_.load(std::memory_order_acquire)) {
      return false;
    }
  } while (!acked_.compare_exchange_weak(position, position + 1, std::memory_order_acq_rel,
                                         std::memory_order_relaxed));
  return true;
}

cache_aware_channel_t* cache_aware_channel_create(size_t capacity) {
  if (capacity == 0) {
    return fail<cache_aware_channel_t*>(POOL_ERROR_INVALID_SIZE);
  }
  auto* const channel = make_handle<cache_aware_channel>();
  if (channel == nullptr || !channel->open(capacity)) {
    if (channel != nullptr) {
      drop_handle(channel);
    }
    return fail<cache_aware_channel_t*>(POOL_ERROR_OUT_OF_MEMORY);
  }
  succeed();
  return channel;
}

void cache_aware_channel_destroy(cache_aware_channel_t* channel) {
  if (channel == nullptr) {
    fail<bool>(POOL_ERROR_NULL_POINTER);
    return;
  }
  channel->close();
  drop_handle(channel);
  succeed();
}

size_t cache_aware_channel_send_batch(cache_aware_channel_t* channel, void** items, size_t count) {
  if (channel == nullptr || items == nullptr) {
    return fail<size_t>(POOL_ERROR_NULL_POINTER);
  }
  const size_t sent = channel->send(items, count);
  set_error(sent == count            ? POOL_SUCCESS
            : items[sent] == nullptr ? POOL_ERROR_NULL_POINTER
                                     : POOL_ERROR_OUT_OF_MEMORY);
  return sent;
}

void* cache_aware_channel_try_recv_zero_copy(cache_aware_channel_t* channel) {
  if (channel == nullptr) {
    return fail<void*>(POOL_ERROR_NULL_POINTER);
  }
  succeed();
  return channel->receive();
}

void cache_aware_channel_ack_recv(cache_aware_channel_t* channel) {
  if (channel == nullptr) {
    fail<bool>(POOL_ERROR_NULL_POINTER);
    return;
  }
  set_error(channel->acknowledge() ? POOL_SUCCESS : POOL_ERROR_DOUBLE_FREE);
}
