// SPDX-License-Identifier: MIT
//
// Purpose     The slow paths of a class cache: refills, slabs coming and going, frees by other threads.
#include "heap/native/class_cache.h"

#include "heap/cpu_relax.h"
#include "heap/native/pool.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <mutex>
#include <sched.h>

namespace echo::native {

namespace {
// Takes of cells from a slab, none of them after a free by another thread, until it is biased again. A slab that is filled
// by one thread and emptied by another is taken from once or twice in between, and must stay shared.
constexpr unsigned kQuietTakes = 3;
// Free cells of a word that are worth a refill of their own; and batches from which on words are reserved.
constexpr int kWorthReserving = 16;
constexpr std::uint32_t kLeastBatchForWords = 64;
} // namespace

void SlabLock::lock_slow() {
  for (;;) {
    for (int i = 0; i < 64; ++i) {
      if (word_.load(std::memory_order_relaxed) == 0 && word_.exchange(1, std::memory_order_acquire) == 0) {
        return;
      }
      cpu_relax();
    }
    ::sched_yield(); // the holder has lost its processor
  }
}

void ClassCache::open(ThreadCache* thread, Pool* pool, NativeSpace* space, Cell cell, const CacheHints& hints,
                      void** cells) {
  const CellShape& shape = shape_of(cell);
  cells_ = cells;
  table_ = space->table();
  base_ = space->base();
  slab_count_ = space->slab_count();
  live_bits_ = space->live_bits();
  magic_ = shape.magic;
  cell_bytes_ = shape.bytes;
  words_ = shape.words;
  capacity_ = shape.capacity;
  cell_ = cell;
  thread_ = thread;
  pool_ = pool;
  space_ = space;
  policy_ = CachePolicy(hints, shape.capacity);
  limit_ = policy_.limit();
}

// --- lists
// ---------------------------------------------------------------------------------------------------

void ClassCache::list(SlabRecord& record) {
  record.partial_previous = nullptr;
  record.partial_next = partial_;
  if (partial_ != nullptr) {
    partial_->partial_previous = &record;
  }
  partial_ = &record;
  record.listed = true;
  if (record.first_word == SlabRecord::kNotListed) {
    record.first_word = kSlabWords;
  }
}

void ClassCache::unlist(SlabRecord& record) {
  (record.partial_previous == nullptr ? partial_ : record.partial_previous->partial_next) =
      record.partial_next;
  if (record.partial_next != nullptr) {
    record.partial_next->partial_previous = record.partial_previous;
  }
  record.listed = false;
  record.first_word = SlabRecord::kNotListed;
}

void ClassCache::own(SlabRecord& record) {
  record.owned_previous = nullptr;
  record.owned_next = owned_;
  if (owned_ != nullptr) {
    owned_->owned_previous = &record;
  }
  owned_ = &record;
  bump(slabs_);
}

void ClassCache::disown(SlabRecord& record) {
  if (record.listed) {
    unlist(record);
  }
  if (record.counted) {
    record.counted = false;
    --empty_;
  }
  (record.owned_previous == nullptr ? owned_ : record.owned_previous->owned_next) = record.owned_next;
  if (record.owned_next != nullptr) {
    record.owned_next->owned_previous = record.owned_previous;
  }
  slabs_.store(slabs_.load(std::memory_order_relaxed) - 1, std::memory_order_relaxed);
}

// --- allocation
// ----------------------------------------------------------------------------------------------

void* ClassCache::allocate_slow() {
  settle();
  if (floor_.load(std::memory_order_relaxed) == kRequested) {
    acknowledge_requests();
  }
  if (state_.load(std::memory_order_relaxed) < kOneTurn) {
    grant_turns();
    thread_->service(true);
  }
  if (stacked() == 0 && !reserve_next()) {
    bump(refills_);
    if (!refill()) {
      return nullptr;
    }
  }
  return allocate();
}

void ClassCache::grant_turns() {
  const std::uint32_t step = granting_.load(std::memory_order_relaxed);
  granting_.store(step + 1, std::memory_order_relaxed);
  std::atomic_thread_fence(std::memory_order_release);
  granted_.store(granted_.load(std::memory_order_relaxed) + kTurns, std::memory_order_relaxed);
  state_.store(state_.load(std::memory_order_relaxed) + kTurns * kOneTurn, std::memory_order_relaxed);
  granting_.store(step + 2, std::memory_order_release);
}

// [native.cache.1] L1 is empty here.
bool ClassCache::refill() {
  thread_->service(false);
  policy_.on_refill();
  limit_ = policy_.limit();
  const std::uint32_t want = policy_.batch();
  for (;;) {
    while (partial_ != nullptr) {
      SlabRecord& record = *partial_;
      const std::uint32_t taken = take_cells(record, want);
      if (taken != 0) {
        batch_left_ = want - std::min(want, taken);
        bump(refilled_, taken);
        return true;
      }
      unlist(record);
    }
    if (pending_.load(std::memory_order_relaxed) != nullptr) {
      collect_pending();
      if (partial_ != nullptr) {
        continue;
      }
    }
    if (pool_->adopt_slab(*this)) {
      continue;
    }
    if (!take_slab()) {
      return false;
    }
  }
}

// Fills the empty L1 from a slab; how many cells.
std::uint32_t ClassCache::take_cells(SlabRecord& record, std::uint32_t want) {
  SlabEntry& entry = entry_of(record);
  if (tag_of(entry.owner.load(std::memory_order_relaxed)) != OwnerTag::Biased) {
    const std::scoped_lock lock(record.lock);
    collect_remote(record);
    // Nobody else has freed a cell for some time: the owner may do without the lock again. A thread that is about to
    // free one waits for the lock and will find the tag. [native.owner.2]
    if (record.foreign_frees != 0) {
      record.foreign_frees = 0;
      record.quiet_takes = 0;
    } else if (record.quiet_takes >= kQuietTakes && !record.notified) {
      entry.owner.store(word(OwnerTag::Biased), std::memory_order_relaxed);
    }
  }
  // Of a slab that others free into, a whole batch at a time: each look at it costs them its line.
  const bool biased = entry.owner.load(std::memory_order_relaxed) == word(OwnerTag::Biased);
  std::uint32_t taken = biased && want >= kLeastBatchForWords ? reserve_word(record) : 0;
  if (taken == 0 && (taken = fill_stack(record, want)) == 0) {
    return 0;
  }
  record.quiet_takes = static_cast<std::uint8_t>(std::min(record.quiet_takes + 1u, kQuietTakes));
  if (record.counted) {
    record.counted = false;
    --empty_;
  }
  return taken;
}

// The next word of a batch that has begun, if nobody else frees cells of its slab: else these are collected first.
bool ClassCache::reserve_next() {
  if (batch_left_ == 0 || partial_ == nullptr ||
      entry_of(*partial_).owner.load(std::memory_order_relaxed) != word(OwnerTag::Biased)) {
    return false;
  }
  const std::uint32_t taken = reserve_word(*partial_);
  batch_left_ = taken == 0 ? 0 : batch_left_ - std::min(batch_left_, taken);
  bump(refilled_, taken);
  return taken != 0;
}

// The free cells of the slab's first word that has any, if they are many. [native.word.1]
std::uint32_t ClassCache::reserve_word(SlabRecord& record) {
  BitWord* const live = space_->live_of(record.slab);
  for (std::uint32_t w = record.first_word; w < words_; ++w) {
    const std::uint64_t free = cells_of_word(w) & ~live[w].load(std::memory_order_relaxed);
    if (free == 0) {
      continue;
    }
    record.first_word = static_cast<std::uint16_t>(w);
    if (std::popcount(free) < kWorthReserving) {
      break;
    }
    reserved_.open(shown_, &live[w], space_->slab_start(record.slab) + std::size_t{64} * w * cell_bytes_,
                   free);
    record.first_word = static_cast<std::uint16_t>(w + 1);
    return static_cast<std::uint32_t>(std::popcount(free));
  }
  return 0;
}

// Up to `want` free cells, so that they are handed out in the order of their addresses.
std::uint32_t ClassCache::fill_stack(SlabRecord& record, std::uint32_t want) {
  const Address start = space_->slab_start(record.slab);
  const BitWord* const live = space_->live_of(record.slab);
  std::uint32_t left = want; // entries [1, left] are not filled yet
  std::uint32_t w = record.first_word;
  for (; w < words_ && left != 0; ++w) {
    std::uint64_t free = cells_of_word(w) & ~live[w].load(std::memory_order_relaxed);
    for (; free != 0 && left != 0; free &= free - 1) {
      const std::size_t cell = 64 * w + static_cast<std::uint32_t>(std::countr_zero(free));
      cells_[left--] = reinterpret_cast<void*>(start + cell * cell_bytes_);
    }
    if (free != 0) {
      break;
    }
  }
  record.first_word = static_cast<std::uint16_t>(w);
  const std::uint32_t taken = want - left;
  if (left != 0) {
    std::copy_n(cells_ + 1 + left, taken, cells_ + 1);
  }
  set_stacked(taken);
  return taken;
}

// What is left of the reserved word goes back to its slab.
void ClassCache::unreserve() {
  const Address offset = reserved_.first() - base_;
  SlabRecord& record = *table_[offset / kSlabBytes].record.load(std::memory_order_relaxed);
  bump(dropped_, reserved_.left());
  reserved_.close(shown_);
  note_free_cell(record, cell_at(offset % kSlabBytes, magic_).index / 64);
}

bool ClassCache::take_slab() {
  // Zeroed the first time; afterwards its lock must not be touched.
  // [native.record.1]
  auto* const record = static_cast<SlabRecord*>(space_->records().take(sizeof(SlabRecord), false));
  if (record == nullptr) {
    return false;
  }
  std::uint8_t node = 0;
  SlabIndex slab{};
  if (!space_->take_slab(thread_->node(), thread_->number(), &slab, &node)) {
    space_->records().give(record, sizeof(SlabRecord));
    return false;
  }
  {
    const std::scoped_lock lock(record->lock);
    record->pool = pool_;
    record->slab = slab;
    record->cell = cell_;
    record->first_word = 0;
    record->node = node;
    record->counted = false;
    record->notified = false;
    record->foreign_frees = 0;
    record->quiet_takes = 0;
  }
  own(*record);
  list(*record);
  SlabEntry& entry = entry_of(*record);
  // The owner first: whoever finds the record finds the owner.
  entry.owner.store(word(OwnerTag::Biased), std::memory_order_relaxed);
  entry.record.store(record, std::memory_order_release);
  policy_.on_slab();
  return true;
}

// --- frees
// ---------------------------------------------------------------------------------------------------

// A cell of `word` has become free outside L1.
void ClassCache::note_free_cell(SlabRecord& record, std::uint32_t word) {
  record.first_word = std::min(record.first_word, static_cast<std::uint16_t>(word));
  if (!record.listed) {
    list(record);
  }
}

bool ClassCache::note_aside(SlabRecord& record, std::uint32_t word, bool is_last_of_word) {
  bump(aside_);
  note_free_cell(record, word);
  if (is_last_of_word && !record.counted) {
    note_if_empty(record, word);
    space_->settle();
  }
  return true;
}

bool ClassCache::is_empty(SlabRecord& record, std::uint32_t first_word) const {
  const BitWord* const live = space_->live_of(record.slab);
  // From the word just emptied: neighbours were probably freed together, so a live cell is found soon.
  for (std::uint32_t i = 0, w = first_word; i < words_; ++i, w = w + 1 == words_ ? 0 : w + 1) {
    if (live[w].load(std::memory_order_relaxed) != 0) {
      return false;
    }
  }
  return true;
}

void ClassCache::note_if_empty(SlabRecord& record, std::uint32_t first_word) {
  if (record.counted || !is_empty(record, first_word)) {
    return;
  }
  if (empty_ < policy_.keep() || !retire(record)) {
    record.counted = true;
    ++empty_;
  }
}

void ClassCache::free_own(SlabRecord& record, void* p) {
  settle_last();
  const auto at = reinterpret_cast<Address>(p);
  std::uint32_t index = 0;
  BitWord& live = live_word(at, &index);
  live.store(live.load(std::memory_order_relaxed) & ~bit(index), std::memory_order_relaxed);
  const std::uint32_t count = stacked();
  if (count < limit_) {
    cells_[count + 1] = p;
    set_stacked(count + 1);
  } else {
    bump(aside_);
    note_free_cell(record, index / 64);
  }
}

void ClassCache::notify(SlabRecord& record) {
  record.notified = true;
  SlabRecord* head = pending_.load(std::memory_order_relaxed);
  do {
    record.pending_next = head;
  } while (
      !pending_.compare_exchange_weak(head, &record, std::memory_order_release, std::memory_order_relaxed));
}

bool ClassCache::collect_remote(SlabRecord& record) {
  SlabEntry& entry = entry_of(record);
  const bool requested = tag_of(entry.owner.load(std::memory_order_relaxed)) == OwnerTag::Requested;
  BitWord* const live = space_->live_of(record.slab);
  BitWord* const remote = space_->remote_of(record.slab);
  bool any = false;
  for (std::uint32_t part = 0; part < std::size(record.remote_words); ++part) {
    for (std::uint64_t words = record.remote_words[part]; words != 0; words &= words - 1) {
      const std::uint32_t w = 64 * part + static_cast<std::uint32_t>(std::countr_zero(words));
      std::uint64_t freed = remote[w].load(std::memory_order_relaxed);
      remote[w].store(0, std::memory_order_relaxed);
      const std::uint64_t before = live[w].load(std::memory_order_relaxed);
      if ((freed & ~before) != 0) {
        // [native.free.3] The owner freed the cell in the same moment; it counts as freed once.
        bump(late_double_frees_, static_cast<std::uint64_t>(std::popcount(freed & ~before)));
        freed &= before;
      }
      live[w].store(before & ~freed, std::memory_order_relaxed);
      if (freed != 0) {
        record.first_word = std::min(record.first_word, static_cast<std::uint16_t>(w));
        any = true;
      }
    }
    record.remote_words[part] = 0;
  }
  if (requested) {
    entry.owner.store(word(OwnerTag::Shared), std::memory_order_relaxed);
  }
  return any;
}

// The slab joins the pending list before the flag is set, so that whoever sees the flag finds the slab.
void ClassCache::request(SlabRecord& record) {
  entry_of(record).owner.store(word(OwnerTag::Requested), std::memory_order_relaxed);
  if (!record.notified) {
    notify(record);
  }
  floor_.store(kRequested, std::memory_order_seq_cst);
}

// Other threads have freed cells of slabs for the first time. [native.free.3]
void ClassCache::acknowledge_requests() {
  // Cleared first: a request that comes now is seen the next time at the latest.
  floor_.exchange(kOneTurn, std::memory_order_seq_cst);
  collect_pending();
}

void ClassCache::collect_pending() {
  SlabRecord* record = pending_.exchange(nullptr, std::memory_order_acquire);
  while (record != nullptr) {
    SlabRecord* const next = record->pending_next;
    {
      const std::scoped_lock lock(record->lock);
      record->notified = false;
      collect_remote(*record);
    }
    if (!record->listed) {
      list(*record);
    }
    note_if_empty(*record, 0);
    record = next;
  }
}

// --- slabs going
// ---------------------------------------------------------------------------------------------

void ClassCache::purge(SlabIndex slab) {
  const Address start = space_->slab_start(slab);
  const std::uint32_t count = stacked();
  std::uint32_t kept = 0;
  for (std::uint32_t i = 1; i <= count; ++i) {
    if (reinterpret_cast<Address>(cells_[i]) - start >= kSlabBytes) {
      cells_[++kept] = cells_[i];
    }
  }
  set_stacked(kept);
  bump(dropped_, count - kept);
}

bool ClassCache::retire(SlabRecord& record) {
  SlabEntry& entry = entry_of(record);
  {
    const std::scoped_lock lock(record.lock);
    if (record.notified || !is_empty(record, 0)) {
      return false; // remote frees to collect first, or a cell of an empty slab was handed out from L1
    }
    entry.owner.store(0, std::memory_order_relaxed);
    entry.record.store(nullptr, std::memory_order_relaxed);
  }
  purge(record.slab);
  disown(record);
  const SlabIndex slab = record.slab;
  space_->put_slab(slab);
  space_->records().give(&record, sizeof(SlabRecord));
  return true;
}

void ClassCache::retire_surplus(std::uint32_t keep, std::size_t* bytes) {
  for (SlabRecord* record = partial_; record != nullptr && empty_ > keep;) {
    SlabRecord* const next = record->partial_next;
    if (record->counted) {
      if (retire(*record)) {
        *bytes += kSlabBytes;
      } else {
        record->counted = false;
        --empty_;
      }
    }
    record = next;
  }
}

// L1 to L2: the cells are in their slabs already, by their live bits.
void ClassCache::flush_l1() {
  const std::uint32_t count = stacked();
  for (std::uint32_t i = 1; i <= count; ++i) {
    const Address offset = reinterpret_cast<Address>(cells_[i]) - base_;
    SlabRecord& record = *table_[offset / kSlabBytes].record.load(std::memory_order_relaxed);
    note_free_cell(record, cell_at(offset % kSlabBytes, magic_).index / 64);
  }
  set_stacked(0);
  bump(dropped_, count);
}

std::size_t ClassCache::trim(std::uint32_t keep) {
  settle();
  std::size_t bytes = 0;
  flush_l1();
  acknowledge_requests();
  for_each_slab([&](SlabRecord& record) {
    if (!record.counted && is_empty(record, 0)) {
      if (!record.listed) {
        list(record);
      }
      record.first_word = 0;
      record.counted = true;
      ++empty_;
    }
  });
  retire_surplus(keep, &bytes);
  return bytes;
}

bool ClassCache::give_slab_to(ClassCache& other, bool local) {
  settle();
  flush_l1();
  acknowledge_requests();
  for (SlabRecord* record = partial_; record != nullptr; record = record->partial_next) {
    if (local && record->node != other.thread_->node()) {
      continue;
    }
    const BitWord* const live = space_->live_of(record->slab);
    bool has_free = false;
    for (std::uint32_t w = 0; w < words_ && !has_free; ++w) {
      has_free = (cells_of_word(w) & ~live[w].load(std::memory_order_relaxed)) != 0;
    }
    if (!has_free) {
      continue;
    }
    {
      const std::scoped_lock lock(record->lock);
      if (record->notified) {
        continue; // a free since collect_pending(); the next one to come takes it
      }
      collect_remote(*record);
      record->foreign_frees = 0;
      entry_of(*record).owner.store(other.word(OwnerTag::Biased), std::memory_order_relaxed);
    }
    disown(*record);
    other.own(*record);
    record->first_word = 0;
    other.list(*record);
    if (record->node != other.thread_->node()) {
      space_->note_migration();
    }
    return true;
  }
  return false;
}

std::size_t ClassCache::release_free_pages(std::uint32_t percent) {
  settle();
  std::size_t bytes = 0;
  const std::uint32_t cell_bytes = shape_of(cell_).bytes;
  for_each_slab([&](SlabRecord& record) {
    const BitWord* const live = space_->live_of(record.slab);
    std::uint32_t live_cells = 0;
    for (std::uint32_t w = 0; w < words_; ++w) {
      live_cells += static_cast<std::uint32_t>(std::popcount(live[w].load(std::memory_order_relaxed)));
    }
    if ((capacity_ - live_cells) * 100 < percent * capacity_) {
      return;
    }
    const Address start = space_->slab_start(record.slab);
    for (std::size_t page = 0; page < kSlabBytes; page += kPageBytes) {
      const auto first = static_cast<std::uint32_t>(page / cell_bytes);
      const auto last =
          std::min(static_cast<std::uint32_t>((page + kPageBytes - 1) / cell_bytes), capacity_ - 1u);
      bool free = true;
      for (std::uint32_t cell = first; cell <= last && free; ++cell) {
        free = (live[cell / 64].load(std::memory_order_relaxed) & bit(cell)) == 0;
      }
      // The last page of a slab may hold nothing but its tail, then first > last.
      bytes += free ? space_->discard(start + page, kPageBytes) : 0;
    }
  });
  return bytes;
}

void ClassCache::close() {
  settle();
  for_each_slab([&](SlabRecord& record) {
    {
      const std::scoped_lock lock(record.lock);
      entry_of(record).owner.store(0, std::memory_order_relaxed);
      entry_of(record).record.store(nullptr, std::memory_order_relaxed);
      for (std::uint32_t w = 0; w < words_; ++w) {
        space_->live_of(record.slab)[w].store(0, std::memory_order_relaxed);
        if ((record.remote_words[w / 64] >> (w % 64) & 1) != 0) {
          space_->remote_of(record.slab)[w].store(0, std::memory_order_relaxed);
        }
      }
      std::fill(std::begin(record.remote_words), std::end(record.remote_words), 0);
    }
    space_->put_slab(record.slab);
    space_->records().give(&record, sizeof(SlabRecord));
  });
  owned_ = partial_ = nullptr;
  set_stacked(0);
}

// --- measurement
// ---------------------------------------------------------------------------------------------

void ClassCache::end_window(std::uint64_t elapsed_ns) {
  settle();
  const std::uint64_t allocations = counters().allocations;
  policy_.on_window(allocations - window_allocations_, elapsed_ns);
  window_allocations_ = allocations;
  rate_.store(policy_.rate(), std::memory_order_relaxed);
  limit_ = policy_.limit();
  std::size_t bytes = 0;
  if (!policy_.hot()) {
    trim(policy_.keep()); // not hot: out of L1 [native.hot.1]
    return;
  }
  if (stacked() > limit_) {
    flush_l1();
  }
  retire_surplus(policy_.keep(), &bytes);
}

ClassCounters ClassCache::counters() const {
  ClassCounters out;
  const auto get = [](const auto& counter) { return counter.load(std::memory_order_relaxed); };
  std::uint32_t state = 0;
  std::uint32_t last = 0;
  std::uint32_t reserved = 0;
  std::uint32_t before = 0;
  do {
    before = granting_.load(std::memory_order_acquire);
    out.allocations = get(granted_);
    state = get(state_);
    last = is_free(last_.load(std::memory_order_relaxed)) ? 1 : 0;
    reserved = reserved_.left();
    std::atomic_thread_fence(std::memory_order_acquire);
  } while (before % 2 != 0 || before != granting_.load(std::memory_order_relaxed));
  out.allocations -= state / kOneTurn;
  out.refills = get(refills_);
  out.late_double_frees = get(late_double_frees_);
  out.slabs = get(slabs_);
  out.rate = get(rate_);
  const std::uint64_t pushes =
      out.allocations + state % kOneTurn + last + reserved + get(dropped_) - get(refilled_);
  out.frees = pushes + get(aside_) + get(remote_frees_);
  return out;
}

const char* ClassCache::check() {
  if (const Address last = last_.load(std::memory_order_relaxed); last != no_cell()) {
    const SlabEntry& entry = table_[(last - base_) / kSlabBytes];
    std::uint32_t index = 0;
    const BitWord& live = live_word(last, &index);
    const std::uintptr_t owner = entry.owner.load(std::memory_order_relaxed);
    if (owner_of(owner) != this || tag_of(owner) == OwnerTag::Shared ||
        (live.load(std::memory_order_relaxed) & bit(index)) == 0) {
      return "the cell freed or handed out last is not one of an own slab with its bit set [native.last.1] "
             "[native.last.2]";
    }
  }
  if (reserved_.left() != 0 && tag_of(table_[(reserved_.first() - base_) / kSlabBytes].owner.load(
                                   std::memory_order_relaxed)) == OwnerTag::Shared) {
    return "cells of a slab that others free into are reserved [native.word.1]";
  }
  settle();
  std::uint32_t listed = 0;
  std::uint32_t counted = 0;
  for (SlabRecord* record = partial_; record != nullptr; record = record->partial_next) {
    ++listed;
    if (!record->listed) {
      return "a slab in the list of slabs with free cells does not know it";
    }
  }
  for (SlabRecord* record = owned_; record != nullptr; record = record->owned_next) {
    SlabEntry& entry = entry_of(*record);
    if (record->listed == (record->first_word == SlabRecord::kNotListed)) {
      return "a slab that is not in the list of those with free cells has a first word";
    }
    if (entry.record.load(std::memory_order_relaxed) != record ||
        owner_of(entry.owner.load(std::memory_order_relaxed)) != this) {
      return "an owned slab's table entry names another owner [native.owner.1]";
    }
    listed -= record->listed ? 1 : 0;
    counted += record->counted ? 1 : 0;
    const std::scoped_lock lock(record->lock);
    const bool biased = tag_of(entry.owner.load(std::memory_order_relaxed)) == OwnerTag::Biased;
    for (std::uint32_t w = 0; w < kSlabWords; ++w) {
      const std::uint64_t live = space_->live_of(record->slab)[w].load(std::memory_order_relaxed);
      const std::uint64_t remote = space_->remote_of(record->slab)[w].load(std::memory_order_relaxed);
      if ((live & ~cells_of_word(w)) != 0) {
        return "a live bit is set behind the last cell [native.live.1]";
      }
      if ((biased && remote != 0) || (remote & ~live) != 0) {
        return "a remote bit is set where nothing lives [native.remote.1]";
      }
      if (remote != 0 && (record->remote_words[w / 64] >> (w % 64) & 1) == 0) {
        return "a remote bit is set in a word that is not noted [native.remote.1]";
      }
    }
  }
  if (listed != 0 || counted != empty_) {
    return "the numbers of listed or empty slabs are wrong";
  }
  const std::uint32_t count = stacked();
  if (cells_[0] != nullptr) {
    return "the entry below L1 is not null";
  }
  for (std::uint32_t i = 1; i <= count; ++i) {
    const Address offset = reinterpret_cast<Address>(cells_[i]) - base_;
    SlabEntry& entry = table_[offset / kSlabBytes];
    if (owner_of(entry.owner.load(std::memory_order_relaxed)) != this) {
      return "a cached cell lies in a slab of another owner [native.cache.1]";
    }
    const CellIndex cell = cell_at(offset % kSlabBytes, magic_);
    std::uint32_t index = 0;
    const std::uint64_t live = live_word(base_ + offset, &index).load(std::memory_order_relaxed);
    if (!cell.is_start || cell.index != index || index >= capacity_ || (live & bit(index)) != 0) {
      return "a cached cell is not a free cell [native.cache.1]";
    }
    for (std::uint32_t k = 1; k < i; ++k) {
      if (cells_[k] == cells_[i]) {
        return "a cell is cached twice [native.cache.1]";
      }
    }
  }
  return "";
}

} // namespace echo::native
