// SPDX-License-Identifier: MIT
//
// Purpose     What several markers share: who works on which region of the heap, the edges that wait for a region, the
//             slices of long arrays, and who is at work.
// Algorithm   A region of the heap belongs to one marker at a time, which alone writes its mark bits, its start bits and
//             its live counts: no atomic read-modify-write, and the locality of regions (gc/edge_stacks.h) for each processor.
//             Edges into other regions are collected by the marker itself; a full block goes to the region's inbox, less when
//             another marker has nothing to do. Whoever has emptied his region looks into its inbox, lets it go, and takes
//             one that nobody has.
// Drawing     marker 1: region 4, blocks of edges into 0 1 2 3 5 ...  --full block-->  inbox of 0, 1, 2, ...
//             marker 2: region 7, blocks of edges into ...            --when let go--> taken by whoever takes the region
//             lead: the marker that always takes part, whoever holds the lock over marking; the others are seconds, which
//             come when they are called, find work or go, and sleep in between.
//
// Invariants  [mark.parallel.1] The bits and counts of a region are written only by the marker that has it; regions change
//             hands under the lock. [mark.parallel.2] A second that is not at work holds no edge: leaving, it puts all into
//             the inboxes. So nothing is left to mark when the lead has nothing, no second is at work, and nothing waits here.
//             [mark.parallel.3] Nobody spins: a second without work sleeps until it is called, the lead until there is
//             something to take or the last second has gone. [mark.parallel.4] Objects with weak slots, ephemerons, trace
//             callbacks or ambiguous words are marked and counted by whoever has the region and then handed to the lead,
//             which alone looks into them, in slices of its own. [mark.parallel.5] Ephemerons are looked at only while no
//             second is at work, and while a key is waited for none comes: so each object that becomes marked is looked up.
// Equations   edges that wait = sum over regions of the edges in their inboxes;  [mark.bound.1] with one partial block per
//             region for each marker and each inbox; two edges' room per handed object, whose words have pushed none
// Threads     All of it under the lock, but for what says otherwise. Seconds take no other lock while they hold it.
#pragma once

#include "gc/edge_stacks.h"
#include "heap/mutex.h"

#include <array>
#include <atomic>
#include <functional>
#include <string>

namespace echo {

class EdgePool {
public:
  static constexpr std::size_t kMostSeconds = 15;
  static constexpr std::size_t kMostSpares = 16; // free blocks that a marker keeps at hand
  struct Slice {
    Address array;
    std::size_t next;
  };
  // What a second has done since it last said so.
  struct Done {
    std::uint64_t edges = 0, objects = 0, bytes = 0;
  };

  static constexpr std::size_t bytes_for(std::size_t edges, std::size_t markers) {
    return EdgeStacks::bytes_for(edges, markers + 1) + markers * kMostSpares * EdgeBlocks::kBytes;
  }
  // Once. `memory`: bytes_for(...) bytes, then as many slices. `call` wakes a second.
  void use(void* memory, std::size_t edge_bytes, std::size_t slices, std::function<void(std::size_t)> call);
  EdgeBlocks& blocks() { return blocks_; } // of the only marker in one region

  // --- by the lead, no second being at work
  void begin(const EdgeStacks& geometry);
  // In the child of a fork, where the seconds are gone: nobody is at work. The mark is worthless.
  void forget_seconds() ECHO_EXCLUDES(mutex_);

  // --- by the lead
  // How many seconds may come; those beyond it leave soon.
  void allow(std::size_t seconds) ECHO_EXCLUDES(mutex_);
  std::size_t allowed() const { return limit_.load(std::memory_order_relaxed); }
  // [mark.parallel.2], for a lead that holds nothing.
  bool is_quiet() ECHO_EXCLUDES(mutex_);
  // No second comes while it is held; none may be at work. [mark.parallel.5]
  void hold(bool on) ECHO_EXCLUDES(mutex_);
  // Returns when the lead can take something or all is quiet, at the latest after `most_us`.
  void wait_for_work(std::uint64_t most_us) ECHO_EXCLUDES(mutex_);
  // Tests: all of it goes to the seconds; returns when they have done what they can.
  void give_all(EdgeStacks& mine) ECHO_EXCLUDES(mutex_);
  // Sends all seconds away and returns when they have gone.
  void dismiss() ECHO_EXCLUDES(mutex_);
  // An object for the lead; null: there is none.
  Address take_handed() ECHO_EXCLUDES(mutex_);
  // What seconds found wrong, once; or "".
  std::string take_corruption() ECHO_EXCLUDES(mutex_);

