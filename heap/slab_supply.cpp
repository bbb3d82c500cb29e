// SPDX-License-Identifier: MIT
//
// Purpose     Handing out and listing recyclable slabs.
#include "heap/slab_supply.h"

#include "heap/assert.h"
#include "heap/fault.h"
#include "heap/object_header.h"

#include <algorithm>

namespace echo {

namespace {
// Looked at in one go by a sweep: some microseconds, for which threads that want slabs wait.
constexpr std::size_t kLookedAtUnderLock = 64;
} // namespace

void SlabSupply::subtract_hole_bytes(std::size_t bytes) {
  // A sweep counts the holes of its slabs anew while they are in the list of the one before.
  const std::size_t now = hole_bytes_.load(std::memory_order_relaxed);
  hole_bytes_.store(now - std::min(now, bytes), std::memory_order_relaxed);
}

void SlabSupply::drop_list() {
  recyclable_.clear();
  dense_.clear();
  hole_bytes_.store(0, std::memory_order_relaxed);
  dense_hole_bytes_.store(0, std::memory_order_relaxed);
}

// Of the list, from which it is taken; false: it is not in it any more.
bool SlabSupply::hand_out(SlabIndex slab) {
  const std::size_t bytes = hole_bytes_of(slab);
  subtract_hole_bytes(bytes);
  if (slab.number < swept_) {
    return false;
  }
  SlabTable& slabs = pool_.slabs();
  if (is_list_before_ && !has_fault(Fault::HolesNotMixed)) {
    slabs.set_kind(slab, slabs.mixed_kind()); // before anything is born in it [heap.mixed.1]
  }
  slabs.set_use(slab, SlabUse::Owned);
  handed_out_.fetch_add(bytes, std::memory_order_relaxed);
  return true;
}

std::size_t SlabSupply::take_recyclable(SlabIndex* out, std::size_t want) {
  const bool one_node = pool_.node_count() == 1;
  const unsigned node = pool_.current_node();
  std::size_t count = 0;
  const MutexLock lock(mutex_);
  // From the back; local ones first. [heap.node.1]
  for (const bool anywhere : {false, true}) {
    for (std::size_t i = recyclable_.size(); i > 0 && count < want; --i) {
      const SlabIndex slab = recyclable_[i - 1];
      if (one_node || anywhere || pool_.node_of(slab) == node) {
        recyclable_.erase(recyclable_.begin() + static_cast<std::ptrdiff_t>(i - 1));
        if (hand_out(slab)) {
          out[count++] = slab;
        }
      }
    }
    if (one_node || count != 0) {
      break;
    }
  }
  return count;
}

void SlabSupply::put_recyclable(const SlabIndex* slabs, std::size_t count) {
  SlabTable& table = pool_.slabs();
  const MutexLock lock(mutex_);
  for (std::size_t i = count; i > 0; --i) {
    const SlabIndex slab = slabs[i - 1];
    table.set_kind(slab, SlabKind::Old); // nothing was born in it
    if (known_.load(std::memory_order_relaxed) == Known::Nothing) {
      table.set_use(slab, SlabUse::Filled);
      continue;
    }
    table.set_use(slab, SlabUse::Unswept);
    if (slab.number >= swept_) { // else the next sweep lists it
      recyclable_.push_back(slab);
      add_hole_bytes(hole_bytes_of(slab));
    }
  }
}

// [heap.mixed.2] [heap.mixed.3]
std::size_t SlabSupply::list_holes(SlabIndex slab, FreeRun* out) const {
  const Address base = pool_.slabs().address_of(slab);
  SlabMarks marks;
  Known known = known_.load(std::memory_order_acquire);
  for (;;) {
    if (known == Known::Nothing) {
      return 0;
    }
    const bool before = known == Known::Previous && !has_fault(Fault::HolesByNewMarks);
    marks.copy(before ? bits_.previous() : bits_, base);
    std::atomic_thread_fence(std::memory_order_acquire);
    const Known now = known_.load(std::memory_order_relaxed);
    if (now == known) {
      break;
    }
    known = now;
  }
  LiveMap live;
  build_live_map(base, marks, layouts_, &live);
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
  if (known_.load(std::memory_order_relaxed) == Known::Current) {
    known_.store(Known::Previous, std::memory_order_relaxed);
  } else { // [heap.mixed.5]
    drop_list();
    known_.store(Known::Nothing, std::memory_order_relaxed);
  }
  is_list_before_ = true;
  swept_ = 0;
  set_start(0, 0);
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
  known_.store(Known::Current, std::memory_order_release);
  // Before bits of the cycle before are cleared. [heap.mixed.3]
  std::atomic_thread_fence(std::memory_order_release);
}

// Slabs opened since the mark started, and those whose holes were handed out, belong to their threads and are not looked at.
void SlabSupply::look_at(SlabIndex slab, Rebuild* rebuild) {
  SlabTable& slabs = pool_.slabs();
  const SlabKind kind = slabs.kind(slab);
  const std::size_t live = slabs.known_live(slab);
  if (live != 0) {
    rebuild->result_.live_end = slab.number + 1; // they come in order
  }
  if (slabs.is_mixed(kind)) { // [heap.mixed.4]
    rebuild->result_.live_bytes += live * kGranule;
    ++rebuild->result_.slabs_kept;
  }
  const bool faulty =
      has_fault(Fault::FreshSwept) && kind == slabs.fresh_kind() && slabs.use(slab) == SlabUse::Filled;
  if (!slabs.is_old(kind) && !faulty) {
    return;
  }
  slabs.set_kind(slab, SlabKind::Old);
  const SlabUse use = slabs.use(slab);
  ECHO_CHECK(use == SlabUse::Filled || use == SlabUse::Unswept, "[heap.alloc.3] a slab is owned in a mark");
  if (poison_) {
    poison_holes(slab);
  }
  if (live == 0) {
    pool_.put_slab(slab);
    ++rebuild->result_.slabs_freed;
    return;
  }
  rebuild->result_.live_bytes += live * kGranule;
  ++rebuild->result_.slabs_kept;
  slabs.set_use(slab, SlabUse::Unswept);
  slabs.hole_granules(slab) = static_cast<std::uint16_t>(kGranulesPerSlab - live);
  if (live * 2 <= kGranulesPerSlab) {
    rebuild->by_density_[(live * 2 - 1) * kDensities / kGranulesPerSlab].push_back(slab);
    rebuild->result_.hole_bytes += kSlabBytes - live * kGranule;
  } else if (live < kGranulesPerSlab) {
    rebuild->result_.dense_hole_bytes += kSlabBytes - live * kGranule;
    rebuild->dense_.push_back(slab);
  }
}

bool SlabSupply::rebuild_some(Rebuild* rebuild, std::size_t most) {
  while (most != 0 && rebuild->next_.number < rebuild->end_) {
    const MutexLock lock(mutex_);
    for (std::size_t i = 0;
         i < (poison_ ? 1 : kLookedAtUnderLock) && most != 0 && rebuild->next_.number < rebuild->end_;
         ++i, --most) {
      look_at(rebuild->next_, rebuild);
      swept_ = ++rebuild->next_.number;
    }
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
  // Slabs beyond the last that the sweep knew are of the fresh kind: none was in the list before.
  recyclable_.swap(rebuild->recyclable_);
  dense_.swap(rebuild->dense_);
  hole_bytes_.store(rebuild->result_.hole_bytes, std::memory_order_relaxed);
  dense_hole_bytes_.store(rebuild->result_.dense_hole_bytes, std::memory_order_relaxed);
  is_list_before_ = false;
  swept_ = 0;
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
  for (const SlabIndex slab : dense_) {
    add_hole_bytes(hole_bytes_of(slab));
  }
  dense_hole_bytes_.store(0, std::memory_order_relaxed);
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
  known_.store(Known::Nothing, std::memory_order_release);
  std::atomic_thread_fence(std::memory_order_release);
  SlabTable& slabs = pool_.slabs();
  const std::uint32_t end = pool_.slab_high_water();
  const MutexLock lock(mutex_);
  drop_list();
  is_list_before_ = false;
  for (SlabIndex s{0}; s.number < end; ++s.number) {
    if (slabs.is_old(slabs.kind(s))) {
      slabs.set_kind(s, SlabKind::Old);
      if (slabs.use(s) == SlabUse::Unswept) {
        slabs.set_use(s, SlabUse::Filled);
      }
    }
  }
}

} // namespace echo
