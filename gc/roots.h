// SPDX-License-Identifier: MIT
//
// Purpose     Enumerates, in a stop, every root: handles of threads and of none, registered words, what the VM enumerates, the
//             managed frames of every thread, objects whose finalization is due, and ambiguous words.
// Invariants  [roots.all.1] Nothing else keeps an object alive. [frames.source.1] A frame that cannot be
//             mapped fails the enumeration; the caller then frees nothing.
#pragma once

#include "echo/frames.h"
#include "gc/ambiguous_roots.h"
#include "gc/finalizer_queue.h"
#include "gc/global_roots.h"
#include "gc/mutator.h"
#include "gc/persistent_handles.h"
#include "gc/root_callbacks.h"

#include <atomic>
#include <string>
#include <vector>

namespace echo {

class FrameSource {
public:
  echo_status set(const echo_frame_source* source, std::string* why) ECHO_EXCLUDES(mutex_);
  // Whether control comes back to frames behind polls only: then they may be visited later.
  bool has_polled_returns() const { return polled_.load(std::memory_order_relaxed); }
  // Visits at most `most` frames from *cursor on; a source that is sound visits none only at the end.
  echo_status walk_some(Mutator& mutator, echo_frame_cursor* cursor, std::uint32_t most,
                        echo_visit_slot_fn visit, void* visitor, std::uint32_t* visited, std::string* why)
      ECHO_EXCLUDES(mutex_);
  // Visits all frames of a stopped thread.
  echo_status walk(Mutator& mutator, echo_visit_slot_fn visit, void* visitor, std::uint64_t* frames,
                   std::string* why) ECHO_EXCLUDES(mutex_);

private:
  echo_status walk_locked(Mutator& mutator, echo_frame_cursor* cursor, std::uint32_t most,
                          echo_visit_slot_fn visit, void* visitor, std::uint32_t* visited, std::string* why)
      ECHO_REQUIRES(mutex_);

  std::atomic<bool> polled_{false};
  Mutex mutex_;
  echo_frame_source source_ ECHO_GUARDED_BY(mutex_){};
};

struct RootSet {
  FrameSource frames;
  GlobalRoots globals;
  AmbiguousRoots ambiguous;
  FinalizerQueue finalizers;
  PersistentHandles persistent;
  ObjectPins pinned{persistent};
  RootCallbacks callbacks;

  // In a stop in which marks are compared with roots. [verify.mark.1]
  void freeze(bool on) {
    globals.freeze(on);
    persistent.freeze(on);
  }
};

struct RootVisitor {
  virtual ~RootVisitor() = default;
  virtual void root(ObjectRef ref) = 0;
  // A word that points into the heap's reservation, but perhaps at no object.
  virtual void ambiguous(AmbiguousWord word, echo_pin where) = 0;
  // All registered root words were visited; of what comes now the VM's own code decides how much it is. [stop.budget.1]
  virtual void end_of_words() {}
  // Ambiguous words were read, most of which point elsewhere.
  virtual void looked_at(std::uint64_t) {}
};

// In a stop: root words, what root callbacks visit, and ambiguous words if there are any. [roots.block.1] [roots.callback.1]
// [roots.ambiguous.1]
echo_status enumerate_words(RootSet& roots, const std::vector<Mutator*>& mutators, bool ambiguous,
                            RootVisitor& visitor, std::string* why);
// In a stop: all roots. ECHO_OK, or the first error of a frame source with its sentence.
echo_status enumerate_roots(RootSet& roots, const std::vector<Mutator*>& mutators, RootVisitor& visitor,
                            std::string* why);

} // namespace echo
