// SPDX-License-Identifier: MIT
//
// Purpose     Cold path of small allocation: next hole, next recyclable slab, empty slab.
#include "heap/run_allocator.h"

#include "heap/assert.h"
#include "heap/fault.h"
#include "heap/object_header.h"

#include <algorithm>

namespace echo {

// --- SlabSupply

std::size_t SlabSupply::take_recyclable(SlabIndex* out, std::size_t want) {
  const bool one_node = pool_.node_count() == 1;
  const unsigned node = pool_.current_node();
  std::size_t count = 0;
  const MutexLock lock(mutex_);
  // From the back; local ones first. [heap.node.1]
  for (const bool anywhere : {false, true}) {
    for (std::size_t i = recyclable_.size(); i > 0 && count < want; --i) {
      if (one_node || anywhere || pool_.node_of(recyclable_[i - 1]) == node) {
        out[count++] = recyclable_[i - 1];
        pool_.slabs().set_use(recyclable_[i - 1], SlabUse::Owned);
        recyclable_.erase(recyclable_.begin() + static_cast<std::ptrdiff_t>(i - 1));
      }
    }
    if (one_node || count != 0) {
      break;
    }
  }
  handed_out_.fetch_add(count * kSlabBytes, std::memory_order_relaxed);
  return count;
}

void SlabSupply::put_recyclable(const SlabIndex* slabs, std::size_t count) {
  const MutexLock lock(mutex_);
  for (std::size_t i = count; i > 0; --i) {
    pool_.slabs().set_use(slabs[i - 1], SlabUse::Unswept);
    recyclable_.push_back(slabs[i - 1]);
  }
}

std::size_t SlabSupply::list_holes(SlabIndex slab, FreeRun* out) const {
  LiveMap live;
  const Address base = pool_.slabs().address_of(slab);
  build_live_map(base, bits_, layouts_, &live);
  return list_free_runs(live, out);
}

void SlabSupply::poison_holes(SlabIndex slab) {
  std::vector<FreeRun> runs(kMaxRunsPerSlab);
  const Address base = pool_.slabs().address_of(slab);
  const std::size_t count = list_holes(slab, runs.data());
  for (std::size_t i = 0; i < count; ++i) {
    std::fill_n(reinterpret_cast<std::uint64_t*>(base) + runs[i].first, runs[i].granules, kPoisonWord);
  }
}

void SlabSupply::prepare_cycle() {
  const MutexLock lock(mutex_);
  spares_.provide(kSparesForStop);
}

void SlabSupply::begin_cycle() {
  const MutexLock lock(mutex_);
  recyclable_.clear();
  dense_.clear();
  if (counting_.empty()) {
    counting_.swap(retired_);
  } else { // the cycle before ended early
    counting_.append(retired_, spares_);
    retired_.clear(spares_);
  }
}

void SlabSupply::begin_rebuild(Rebuild* rebuild) {
  *rebuild = {};
  rebuild->end_ = pool_.slab_high_water();
}

// Slabs opened since the mark started are of the fresh kind: they belong to their threads and are not looked at.
void SlabSupply::look_at(SlabIndex slab, Rebuild* rebuild) {
  SlabTable& slabs = pool_.slabs();
  const bool faulty = has_fault(Fault::FreshSwept) && slabs.kind(slab) == slabs.fresh_kind() &&
                      slabs.use(slab) == SlabUse::Filled;
  if (!slabs.is_old(slabs.kind(slab)) && !faulty) {
    return;
  }
  slabs.set_kind(slab, SlabKind::Old);
  const SlabUse use = slabs.use(slab);
  ECHO_CHECK(use == SlabUse::Filled || use == SlabUse::Unswept, "[heap.alloc.3] a slab is owned in a mark");
  if (poison_) {
    poison_holes(slab);
  }
  const std::size_t live = slabs.live_granules(slab);
  if (live == 0) {
    pool_.put_slab(slab);
    ++rebuild->result_.slabs_freed;
    return;
  }
  rebuild->result_.live_bytes += live * kGranule;
  ++rebuild->result_.slabs_kept;
  rebuild->result_.live_end = slab.number + 1; // they come in order
  slabs.set_use(slab, SlabUse::Unswept);
  if (live * 2 <= kGranulesPerSlab) {
    rebuild->by_density_[(live * 2 - 1) * kDensities / kGranulesPerSlab].push_back(slab);
    rebuild->result_.hole_bytes += kSlabBytes - live * kGranule;
  } else if (live < kGranulesPerSlab) {
    rebuild->result_.dense_hole_bytes += kSlabBytes - live * kGranule;
    rebuild->dense_.push_back(slab);
  }
}

bool SlabSupply::rebuild_some(Rebuild* rebuild, std::size_t most) {
  for (; most != 0 && rebuild->next_.number < rebuild->end_; --most, ++rebuild->next_.number) {
    look_at(rebuild->next_, rebuild);
  }
  // The sparsest are taken first: they come last.
  for (; most != 0 && rebuild->listed_ < kDensities; ++rebuild->listed_) {
    std::vector<SlabIndex>& next = rebuild->by_density_[kDensities - 1 - rebuild->listed_];
    rebuild->recyclable_.insert(rebuild->recyclable_.end(), next.begin(), next.end());
    most -= std::min(most, next.size() / 16 + 1);
    std::vector<SlabIndex>().swap(next);
  }
  if (rebuild->next_.number < rebuild->end_ || rebuild->listed_ < kDensities) {
    return false;
  }
  const MutexLock lock(mutex_);
  recyclable_.swap(rebuild->recyclable_);
  dense_.swap(rebuild->dense_);
  return true;
}

SlabSupply::AfterMark SlabSupply::rebuild() {
  Rebuild all;
  begin_rebuild(&all);
  while (!rebuild_some(&all, SIZE_MAX)) {
  }
  return all.result();
}

bool SlabSupply::admit_dense() {
  const MutexLock lock(mutex_);
  if (dense_.empty()) {
    return false;
  }
  recyclable_.insert(recyclable_.begin(), dense_.begin(), dense_.end());
  dense_.clear();
  return true;
}

void SlabSupply::retire(std::span<const RetiredSpan> spans) {
  std::uint64_t bytes = 0;
  for (const RetiredSpan& span : spans) {
    bytes += span.end - span.start;
  }
  const MutexLock lock(mutex_);
  retired_bytes_.fetch_add(bytes, std::memory_order_relaxed);
  retired_.append(spans, spares_);
}

std::vector<RetiredSpan> SlabSupply::take_retired() {
  const MutexLock lock(mutex_);
  std::vector<RetiredSpan> all = retired_.to_vector();
  retired_.clear(spares_);
  return all;
}

void SlabSupply::keep_everything() {
  SlabTable& slabs = pool_.slabs();
  const std::uint32_t end = pool_.slab_high_water();
  for (SlabIndex s{0}; s.number < end; ++s.number) {
    if (slabs.is_old(slabs.kind(s))) {
      slabs.set_kind(s, SlabKind::Old);
      if (slabs.use(s) == SlabUse::Unswept) {
        slabs.set_use(s, SlabUse::Filled);
      }
    }
  }
}

// --- RunAllocator

Address RunAllocator::bump(Span& span, std::size_t bytes, std::size_t alignment) {
  const Address at = round_up(span.cursor, alignment);
  if (at > span.limit || span.limit - at < bytes) {
    return 0;
  }
  if (at != span.cursor) {
    store_header(span.cursor, HeaderWord::filler((at - span.cursor) / kGranule));
  }
  span.cursor = at + bytes;
  return at;
}

// Moves current_ to the next run that can hold `bytes`.
bool RunAllocator::next_run(std::size_t bytes) {
  const std::size_t granules = std::max(bytes / kGranule, kMinRunGranules);
  const Address base = supply_.pool().slabs().address_of(slab_);
  while (next_ < count_) {
    const FreeRun run = runs_[next_++];
    if (run.granules >= granules) {
      if (current_.cursor != current_.start) {
        log_[logged_++] = {current_.start, current_.cursor};
      }
      const Address start = base + std::size_t{run.first} * kGranule;
      const std::size_t excess = has_fault(Fault::RunOffByOne) ? 1 : 0;
      current_ = {start, start, start + (run.granules + excess) * kGranule};
      return true;
    }
  }
  return false;
}

void RunAllocator::close(Span& span, SlabIndex slab, bool owns_slab) {
  if (span.cursor != span.start) {
    log_[logged_++] = {span.start, span.cursor};
  }
  span = Span{};
  if (owns_slab) {
    supply_.pool().slabs().set_use(slab, SlabUse::Filled);
  }
}

// Closes the current slab and begins the next of the batches; false if there is none.
bool RunAllocator::open_next_slab() {
  if (recycled_.left() + empty_.left() == 0) {
    return false;
  }
  close(current_, slab_, owns_slab_);
  owns_slab_ = true;
  next_ = count_ = 0;
  if (recycled_.left() != 0) {
    slab_ = recycled_.slabs[recycled_.next++];
    count_ = supply_.list_holes(slab_, runs_.data());
  } else {
    open_empty(&slab_, &current_);
  }
  return true;
}

void RunAllocator::open_empty(SlabIndex* slab, Span* span) {
  SlabTable& slabs = supply_.pool().slabs();
  *slab = empty_.slabs[empty_.next++];
  note_held();
  slabs.set_kind(*slab, slabs.fresh_kind());
  if (filled_.count < kRemembered) {
    filled_.slabs[filled_.count++] = *slab;
  }
  const Address base = slabs.address_of(*slab);
  *span = {base, base, base + kSlabBytes};
}

Address RunAllocator::refill_from_own(std::size_t bytes, std::size_t alignment) {
  // With a gap before an aligned object this is what surely suffices.
  const std::size_t sufficient = bytes + (alignment - kGranule);
  do {
    if (const Address at = bump(current_, bytes, alignment); at != 0) {
      return at; // an empty slab was opened
    }
    while (!log_full() && next_run(sufficient)) {
      if (const Address at = bump(current_, bytes, alignment); at != 0) {
        return at;
      }
    }
  } while (!log_full() && open_next_slab());
  return 0;
}

Grant RunAllocator::take_empty(Urgency urgency) {
  policy_.on_refill();
  empty_.next = 0;
  const Grant grant = supply_.pool().take_slabs(urgency, policy_.batch(), empty_.slabs.data(), &empty_.count,
                                                {filled_before_.slabs.data(), filled_before_.count});
  note_held();
  return grant;
}

void RunAllocator::hand_over_log() {
  if (logged_ != 0) {
    supply_.retire(log());
    logged_ = 0;
  }
}

// Precondition: both batches are used up, and so are the runs.
Grant RunAllocator::take_batch(Urgency urgency) {
  recycled_.next = 0;
  recycled_.count = supply_.take_recyclable(recycled_.slabs.data(), policy_.batch());
  if (recycled_.count != 0) {
    policy_.on_refill();
    return Grant::Ok;
  }
  return take_empty(urgency);
}

Grant RunAllocator::allocate(std::size_t bytes, std::size_t alignment, Urgency urgency, Address* out) {
  if ((*out = bump(current_, bytes, alignment)) != 0) {
    return Grant::Ok;
  }
  const bool in_recycled_slab = owns_slab_ && count_ != 0;
  if (bytes > kMediumBytes && in_recycled_slab) {
    if ((*out = bump(overflow_, bytes, alignment)) != 0) {
      return Grant::Ok;
    }
    if (log_full()) {
      hand_over_log();
    }
    if (empty_.left() != 0 || take_empty(urgency) == Grant::Ok) {
      close(overflow_, overflow_slab_, owns_overflow_);
      open_empty(&overflow_slab_, &overflow_);
      owns_overflow_ = true;
      *out = bump(overflow_, bytes, alignment);
      return Grant::Ok;
    }
    // No empty slab: a hole that is large enough will do.
  }
  while ((*out = refill_from_own(bytes, alignment)) == 0) {
    if (log_full()) {
      hand_over_log();
      continue;
    }
    if (const Grant grant = take_batch(urgency); grant != Grant::Ok) {
      return grant;
    }
  }
  return Grant::Ok;
}

void RunAllocator::retire() {
  close(current_, slab_, owns_slab_);
  close(overflow_, overflow_slab_, owns_overflow_);
  owns_slab_ = owns_overflow_ = false;
  next_ = count_ = 0;
  policy_.on_window(recycled_.left() + empty_.left());
  if (recycled_.left() != 0) {
    supply_.put_recyclable(&recycled_.slabs[recycled_.next], recycled_.left());
  }
  while (empty_.left() != 0) {
    supply_.pool().put_slab(empty_.slabs[empty_.next++]);
  }
  recycled_ = empty_ = Batch{};
  filled_before_ = filled_;
  filled_.count = 0;
  note_held();
  hand_over_log();
}

} // namespace echo
