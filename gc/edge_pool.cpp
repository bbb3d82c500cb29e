// SPDX-License-Identifier: MIT
//
// Purpose     Regions that change hands, edges that wait for them, and who is at work: edge_pool.h.
#include "gc/edge_pool.h"

#include "gc/futex.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace echo {

void EdgePool::use(void* memory, std::size_t edge_bytes, std::size_t slices,
                   std::function<void(std::size_t)> call) {
  blocks_.use(memory, edge_bytes);
  slices_ = reinterpret_cast<Slice*>(static_cast<char*>(memory) + edge_bytes);
  slices_end_ = slices_ + slices;
  call_ = std::move(call);
  const MutexLock lock(mutex_);
  slices_top_ = slices_;
  lead_slices_ = slices_end_;
}

void EdgePool::begin(const EdgeStacks& geometry) {
  const MutexLock lock(mutex_);
  ECHO_CHECK(active_ == 0, "[mark.parallel.2] a mark begins while a second is at work");
  blocks_.begin();
  const std::size_t regions = std::max(last_region_, geometry.last_region_) + 1; // in use before, or now
  last_region_ = geometry.last_region_;
  std::fill_n(inbox_.begin(), regions, nullptr);
  std::fill_n(waiting_.begin(), regions, 0);
  std::fill_n(owned_.begin(), regions, false);
  ready_ = ready_edges_ = 0;
  handed_ = nullptr;
  slices_top_ = slices_;
  lead_slices_ = slices_end_;
  allowed_ = 0;
  held_ = false;
  corruption_.clear();
  update_wanting();
  edges_ = objects_ = bytes_ = 0;
}

void EdgePool::forget_seconds() {
  const MutexLock lock(mutex_);
  active_ = 0;
  at_work_.fill(false);
  called_.fill(false);
  waiters_ = 0;
  allowed_ = 0;
  update_wanting();
}

// --- who is at work

void EdgePool::update_wanting() {
  const std::size_t limit = held_ ? 0 : allowed_;
  limit_.store(limit, std::memory_order_relaxed);
  wanting_.store(active_ < limit, std::memory_order_relaxed);
}

// [mark.parallel.3]
void EdgePool::note_change(Calls* calls, bool worth_a_call) {
  if (waiters_ != 0 && has_work_for_lead()) {
    signal_.fetch_add(1, std::memory_order_relaxed);
    futex_wake_all(&signal_);
  }
  const std::size_t limit = held_ ? 0 : allowed_;
  if (active_ >= limit || !worth_a_call) {
    return;
  }
  std::size_t useful = std::max<std::size_t>(ready_, slices_top_ != slices_ ? 1 : 0);
  for (std::size_t i = 0; i < limit && useful != 0; ++i) {
    if (called_[i]) {
      --useful;
    } else if (!at_work_[i]) {
      called_[i] = true;
      calls->seconds[calls->count++] = static_cast<std::uint8_t>(i);
      --useful;
    }
  }
}

void EdgePool::make(const Calls& calls) const {
  for (std::size_t i = 0; i < calls.count; ++i) {
    call_(calls.seconds[i]);
  }
}

void EdgePool::allow(std::size_t seconds) {
  Calls calls;
  {
    const MutexLock lock(mutex_);
    allowed_ = std::min(seconds, kMostSeconds);
    update_wanting();
    note_change(&calls, ready_edges_ >= kWorthACall);
  }
  make(calls);
}

bool EdgePool::is_quiet() {
  const MutexLock lock(mutex_);
  return active_ == 0 && !has_work() && handed_ == nullptr && lead_slices_ == slices_end_;
}

void EdgePool::hold(bool on) {
  const MutexLock lock(mutex_);
  ECHO_CHECK(!on || active_ == 0, "[mark.parallel.5] ephemerons are looked at while a second is at work");
  held_ = on;
  update_wanting();
}

