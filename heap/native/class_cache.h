// SPDX-License-Identifier: MIT
//
// Purpose     One thread's cells of one size: the hot path of native allocation.
//
//             L1  the cell freed last, then a LIFO
//                 stack of free cells, then the
//                 cells of a reserved word          no lock, no atomic read-modify-write
//             L2  a list of own slabs with free cells, refilling L1 in batches      the same
//             L3  new slabs from the space; cells freed by other threads; slabs of threads that are gone
//
// Invariants  [native.cache.1] L1's stack holds cells of slabs this cache owns whose live bit is 0, each once. Of
//             such a slab, exactly the cells with live bit 0 that are not in L1 are free to be taken; L1 is
//             empty when cells are taken, so live bits alone decide: those of reserved cells are set [native.word.1].
//             Nothing is ever written into a free cell.
//             [native.free.2] The free of a cell that is live, by the thread that owns its slab, is one
//             bitmap test and one store. Any other pointer leaves the fast path. [native.free.3] Of two frees
//             of one cell, ordered by happens-before, exactly the first succeeds, whichever threads they come
//             from. If they race, and are the owner's and the first one ever from another thread, both may
//             report success; the cell is still free once: the other thread has set the tag to Requested and
//             raised the cache's floor, and the owner, who looks at that before it hands out the next cell,
//             drops the remote bits of cells that are not live. No check can do better without a fence in the owner's path
//             (Attiya and others, Laws of Order, POPL 2011). Races between all others are decided by the
//             slab's lock.
//             [native.last.1] The cell freed last by the fast path waits in last_, but if another does and L1 is full,
//             free although its live bit is set, and is the first to be handed out again: a pair of allocation and
//             free touches neither bit nor stack. It becomes an ordinary free cell before the owner does anything else
//             but the two fast paths. Whoever else reads a live bit with the slab's lock held reads last_ first
//             (acquire): if that is another cell, the bit is up to date. It is never a cell of a Shared slab: the
//             owner's frees there take the lock, and what was freed last before was settled when the owner made the
//             slab Shared.
//             [native.last.2] Handed out again, it stays in last_, with the mark kTaken: it is known to be live, and its
//             free needs no other check. Nobody else frees it without taking it out of last_ first, with the slab's lock
//             held, unless the slab is Shared; and of a Shared slab it is none.
// Equations   allocations = granted - turns left
//             pushes = allocations + |L1, reserved cells included| + dropped - refilled;  frees = pushes + aside + remote
#pragma once

#include "heap/native/cache_policy.h"
#include "heap/native/free_result.h"
#include "heap/native/native_space.h"
#include "heap/native/reserved_word.h"
#include "heap/native/slab_record.h"

#include <atomic>
#include <bit>
#include <cstdint>

namespace echo::native {

class ThreadCache;

struct ClassCounters {
  std::uint64_t allocations = 0;
  std::uint64_t frees = 0;
  std::uint64_t refills = 0;           // allocations that found L1 empty
  std::uint64_t late_double_frees = 0; // found by [native.free.3]
  std::uint64_t slabs = 0;             // owned
  std::uint64_t rate = 0;              // uses per second in the last window
};

class alignas(kCacheLine) ClassCache {
public:
  void open(ThreadCache* thread, Pool* pool, NativeSpace* space, Cell cell, const CacheHints& hints,
            void** cells);
  // The cache of no size: has no cell and takes none.
  void open_dead(void** cells) { cells_ = cells; }

  // --- called by the owning thread, or by whoever holds the pool's lock while the cache is idle ---

  // Null: this is not the fast path's business; allocate_slow() knows.
  void* try_allocate() {
    std::uint32_t state = state_.load(std::memory_order_relaxed);
    if (__builtin_expect(state < floor_.load(std::memory_order_relaxed), 0)) {
      return nullptr;
    }
    const Address last = last_.load(std::memory_order_relaxed);
    void* p = nullptr;
    if (__builtin_expect(is_free(last), 1)) {
      last_.store(last + kTaken, std::memory_order_relaxed); // its live bit was never cleared [native.last.1]
      p = reinterpret_cast<void*>(last);
    } else {
      p = cells_[state % kOneTurn]; // null if there is none
      if (p != nullptr) {
        std::uint32_t index = 0;
        BitWord& live = live_word(reinterpret_cast<Address>(p), &index);
        live.store(live.load(std::memory_order_relaxed) | bit(index), std::memory_order_relaxed);
        state -= kOneCell;
      } else if ((p = reserved_.take(cell_bytes_)) == nullptr) {
        return nullptr;
      }
    }
    state_.store(state - kOneTurn, std::memory_order_relaxed);
    return p;
  }
  // Null: out of memory.
  void* allocate_slow();
  void* allocate() {
    void* const p = try_allocate();
    return __builtin_expect(p != nullptr, 1) ? p : allocate_slow();
  }

