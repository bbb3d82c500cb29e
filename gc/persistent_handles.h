// SPDX-License-Identifier: MIT
//
// Purpose     Handles that belong to no scope and no thread: cells that native code creates, reads and destroys.
// Drawing     echo_persistent (64 bits):  | serial of the cell's use 32 | index of the cell + 1, 32 |
//             blocks of 1024, 2048, 4096, ... cells, so that an index leads to its cell without a table that moves
//             a free cell:  | index of the next free one + 1, times 2, + 1 |  odd, so no reference
//
// Invariants  [handles.persistent.1] A handle is valid iff its cell carries its serial. Destroying raises the serial; a cell
//             whose serials are used up is not used again. Serials start at a number that depends on the heap and the cell,
//             so that another heap's handle does not fit. [handles.persistent.2] O(1).
//             [handles.persistent.3] Whoever writes holds the lock, in whatever state its thread is: creation and
//             destruction need no managed state, and no stop waits for them.
//             [handles.persistent.4] No stop enumerates cells. What there is when a mark starts is traced beside the
//             program, a slice at a time under the lock. Whoever overwrites a cell of the snapshot that is not traced yet
//             puts what it held to those that leave, once per cell and mark: these are traced too. A cell that is traced
//             owes nothing, so a thread that destroys handles beside the stop at the end of a mark can not be late.
// Equations   cells below block k: 1024 (2^k - 1);  j = index + 1024: k = floor(log2 j) - 10, place = j - 1024 * 2^k
#pragma once

#include "echo/persistent.h"
#include "gc/freeze.h"
#include "heap/mutex.h"
#include "heap/words.h"

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>
#include <deque>
#include <sched.h>
#include <string>
#include <unordered_map>

namespace echo {

class PersistentHandles {
public:
  static constexpr std::uint32_t kFirstBlock = 1024;
  static constexpr std::size_t kBlocks = 22;
  static constexpr std::uint32_t kMostCells = UINT32_MAX - kFirstBlock;

  PersistentHandles();
  ~PersistentHandles();
  PersistentHandles(const PersistentHandles&) = delete;
  PersistentHandles& operator=(const PersistentHandles&) = delete;

  // Any thread, any state. ECHO_OK, LIMIT_EXCEEDED, HANDLE_MISUSE, SYSTEM_MEMORY with a sentence.
  echo_status make(ObjectRef object, echo_persistent* out, std::string* why) ECHO_EXCLUDES(mutex_);
  echo_status copy(echo_persistent from, echo_persistent* out, std::string* why) ECHO_EXCLUDES(mutex_);
  echo_status set(echo_persistent handle, ObjectRef object, std::string* why) ECHO_EXCLUDES(mutex_);
  echo_status destroy(echo_persistent handle, std::string* why) ECHO_EXCLUDES(mutex_);
  // A managed thread. False: the handle is not valid. Takes no lock.
  bool get(echo_persistent handle, ObjectRef* out) const;
  std::uint64_t count() const { return count_.load(std::memory_order_relaxed); }

  // In the stop in which a mark starts that runs beside the program. O(1).
  void begin_snapshot() ECHO_EXCLUDES(mutex_);
  // The mark is over, or given up.
  void end_snapshot() ECHO_EXCLUDES(mutex_);
  // By whoever marks: at most `most` cells; false: there was nothing left.
  template <class Visit> bool trace(std::uint32_t most, Visit visit) ECHO_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    if (next_ == end_ && leaving_.empty()) {
      return false;
    }
    for (; most > 0 && !leaving_.empty(); --most) {
      visit(ObjectRef{leaving_.back()});
      leaving_.pop_back();
    }
    for (; most > 0 && next_ != end_; --most) {
      const Cell& cell = cell_at(next_++);
      if (cell.mark != mark_ && !is_free_word(cell.object)) {
        visit(ObjectRef{cell.object});
      }
    }
    return true;
  }
  bool has_untraced() ECHO_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    return next_ != end_ || !leaving_.empty();
  }
  // In a stop: every cell, for a mark that is one stop, and for the verifier.
  template <class Visit> void for_each(Visit visit) ECHO_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    const std::uint32_t top = top_.load(std::memory_order_relaxed);
    for (std::uint32_t i = 0; i < top; ++i) {
      if (!is_free_word(cell_at(i).object)) {
        visit(ObjectRef{cell_at(i).object});
      }
    }
  }
  // In a stop in which marks are compared with roots: native threads that create and destroy wait meanwhile.
  void freeze(bool on) ECHO_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    freeze_.set(on);
  }

private:
  struct Cell {
    Address object;       // read without the lock: atomics
    std::uint32_t serial; // the same
    std::uint32_t mark;   // the last one whose snapshot the cell has left
  };
  static constexpr std::uint32_t kNone = UINT32_MAX;
  static bool is_free_word(Address word) { return (word & 1) != 0; }
  static std::size_t block_of(std::uint32_t index) {
    return static_cast<std::size_t>(std::bit_width(index + kFirstBlock)) - std::bit_width(kFirstBlock);
  }
  Cell& cell_at(std::uint32_t index) const {
    const std::size_t block = block_of(index);
    return blocks_[block].load(std::memory_order_acquire)[index + kFirstBlock - (kFirstBlock << block)];
  }
  std::uint32_t first_serial(std::uint32_t index) const;
  // The cell of a handle that is valid; kNone.
  std::uint32_t index_of(echo_persistent handle) const;
  void lock_unless_frozen() ECHO_NO_THREAD_ANALYSIS;
  echo_status make_locked(ObjectRef object, echo_persistent* out, std::string* why) ECHO_REQUIRES(mutex_);
  // Of the snapshot and not traced: puts it to those that leave.
  void leave_snapshot(std::uint32_t index) ECHO_REQUIRES(mutex_);

  class Changing; // holds the lock, not while frozen

  const std::uint64_t salt_;
  Mutex mutex_;
  std::array<std::atomic<Cell*>, kBlocks> blocks_{};
  std::atomic<std::uint32_t> top_{0}; // cells that were ever used
  std::uint32_t free_ ECHO_GUARDED_BY(mutex_) = kNone;
  std::uint32_t mark_ ECHO_GUARDED_BY(mutex_) = 0;
  std::uint32_t next_ ECHO_GUARDED_BY(mutex_) = 0, end_ ECHO_GUARDED_BY(mutex_) = 0; // of the snapshot
  std::deque<Address> leaving_ ECHO_GUARDED_BY(mutex_);
  Freeze freeze_ ECHO_GUARDED_BY(mutex_);
  std::atomic<std::uint64_t> count_{0};
};

// Objects that the program pinned: each is held by a persistent handle, whatever is pinned for. [pin.count.1]
class ObjectPins {
public:
  explicit ObjectPins(PersistentHandles& handles) : handles_(handles) {}
  echo_status pin(ObjectRef object, std::string* why) ECHO_EXCLUDES(mutex_);
  echo_status unpin(ObjectRef object, std::string* why) ECHO_EXCLUDES(mutex_);
  std::uint64_t count() ECHO_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    return pins_.size();
  }

private:
  struct Pin {
    std::uint64_t count = 0;
    echo_persistent handle = nullptr;
  };
  PersistentHandles& handles_;
  Mutex mutex_;
  std::unordered_map<Address, Pin> pins_ ECHO_GUARDED_BY(mutex_);
};

} // namespace echo
