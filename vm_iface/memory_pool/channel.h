// SPDX-License-Identifier: MIT
//
// Purpose     A bounded channel of pointers, many senders and receivers, without locks.
//
//             acked <= received <= sent <= reserved <= acked + capacity         (positions, ever growing)
//
// Algorithm   A ring in which each slot carries the position it holds plus 1 (Vyukov's bounded queue). A
//             sender reserves a range of positions with one compare-and-swap and publishes slot by slot; a
//             receiver takes one position with a compare-and-swap. Unlike there, a slot is not free when it
//             is taken but when its position is acknowledged, so what was received stays in place until
//             then.
// Invariants  [pool.channel.1] Each position is received once, in order. [pool.channel.2] A slot is
//             overwritten only after its position was acknowledged. [pool.channel.3] Senders' and
//             receivers' counters share no cache line.
#pragma once

#include "heap/native/pool.h"
#include "heap/words.h"

#include <atomic>
#include <cstddef>
#include <cstdint>

struct cache_aware_channel {
  // False: out of memory. capacity > 0.
  bool open(std::size_t capacity);
  void close();
  std::size_t send(void** items, std::size_t count);
  void* receive();
  // False: nothing to acknowledge.
  bool acknowledge();

private:
  struct Slot {
    std::atomic<std::uint64_t> position{0}; // of its item, plus 1
    std::atomic<void*> item{nullptr};
  };

  alignas(echo::kCacheLine) std::atomic<std::uint64_t> reserved_{0};
  alignas(echo::kCacheLine) std::atomic<std::uint64_t> received_{0};
  alignas(echo::kCacheLine) std::atomic<std::uint64_t> acked_{0};
  alignas(echo::kCacheLine) Slot* slots_ = nullptr;
  std::uint64_t mask_ = 0;
  std::uint64_t capacity_ = 0;
  std::size_t bytes_ = 0;
  echo::native::Pool* pool_ = nullptr;
};
