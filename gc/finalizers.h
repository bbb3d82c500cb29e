// SPDX-License-Identifier: MIT
//
// Purpose     The finalizable objects of a heap: who they are, and which of them the last mark found dead.
// Algorithm   The cold path of allocation adds an object to a block of its thread: no lock, no atomic. Full blocks, and in the
//             stop in which a mark starts the current ones, go to the heap. Behind the mark, beside the program, the
//             collector sorts them: kept, or due. Then it marks what is due and all that it reaches, which no thread can
//             reach meanwhile, and hands it to the queue.
//
// Invariants  [final.all.1] When a mark ends, each finalizable object that existed when it started is in these lists, or was due
//             before. [final.dead.1] Due is decided for all before any of them is marked: objects that reach each other are due
//             together. [final.order.1] Lists keep the order in which objects came. [final.memory.1] Sorting fills
//             the blocks that it empties again, and needs two more to begin with. If the system refuses them nothing is due in
//             this cycle, and all of it stays alive.
// Equations   after k blocks: kept and due blocks <= k + 2
// Threads     A thread's block is its own; incoming ones have a lock; the rest belongs to who drives the cycle.
#pragma once

#include "barriers/deletion_log.h"
#include "gc/finalizer_queue.h"
#include "heap/memory.h"

namespace echo {

class Finalizers {
public:
  explicit Finalizers(const Memory& memory) : snapshot_(memory.pool.slabs(), memory.bits) {}
  // Before the first finalizable object, and with no scan on: the blocks that sorting needs. False: no native memory.
  bool open();

  // Room in a thread's block for one more object; false: no native memory.
  bool make_room(FinalizableBlock*& mine) ECHO_EXCLUDES(mutex_);
  // Gives a thread's block, if it has one, to the heap. O(1).
  void hand_over(FinalizableBlock*& mine) ECHO_EXCLUDES(mutex_);

  // Behind a whole mark, before anything is swept. False: all are to be kept alive instead. [final.memory.1]
  bool begin_scan() ECHO_EXCLUDES(mutex_);
  // Looks at about `most` objects, at least a block; false: nothing is left.
  bool scan_some(std::size_t most);
  // After that, in the order in which they came.
  FinalizableList& due() { return due_; }
  // The mark turned out to be worthless: what was due is not.
  void take_back_due() { registered_.append(due_); }

  // Nothing finalizable is known, or was handed over since the last scan.
  bool are_none() ECHO_EXCLUDES(mutex_) {
    const MutexLock lock(mutex_);
    return incoming_.front() == nullptr && registered_.front() == nullptr;
  }

  // All that the heap knows: valid between scans.
  const FinalizableList& all() const { return registered_; }
  // Tests: as if there were no native memory for sorting.
  void refuse_memory(bool on) { refused_ = on; }

  // Known to the heap, of the last scan.
  std::size_t registered() const { return registered_count_.load(std::memory_order_relaxed); }

private:
  void put(FinalizableList& list, Address object);

  const Snapshot snapshot_;
  Mutex mutex_;
  FinalizableList incoming_ ECHO_GUARDED_BY(mutex_);
  FinalizableList registered_, source_, due_;
  FinalizableList spare_; // empty blocks, at most kSpare
  bool refused_ = false;
  std::atomic<std::size_t> registered_count_{0};
};

} // namespace echo
