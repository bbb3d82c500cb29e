// SPDX-License-Identifier: MIT
//
// Purpose     A future in 32 bytes.
//
// Drawing     offset 0                       8          16                          32
//                    +-----------------------+----------+---------------------------+
//                    | payload address  | tag| size     | payload of up to 16 bytes |
//                    +-----------------------+----------+---------------------------+
//             tag     bits 0-1: future_status_t; bit 2: the payload is inside, the address is 0
//
// Invariants  [pool.future.1] A payload outside is a native object of `size` bytes that belongs to the
//             future alone; native objects are 8-aligned, so the tag has its three bits.
#pragma once

#include "echo/async_memory_pool.h"
#include "heap/native/pool.h"

#include <atomic>
#include <cstddef>
#include <cstdint>

struct compact_future {
  static constexpr std::uintptr_t kStatusMask = 3;
  static constexpr std::uintptr_t kInside = 4;
  static constexpr std::size_t kInsideBytes = 16;

  std::atomic<std::uintptr_t> word{0};
  std::size_t size = 0;
  std::byte payload[kInsideBytes]{};

  void* data() {
    const std::uintptr_t w = word.load(std::memory_order_acquire);
    return (w & kInside) != 0 ? static_cast<void*>(payload)
                              : reinterpret_cast<void*>(w & ~(kStatusMask | kInside));
  }
};
static_assert(sizeof(compact_future) == 32 && offsetof(compact_future, payload) == 16);

namespace echo::memory_pool {

// Both set the last error. The pool serves any size.
compact_future* create_future(native::Pool* pool, const void* data, std::size_t size);
void destroy_future(native::Pool* pool, compact_future* future);

} // namespace echo::memory_pool