void EdgePool::wait_for_work(std::uint64_t most_us) {
  std::uint32_t seen = 0;
  {
    const MutexLock lock(mutex_);
    if (has_work_for_lead()) {
      return;
    }
    ++waiters_;
    seen = signal_.load(std::memory_order_relaxed);
  }
  futex_wait_for(&signal_, seen, most_us);
  const MutexLock lock(mutex_);
  --waiters_;
}

void EdgePool::dismiss() {
  allow(0);
  for (;;) {
    std::uint32_t seen = 0;
    {
      const MutexLock lock(mutex_);
      if (active_ == 0) {
        return;
      }
      ++waiters_;
      seen = signal_.load(std::memory_order_relaxed);
    }
    futex_wait_for(&signal_, seen, 1000);
    const MutexLock lock(mutex_);
    --waiters_;
  }
}

bool EdgePool::enter(std::size_t second) {
  const MutexLock lock(mutex_);
  called_[second] = false;
  if (held_ || second >= allowed_ || !has_work()) {
    return false;
  }
  at_work_[second] = true;
  ++active_;
  update_wanting();
  most_at_work_.store(std::max(most_at_work_.load(std::memory_order_relaxed), active_ + 1),
                      std::memory_order_relaxed);
  return true;
}

// All edges go to the inboxes, and the region to whoever wants it.
void EdgePool::let_go(EdgeStacks& mine) {
  const std::size_t current = std::exchange(mine.current_, EdgeStacks::kNone);
  hand_others(mine);
  if (current != EdgeStacks::kNone) {
    own(current, false);
  }
}

void EdgePool::give_all(EdgeStacks& mine) {
  Calls calls;
  {
    const MutexLock lock(mutex_);
    let_go(mine);
    note_change(&calls, true);
  }
  make(calls);
  for (;;) {
    std::uint32_t seen = 0;
    {
      const MutexLock lock(mutex_);
      if (active_ == 0 && !has_work()) {
        return;
      }
      ++waiters_;
      seen = signal_.load(std::memory_order_relaxed);
    }
    futex_wait_for(&signal_, seen, 1000);
    const MutexLock lock(mutex_);
    --waiters_;
  }
}

// [mark.parallel.2]
void EdgePool::leave(EdgeStacks& mine, std::size_t second) {
  Calls calls;
  {
    const MutexLock lock(mutex_);
    let_go(mine);
    while (mine.spare_ != nullptr) {
      char* const block = mine.spare_;
      mine.spare_ = *reinterpret_cast<char**>(block);
      blocks_.give(block);
    }
    mine.spares_ = 0;
    at_work_[second] = false;
    --active_;
    update_wanting();
    note_change(&calls, ready_edges_ >= kWorthACall);
  }
  make(calls);
}

void EdgePool::report(const std::string& corruption) {
  const MutexLock lock(mutex_);
  if (corruption_.empty()) {
    corruption_ = corruption;
  }
}

std::string EdgePool::take_corruption() {
  const MutexLock lock(mutex_);
  return std::exchange(corruption_, {});
}

void EdgePool::add(const Done& done) {
  edges_.fetch_add(done.edges, std::memory_order_relaxed);
  objects_.fetch_add(done.objects, std::memory_order_relaxed);
  bytes_.fetch_add(done.bytes, std::memory_order_relaxed);
}

EdgePool::Done EdgePool::done_by_seconds() const {
  return {edges_.load(std::memory_order_relaxed), objects_.load(std::memory_order_relaxed),
          bytes_.load(std::memory_order_relaxed)};
}

// --- blocks

void EdgePool::fill_spares(EdgeStacks& mine) {
  for (; mine.spares_ < kMostSpares / 2; ++mine.spares_) {
    char* const block = blocks_.take();
    *reinterpret_cast<char**>(block) = mine.spare_;
    mine.spare_ = block;
  }
}