  // `otherwise` gives the result if p is not a live cell of a biased slab of this cache: nothing has changed, and the
  // pool finds out why. (A function and not a result, so that each way out is the caller's last step.)
  template <class Otherwise> bool free_fast(void* p, Otherwise otherwise) {
    const auto at = reinterpret_cast<Address>(p);
    if (__builtin_expect(last_.load(std::memory_order_relaxed) == at + kTaken, 1)) { // [native.last.2]
      last_.store(at, std::memory_order_release);
      return true;
    }
    const Address offset = at - base_;
    if (__builtin_expect(offset / kSlabBytes >= slab_count_, 0)) {
      return otherwise();
    }
    const SlabEntry& entry = table_[offset / kSlabBytes];
    if (__builtin_expect(entry.owner.load(std::memory_order_relaxed) != word(OwnerTag::Biased), 0)) {
      return otherwise();
    }
    // cell_at() in its parts: with the condition as a value the compiler keeps it in a saved register.
    const std::uint64_t product = (offset % kSlabBytes) * magic_;
    if (__builtin_expect(static_cast<std::uint32_t>(product) >= magic_, 0)) {
      return otherwise();
    }
    const std::uint64_t index = product >> 32;
    BitWord& live = live_bits_[offset / kSlabBytes * kSlabWords + index / 64];
    const std::uint64_t before = live.load(std::memory_order_relaxed);
    if (__builtin_expect((before >> (index % 64) & 1) == 0 || reserved_.has(&live, index), 0)) {
      return otherwise();
    }
    const Address last = last_.load(std::memory_order_relaxed);
    if (is_free(last)) {
      if (__builtin_expect(last == at, 0)) {
        return otherwise();
      }
      return stacked() < limit_ ? replace_last(last, at)
                                : put_aside(entry, live, before & ~(std::uint64_t{1} << (index % 64)),
                                            static_cast<std::uint32_t>(index / 64));
    }
    last_.store(at, std::memory_order_release);
    return true;
  }

  // The free of a live cell of an own slab in any state.
  void free_own(SlabRecord& record, void* p);
  // Another thread is about to free the cell; the slab's lock is held. [native.last.2]
  void forget_taken(const void* p) {
    Address taken = reinterpret_cast<Address>(p) + kTaken;
    (void)last_.compare_exchange_strong(taken, no_cell(), std::memory_order_seq_cst);
  }
  // Whether a cell lives of which nobody but its slab's owner, by this word, may have freed it. Any thread that holds the slab's
  // lock. A Shared slab has neither a cell in last_ nor reserved ones; of the others last_ is asked before the bit, on a line
  // that the owner writes all the time. [native.last.1] [native.word.2]
  static bool is_live(std::uintptr_t owner, const void* p, const BitWord& live, std::uint64_t bit) {
    if (tag_of(owner) == OwnerTag::Shared) {
      return (live.load(std::memory_order_seq_cst) & bit) != 0;
    }
    const ClassCache& cache = *owner_of(owner);
    return cache.last_.load(std::memory_order_acquire) != reinterpret_cast<Address>(p) &&
           cache.reserved_.is_handed_out(cache.shown_, &live, bit);
  }
  // A free of somebody else's cell by this cache's thread has succeeded.
  void count_remote_free() { bump(remote_frees_); }

  // Moves L1 to L2, collects what others have freed, and keeps at most `keep` empty slabs. Returns the bytes
  // given to the space.
  std::size_t trim(std::uint32_t keep);
  // Gives a slab with free cells to another cache of the same pool and size, of the other's node if `local`; the
  // pool's lock is held.
  bool give_slab_to(ClassCache& other, bool local);
  // Gives the system whole free pages of slabs of which at least `percent` are free. Bytes given.
  std::size_t release_free_pages(std::uint32_t percent);
  // The end of a window of measurement. [native.hot.1]
  void end_window(std::uint64_t elapsed_ns);

  // --- called by anyone ---

  // With the slab's lock held: the slab has remote bits to collect.
  void notify(SlabRecord& record);
  // With the slab's lock held: takes a biased slab's bias away.
  void request(SlabRecord& record);
  ClassCounters counters() const;
  // "" if the cache's lists, bits and table entries agree, else what does not. Owner only; deep.
  const char* check();
  // Detaches all slabs and gives them to the space; nobody uses the pool any more.
  void close();

