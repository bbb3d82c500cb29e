// SPDX-License-Identifier: MIT
//
// Purpose     The objects whose finalization is due, until the VM takes them.
// Drawing     blocks, oldest first:   | . . x x | x x x x | x x |
//                                          head              tail       x: due;  the trace of a mark: from head on
//
// Invariants  [final.once.1] Each object is taken once. [final.root.1] What waits here is a root: traced beside the program from
//             what waits when a mark starts. Nothing is added while marking, and who takes one then logs it, as every
//             reference that leaves a root. [final.block.1] A block that waits here is not empty.
// Threads     Any; the mutex is held for O(1) steps, or kTracedBeside objects.
#pragma once

#include "heap/mutex.h"
#include "heap/words.h"

#include <array>
#include <atomic>
#include <cstddef>

namespace echo {

// One page of objects.
struct FinalizableBlock {
  static constexpr std::size_t kObjects = 510;
  FinalizableBlock* next = nullptr;
  std::size_t count = 0;
  std::array<Address, kObjects> objects;
  bool is_full() const { return count == kObjects; }
};
static_assert(sizeof(FinalizableBlock) == 4096);

// Owns its blocks. O(1) but for the end of its life.
class FinalizableList {
public:
  FinalizableList() = default;
  ~FinalizableList();
  FinalizableList(const FinalizableList&) = delete;
  FinalizableList& operator=(const FinalizableList&) = delete;

  FinalizableBlock* front() const { return first_; }
  FinalizableBlock* back() const { return last_; }
  std::size_t objects() const { return objects_; }
  // Takes a block, with what is in it.
  void push_back(FinalizableBlock* block);
  // The caller owns it.
  FinalizableBlock* pop_front();
  // Behind its last block, which must not be full; add() keeps the count.
  void add(Address object) {
    last_->objects[last_->count++] = object;
    ++objects_;
  }
  // All blocks of `other` behind these.
  void append(FinalizableList& other);

private:
  FinalizableBlock* first_ = nullptr;
  FinalizableBlock* last_ = nullptr;
  std::size_t objects_ = 0;
};

class FinalizerQueue {
public:
  // Outside marking. [final.root.1]
  void append(FinalizableList& due) ECHO_EXCLUDES(mutex_);
  // The oldest; false: nothing is due.
  bool take(ObjectRef* out) ECHO_EXCLUDES(mutex_);
  std::size_t size() const { return size_.load(std::memory_order_relaxed); }
  std::uint64_t taken() const { return taken_.load(std::memory_order_relaxed); }

  // In a stop.
  template <class Visit> void for_each(Visit visit) ECHO_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    std::size_t i = head_;
    for (const FinalizableBlock* block = due_.front(); block != nullptr; block = block->next, i = 0) {
      for (; i < block->count; ++i) {
        visit(ObjectRef{block->objects[i]});
      }
    }
  }
  // In the stop in which a mark starts: what waits now is to be traced.
  void begin_trace() ECHO_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    traced_ = due_.front();
    next_ = head_;
  }
  // At most `most` objects; false: nothing was left.
  template <class Visit> bool trace_some(std::size_t most, Visit visit) ECHO_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    const bool some = traced_ != nullptr;
    for (std::size_t left = most; left != 0 && traced_ != nullptr; --left) {
      visit(ObjectRef{traced_->objects[next_]});
      if (++next_ == traced_->count) {
        traced_ = traced_->next;
        next_ = 0;
      }
    }
    return some;
  }

  bool has_untraced() ECHO_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    return traced_ != nullptr;
  }

private:
  Mutex mutex_;
  FinalizableList due_ ECHO_GUARDED_BY(mutex_);
  std::size_t head_ ECHO_GUARDED_BY(mutex_) = 0; // in the first block
  FinalizableBlock* traced_ ECHO_GUARDED_BY(mutex_) = nullptr;
  std::size_t next_ ECHO_GUARDED_BY(mutex_) = 0; // in traced_
  std::atomic<std::size_t> size_{0};
  std::atomic<std::uint64_t> taken_{0};
};

} // namespace echo
