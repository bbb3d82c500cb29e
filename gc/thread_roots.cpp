// SPDX-License-Identifier: MIT
//
// Purpose     The roots of threads, traced beside the program: frames that have not run since the mark started, and handles.
// Drawing     who notices that a mark started         and then visits frames               and traces handles
//             the stop, for active threads            the thread, a slice at each poll;    who marks,
//             the thread, when it becomes managed     whoever marks, while the thread      beside the thread
//             whoever marks, for others               is not active
//
//             Noticing: the phase, how many handles there are, the youngest frames.
//
// Invariants  [roots.frames.4] A frame is visited in this mark before control comes to it. [roots.frames.2] Of a stack whose
//             returns are polled a stop visits Watermark::kFramesAtStop frames; a thread visits at most kFramesPerSlice at a
//             time, whoever marks as many as SliceBounds says. [handles.trace.1] So are handles traced. A mark ends
//             when no thread has roots to trace. [stop.active.1] While the registry lock is held a thread that is not active
//             does not become managed. [roots.stop.1] In a stop whoever marks traces a thread that has become active since
//             it began as well: it stands before managed code till the stop is over, and finds its roots noticed then.
#include "gc/collector.h"

#include "heap/fault.h"

#include <algorithm>

namespace echo {

namespace {

constexpr std::uint32_t kFramesPerSlice = 128;

// Hands the references of frames to a visitor.
class VisitFrames final : public FrameWalk {
public:
  VisitFrames(FrameSource& source, Mutator& mutator, RootVisitor& visitor)
      : source_(source), mutator_(mutator), visitor_(visitor) {}
  echo_status walk(echo_frame_cursor* cursor, std::uint32_t most, std::uint32_t* visited,
                   std::string* why) override {
    const auto visit = [](void* self, echo_ref* base, std::uintptr_t*) {
      static_cast<VisitFrames*>(self)->visitor_.root({reinterpret_cast<Address>(*base)});
    };
    const echo_status status = source_.walk_some(mutator_, cursor, most, visit, this, visited, why);
    count += *visited;
    return status;
  }
  std::uint64_t count = 0;

private:
  FrameSource& source_;
  Mutator& mutator_;
  RootVisitor& visitor_;
};

// The thread's own log carries what it visits itself, while it holds the lock of the frame source, which whoever marks wants
// too. [mark.log.2]
struct LogRoots final : RootVisitor {
  LogRoots(Mutator& m, BarrierHeap& h) : mutator(m), heap(h) {}
  Mutator& mutator;
  BarrierHeap& heap;
  void root(ObjectRef ref) override {
    if ((mutator.phase & kBarrierMarking) != 0 && heap.snapshot.concerns(ref.address)) {
      mutator.barrier.log.add_under_lock({0, ref.address}, heap.sink);
    }
  }
  void ambiguous(AmbiguousWord, echo_pin) override {}
};

struct PushRoots final : RootVisitor {
  explicit PushRoots(Marker& m) : marker(m) {}
  Marker& marker;
  void root(ObjectRef ref) override { marker.push_root(ref); }
  void ambiguous(AmbiguousWord, echo_pin) override {}
};

} // namespace

// Where frames are counted: all at once are no slice.
std::uint64_t* Collector::frames_in(WorkUnits& units) const {
  return roots.frames.has_polled_returns() ? &units.frames : &units.others;
}

void Collector::roots_failed(echo_status status, const std::string& why) {
  set_failure(status, why);
  roots_failed_.store(true);
}

// Frames or handles of a thread are traced.
void Collector::one_part_done(Mutator& mutator) {
  if (mutator.to_trace.parts.fetch_sub(1) == 1) {
    untraced_threads_.fetch_sub(1);
  }
}

// Of a stack whose returns are not polled all frames are visited at once.
echo_status Collector::visit_frames(Mutator& mutator, std::uint32_t most, bool from_anchor,
                                    RootVisitor& visitor, std::uint64_t* visited, std::string* why) {
  VisitFrames frames(roots.frames, mutator, visitor);
  const std::uint32_t now = roots.frames.has_polled_returns() ? most : UINT32_MAX;
  const echo_status status = from_anchor ? mutator.watermark.advance_from(mutator.anchor(), now, frames, why)
                                         : mutator.watermark.advance(now, frames, why);
  *visited += frames.count;
  if (!mutator.watermark.is_set()) { // all were visited, or the walk failed and the mark with it
    mutator.to_trace.frames = false;
    one_part_done(mutator);
  }
  return status;
}

echo_status Collector::notice_mark(Mutator& mutator, RootVisitor& visitor, std::uint64_t* visited,
                                   std::string* why) {
  RootsToTrace& left = mutator.to_trace;
  mutator.phase = barrier_phase_;
  left.handles = mutator.handles.begin_snapshot();
  if (has_fault(Fault::HandleMissed) && left.handles.end != 0) {
    --left.handles.end;
  }
  VisitFrames frames(roots.frames, mutator, visitor);
  const std::uint32_t now =
      roots.frames.has_polled_returns() ? Watermark::kFramesAtStop : std::uint32_t{UINT32_MAX};
  const echo_status status = mutator.watermark.set(mutator.anchor(), now, frames, why);
  *visited += frames.count;
  left.frames = mutator.watermark.is_set() && !has_fault(Fault::FramesUnvisited);
  left.parts = (left.frames ? 1u : 0u) + (left.handles.is_done() ? 0u : 1u);
  if (left.parts == 0) {
    untraced_threads_.fetch_sub(1);
  }
  left.mark = mark_number_;
  return status;
}

// On the thread itself.
void Collector::resumed(Mutator& mutator) {
  if (!has_fault(Fault::PhaseNotSetAtAttach)) {
    mutator.phase = barrier_phase();
  }
  if ((barrier_phase_ & kBarrierMarking) == 0) {
    mutator.to_trace.frames = false; // of a mark that was given up
    return;
  }
  if (mutator.to_trace.mark == mark_number_) {
    return;
  }
  LogRoots visitor(mutator, barriers);
  std::string why;
  WorkUnits units;
  if (const echo_status status = notice_mark(mutator, visitor, frames_in(units), &why); status != ECHO_OK) {
    roots_failed(status, why);
  }
  held_.note(Hold::frames, units);
  if (mutator.to_trace.frames) {
    mutator.poll_word.store(0); // each poll visits some
  }
}

void Collector::visit_own_frames(Mutator& mutator, std::uint32_t most) {
  LogRoots visitor(mutator, barriers);
  std::string why;
  WorkUnits units;
  if (const echo_status status = visit_frames(mutator, most, true, visitor, frames_in(units), &why);
      status != ECHO_OK) {
    roots_failed(status, why);
  }
  held_.note(Hold::frames, units);
}

// Before a thread goes: its frames are gone, but what they held may be elsewhere.
void Collector::finish_frames(Mutator& mutator) {
  while (mutator.state.load(std::memory_order_relaxed) == ThreadState::Managed && mutator.to_trace.frames) {
    visit_own_frames(mutator, kFramesPerSlice);
  }
}

// The list is frozen. A thread that has not run since the mark started has given nothing to anybody: its roots go with it.
void Collector::leave_roots(Mutator& mutator) {
  RootsToTrace& left = mutator.to_trace;
  if ((barrier_phase_ & kBarrierMarking) == 0) {
    return;
  }
  if (left.mark != mark_number_) {
    untraced_threads_.fetch_sub(1);
  } else if (left.parts != 0) {
    if (!left.handles.is_done()) {
      const MutexLock lock(orphans_mutex_);
      orphans_.push_back({left.handles, mutator.handles.release_blocks()});
    }
    untraced_threads_.fetch_sub(1);
  }
}

// A slice of one thread, under the registry lock; true if something was done.
bool Collector::trace_thread(Mutator& mutator, const SliceBounds& bounds, WorkUnits* done) {
  PushRoots visitor(marker_);
  RootsToTrace& left = mutator.to_trace;
  std::uint64_t visited = 0;
  std::string why;
  echo_status status = ECHO_OK;
  const bool is_still = bounds.in_stop || !mutator.is_active.load();
  if (left.mark != mark_number_) {
    if (!is_still) {
      return false; // it is about to notice by itself
    }
    status = notice_mark(mutator, visitor, &visited, &why);
  } else if (!left.handles.is_done()) {
    left.handles.step(bounds.cells, [this](ObjectRef ref) { marker_.push_root(ref); });
    done->words += bounds.cells;
    if (left.handles.is_done()) {
      one_part_done(mutator);
    }
  } else if (is_still && left.frames) {
    status = visit_frames(mutator, bounds.frames, false, visitor, &visited, &why);
  } else {
    return false;
  }
  if (status != ECHO_OK) {
    roots_failed(status, why);
  }
  *frames_in(*done) += visited;
  return true;
}

// Anything that trace_roots would do, or a thread has to do before the mark may end.
bool Collector::has_roots_to_trace() {
  return untraced_threads_.load() != 0 || has_orphans() || roots.finalizers.has_untraced() ||
         roots.persistent.has_untraced();
}

// A slice; true if something was done.
bool Collector::trace_roots(const SliceBounds& bounds, WorkUnits* done) {
  if (roots.finalizers.trace_some(bounds.cells,
                                  [this](ObjectRef ref) { marker_.push_root(ref); })) { // [final.root.1]
    done->words += bounds.cells;
    return true;
  }
  if (roots.persistent.trace(bounds.cells, [this](ObjectRef ref) { marker_.push_root(ref); })) {
    done->words += bounds.cells;
    return true; // [handles.persistent.4]
  }
  {
    const MutexLock lock(orphans_mutex_);
    if (!orphans_.empty()) {
      Orphan& orphan = orphans_.back();
      orphan.trace.step(bounds.cells, [this](ObjectRef ref) { marker_.push_root(ref); });
      done->words += bounds.cells;
      if (orphan.trace.is_done()) {
        orphans_.pop_back();
      }
      return true;
    }
  }
  const std::size_t threads = safepoints.attached();
  for (std::size_t i = 0; i <= threads && untraced_threads_.load() != 0; ++i) {
    bool worked = false;
    if (!safepoints.with_thread(next_thread_, [&](Mutator& m) { worked = trace_thread(m, bounds, done); })) {
      next_thread_ = 0;
    } else if (worked) {
      return true;
    } else {
      ++next_thread_;
    }
  }
  return false;
}

} // namespace echo