  // --- by a second
  // Whether it is to work: then it leaves by leave().
  bool enter(std::size_t second) ECHO_EXCLUDES(mutex_);
  bool must_leave(std::size_t second) const { return second >= limit_.load(std::memory_order_relaxed); }
  void leave(EdgeStacks& mine, std::size_t second) ECHO_EXCLUDES(mutex_);
  void hand_objects(const Address* objects, std::size_t count) ECHO_EXCLUDES(mutex_);
  void report(const std::string& corruption) ECHO_EXCLUDES(mutex_);
  void add(const Done& done); // no lock
  // [mark.parallel.2] What those that have left did is complete.
  Done done_by_seconds() const;

  // --- by any marker, of its own stacks
  // The top after a block was added for edges into `region`: others' full blocks go to the inbox.
  EdgeBlocks::Top grow(EdgeStacks& mine, std::size_t region) ECHO_EXCLUDES(mutex_);
  EdgeBlocks::Top shrink(EdgeStacks& mine, EdgeBlocks::Top top) ECHO_EXCLUDES(mutex_);
  // The current region, when it is empty: its inbox, or another region. False: there is nothing that could be taken, and
  // `mine` is empty.
  bool next_region(EdgeStacks& mine) ECHO_EXCLUDES(mutex_);
  // When a second lacks work: what waits for other regions goes to their inboxes, if it is worth a call.
  void share(EdgeStacks& mine) ECHO_EXCLUDES(mutex_);
  bool is_wanting() const { return wanting_.load(std::memory_order_relaxed); }
  void push_slice(Slice slice, std::size_t words_left) ECHO_EXCLUDES(mutex_);
  bool take_slice(Slice* slice) ECHO_EXCLUDES(mutex_);
  // By the lead alone: of an array whose words are ambiguous. [mark.parallel.4]
  void push_lead_slice(Slice slice) ECHO_EXCLUDES(mutex_);
  bool take_lead_slice(Slice* slice) ECHO_EXCLUDES(mutex_);
  // The same without the lock, for the only marker in one region.
  void push_own_slice(Slice slice) ECHO_NO_THREAD_ANALYSIS { put_slice(slice); }
  bool take_own_slice(Slice* slice) ECHO_NO_THREAD_ANALYSIS { return pop_slice(slice); }

  // The most markers that were ever at work together.
  std::size_t most_at_work() const { return most_at_work_.load(std::memory_order_relaxed); }

private:
  using Top = EdgeBlocks::Top;
  static constexpr std::size_t kWorthACall = 64; // edges
  static constexpr std::size_t kWordsWorthACall = 1024;
  static constexpr unsigned kTurnsBetweenShares = 16;
  struct Calls { // to be made when the lock is free again
    std::array<std::uint8_t, kMostSeconds> seconds{};
    std::size_t count = 0;
  };

  void put_slice(Slice slice) ECHO_REQUIRES(mutex_) {
    ECHO_CHECK(slices_top_ != lead_slices_, "[mark.bound.1] more slices than long arrays");
    *slices_top_++ = slice;
  }
  bool pop_slice(Slice* slice) ECHO_REQUIRES(mutex_) {
    if (slices_top_ == slices_) {
      return false;
    }
    *slice = *--slices_top_;
    return true;
  }
  void fill_spares(EdgeStacks& mine) ECHO_REQUIRES(mutex_);
  void hand(std::size_t region, Top list) ECHO_REQUIRES(mutex_);
  void hand_others(EdgeStacks& mine) ECHO_REQUIRES(mutex_);
  void let_go(EdgeStacks& mine) ECHO_REQUIRES(mutex_);
  Top take_inbox(std::size_t region) ECHO_REQUIRES(mutex_);
  void own(std::size_t region, bool on) ECHO_REQUIRES(mutex_);
  bool find_region(EdgeStacks& mine) ECHO_REQUIRES(mutex_);
  void share_locked(EdgeStacks& mine) ECHO_REQUIRES(mutex_);
  bool has_work() const ECHO_REQUIRES(mutex_) { return ready_ != 0 || slices_top_ != slices_; }
  bool has_work_for_lead() const ECHO_REQUIRES(mutex_) {
    return has_work() || handed_ != nullptr || lead_slices_ != slices_end_ || active_ == 0;
  }
  // After every change: wakes the lead, and says whom to call.
  void note_change(Calls* calls, bool worth_a_call) ECHO_REQUIRES(mutex_);
  void update_wanting() ECHO_REQUIRES(mutex_);
  void make(const Calls& calls) const;