  Cell cell() const { return cell_; }
  // For tests of the policy and the levels. Owner only.
  const CachePolicy& policy() const { return policy_; }
  std::uint32_t cached() const {
    return stacked() + reserved_.left() + (is_free(last_.load(std::memory_order_relaxed)) ? 1 : 0);
  }
  std::uint32_t limit() const { return limit_; }

  template <class Function> void for_each_slab(Function function) {
    for (SlabRecord* record = owned_; record != nullptr;) {
      SlabRecord* const next = record->owned_next;
      function(*record);
      record = next;
    }
  }
  static ClassCache* owner_of(std::uintptr_t word) {
    return reinterpret_cast<ClassCache*>(word & ~kOwnerTagMask);
  }
  static OwnerTag tag_of(std::uintptr_t word) { return static_cast<OwnerTag>(word & kOwnerTagMask); }
  static constexpr std::uint64_t bit(std::uint32_t cell) { return std::uint64_t{1} << (cell % 64); }
  std::uintptr_t word(OwnerTag tag) const {
    return reinterpret_cast<std::uintptr_t>(this) | static_cast<std::uintptr_t>(tag);
  }

private:
  // The state word: cells in L1's stack (low half) and allocations until the next look at the clock (high half). Below
  // the floor the slow path is due: no turns are left, or another thread has made a request, which raises the floor.
  static constexpr std::uint32_t kOneCell = 1;
  static constexpr std::uint32_t kOneTurn = std::uint32_t{1} << 16;
  static constexpr std::uint32_t kTurns = 4096;
  static constexpr std::uint32_t kRequested = ~std::uint32_t{0};
  static_assert(kMaxCached < kOneTurn);

  // What last_ holds: a free cell, or with kTaken one that was handed out, or no cell: no pointer that a program has.
  static constexpr Address kTaken = 1;
  static bool is_free(Address last) { return last % 2 == 0; }
  Address no_cell() const { return reinterpret_cast<Address>(this) + kTaken; }

  static void bump(std::atomic<std::uint64_t>& counter, std::uint64_t by = 1) {
    counter.store(counter.load(std::memory_order_relaxed) + by, std::memory_order_relaxed);
  }

  bool refill();
  std::uint32_t take_cells(SlabRecord& record, std::uint32_t want);
  std::uint32_t reserve_word(SlabRecord& record);
  bool reserve_next();
  std::uint32_t fill_stack(SlabRecord& record, std::uint32_t want);
  // Collects remote frees; true if a cell became free. The slab's lock is held.
  bool collect_remote(SlabRecord& record);
  void collect_pending();
  void acknowledge_requests();
  std::uint32_t stacked() const { return state_.load(std::memory_order_relaxed) % kOneTurn; }
  void set_stacked(std::uint32_t count) {
    const std::uint32_t state = state_.load(std::memory_order_relaxed);
    state_.store(state / kOneTurn * kOneTurn + count, std::memory_order_relaxed);
  }
  // Of a cell's start: the word of its live bit, and its index.
  BitWord& live_word(Address at, std::uint32_t* index) const {
    const Address offset = at - base_;
    *index = static_cast<std::uint32_t>((offset % kSlabBytes) * magic_ >> 32);
    return live_bits_[offset / kSlabBytes * kSlabWords + *index / 64];
  }
  // The bits that a word of live bits may have.
  std::uint64_t cells_of_word(std::uint32_t w) const {
    const std::uint32_t before = 64 * w;
    return before + 64 <= capacity_ ? ~std::uint64_t{0}
           : before >= capacity_    ? 0
                                    : bit(capacity_ - before) - 1;
  }
  // The cell freed last becomes an ordinary free cell of L1's stack, which has room; `at` takes its place. True.
  // (Not inlined: what it needs of registers would have to be saved by every free.)
  [[gnu::noinline]] bool replace_last(Address last, Address at) {
    std::uint32_t index = 0;
    BitWord& live = live_word(last, &index);
    live.store(live.load(std::memory_order_relaxed) & ~bit(index), std::memory_order_relaxed);
    const std::uint32_t state = state_.load(std::memory_order_relaxed) + kOneCell;
    cells_[state % kOneTurn] = reinterpret_cast<void*>(last);
    state_.store(state, std::memory_order_relaxed);
    last_.store(at, std::memory_order_release);
    return true;
  }
  // A cell becomes an ordinary free cell of its slab: its bit goes. The slab may know already that it has free cells from
  // this word on. True.
  bool put_aside(const SlabEntry& entry, BitWord& live, std::uint64_t after, std::uint32_t word) {
    live.store(after, std::memory_order_relaxed);
    SlabRecord& record = *entry.record.load(std::memory_order_relaxed);
    if (__builtin_expect(record.first_word <= word && after != 0, 1)) {
      bump(aside_);
      return true;
    }
    return note_aside(record, word, after == 0);
  }
  // Every function of the owner but the two fast paths begins with one of these. [native.last.1]
  void settle_last() {
    const Address last = last_.load(std::memory_order_relaxed);
    if (!is_free(last)) {
      last_.store(no_cell(), std::memory_order_release);
    } else if (stacked() < limit_) {
      (void)replace_last(last, no_cell());
    } else {
      std::uint32_t index = 0;
      BitWord& live = live_word(last, &index);
      last_.store(no_cell(), std::memory_order_release);
      (void)put_aside(table_[(last - base_) / kSlabBytes], live,
                      live.load(std::memory_order_relaxed) & ~bit(index), index / 64);
    }
  }
  // And all but those that look at one cell only give the reserved cells back.
  void settle() {
    settle_last();
    if (reserved_.left() != 0) {
      unreserve();
    }
  }
  void unreserve();
  // The slab is told. True.
  [[gnu::noinline]] bool note_aside(SlabRecord& record, std::uint32_t word, bool is_last_of_word);
  void note_free_cell(SlabRecord& record, std::uint32_t word);
  void note_if_empty(SlabRecord& record, std::uint32_t first_word);
  bool is_empty(SlabRecord& record, std::uint32_t first_word) const;
  void list(SlabRecord& record);
  void unlist(SlabRecord& record);
  void own(SlabRecord& record);
  void disown(SlabRecord& record);
  bool take_slab();
  // False if a remote free is still to be collected.
  bool retire(SlabRecord& record);
  void retire_surplus(std::uint32_t keep, std::size_t* bytes);
  void purge(SlabIndex slab);
  void flush_l1();
  void grant_turns();
  SlabEntry& entry_of(const SlabRecord& record) { return table_[record.slab.number]; }

