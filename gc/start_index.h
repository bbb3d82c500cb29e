// SPDX-License-Identifier: MIT
//
// Purpose     Keeps what WordResolver knows complete: over the mark, which rewrites the mark bits, and between marks, when
//             threads allocate objects that nobody noted.
// Drawing     a mark begins    base = Marks of the mark before; what was retired until now is to be noted
//             it goes on       starts += objects of those spans, in slices; then ambiguous words are looked at
//             it ends whole    starts = {};  base = Marks of this mark, when what is due for finalization is marked
//             it ends broken   starts += marks of the mark before; base = Starts: the next mark adds to them
//             between marks    echo_resolve notes retired spans as it needs them, and reads its own thread's
//
// Invariants  [starts.mark.1] When a mark looks at its first ambiguous word, every object that was not found dead has its
//             start noted. [starts.use.1] A heap on which nothing is ambiguous does none of this. [starts.walk.1] A span
//             that cannot be walked to its end is corruption: what lies behind could not be found, so nothing is freed.
//             [starts.walk.2] No stop walks objects: spans of before the mark are walked beside the program, which changes
//             neither their headers nor their lengths. In mode stw the whole cycle is one stop.
#pragma once

#include "gc/mutator.h"
#include "gc/safepoint.h"
#include "heap/memory.h"

#include <atomic>
#include <optional>
#include <string>

namespace echo {

class StartIndex {
public:
  StartIndex(Memory& memory, Safepoints& safepoints) : memory_(memory), safepoints_(safepoints) {}

  // From the next mark on there may be ambiguous words. Any thread; waits for a stop in progress. ECHO_OK; WRONG_STATE after a mark that was not
  // whole; SYSTEM_MEMORY.
  echo_status use(std::string* why) ECHO_EXCLUDES(mutex_);
  bool is_used() const { return used_.load(std::memory_order_acquire); }

  // In a stop, threads having retired their memory, before the log of spans begins anew and the mark bits are swapped.
  void begin_mark() ECHO_EXCLUDES(mutex_);
  // While marking, by whoever marks: notes about `objects` more starts of what existed when the mark began; true when all
  // are noted. Nothing is resolved for the mark before that. [starts.mark.1]
  bool note_some(std::size_t objects) ECHO_EXCLUDES(mutex_);
  // False: a span could not be walked to its end. [starts.walk.1]
  bool is_whole() const { return whole_.load(std::memory_order_relaxed); }
  // Objects of the spans of before the mark, if all were noted: a walk that need not be made twice.
  std::optional<std::uint64_t> counted() ECHO_EXCLUDES(mutex_);
  // In the stop that ends the mark, before the bits of the mark before are cleared.
  void end_mark(bool whole) ECHO_EXCLUDES(mutex_);
  // In that stop, in place of it: the mark is whole, and the collector still resolves words as while marking, for what it
  // marks for finalization. Others get what the mark found alive. end_weak() is then the end, beside the program.
  void begin_weak() ECHO_EXCLUDES(mutex_);
  void end_weak() ECHO_EXCLUDES(mutex_);
  // Meanwhile, while what is due, and all that it reaches, is being marked: that is not obtained, as it was not before the
  // mark ended. Nobody waits for the end of it. [resolve.dead.2]
  void set_resurrecting(bool on) ECHO_EXCLUDES(mutex_);

  // echo_resolve, on a managed thread. The same status values as use().
  echo_status resolve(Mutator& mutator, AmbiguousWord word, ObjectRef* out, std::string* why)
      ECHO_EXCLUDES(mutex_);

private:
  echo_status use_now(std::string* why) ECHO_EXCLUDES(mutex_);
  echo_status open(std::string* why) ECHO_REQUIRES(mutex_);
  void note_retired() ECHO_REQUIRES(mutex_);
  // Up to `objects`; false: all that were retired before the mark are noted.
  bool note_before(std::size_t objects) ECHO_REQUIRES(mutex_);
  bool note(const RetiredSpan& span, std::uint64_t* objects) ECHO_REQUIRES(mutex_);
  // What is said of a word without a look into threads.
  enum class Known : std::uint8_t { Answer, Elsewhere };
  bool is_obtainable(Address object) const ECHO_REQUIRES(mutex_);
  ObjectRef resolve_alive(AmbiguousWord word) const ECHO_REQUIRES(mutex_);
  void end_mark_locked(bool whole) ECHO_REQUIRES(mutex_);
  Known resolve_known(AmbiguousWord word, ObjectRef* out, echo_status* status, std::string* why)
      ECHO_EXCLUDES(mutex_);
  ObjectRef find_in(Mutator& mutator, Address word) const;
  ObjectRef find_in_stop(Mutator& mutator, AmbiguousWord word) ECHO_EXCLUDES(mutex_);

  Memory& memory_;
  Safepoints& safepoints_;
  std::atomic<bool> used_{false};
  std::atomic<std::uint64_t> marks_{0}; // begun
  Mutex mutex_;                         // writers of the starts outside stops [starts.write.1]
  std::atomic<bool> whole_{true};
  bool marking_ ECHO_GUARDED_BY(mutex_) = false;
  bool walks_ ECHO_GUARDED_BY(mutex_) = false;      // this mark looks at ambiguous words
  bool all_before_ ECHO_GUARDED_BY(mutex_) = false; // noted, of this mark
  // Of the supply's logs.
  std::size_t
      noted_before_ ECHO_GUARDED_BY(mutex_) = 0; // of the spans retired before the mark that is running
  std::size_t noted_spans_ ECHO_GUARDED_BY(mutex_) = 0;
  std::uint64_t counted_before_ ECHO_GUARDED_BY(mutex_) = 0; // objects of the first
  bool weak_ ECHO_GUARDED_BY(mutex_) = false;                // between begin_weak and end_weak
  bool resurrecting_ ECHO_GUARDED_BY(mutex_) = false;
};

} // namespace echo
