// SPDX-License-Identifier: MIT
//
// Purpose     Keeps what WordResolver knows complete: over the mark, which rewrites the mark bits, and between marks, when
//             threads allocate objects that nobody noted.
// Drawing     a mark begins    starts += objects of all retired spans; base = Marks of the mark before
//             it ends whole    starts = {};  base = Marks of this mark
//             it ends broken   starts += marks of the mark before; base = Starts: the next mark adds to them
//             between marks    echo_resolve notes retired spans as it needs them, and reads its own thread's
//
// Invariants  [starts.mark.1] When a mark looks at its first ambiguous word, every object that was not found dead has its
//             start noted. [starts.use.1] A heap on which nothing is ambiguous does none of this. [starts.walk.1] A span
//             that cannot be walked to its end is corruption: what lies behind could not be found, so nothing is freed.
#pragma once

#include "gc/mutator.h"
#include "gc/safepoint.h"
#include "heap/memory.h"

#include <atomic>
#include <string>

namespace echo {

class StartIndex {
public:
  StartIndex(Memory& memory, Safepoints& safepoints) : memory_(memory), safepoints_(safepoints) {}

  // From the next mark on there may be ambiguous words. Any thread; waits for a stop in progress. ECHO_OK; WRONG_STATE after a mark that was not
  // whole; SYSTEM_MEMORY.
  echo_status use(std::string* why) ECHO_EXCLUDES(mutex_);
  bool is_used() const { return used_.load(std::memory_order_acquire); }

  // In a stop, spans retired and still logged, mark bits about to be swapped.
  void begin_mark();
  // Until end_mark. [starts.walk.1]
  bool is_complete() const { return complete_; }
  // In a stop, before the bits of the mark before are cleared.
  void end_mark(bool whole) ECHO_EXCLUDES(mutex_);

  // echo_resolve, on a managed thread. The same status values as use().
  echo_status resolve(Mutator& mutator, AmbiguousWord word, ObjectRef* out, std::string* why)
      ECHO_EXCLUDES(mutex_);

private:
  echo_status use_now(std::string* why) ECHO_EXCLUDES(mutex_);
  echo_status open(std::string* why) ECHO_REQUIRES(mutex_);
  void note_retired() ECHO_REQUIRES(mutex_);
  ObjectRef find_in(Mutator& mutator, Address word) const;
  ObjectRef find_in_stop(Mutator& mutator, AmbiguousWord word);

  Memory& memory_;
  Safepoints& safepoints_;
  std::atomic<bool> used_{false};
  std::atomic<std::uint64_t> marks_{0}; // begun
  Mutex mutex_;                         // writers of the starts outside stops [starts.write.1]
  bool complete_ = true;                // written in stops
  bool marking_ = false;                // written in stops
  // Of the supply's logs: under mutex_, or in a stop.
  std::size_t noted_before_ = 0; // of the spans retired before the mark that is running
  std::size_t noted_spans_ = 0;
};

} // namespace echo