  // The hot line. Others write the floor only, when they first free a cell of a slab.
  std::atomic<std::uint32_t> state_{0};
  std::atomic<std::uint32_t> floor_{kOneTurn};
  void** cells_ = nullptr; // the stack from the second entry on; the first one is null
  SlabEntry* table_ = nullptr;
  Address base_ = 0;
  std::size_t slab_count_ = 0;
  BitWord* live_bits_ = nullptr;
  std::atomic<Address> last_{no_cell()}; // [native.last.1] [native.last.2]
  std::uint32_t limit_ = 0;
  std::uint32_t magic_ = 0;

  // The second hot line, of programs that do not free what they have just allocated.
  alignas(kCacheLine) ReservedWord reserved_; // [native.word.1]
  std::uint32_t cell_bytes_ = 0;
  std::uint32_t batch_left_ = 0; // cells that words may still be reserved of without a refill
  std::atomic<std::uint64_t> aside_{0};

  // The warm lines: slow paths of the owner.
  alignas(kCacheLine) SlabRecord* partial_ = nullptr;
  Cell cell_{};
  std::uint16_t capacity_ = 0;
  std::uint16_t words_ = 0;
  SlabRecord* owned_ = nullptr;
  ThreadCache* thread_ = nullptr;
  Pool* pool_ = nullptr;
  NativeSpace* space_ = nullptr;
  std::uint32_t empty_ = 0; // counted slabs
  CachePolicy policy_;
  std::uint64_t window_allocations_ = 0;
  std::atomic<std::uint64_t> granted_{0};  // turns, ever
  std::atomic<std::uint32_t> granting_{0}; // odd while granted and state are out of step
  std::atomic<std::uint64_t> refills_{0};
  std::atomic<std::uint64_t> refilled_{0};
  std::atomic<std::uint64_t> dropped_{0};
  std::atomic<std::uint64_t> remote_frees_{0};
  std::atomic<std::uint64_t> late_double_frees_{0};
  std::atomic<std::uint64_t> slabs_{0};
  std::atomic<std::uint64_t> rate_{0};

  ReservedWord::Shown shown_;

  // Written by other threads.
  alignas(kCacheLine) std::atomic<SlabRecord*> pending_{nullptr};
};
static_assert(alignof(ClassCache) == kCacheLine && sizeof(ClassCache) % kCacheLine == 0);

} // namespace echo::native
