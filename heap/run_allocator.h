// SPDX-License-Identifier: MIT
//
// Purpose     A thread's own allocation state and the shared supply behind it: spans to bump through, cut
//             from holes of recycled slabs or from empty slabs.
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
//             [mark.colour.1] Empty slabs are opened with the fresh kind; runs in old slabs are handed out only between
//             the end of a sweep and the next mark, so that no object is born white while marking.
#pragma once

#include "heap/batch_policy.h"
#include "heap/large_space.h"
#include "heap/run_list.h"
#include "heap/side_metadata.h"
#include "heap/slab_pool.h"
#include "heap/span_log.h"

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

// Recyclable slabs, shared by all threads.
class SlabSupply {
  static constexpr std::size_t kDensities = 64;
  static constexpr std::size_t kSparesForStop = 8;   // blocks of spans, at hand when a mark starts
  static constexpr std::size_t kSparesPerCycle = 16; // that are too many: given back by one cycle

public:
  SlabSupply(SlabPool& pool, const SideMetadata& bits, const LayoutTable& layouts, bool poison)
      : pool_(pool), bits_(bits), layouts_(layouts), poison_(poison) {}

  // Up to `want` recyclable slabs; their number.
  std::size_t take_recyclable(SlabIndex* out, std::size_t want) ECHO_EXCLUDES(mutex_);
  // Slabs taken and not begun.
  void put_recyclable(const SlabIndex* slabs, std::size_t count) ECHO_EXCLUDES(mutex_);
  // Lists the free runs of a slab the caller owns: the lazy sweep; its bits are constant until the next mark.
  std::size_t list_holes(SlabIndex slab, FreeRun* out) const;
  struct AfterMark {
    std::size_t live_bytes = 0; // objects, small
    std::size_t slabs_kept = 0; // slabs with live objects
    std::size_t slabs_freed = 0;
    std::size_t hole_bytes = 0;       // free bytes in slabs that were made recyclable
    std::uint32_t live_end = 0;       // behind the last slab that was kept
    std::size_t dense_hole_bytes = 0; // in the others: admit_dense() makes these recyclable too
  };
  // Before that stop: memory for what it logs.
  void prepare_cycle() ECHO_EXCLUDES(mutex_);
  // In the stop in which a mark starts, threads having retired: nothing is handed out of swept slabs until rebuild, and
  // the log begins anew; what was in it is to be counted.
  void begin_cycle() ECHO_EXCLUDES(mutex_);
  // After a mark, beside the program: of every slab that was in use when it started the live count is known. Frees the
  // empty ones, lists the others; what was fresh in the cycle before is old. [heap.fresh.1] [sweep.hold.1]
  AfterMark rebuild() ECHO_EXCLUDES(mutex_);
  // The same in steps of at most `most` slabs: true when it is over. Recyclable slabs are listed by their density, in
  // kDensities classes, so that no step sorts.
  class Rebuild;
  void begin_rebuild(Rebuild* rebuild);
  bool rebuild_some(Rebuild* rebuild, std::size_t most) ECHO_EXCLUDES(mutex_);
  // Makes also the densely filled slabs recyclable: the last resort before out of memory.
  bool admit_dense() ECHO_EXCLUDES(mutex_);
  // Takes over a thread's log.
  void retire(std::span<const RetiredSpan> spans) ECHO_EXCLUDES(mutex_);
  // Takes the log of spans retired since the last call.
  std::vector<RetiredSpan> take_retired() ECHO_EXCLUDES(mutex_);
  // What is to be counted, between begin_cycle and end_count. Only the thread that drives the cycle reads it.
  const SpanLog& to_count() const ECHO_NO_THREAD_ANALYSIS { return counting_; }
  // Forgets it in one step with `note`.
  template <class Note> void end_count(Note note) ECHO_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    const std::size_t used = counting_.blocks();
    counting_.clear(spares_);
    spares_.shrink(used, kSparesPerCycle);
    note();
  }
  // read(spans to be counted, spans retired since the last mark started), under the log's lock: nothing in it is freed
  // meanwhile.
  template <class Read> auto with_retired(Read read) ECHO_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    return read(static_cast<const SpanLog&>(counting_), static_cast<const SpanLog&>(retired_));
  }
  // After a mark that failed: nothing is known dead, so nothing may be recycled.
  void keep_everything() ECHO_EXCLUDES(mutex_);
  // Bytes of slabs with holes that threads took: cumulative.
  std::uint64_t handed_out() const { return handed_out_.load(std::memory_order_relaxed); }
  std::uint64_t retired_bytes() const { return retired_bytes_.load(std::memory_order_relaxed); }

  SlabPool& pool() { return pool_; }

private:
  void look_at(SlabIndex slab, Rebuild* rebuild);
  void poison_holes(SlabIndex slab);

  SlabPool& pool_;
  const SideMetadata& bits_;
  const LayoutTable& layouts_;
  const bool poison_;
  Mutex mutex_;
  std::vector<SlabIndex> recyclable_ ECHO_GUARDED_BY(mutex_); // taken from the back: sparsest first
  std::vector<SlabIndex> dense_ ECHO_GUARDED_BY(mutex_);
  SpanLog retired_ ECHO_GUARDED_BY(mutex_);  // since the last mark started
  SpanLog counting_ ECHO_GUARDED_BY(mutex_); // before that
  SpanLog::Spares spares_ ECHO_GUARDED_BY(mutex_);
  std::atomic<std::uint64_t> retired_bytes_{0}; // cumulative
  std::atomic<std::uint64_t> handed_out_{0};
};

// How far a sweep has come.
class SlabSupply::Rebuild {
public:
  const AfterMark& result() const { return result_; }

private:
  friend class SlabSupply;
  SlabIndex next_{0};
  std::uint32_t end_ = 0;
  std::size_t listed_ = 0; // densities that are in the list
  AfterMark result_;
  std::array<std::vector<SlabIndex>, kDensities> by_density_;
  std::vector<SlabIndex> recyclable_, dense_;
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
