// SPDX-License-Identifier: MIT
//
// Purpose     What is known about one native slab, apart from the slab's own memory: who owns it, which of
//             its cells are live, which were freed by other threads.
//
// Drawing     offset 0                           64                          128
//                    +---------------------------+---------------------------+
//                    | owner's links and numbers | lock, notified, pending   |
//                    +---------------------------+---------------------------+
//             Live and remote bits lie in two tables of the space, 1 KiB per slab each, so that a free finds its live
//             bit from the address alone, one bit per cell. Each part is a whole number of cache lines: what one thread writes shares no
//             line with what another writes.
//
// Invariants  [native.owner.1] A slab has one owner, a class cache; only it takes cells from the slab and
//             only it writes live bits. [native.owner.2] The owner changes with the slab's lock held.
//             [native.live.1] live(cell) <=> the cell was handed out and no free has succeeded, or one from
//             another thread has succeeded and the owner has not collected it yet; then remote(cell) is set.
//             [native.remote.1] remote => live, whenever the owner hands out a cell of the slab.
//             [native.record.1] A record stays a record: its memory is reused for records only while the
//             space is open, so a late reader may lock it and find that it is not the one it looked for.
//
// Ownership tags (low bits of the owner word in the slab's table entry)
//             Biased     the owner frees without lock or fence; remote bits are all 0.
//             Requested  another thread has freed a cell; the owner has not noticed yet.
//             Shared     every free of a cell of the slab holds the slab's lock.
//             Biased -> Requested by any thread, with the lock; Requested -> Shared and Shared -> Biased by
//             the owner, with the lock. It is a biased lock whose bias is withdrawn without waiting for the
//             owner to notice: see class_cache.h, [native.free.3].
#pragma once

#include "heap/native/size_classes.h"
#include "heap/words.h"

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace echo::native {

class ClassCache;
class Pool;

enum class OwnerTag : std::uint8_t { Biased = 0, Requested = 1, Shared = 2 };
inline constexpr std::uintptr_t kOwnerTagMask = 3;

// A test-and-set lock for sections of a few instructions. Waits by yielding, never by sleeping in the kernel.
class SlabLock {
public:
  void lock() {
    if (word_.exchange(1, std::memory_order_acquire) != 0) {
      lock_slow();
    }
  }
  void unlock() { word_.store(0, std::memory_order_release); }
  // For the child of a fork, which is alone.
  void reset() { word_.store(0, std::memory_order_relaxed); }

private:
  void lock_slow();
  std::atomic<std::uint32_t> word_{0};
};

struct SlabRecord {
  static constexpr std::uint16_t kNotListed = 0xFFFF;

  // The owner's.
  SlabRecord* owned_next = nullptr;
  SlabRecord* owned_previous = nullptr;
  SlabRecord* partial_next = nullptr;
  SlabRecord* partial_previous = nullptr;
  Pool* pool = nullptr;
  SlabIndex slab{};
  // No word of live bits before this one has a free cell the caches do not hold; kNotListed if the slab is not listed.
  std::uint16_t first_word = kNotListed;
  Cell cell{};
  bool listed = false;  // in the owner's list of slabs with free cells
  bool counted = false; // counted as empty by the owner
  std::uint8_t node = 0;
  std::uint8_t quiet_takes = 0; // of cells since another thread has freed one

  // Whoever holds the lock.
  alignas(kCacheLine) SlabLock lock;
  bool notified = false;           // is in the owner's list of pending slabs
  std::uint32_t foreign_frees = 0; // by other threads since the owner last took cells
  SlabRecord* pending_next = nullptr;

  std::uint64_t remote_words[kSlabWords / 64] = {}; // the words of remote bits that are not 0
};
static_assert(sizeof(SlabRecord) == 2 * kCacheLine && alignof(SlabRecord) == kCacheLine);
using BitWord = std::atomic<std::uint64_t>;
static_assert(sizeof(std::atomic<std::uint64_t>) == 8 && std::atomic<std::uint64_t>::is_always_lock_free);

// One per slab of the reservation, dense.
struct SlabEntry {
  std::atomic<std::uintptr_t> owner{0}; // ClassCache* | OwnerTag
  std::atomic<SlabRecord*> record{nullptr};
};
static_assert(sizeof(SlabEntry) == 16);

} // namespace echo::native
