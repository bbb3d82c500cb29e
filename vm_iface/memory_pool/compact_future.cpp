// SPDX-License-Identifier: MIT
//
// Purpose     compact_future_*.
#include "compact_future.h"

#include "last_error.h"
#include "spaces.h"

#include <cstring>
#include <new>

using namespace echo::memory_pool;
using echo::native::FreeResult;
using echo::native::Pool;

namespace echo::memory_pool {

compact_future* create_future(Pool* pool, const void* data, std::size_t size) {
  if (data == nullptr && size != 0) {
    return fail<compact_future*>(POOL_ERROR_NULL_POINTER);
  }
  void* const memory = pool == nullptr ? nullptr : pool->allocate(sizeof(compact_future));
  if (memory == nullptr) {
    return fail<compact_future*>(POOL_ERROR_OUT_OF_MEMORY);
  }
  auto* const future = new (memory) compact_future;
  future->size = size;
  void* payload = future->payload;
  std::uintptr_t word = compact_future::kInside | FUTURE_PENDING;
  if (size > compact_future::kInsideBytes) {
    payload = pool->allocate(size);
    if (payload == nullptr) {
      (void)pool->free(memory, sizeof(compact_future));
      return fail<compact_future*>(POOL_ERROR_OUT_OF_MEMORY);
    }
    word = reinterpret_cast<std::uintptr_t>(payload) | FUTURE_PENDING;
  }
  if (size != 0) {
    std::memcpy(payload, data, size);
  }
  future->word.store(word, std::memory_order_release);
  succeed();
  return future;
}

void destroy_future(Pool* pool, compact_future* future) {
  if (pool == nullptr || future == nullptr) {
    fail<bool>(POOL_ERROR_NULL_POINTER);
    return;
  }
  // What a live future points to has to be read before it is freed, and nothing else may be read at all.
  const bool lives = pool->usable_bytes(future) == sizeof(compact_future);
  const std::uintptr_t word = lives ? future->word.load(std::memory_order_acquire) : compact_future::kInside;
  const std::size_t size = lives ? future->size : 0;
  const FreeResult result = pool->free(future, sizeof(compact_future));
  if (result == FreeResult::Done && (word & compact_future::kInside) == 0) {
    (void)pool->free(reinterpret_cast<void*>(word & ~compact_future::kStatusMask), size);
  }
  finish(result);
}

} // namespace echo::memory_pool

compact_future_t* compact_future_create(void* data, size_t size) {
  return create_future(common_pool(), data, size);
}

void compact_future_destroy(compact_future_t* future) {
  destroy_future(common_pool(), future);
}

future_status_t compact_future_get_status(const compact_future_t* future) {
  if (future == nullptr) {
    fail<bool>(POOL_ERROR_NULL_POINTER);
    return FUTURE_DROPPED;
  }
  succeed();
  return static_cast<future_status_t>(future->word.load(std::memory_order_acquire) &
                                      compact_future::kStatusMask);
}

void compact_future_set_status(compact_future_t* future, future_status_t status) {
  if (future == nullptr) {
    fail<bool>(POOL_ERROR_NULL_POINTER);
    return;
  }
  const auto bits = static_cast<std::uintptr_t>(status);
  if (bits > compact_future::kStatusMask) {
    fail<bool>(POOL_ERROR_INVALID_SIZE);
    return;
  }
  std::uintptr_t word = future->word.load(std::memory_order_relaxed);
  while (!future->word.compare_exchange_weak(word, (word & ~compact_future::kStatusMask) | bits,
                                             std::memory_order_acq_rel, std::memory_order_relaxed)) {
  }
  succeed();
}

void* compact_future_data(compact_future_t* future) {
  if (future == nullptr) {
    return fail<void*>(POOL_ERROR_NULL_POINTER);
  }
  succeed();
  return future->data();
}

size_t compact_future_size(const compact_future_t* future) {
  if (future == nullptr) {
    return fail<size_t>(POOL_ERROR_NULL_POINTER);
  }
  succeed();
  return future->size;
}
