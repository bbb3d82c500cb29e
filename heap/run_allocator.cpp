// SPDX-License-Identifier: MIT
//
// Purpose     Cold path of small allocation: next hole, next recyclable slab, empty slab.
#include "heap/run_allocator.h"

#include "heap/fault.h"
#include "heap/object_header.h"

#include <algorithm>

namespace echo {

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
  if (urgency == Urgency::Normal && supply_.is_cycle_due()) { // [heap.holes.1]
    return Grant::OverTrigger;
  }
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