EdgePool::Top EdgePool::grow(EdgeStacks& mine, std::size_t region) {
  Calls calls;
  const Top full = mine.tops_[region];
  const bool passed_on = full != nullptr && region != mine.current_;
  if (passed_on || mine.spare_ == nullptr) {
    const MutexLock lock(mutex_);
    if (passed_on) {
      hand(region, full);
      note_change(&calls, ready_edges_ >= kWorthACall);
    }
    if (mine.spare_ == nullptr) {
      fill_spares(mine);
    }
  }
  make(calls);
  char* const block = mine.spare_;
  mine.spare_ = *reinterpret_cast<char**>(block);
  --mine.spares_;
  EdgeBlocks::below(block) = passed_on ? nullptr : full;
  return EdgeBlocks::bottom_of(block);
}

EdgePool::Top EdgePool::shrink(EdgeStacks& mine, Top top) {
  char* block = EdgeBlocks::block_of(top);
  const Top below = EdgeBlocks::below(block);
  *reinterpret_cast<char**>(block) = mine.spare_;
  mine.spare_ = block;
  if (++mine.spares_ == kMostSpares) {
    const MutexLock lock(mutex_);
    for (; mine.spares_ > kMostSpares / 2; --mine.spares_) {
      block = mine.spare_;
      mine.spare_ = *reinterpret_cast<char**>(block);
      blocks_.give(block);
    }
  }
  return below;
}

// All blocks of a stack go to the inbox of its region, of which the topmost stays the only one that is not full: what does not
// fill another is copied. [mark.edge.3]
void EdgePool::hand(std::size_t region, Top list) {
  Top& inbox = inbox_[region];
  const bool was_ready = !owned_[region] && inbox != nullptr;
  std::size_t edges = 0;
  while (list != nullptr) {
    char* const block = EdgeBlocks::block_of(list);
    const Top rest = EdgeBlocks::below(block);
    std::size_t here = EdgeBlocks::edges_in(list);
    edges += here;
    if (inbox == nullptr || EdgeBlocks::is_boundary(inbox)) {
      EdgeBlocks::below(block) = inbox;
      inbox = list;
    } else if (EdgeBlocks::is_boundary(list)) { // full: under the partial one
      char* const partial = EdgeBlocks::block_of(inbox);
      EdgeBlocks::below(block) = EdgeBlocks::below(partial);
      EdgeBlocks::below(partial) = list;
    } else {
      const std::size_t room = EdgeBlocks::kEdges - EdgeBlocks::edges_in(inbox);
      const std::size_t moved = std::min(room, here);
      std::memcpy(inbox, list - moved, moved * sizeof *list);
      inbox += moved;
      here -= moved;
      if (here == 0) {
        blocks_.give(block);
      } else {
        EdgeBlocks::below(block) = inbox;
        inbox = list - moved;
      }
    }
    list = rest;
  }
  waiting_[region] += edges;
  if (!owned_[region] && inbox != nullptr) {
    ready_ += was_ready ? 0 : 1;
    ready_edges_ += was_ready ? edges : waiting_[region];
  }
}

// Of all regions but the current one.
void EdgePool::hand_others(EdgeStacks& mine) {
  for (std::size_t r = 0; r <= last_region_; ++r) {
    if (r != mine.current_ && mine.tops_[r] != nullptr) {
      hand(r, mine.tops_[r]);
      mine.tops_[r] = nullptr;
    }
  }
}

// Of a region that somebody has.
EdgePool::Top EdgePool::take_inbox(std::size_t region) {
  const Top list = inbox_[region];
  inbox_[region] = nullptr;
  waiting_[region] = 0;
  return list;
}

// [mark.parallel.1]
void EdgePool::own(std::size_t region, bool on) {
  ECHO_CHECK(owned_[region] != on, "[mark.parallel.1] a region has two markers, or is let go twice");
  owned_[region] = on;
  if (inbox_[region] != nullptr) {
    ready_ = on ? ready_ - 1 : ready_ + 1;
    ready_edges_ = on ? ready_edges_ - waiting_[region] : ready_edges_ + waiting_[region];
  }
}

