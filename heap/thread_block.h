// SPDX-License-Identifier: MIT
//
// Purpose     The first two cache lines of an attached thread: all that emitted code addresses.
//
// Drawing     offset  0       8       16      24      32      40      48      56   57      60      64
//                     +-------+-------+-------+-------+-------+-------+-------+----+-------+-------+
//                     |cursor | limit | poll  | trap  | trap  | young | young |phase| pad  | state |
//                     |       |       | word  | base  | size  | base  | size  |     |      |       |
//                     +-------+-------+-------+-------+-------+-------+-------+----+-------+-------+
//             offset 64      72      80      88      96      104     112     120     128
//                     +-------+-------+-------+-------+-------+-------+-------+-------+
//                     |  anchor of the managed frames | VM    | heap  |   spare       |
//                     |  sp   |  fp   |  pc   | self  | word  |       |               |
//                     +-------+-------+-------+-------+-------+-------+-------+-------+
//
// Invariants  [heap.block.1] cursor, limit, phase and anchor are written by their thread, or in a stop.
//             [heap.block.2] The poll word is the watermark of the thread's frames (kPollIdle: none), or 0 while
//             a stop is asked for: whoever asks writes 0, the thread itself writes the other value back, after
//             which it looks for a stop again.
//             [heap.block.3] trap and young windows are reserved for a nursery: both sizes are 0 without one.
#pragma once

#include "heap/words.h"

#include <atomic>
#include <cstddef>

namespace echo {

// Frame pointers are never above it: the poll falls through.
inline constexpr std::uint64_t kPollIdle = ~std::uint64_t{0};

// Captured: native, and what the stack and registers held is known [stack.rest.1].
enum class ThreadState : std::uint32_t { Managed = 0, Native = 1, Blocked = 2, Captured = 3 };

struct ThreadBlock {
  std::uint64_t cursor = 0;
  std::uint64_t limit = 0;
  std::atomic<std::uint64_t> poll_word{kPollIdle};
  std::uint64_t trap_base = 0, trap_size = 0;
  std::uint64_t young_base = 0, young_size = 0;
  std::uint8_t phase = 0;
  std::uint8_t pad[3] = {};
  std::atomic<ThreadState> state{ThreadState::Native};
  std::uint64_t anchor_sp = 0, anchor_fp = 0, anchor_pc = 0;
  ThreadBlock* self = nullptr;
  void* vm_word = nullptr;
  void* heap = nullptr;
  std::uint64_t spare[2] = {};
};

static_assert(sizeof(ThreadBlock) == 2 * kCacheLine);
static_assert(offsetof(ThreadBlock, cursor) == 0 && offsetof(ThreadBlock, limit) == 8);
static_assert(offsetof(ThreadBlock, poll_word) == 16 && sizeof(std::atomic<std::uint64_t>) == 8);
static_assert(offsetof(ThreadBlock, phase) == 56 && offsetof(ThreadBlock, state) == 60);
static_assert(offsetof(ThreadBlock, anchor_sp) == 64 && offsetof(ThreadBlock, anchor_fp) == 72 &&
              offsetof(ThreadBlock, anchor_pc) == 80);

} // namespace echo
