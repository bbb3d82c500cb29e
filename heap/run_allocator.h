// SPDX-License-Identifier: MIT
//
// Purpose     A thread's own allocation state: spans to bump through, cut from holes of recycled slabs or from empty
//             slabs.
// Drawing     L1  [cursor, limit) of the thread: bumped inline
//             L2  runs of the thread's slab; its batches of recyclable and of empty slabs: refill_from_own()
//             L3  the shared supply: recyclable slabs, empty slabs, chunks; a batch at a time (batch_policy.h)
//
//             L1 and L2 take no lock and no atomic read-modify-write [alloc.levels.1].
//
//             objects over kMediumBytes that do not fit the current hole use an overflow span in an empty
//             slab, so that one large object does not throw away every small hole (Immix: Blackburn and
//             McKinley, PLDI 2008).
//
// Invariants  [heap.alloc.1] A span belongs to one thread and no live object lies in it. [heap.alloc.2]
//             Objects in [span start, cursor) lie end to end, headers written, fillers included.
//             [heap.alloc.3] Every span ever allocated into is retired before the next mark and counted once.
//             [mark.colour.1] Empty slabs are opened with the fresh kind, and slabs whose holes are handed out while a mark is
//             on have the mixed kind [heap.mixed.1], so that no object is born white while marking.
#pragma once

#include "heap/batch_policy.h"
#include "heap/large_space.h"
#include "heap/slab_supply.h"

#include <array>
#include <atomic>
#include <span>
#include <vector>

namespace echo {

inline constexpr std::size_t kMediumBytes = 128;
inline constexpr std::size_t kMinRunGranules = 2;

// Objects lie in [start, cursor); free memory is [cursor, limit).
struct Span {
  Address start = 0, cursor = 0, limit = 0;
  bool fits(std::size_t bytes) const { return limit - cursor >= bytes; }
};

// One thread's allocator. Not thread-safe: its own thread, or a stop.
class RunAllocator {
public:
  explicit RunAllocator(SlabSupply& supply) : supply_(supply) {}

  // Memory for `bytes` (a multiple of 8, at most kLargeBytes) at `alignment`; contents unspecified.
  Grant allocate(std::size_t bytes, std::size_t alignment, Urgency urgency, Address* out);
  // The span that inline allocation bumps through.
  Span& current() { return current_; }
  const Span& overflow() const { return overflow_; }
  // Gives up all memory; what was allocated goes to the log. [heap.alloc.3]
  void retire();
  // Spans given up since the log was last handed over.
  std::span<const RetiredSpan> log() const { return {log_.data(), logged_}; }
  // Empty slabs taken from the pool and not begun. Any thread.
  std::size_t held_slabs() const { return held_.load(std::memory_order_relaxed); }
  const BatchPolicy& policy() const { return policy_; }

private:
  static constexpr std::size_t kLogSpans = 512;
  static constexpr std::size_t kMaxLoggedPerStep = 4;
  static constexpr std::size_t kRemembered = 32; // 2 MiB: more would not lie in a processor's own caches

  // Slabs taken from the supply and not begun, in the order of use.
  struct Batch {
    std::array<SlabIndex, BatchPolicy::kMaxBatch> slabs{};
    std::size_t next = 0, count = 0;
    std::size_t left() const { return count - next; }
  };

  static Address bump(Span& span, std::size_t bytes, std::size_t alignment);
  // L2. 0: the thread has nothing that fits. [alloc.levels.1]
  [[gnu::noinline]] Address refill_from_own(std::size_t bytes, std::size_t alignment);
  bool next_run(std::size_t bytes);
  bool open_next_slab();
  void open_empty(SlabIndex* slab, Span* span);
  void close(Span& span, SlabIndex slab, bool owns_slab);
  // Room for what one step of any level adds is left. A full log is L3's business.
  bool log_full() const { return logged_ + kMaxLoggedPerStep > kLogSpans; }
  // L3.
  void hand_over_log();
  void note_held() { held_.store(static_cast<std::uint32_t>(empty_.left()), std::memory_order_relaxed); }
  Grant take_batch(Urgency urgency);
  Grant take_empty(Urgency urgency);

  SlabSupply& supply_;
  Span current_;
  Span overflow_;
  SlabIndex slab_;
  SlabIndex overflow_slab_;
  bool owns_slab_ = false;
  bool owns_overflow_ = false;
  std::size_t next_ = 0;
  std::size_t count_ = 0;
  Batch recycled_, empty_;
  // The first empty slabs filled since the last retire(), and those before it. [heap.near.1]
  struct Filled {
    std::array<SlabIndex, kRemembered> slabs{};
    std::size_t count = 0;
  };
  Filled filled_, filled_before_;
  std::atomic<std::uint32_t> held_{0}; // empty_.left() for others to read: written by its thread or in a stop
  BatchPolicy policy_;
  std::size_t logged_ = 0;
  std::array<RetiredSpan, kLogSpans> log_{};
  std::array<FreeRun, kMaxRunsPerSlab> runs_{};
};

} // namespace echo