bool EdgePool::find_region(EdgeStacks& mine) {
  std::size_t r = mine.from_;
  for (std::size_t i = 0; i <= last_region_; ++i) {
    r = r < last_region_ ? r + 1 : 0;
    if ((mine.tops_[r] != nullptr || inbox_[r] != nullptr) && !owned_[r]) {
      own(r, true);
      mine.current_ = mine.from_ = r;
      if (mine.tops_[r] == nullptr) {
        mine.tops_[r] = take_inbox(r);
      }
      return true;
    }
  }
  hand_others(
      mine); // what is left belongs to regions of others, who look into their inboxes before they let go
  return false;
}

bool EdgePool::next_region(EdgeStacks& mine) {
  Calls calls;
  bool found = false;
  {
    const MutexLock lock(mutex_);
    const std::size_t current = mine.current_;
    if (current != EdgeStacks::kNone) {
      if (inbox_[current] != nullptr) {
        mine.tops_[current] = take_inbox(current);
        return true;
      }
      own(current, false);
      mine.current_ = EdgeStacks::kNone;
    }
    found = find_region(mine);
    if (found && is_wanting() && ++mine.turns_ % kTurnsBetweenShares == 0) {
      share_locked(mine);
      note_change(&calls, ready_edges_ >= kWorthACall);
    }
  }
  make(calls);
  return found;
}

void EdgePool::share_locked(EdgeStacks& mine) {
  std::size_t edges = 0;
  for (std::size_t r = 0; r <= last_region_; ++r) {
    edges += r != mine.current_ && mine.tops_[r] != nullptr ? EdgeBlocks::edges_in(mine.tops_[r]) : 0;
  }
  if (edges < kWorthACall) {
    return;
  }
  hand_others(mine);
}

void EdgePool::share(EdgeStacks& mine) {
  Calls calls;
  {
    const MutexLock lock(mutex_);
    share_locked(mine);
    note_change(&calls, ready_edges_ >= kWorthACall);
  }
  make(calls);
}

// --- slices, and objects for the lead

void EdgePool::push_slice(Slice slice, std::size_t words_left) {
  Calls calls;
  {
    const MutexLock lock(mutex_);
    put_slice(slice);
    note_change(&calls, words_left >= kWordsWorthACall);
  }
  make(calls);
}

bool EdgePool::take_slice(Slice* slice) {
  const MutexLock lock(mutex_);
  return pop_slice(slice);
}

void EdgePool::push_lead_slice(Slice slice) {
  const MutexLock lock(mutex_);
  ECHO_CHECK(slices_top_ != lead_slices_, "[mark.bound.1] more slices than long arrays");
  *--lead_slices_ = slice;
  Calls calls;
  note_change(&calls, false); // another thread that leads may be asleep
}

bool EdgePool::take_lead_slice(Slice* slice) {
  const MutexLock lock(mutex_);
  if (lead_slices_ == slices_end_) {
    return false;
  }
  *slice = *lead_slices_++;
  return true;
}

void EdgePool::hand_objects(const Address* objects, std::size_t count) {
  Calls calls;
  const MutexLock lock(mutex_);
  for (std::size_t i = 0; i < count; ++i) {
    if (EdgeBlocks::is_boundary(reinterpret_cast<Top>(handed_))) {
      char* const block = blocks_.take();
      EdgeBlocks::below(block) = reinterpret_cast<Top>(handed_);
      handed_ = reinterpret_cast<Address*>(EdgeBlocks::bottom_of(block));
    }
    *handed_++ = objects[i];
  }
  note_change(&calls, false);
}

Address EdgePool::take_handed() {
  const MutexLock lock(mutex_);
  if (handed_ == nullptr) {
    return 0;
  }
  const Address object = *--handed_;
  const Top top = reinterpret_cast<Top>(handed_);
  if (EdgeBlocks::has_emptied_block(top)) {
    char* const block = EdgeBlocks::block_of(top);
    handed_ = reinterpret_cast<Address*>(EdgeBlocks::below(block));
    blocks_.give(block);
  }
  return object;
}

} // namespace echo
