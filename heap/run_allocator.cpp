// SPDX-License-Identifier: MIT
//
// Purpose     Cold path of small allocation: next hole, next recyclable slab, empty slab.
#include "heap/run_allocator.h"

#include "heap/assert.h"
#include "heap/object_header.h"

#include <algorithm>

namespace echo {

// --- SlabSupply

bool SlabSupply::take_recyclable(SlabIndex* slab, FreeRun* out, std::size_t* count) {
  {
    const MutexLock lock(mutex_);
    if (recyclable_.empty()) {
      return false;
    }
    *slab = recyclable_.back();
    recyclable_.pop_back();
    pool_.slabs().set_use(*slab, SlabUse::Owned);
  }
  // Lazy sweep: the slab is ours, its bits are constant until the next mark.
  *count = list_holes(*slab, out);
  return true;
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

SlabSupply::AfterMark SlabSupply::rebuild() {
  SlabTable& slabs = pool_.slabs();
  const std::uint32_t end = pool_.slab_high_water();
  AfterMark result;
  const MutexLock lock(mutex_);
  recyclable_.clear();
  dense_.clear();
  for (SlabIndex s{0}; s.number < end; ++s.number) {
    const SlabUse use = slabs.use(s);
    if (use != SlabUse::Filled && use != SlabUse::Unswept) {
      ECHO_CHECK(use != SlabUse::Owned, "[heap.alloc.3] a slab is owned in a mark");
      continue;
    }
    if (poison_) {
      poison_holes(s);
    }
    const std::size_t live = slabs.live_granules(s);
    if (live == 0) {
      pool_.put_slab(s);
      ++result.slabs_freed;
      continue;
    }
    result.live_bytes += live * kGranule;
    ++result.slabs_kept;
    slabs.set_use(s, SlabUse::Unswept);
    if (live * 2 <= kGranulesPerSlab) {
      recyclable_.push_back(s);
      result.hole_bytes += kSlabBytes - live * kGranule;
    } else if (live < kGranulesPerSlab) {
      dense_.push_back(s);
    }
  }
  std::sort(recyclable_.begin(), recyclable_.end(),
            [&slabs](SlabIndex a, SlabIndex b) { return slabs.live_granules(a) > slabs.live_granules(b); });
  return result;
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

void SlabSupply::retire(const RetiredSpan& span) {
  retired_bytes_.fetch_add(span.end - span.start, std::memory_order_relaxed);
  const MutexLock lock(mutex_);
  retired_.push_back(span);
}

std::vector<RetiredSpan> SlabSupply::take_retired() {
  const MutexLock lock(mutex_);
  std::vector<RetiredSpan> all;
  all.swap(retired_);
  return all;
}

void SlabSupply::keep_everything() {
  const MutexLock lock(mutex_);
  recyclable_.clear();
  dense_.clear();
  SlabTable& slabs = pool_.slabs();
  const std::uint32_t end = pool_.slab_high_water();
  for (SlabIndex s{0}; s.number < end; ++s.number) {
    if (slabs.use(s) == SlabUse::Unswept) {
      slabs.set_use(s, SlabUse::Filled);
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
        supply_.retire({current_.start, current_.cursor});
      }
      const Address start = base + std::size_t{run.first} * kGranule;
      current_ = {start, start, start + std::size_t{run.granules} * kGranule};
      return true;
    }
  }
  return false;
}

void RunAllocator::close(Span& span, SlabIndex slab, bool owns_slab) {
  if (span.cursor != span.start) {
    supply_.retire({span.start, span.cursor});
  }
  span = Span{};
  if (owns_slab) {
    supply_.pool().slabs().set_use(slab, SlabUse::Filled);
  }
}

Grant RunAllocator::allocate(std::size_t bytes, std::size_t alignment, Urgency urgency, Address* out) {
  SlabPool& pool = supply_.pool();
  const auto take_empty = [&](SlabIndex* slab, Span* span) {
    const Grant grant = pool.take_slab(urgency, slab);
    if (grant == Grant::Ok) {
      pool.slabs().set_kind(*slab, SlabKind::Old);
      const Address base = pool.slabs().address_of(*slab);
      *span = {base, base, base + kSlabBytes};
    }
    return grant;
  };
  if ((*out = bump(current_, bytes, alignment)) != 0) {
    return Grant::Ok;
  }
  const bool in_recycled_slab = owns_slab_ && count_ != 0;
  if (bytes > kMediumBytes && in_recycled_slab) {
    if ((*out = bump(overflow_, bytes, alignment)) != 0) {
      return Grant::Ok;
    }
    SlabIndex slab;
    Span span;
    if (take_empty(&slab, &span) == Grant::Ok) {
      close(overflow_, overflow_slab_, owns_overflow_);
      overflow_ = span;
      overflow_slab_ = slab;
      owns_overflow_ = true;
      *out = bump(overflow_, bytes, alignment);
      return Grant::Ok;
    }
    // No empty slab: a hole that is large enough will do.
  }
  // With a gap before an aligned object this is what surely suffices.
  const std::size_t sufficient = bytes + (alignment - kGranule);
  for (;;) {
    while (next_run(sufficient)) {
      if ((*out = bump(current_, bytes, alignment)) != 0) {
        return Grant::Ok;
      }
    }
    SlabIndex slab;
    std::size_t count = 0;
    close(current_, slab_, owns_slab_);
    owns_slab_ = false;
    next_ = count_ = 0;
    if (supply_.take_recyclable(&slab, runs_.data(), &count)) {
      slab_ = slab;
      owns_slab_ = true;
      count_ = count;
      continue;
    }
    Span span;
    if (const Grant grant = take_empty(&slab, &span); grant != Grant::Ok) {
      return grant;
    }
    slab_ = slab;
    owns_slab_ = true;
    current_ = span;
    *out = bump(current_, bytes, alignment);
    return Grant::Ok;
  }
}

void RunAllocator::retire() {
  close(current_, slab_, owns_slab_);
  close(overflow_, overflow_slab_, owns_overflow_);
  owns_slab_ = owns_overflow_ = false;
  next_ = count_ = 0;
}

} // namespace echo
