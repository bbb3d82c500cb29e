// SPDX-License-Identifier: MIT
//
// Purpose     async_runtime_memory_pool_*: the async parts in one handle.
#include "compact_future.h"
#include "echo/async_memory_pool.h"
#include "last_error.h"
#include "spaces.h"

using namespace echo::memory_pool;
using echo::native::Pool;

namespace {
constexpr std::size_t kMaxTask = std::size_t{64} << 10;
constexpr std::size_t kFirstStack = std::size_t{4} << 10;
constexpr std::size_t kMaxStack = std::size_t{1} << 20;
constexpr std::size_t kChannelCapacity = 1024;
} // namespace

struct async_runtime_memory_pool {
  task_memory_pool_t* tasks = nullptr;
  coroutine_stack_manager_t* stacks = nullptr;
  cache_aware_channel_t* channel = nullptr;
  Pool* futures = nullptr;
};

async_runtime_memory_pool_t* async_runtime_memory_pool_create(void) {
  auto* const pool = make_handle<async_runtime_memory_pool>();
  if (pool == nullptr) {
    return fail<async_runtime_memory_pool_t*>(POOL_ERROR_OUT_OF_MEMORY);
  }
  pool->tasks = task_memory_pool_create(kMaxTask);
  pool->stacks = coroutine_stack_manager_create(STACK_SEGMENTED, kFirstStack, kMaxStack);
  pool->channel = cache_aware_channel_create(kChannelCapacity);
  pool->futures = open_pool({}, {});
  if (pool->tasks == nullptr || pool->stacks == nullptr || pool->channel == nullptr ||
      pool->futures == nullptr) {
    async_runtime_memory_pool_destroy(pool);
    return fail<async_runtime_memory_pool_t*>(POOL_ERROR_OUT_OF_MEMORY);
  }
  succeed();
  return pool;
}

void async_runtime_memory_pool_destroy(async_runtime_memory_pool_t* pool) {
  if (pool == nullptr) {
    fail<bool>(POOL_ERROR_NULL_POINTER);
    return;
  }
  task_memory_pool_destroy(pool->tasks);
  coroutine_stack_manager_destroy(pool->stacks);
  cache_aware_channel_destroy(pool->channel);
  close_pool(pool->futures);
  drop_handle(pool);
  succeed();
}

void* async_runtime_memory_pool_allocate_task(async_runtime_memory_pool_t* pool, size_t size) {
  return task_memory_pool_allocate(pool == nullptr ? nullptr : pool->tasks, size);
}
bool async_runtime_memory_pool_deallocate_task(async_runtime_memory_pool_t* pool, void* task) {
  return task_memory_pool_deallocate(pool == nullptr ? nullptr : pool->tasks, task);
}
void* async_runtime_memory_pool_allocate_stack(async_runtime_memory_pool_t* pool, size_t size) {
  return coroutine_stack_manager_allocate(pool == nullptr ? nullptr : pool->stacks, size);
}
bool async_runtime_memory_pool_deallocate_stack(async_runtime_memory_pool_t* pool, void* stack) {
  return coroutine_stack_manager_deallocate(pool == nullptr ? nullptr : pool->stacks, stack);
}

compact_future_t* async_runtime_memory_pool_create_compact_future(async_runtime_memory_pool_t* pool,
                                                                  void* data, size_t size) {
  return pool == nullptr ? fail<compact_future_t*>(POOL_ERROR_NULL_POINTER)
                         : create_future(pool->futures, data, size);
}
void async_runtime_memory_pool_destroy_compact_future(async_runtime_memory_pool_t* pool,
                                                      compact_future_t* future) {
  destroy_future(pool == nullptr ? nullptr : pool->futures, future);
}

size_t async_runtime_memory_pool_channel_send_batch(async_runtime_memory_pool_t* pool, void** messages,
                                                    size_t count) {
  return cache_aware_channel_send_batch(pool == nullptr ? nullptr : pool->channel, messages, count);
}
void* async_runtime_memory_pool_channel_try_recv_zero_copy(async_runtime_memory_pool_t* pool) {
  void* const item = cache_aware_channel_try_recv_zero_copy(pool == nullptr ? nullptr : pool->channel);
  if (item != nullptr) {
    cache_aware_channel_ack_recv(pool->channel);
  }
  return item;
}
