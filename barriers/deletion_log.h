// SPDX-License-Identifier: MIT
//
// Purpose     What the store barrier hands to the collector: the slots about to be overwritten, with their
//             old values.
// Invariants  [bar.log.1] A record is never dropped: a full buffer goes to the sink before the next record.
//             [bar.log.2] Between two stops the first record of a slot holds the value the slot had at the
//             first stop. [bar.log.3] A buffer is written by its thread, or emptied in a stop. [mark.log.1] While only
//             marking, and not auditing, what is handed over are references to objects that existed when the mark started
//             and were not marked a short time ago: old or large ones, or cells of root blocks. [bar.sift.1] A record waits
//             in its log, with at most kUnsifted others, before its mark bit is asked for: by then the bit has come into
//             the cache, and a store does not wait for it. Marks only become more, so what is dropped later could have
//             been dropped at once. What is taken in the stop at the end is sifted there first, so that records of marked
//             objects do not keep a mark from ending. [mark.log.2] The sink is bounded while marking: a thread
//             that fills a log when kCrowded wait asks for relief, and with kFull waiting does not go on without.
#pragma once

#include "heap/mutex.h"
#include "heap/side_metadata.h"
#include "heap/slab_table.h"

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <vector>

namespace echo {

struct DeletionRecord {
  Address slot = 0;
  Address old_value = 0;
};

// Which deletions concern a marker whose snapshot is the heap as it was when the mark started.
class Snapshot {
public:
  Snapshot(const SlabTable& slabs, const SideMetadata& marks) : slabs_(slabs), marks_(marks) {}
  // In a stop. On: slots of the heap may hold any word, so that a mark bit says nothing about what one points into.
  void set_ambiguous(bool on) { is_ambiguous_ = on; }
  bool is_ambiguous() const { return is_ambiguous_; }
  // Whether `old_value`, about to leave `slot`, may have been in the snapshot: all but its mark. A slot of a fresh object is
  // not in the snapshot; a word that is no address of an object is no reference. [bar.cold.1]
  bool may_concern(Address slot, Address old_value) const {
    const SlabKind fresh = slabs_.fresh_kind();
    return slabs_.kind_of_word(slot) != fresh && may_be_there(old_value, fresh);
  }
  // Of a word that leaves a root of the snapshot.
  bool concerns(Address old_value) const {
    return may_be_there(old_value, slabs_.fresh_kind()) && may_be_white(old_value);
  }
  // Whether a word that may be there is white: the rest of the question.
  bool may_be_white(Address word) const {
    return is_ambiguous_ || (!marks_.is_cell_marked(word) &&
                             (slabs_.kind(slabs_.index_of(word)) != slabs_.mixed_kind() || was_there(word)));
  }
  void prefetch(Address word) const { marks_.prefetch(word); }
  // After a mark has ended: whether it found the object dead that starts at `word`. What lies outside the slabs is not the
  // collector's, and what is of another kind was born since the mark started.
  bool is_dead(Address word) const {
    if (!slabs_.contains(word) || !is_aligned(word, kGranule)) {
      return false;
    }
    const SlabKind kind = slabs_.kind(slabs_.index_of(word));
    return (slabs_.is_old(kind) || kind == SlabKind::Large || (slabs_.is_mixed(kind) && was_there(word))) &&
           !marks_.is_cell_marked(word);
  }

private:
  // In a mixed slab: when the mark started. [heap.mixed.2]
  bool was_there(Address word) const { return marks_.previous().is_cell_marked(word); }
  bool may_be_there(Address word, SlabKind fresh) const {
    if (!slabs_.contains(word) || (!is_ambiguous_ && !is_aligned(word, kGranule))) {
      return false;
    }
    const SlabKind kind = slabs_.kind(slabs_.index_of(word));
    return kind != fresh && kind != SlabKind::Free && kind != SlabKind::Raw;
  }

  const SlabTable& slabs_;
  const SideMetadata& marks_;
  bool is_ambiguous_ = false;
};

// Where full buffers of all threads go, in order of arrival per thread.
class DeletionSink {
public:
  using Buffer = std::vector<DeletionRecord>;
  static constexpr std::size_t kCrowded = 64;
  static constexpr std::size_t kFull = 256;

  // Called on the thread that fills its log while kCrowded or more wait; `full`: while kFull or more do. NO-SAFEPOINT.
  using Relief = void (*)(void* owner, void* thread, bool full);
  void set_relief(Relief relief, void* owner) {
    relief_ = relief;
    owner_ = owner;
  }
  // Not to be called in a stop, or with a lock held.
  void relieve(void* thread) {
    if (const std::size_t now = waiting(); now >= kCrowded && relief_ != nullptr) {
      relief_(owner_, thread, now >= kFull);
    }
  }

  void add(const DeletionRecord* records, std::size_t count) ECHO_EXCLUDES(mutex_);
  // All records, in one list.
  std::vector<DeletionRecord> take() ECHO_EXCLUDES(mutex_);
  // The same as they came, up to `most` of them, oldest first.
  std::vector<Buffer> take_buffers(std::size_t most = SIZE_MAX) ECHO_EXCLUDES(mutex_);
  // Buffers that wait to be taken.
  std::size_t waiting() const { return waiting_.load(std::memory_order_relaxed); }
  std::size_t most_waiting() const { return most_waiting_.load(std::memory_order_relaxed); } // ever
  std::uint64_t total() const { return total_.load(std::memory_order_relaxed); }

private:
  Mutex mutex_;
  Relief relief_ = nullptr; // set before any thread logs
  void* owner_ = nullptr;
  std::deque<Buffer> buffers_ ECHO_GUARDED_BY(mutex_);
  std::atomic<std::size_t> waiting_{0};
  std::atomic<std::size_t> most_waiting_{0}; // written under mutex_
  std::atomic<std::uint64_t> total_{0};
};

class DeletionLog {
public:
  static constexpr std::size_t kRecords = 512;
  static constexpr std::size_t kUnsifted = 64;

  // Whose log it is, for relief.
  void set_owner(void* thread) { owner_ = thread; }
  void add(DeletionRecord record, DeletionSink& sink) {
    const bool is_full = count_ == records_.size();
    add_under_lock(record, sink);
    if (is_full) {
      sink.relieve(owner_);
    }
  }
  // What may concern the snapshot, and is kept if it is white when it is sifted. [bar.sift.1]
  void add_to_sift(DeletionRecord record, const Snapshot& snapshot, DeletionSink& sink) {
    snapshot.prefetch(record.old_value);
    add(record, sink);
    if (__builtin_expect(count_ - sifted_ >= kUnsifted, 0)) {
      (void)sift(snapshot);
    }
  }
  // Drops the records of marked objects among those that were added since the last time; how many. Its thread, or a stop.
  [[gnu::noinline]] std::size_t sift(const Snapshot& snapshot);
  // For callers that hold a lock for which whoever marks may wait: relief waits for who marks. The next log makes up for it.
  void add_under_lock(DeletionRecord record, DeletionSink& sink) {
    if (count_ == records_.size()) {
      flush(sink);
    }
    records_[count_++] = record;
  }
  std::size_t size() const { return count_; }
  void flush(DeletionSink& sink) {
    if (count_ != 0) {
      sink.add(records_.data(), count_);
      count_ = sifted_ = 0;
    }
  }

private:
  std::array<DeletionRecord, kRecords> records_;
  std::size_t count_ = 0;
  std::size_t sifted_ = 0; // the first ones
  void* owner_ = nullptr;
};

} // namespace echo