  EdgeBlocks blocks_;
  std::function<void(std::size_t)> call_;
  Mutex mutex_;
  std::size_t last_region_ ECHO_GUARDED_BY(mutex_) = 0;
  std::array<Top, EdgeStacks::kMaxRegions> inbox_ ECHO_GUARDED_BY(mutex_){};
  std::array<std::size_t, EdgeStacks::kMaxRegions> waiting_ ECHO_GUARDED_BY(mutex_){}; // edges in an inbox
  std::array<bool, EdgeStacks::kMaxRegions> owned_ ECHO_GUARDED_BY(mutex_){};
  std::size_t ready_ ECHO_GUARDED_BY(mutex_) = 0; // regions that nobody has, with edges in their inbox
  std::size_t ready_edges_ ECHO_GUARDED_BY(mutex_) = 0;
  Address* handed_ ECHO_GUARDED_BY(mutex_) = nullptr; // a stack of words in the same blocks
  Slice* slices_ = nullptr;
  Slice* slices_top_ ECHO_GUARDED_BY(mutex_) = nullptr;
  Slice* lead_slices_ ECHO_GUARDED_BY(mutex_) =
      nullptr; // the lead's own, downwards from the end of the same memory
  Slice* slices_end_ = nullptr;
  std::size_t active_ ECHO_GUARDED_BY(mutex_) = 0; // seconds at work
  std::array<bool, kMostSeconds> called_ ECHO_GUARDED_BY(mutex_){};
  std::array<bool, kMostSeconds> at_work_ ECHO_GUARDED_BY(mutex_){};
  std::size_t allowed_ ECHO_GUARDED_BY(mutex_) = 0;
  bool held_ ECHO_GUARDED_BY(mutex_) = false;
  std::size_t waiters_ ECHO_GUARDED_BY(mutex_) = 0;
  std::string corruption_ ECHO_GUARDED_BY(mutex_);
  std::atomic<std::uint32_t> signal_{0};
  std::atomic<std::size_t> limit_{0}; // allowed_, or 0 while they are held off
  std::atomic<bool> wanting_{false};  // a second could come if there were work
  std::atomic<std::size_t> most_at_work_{0};
  std::atomic<std::uint64_t> edges_{0}, objects_{0}, bytes_{0};
};

// The stacks of a marker as its loop uses them, alone or with others, like EdgeStacks::One: any number of regions; pop takes
// from the one that it has.
class SharedEdges {
public:
  static constexpr bool kIsShared = true;
  static constexpr std::size_t kMarkQueue = 4; // a region's mark bits are near
  SharedEdges(EdgeStacks& stacks, EdgePool& pool)
      : common_(stacks.common()), tops_(stacks.tops_.data()), pool_(&pool), shift_(stacks.shift_) {
    set_current();
  }
  bool is_empty() const { return tops_[current_] == nullptr; }
  void push(Address word) {
    const std::size_t offset = word - common_.base;
    common_.note_wild(offset);
    const std::size_t region = offset < common_.covered ? offset >> shift_ : EdgeStacks::kMaxRegions;
    EdgeBlocks::Top top = tops_[region];
    if (__builtin_expect(EdgeBlocks::is_boundary(top), 0)) {
      top = pool_->grow(*common_.stacks, region);
    }
    *top = static_cast<std::uint32_t>(offset & ((std::size_t{1} << shift_) - 1));
    tops_[region] = top + (region != EdgeStacks::kMaxRegions ? 1 : 0); // [mark.edge.1]
  }
  Address pop() const { // not of an empty stack
    ECHO_CHECK(tops_[current_] != nullptr, "[mark.edge.2] an edge is popped where none is");
    const EdgeBlocks::Top top = tops_[current_] - 1;
    const Address word = region_base_ + *top;
    tops_[current_] =
        __builtin_expect(EdgeBlocks::has_emptied_block(top), 0) ? pool_->shrink(*common_.stacks, top) : top;
    return word;
  }
  bool next_region() {
    const bool found = pool_->next_region(*common_.stacks);
    set_current();
    return found;
  }
  // Whether this marker may write the bits of what lies there. [mark.parallel.1]
  bool has(Address word) const { return (word - common_.base) >> shift_ == current_; }
  void finish() const { common_.stacks->wild_ = common_.wild; }

private:
  void set_current() {
    current_ = common_.stacks->current_;
    region_base_ = common_.base + (current_ << shift_);
  }
  EdgeStacks::Common common_;
  EdgeBlocks::Top* tops_;
  EdgePool* pool_;
  unsigned shift_;
  std::size_t current_ = 0;
  Address region_base_ = 0;
};

} // namespace echo
