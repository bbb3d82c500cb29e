// SPDX-License-Identifier: MIT
//
// Purpose     The recyclable slabs of a heap, shared by all threads; the sweep that lists them; and the log of the spans
//             that threads allocated into.
// Drawing     which bits tell where the objects of a listed slab lie
//
//             stop: mark starts            weak half over           list swapped
//             ----- Current -----+-------- Previous --------+------- Current -------+------ Current
//               list: swept      |  list of the sweep before the mark, what is left |  list: swept
//               kind: old        |  kind of a slab that is taken: mixed             |  kind: old
//
// Invariants  [heap.mixed.1] of slab_table.h. [heap.mixed.2] A slab in the list is of kind OLD and has not been allocated in
//             since it was swept: its objects are exactly those that the last finished mark found. While a mark is on, and
//             until what is due for finalizers is marked too, these are the bits of the cycle before, and a hole is what none
//             of its objects covers, dead or alive: nothing that the snapshot reaches lies in it. After that the bits are this
//             cycle's. [heap.mixed.3] Bits of the cycle before are cleared after the change to this cycle's only; who has
//             read them asks again whether they were good. [heap.mixed.4] A mixed slab is not swept by the cycle that is on:
//             like a fresh one it is looked at in the next. [heap.mixed.5] After a mark that failed no slab is listed: what its
//             bits name is not all.
//             [heap.holes.1] The bytes of holes in the list are known at any time; a cycle is due when they, and the empty
//             memory, are less than what pacing wants to have when a mark starts.
// Threads     Any. The sweep: one at a time.
#pragma once

#include "heap/run_list.h"
#include "heap/side_metadata.h"
#include "heap/slab_pool.h"
#include "heap/span_log.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <span>
#include <vector>

namespace echo {

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
  // Lists the free runs of a slab the caller took: the lazy sweep. On a managed thread.
  std::size_t list_holes(SlabIndex slab, FreeRun* out) const;
  struct AfterMark {
    std::size_t live_bytes = 0; // objects, small
    std::size_t slabs_kept = 0; // slabs with live objects
    std::size_t slabs_freed = 0;
    std::size_t hole_bytes = 0;       // free bytes in slabs that were made recyclable
    std::uint32_t live_end = 0;       // behind the last slab with marked objects
    std::size_t dense_hole_bytes = 0; // in the others: admit_dense() makes these recyclable too
  };
  // Before that stop: memory for what it logs.
  void prepare_cycle() ECHO_EXCLUDES(mutex_);
  // In the stop in which a mark starts, threads having retired: the log begins anew, and what was in it is to be counted.
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
    const std::size_t used = std::max(counting_.blocks(), kSparesForStop); // that the next cycle may want
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
  // After a mark that failed: nothing is known dead, so nothing may be recycled. [heap.mixed.5]
  void keep_everything() ECHO_EXCLUDES(mutex_);

  // Free bytes in the slabs of the list. Any thread.
  std::size_t hole_bytes() const { return hole_bytes_.load(std::memory_order_relaxed); }
  // In those that are admitted only when memory is tight.
  std::size_t dense_hole_bytes() const { return dense_hole_bytes_.load(std::memory_order_relaxed); }
  // From now on, until a mark starts, a cycle is due as soon as less than `ahead` is left of the holes and of what may be
  // used up to `target`. 0: never, for this reason.
  void set_start(std::size_t target, std::size_t ahead) {
    target_.store(target, std::memory_order_relaxed);
    ahead_.store(ahead, std::memory_order_relaxed);
  }
  std::size_t ahead() const { return ahead_.load(std::memory_order_relaxed); }
  std::size_t left(std::size_t used, std::size_t holes) const {
    const std::size_t target = target_.load(std::memory_order_relaxed);
    return target - std::min(target, used) + holes;
  }
  bool is_cycle_due() { return ahead() != 0 && left(pool_.used_bytes(), hole_bytes()) < ahead(); }
  // Bytes of holes of slabs that threads took: cumulative.
  std::uint64_t handed_out() const { return handed_out_.load(std::memory_order_relaxed); }
  std::uint64_t retired_bytes() const { return retired_bytes_.load(std::memory_order_relaxed); }

  SlabPool& pool() { return pool_; }

private:
  // Which bits tell where the objects of listed slabs lie.
  enum class Known : std::uint8_t { Current, Previous, Nothing };

  void look_at(SlabIndex slab, Rebuild* rebuild) ECHO_REQUIRES(mutex_);
  void poison_holes(SlabIndex slab);
  std::size_t hole_bytes_of(SlabIndex slab) ECHO_REQUIRES(mutex_) {
    return pool_.slabs().hole_granules(slab) * kGranule;
  }
  void add_hole_bytes(std::size_t bytes) ECHO_REQUIRES(mutex_) {
    hole_bytes_.store(hole_bytes_.load(std::memory_order_relaxed) + bytes, std::memory_order_relaxed);
  }
  void subtract_hole_bytes(std::size_t bytes) ECHO_REQUIRES(mutex_);
  bool hand_out(SlabIndex slab) ECHO_REQUIRES(mutex_);
  void drop_list() ECHO_REQUIRES(mutex_);

  SlabPool& pool_;
  const SideMetadata& bits_;
  const LayoutTable& layouts_;
  const bool poison_;
  std::atomic<Known> known_{Known::Current};
  Mutex mutex_;
  std::vector<SlabIndex> recyclable_ ECHO_GUARDED_BY(mutex_); // taken from the back: sparsest first
  std::vector<SlabIndex> dense_ ECHO_GUARDED_BY(mutex_);
  // Of the sweep before the mark that is on, or is swept.
  bool is_list_before_ ECHO_GUARDED_BY(mutex_) = false;
  std::uint32_t swept_ ECHO_GUARDED_BY(mutex_) = 0; // by the sweep that is on: slabs below are its own
  SpanLog retired_ ECHO_GUARDED_BY(mutex_);         // since the last mark started
  SpanLog counting_ ECHO_GUARDED_BY(mutex_);        // before that
  SpanLog::Spares spares_ ECHO_GUARDED_BY(mutex_);
  std::atomic<std::size_t> hole_bytes_{0}, dense_hole_bytes_{0}; // written under mutex_
  std::atomic<std::size_t> target_{0}, ahead_{0};
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

} // namespace echo
