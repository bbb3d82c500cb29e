// SPDX-License-Identifier: MIT
//
// Purpose     One collection: its stops, its slices, its end. Who drives it: gc/drive.cpp.
// Invariants  [cycle.phase.1] [cycle.free.1] [mark.start.1] [mark.end.1] of collector.h.
#include "gc/collector.h"
#include "gc/cpu_meter.h"
#include "heap/fault.h"
#include "heap/os_memory.h"

#include <algorithm>
#include <new>

namespace echo {

namespace {

// Frames that a thread visits at a poll.
constexpr std::uint32_t kFramesPerPoll = 128;
// What the stop at the end may still mark itself: less than another stop would cost. Of the logs, those of the threads
// that ran and a few more. Roots that wait to be traced are left to the next slice.
constexpr std::size_t kEdgesAtEnd = 128;
constexpr std::size_t kMoreLogsAtEnd = 2;
// While logs pile up slices are short: somebody may wait for one. [mark.log.2]
constexpr std::size_t kEdgesWhileCrowded = 512;
constexpr std::size_t kLogsWhileCrowded = 2;
constexpr std::uint64_t kThread = 16, kFrame = 4, kWordsPerUnit = 8, kEdgesPerUnit = 2; // gc/work_units.h
static_assert(cap_of(Hold::mark_start).of(1) == GlobalRoots::kMaxWords / kWordsPerUnit + kThread +
                                                    DeletionLog::kRecords / kWordsPerUnit +
                                                    Watermark::kFramesAtStop * kFrame);
static_assert(cap_of(Hold::mark_end).of(1) == kEdgesAtEnd / kEdgesPerUnit +
                                                  kMoreLogsAtEnd * DeletionLog::kRecords / kWordsPerUnit +
                                                  kThread + DeletionLog::kRecords / kWordsPerUnit);
static_assert(cap_of(Hold::frames).of(0) == kFramesPerPoll * kFrame);

// Frames that have not run since the last mark hold marked objects only. [roots.frames.1]
class MarkedFrames final : public FrameWalk {
public:
  MarkedFrames(Collector& collector, Mutator& mutator) : collector_(collector), mutator_(mutator) {}
  echo_status walk(echo_frame_cursor* cursor, std::uint32_t most, std::uint32_t* visited,
                   std::string* why) override {
    const auto visit = [](void* self, echo_ref* base, std::uintptr_t*) {
      static_cast<MarkedFrames*>(self)->check(reinterpret_cast<Address>(*base));
    };
    const echo_status status =
        collector_.roots.frames.walk_some(mutator_, cursor, most, visit, this, visited, why);
    if (status == ECHO_OK && !broken_.empty()) {
      *why = broken_;
      return ECHO_HEAP_CORRUPT;
    }
    return status;
  }

private:
  void check(Address ref) {
    const SlabKind kind = ref == 0 ? SlabKind::Free : collector_.memory.pool.slabs().kind_of_word(ref);
    const bool concerns = collector_.memory.pool.slabs().is_old(kind) || kind == SlabKind::Large;
    if (concerns && !collector_.memory.bits.is_marked(ref)) {
      broken_ =
          "a frame above the watermark refers to an object that the last mark did not reach: the frame ran "
          "before it was visited, or its map is wrong";
    }
  }
  Collector& collector_;
  Mutator& mutator_;
  std::string broken_;
};

// References become grey; registered root words are only copied where the program waits for it, and become grey beside it
// [roots.copy.1]; ambiguous words wait until the starts of objects are known. [starts.mark.1]
template <class Words> struct MarkRoots final : RootVisitor {
  MarkRoots(Marker& m, Memory& of, WorkUnits& u, Words& w, std::vector<ObjectRef>* c)
      : marker(m), memory(of), units(u), found(w), copied(c) {}
  Marker& marker;
  Memory& memory;
  WorkUnits& units;
  Words& found;
  std::vector<ObjectRef>* const copied; // has room for all registered words; null: none is copied
  bool has_room = true;
  bool is_bounded = true; // what comes are registered root words
  void root(ObjectRef ref) override {
    ++(is_bounded ? units.words : units.others);
    if (is_bounded && copied != nullptr) {
      copied->push_back(ref);
    } else {
      marker.push_root(ref);
    }
  }
  void end_of_words() override { is_bounded = false; }
  void ambiguous(AmbiguousWord word, echo_pin where) override {
    try {
      found.push_back({word, where});
    } catch (const std::bad_alloc&) {
      has_room = false;
    }
  }
  void looked_at(std::uint64_t words) override {
    units.others += words;
    memory.pins.saw(words);
  }
};

} // namespace

echo_status Collector::collect(Mutator& mutator, echo_cause cause, std::string* why, Where where) {
  const std::uint64_t start = Safepoints::begin_hold(mutator, true);
  const std::uint64_t seen = cycles();
  bool drove = true;
  safepoints.at_rest(mutator, [&] {
    const MutexLock driver(driver_mutex_);
    end_steps(); // [inc.full.1]
    // A collection that another thread finished meanwhile serves an allocation as well.
    drove = cause != ECHO_CAUSE_heap_full || cycles() == seen;
    if (drove) {
      drive(cause, where);
    }
  });
  safepoints.record_hold(mutator, cause, start);
  events.wake();
  if (!drove) {
    pauses.record_stall(Safepoints::held_ns(mutator, start));
  }
  return failure(why);
}

void Collector::set_watermarks(const std::vector<Mutator*>& mutators) {
  for (Mutator* m : mutators) {
    MarkedFrames frames(*this, *m);
    std::string why;
    if (const echo_status status = m->watermark.set(m->anchor(), frames, &why); status != ECHO_OK) {
      set_failure(status, why);
    }
  }
}

void Collector::poll(Mutator& mutator) {
  safepoints.poll(mutator);
  if (mutator.to_trace.frames) {
    const std::uint64_t start = Safepoints::begin_hold(mutator, true);
    visit_own_frames(mutator, kFramesPerPoll);
    safepoints.record_hold(mutator, ECHO_CAUSE_frames, start);
    if (!mutator.to_trace.frames) {
      safepoints.rearm(mutator);
    }
    return;
  }
  while (mutator.watermark.is_set() &&
         (mutator.anchor_pc == 0 || mutator.anchor_fp > mutator.watermark.word())) {
    MarkedFrames frames(*this, mutator);
    std::string why;
    if (const echo_status status = mutator.watermark.pass(mutator.anchor(), frames, &why);
        status != ECHO_OK) {
      set_failure(status, why);
    }
    // A stop may be asked for meanwhile: its 0 stays.
    std::uint64_t word = mutator.poll_word.load(std::memory_order_relaxed);
    while (word != 0 && !mutator.poll_word.compare_exchange_weak(word, mutator.watermark.word())) {
    }
  }
}

// Others take the phase when they become managed.
void Collector::set_barriers(std::uint8_t phase) {
  barrier_phase_ = phase;
  for (Mutator* m : safepoints.active()) {
    m->phase = phase;
  }
}

void Collector::prepare_cycle(echo_cause cause) {
  cycle_ = {};
  cycle_.cause = cause;
  cycle_.measure.while_idle = is_idle_.exchange(false);
  events.raise_in_stop(ECHO_EVENT_cycle_begin, cause, 0, 0, memory.pool.used_bytes());
  memory.prepare_cycle();
}

void Collector::begin_mark(const std::vector<Mutator*>& mutators, bool beside) {
  const MutexLock marking(marking_mutex_);
  const CpuMeter meter(cycle_.cpu_ns, !cycle_.at_once);
  cycle_.beside = beside;
  cycle_.measure.start_ns = os::monotonic_ns();
  phase_.store(Phase::Marking);
  events.raise_in_stop(ECHO_EVENT_phase, cycle_.cause, static_cast<std::uint32_t>(Phase::Marking), 0);
  units_ = {};
  safepoints.take_those_that_ran([this](Mutator& m) {
    ++units_.threads;
    units_.records += m.barrier.log.size();
    retire(m);
    m.barrier.log.flush(barriers.sink);
  });
  if (config.stress_frames) {
    for (Mutator* m : mutators) {
      m->watermark.clear(); // what the frames were checked against is about to change
    }
  }
  cycle_.whole = audit_and_verify_before(mutators);
  allocated_at_mark_.store(memory.supply.retired_bytes() +
                           large_bytes_allocated_.load(std::memory_order_relaxed));
  cycle_.measure.allocated_start = allocated_at_mark_.load(std::memory_order_relaxed);
  cycle_.measure.taken_start = handed_out();
  cycle_.used_before = memory.pool.used_bytes();
  starts.begin_mark();
  memory.begin_cycle();
  cycle_.ambiguous = starts.is_used();
  if (config.stress_barriers) {
    while (cycle_.ambiguous && !starts.note_some(SIZE_MAX)) { // what is remembered depends on them
    }
    audit_.remember(mutators);
  }
  verifier_.begin_mark();
  marker_.reset(beside, is_worth_sharing(cycle_.seconds));
  roots_failed_ = false;
  found_words_.clear();
  root_words_.clear();
  next_root_word_ = 0;
  MarkRoots visitor(marker_, memory, units_, found_words_, beside ? &root_words_ : nullptr);
  std::string why;
  echo_status status =
      beside ? begin_roots(mutators, visitor, &why) : enumerate_roots(roots, mutators, visitor, &why);
  if (status == ECHO_OK && !visitor.has_room) {
    status = ECHO_SYSTEM_MEMORY;
    why = "no memory for the ambiguous words of stacks and data ranges";
  }
  set_failure(status, why);
  cycle_.whole = cycle_.whole && status == ECHO_OK;
  marker_.allow(cycle_.whole ? cycle_.seconds : 0);
  if (!cycle_.whole) {
    marker_.dismiss_seconds();
    set_barriers(barrier_phase_ & kBarrierAudit);
    starts.end_mark(false);
  } else if (beside) {
    memory.pool.lift_trigger();
    held_.note(Hold::mark_start, units_);
    if (assists()) {
      plan_room();
      debt_.begin(used_beside_holes(), room_for_debt(), config.mode == MarkMode::Concurrent);
    }
  }
}

// The roots that have to be read in the stop, and what active threads notice; the rest is traced beside the program.
echo_status Collector::begin_roots(const std::vector<Mutator*>& mutators, RootVisitor& visitor,
                                   std::string* why) {
  ++mark_number_;
  next_thread_ = 0;
  roots.finalizers.begin_trace();
  untraced_threads_ = mutators.size();
  {
    const MutexLock lock(orphans_mutex_);
    orphans_.clear();
  }
  roots.persistent.begin_snapshot();
  barriers.snapshot.set_ambiguous(starts.is_used());
  barrier_phase_ = static_cast<std::uint8_t>((barrier_phase_ & kBarrierAudit) | kBarrierMarking);
  echo_status status = enumerate_words(roots, mutators, starts.is_used(), visitor, why);
  for (Mutator* m : safepoints.active()) {
    if (status == ECHO_OK) {
      status = notice_mark(*m, visitor, frames_in(units_), why);
    }
  }
  return status;
}

// What the threads logged becomes grey.
std::uint64_t Collector::take_logs(std::size_t most_buffers) {
  std::uint64_t records = 0;
  most_buffers = std::min(most_buffers, marker_.room_for_roots() / DeletionLog::kRecords); // [mark.roots.1]
  for (const DeletionSink::Buffer& buffer : barriers.sink.take_buffers(most_buffers)) {
    records += buffer.size();
    for (const DeletionRecord& record : buffer) {
      if (barriers.snapshot.is_ambiguous()) { // whatever the slot held [resolve.log.1]
        marker_.push_root(memory.words.resolve_in_snapshot({record.old_value}));
      } else if (TaggedWord{record.old_value}.is_reference()) {
        marker_.push_root({record.old_value});
      }
    }
    if (config.stress_barriers) {
      audit_log_.insert(audit_log_.end(), buffer.begin(), buffer.end());
    }
  }
  return records;
}

// Of the copies, up to `most`; how many.
std::size_t Collector::push_root_words(std::size_t most) {
  const std::size_t count = std::min(most, root_words_.size() - next_root_word_);
  for (std::size_t i = 0; i < count; ++i) {
    marker_.push_root(root_words_[next_root_word_++]);
  }
  return count;
}

bool Collector::look_at_words(std::size_t most) {
  if (!cycle_.ambiguous) {
    return true;
  }
  if (!starts.note_some(most)) {
    return false;
  }
  if (!starts.is_whole()) { // [starts.walk.1]
    roots_failed(ECHO_HEAP_CORRUPT,
                 "the header of an object allocated since the last collection was overwritten: what "
                 "lies behind it cannot be found");
    return true;
  }
  for (; most > 0 && !found_words_.empty(); --most) {
    const FoundWord found = found_words_.back();
    found_words_.pop_back();
    if (const ObjectRef hit = memory.words.resolve_in_snapshot(found.word)) {
      memory.pins.pin(hit, found.where);
      marker_.push_root(hit);
    }
  }
  return found_words_.empty();
}

void Collector::note_exhaustion() {
  if (marker_.is_exhausted() && !roots_failed_.load()) {
    roots_failed(ECHO_SYSTEM_MEMORY, "no native memory for the references that trace callbacks visited");
  }
}

bool Collector::has_orphans() {
  const MutexLock lock(orphans_mutex_);
  return !orphans_.empty();
}

// A step on a thread of the program does no more besides its edges than half of them.
Collector::SliceBounds Collector::bounds_for(std::size_t edges) {
  return edges <= kEdgesWhileCrowded ? SliceBounds{1, 256, 16} : SliceBounds{8, 1024, 64};
}

// No bounds for roots: they are left alone.
Collector::MarkState Collector::mark_some(std::size_t edges, const SliceBounds& bounds, WorkUnits* done) {
  if (!marker_.corruption().empty() || roots_failed_.load()) {
    return MarkState::Done;
  }
  if (const std::size_t pushed = push_root_words(edges); pushed != 0) {
    done->words += pushed;
    return MarkState::More;
  }
  if (!look_at_words(edges)) {
    done->edges += edges;
    return MarkState::More;
  }
  if (barriers.sink.waiting() != 0) {
    done->records += take_logs(bounds.logs);
  }
  const bool traces = bounds.cells != 0;
  const bool found_roots = traces && trace_roots(bounds, done);
  const std::uint64_t before = marker_.edges_of_lead();
  const std::uint64_t spent = traces ? kEdgesPerUnit * done->capped() : 0;
  const bool drained =
      marker_.drain(std::max<std::uint64_t>(edges - std::min<std::uint64_t>(edges, spent), 1));
  done->edges += marker_.edges_of_lead() - before;
  note_exhaustion();
  if (!drained || barriers.sink.waiting() != 0 || found_roots) {
    const bool is_starved = marker_.is_starved() && barriers.sink.waiting() == 0 && !found_roots;
    return is_starved ? MarkState::Shared : MarkState::More;
  }
  return has_roots_to_trace() ? MarkState::Waiting : MarkState::Done;
}

Collector::MarkState Collector::mark_slice(std::size_t edges) {
  const MutexLock marking(marking_mutex_);
  const CpuMeter meter(cycle_.cpu_ns);
  const std::uint64_t before = marker_.edges();
  const bool crowded = barriers.sink.waiting() >= DeletionSink::kCrowded;
  SliceBounds bounds = bounds_for(edges);
  if (crowded) {
    edges = std::min(edges, kEdgesWhileCrowded);
    bounds.logs = std::min(bounds.logs, kLogsWhileCrowded);
  }
  units_ = {};
  const MarkState state = mark_some(edges, bounds, &units_);
  debt_.progress(marker_.edges(), marker_.edges() - before, room_for_debt());
  if (state != MarkState::More) {
    debt_.idle();
  }
  return state;
}

bool Collector::end_mark(const std::vector<Mutator*>& mutators) {
  const MutexLock marking(marking_mutex_);
  const CpuMeter meter(cycle_.cpu_ns);
  units_ = {};
  for (Mutator* m : safepoints.active()) {
    ++units_.threads;
    if ((barrier_phase_ & kBarrierAudit) == 0) {
      units_.records += m->barrier.log.sift(barriers.snapshot); // [bar.sift.1]
    }
    if (!has_fault(Fault::LogLeftAtEnd)) {
      m->barrier.log.flush(barriers.sink);
    }
  }
  const MarkState state =
      mark_some(kEdgesAtEnd, {safepoints.active().size() + kMoreLogsAtEnd, 0, 0}, &units_);
  held_.note(Hold::mark_end, units_);
  if (state != MarkState::Done) {
    return false; // [mark.end.1]
  }
  end_of_mark(mutators);
  return true;
}

// True for ever after in this cycle: every object that was reachable when the mark started is marked.
void Collector::end_of_mark(const std::vector<Mutator*>& mutators) {
  phase_.store(Phase::Clearing);
  marker_.dismiss_seconds(); // none is at work, unless the mark is worthless
  cycle_.cpu_ns += marker_.take_cpu_ns();
  edges_of_seconds_.fetch_add(marker_.edges_of_seconds(), std::memory_order_relaxed);
  debt_.end(marker_.edges(), marker_.bytes());
  events.raise_in_stop(ECHO_EVENT_phase, cycle_.cause, static_cast<std::uint32_t>(Phase::Clearing), 0);
  if (!marker_.corruption().empty()) {
    set_failure(ECHO_HEAP_CORRUPT, marker_.corruption());
    cycle_.whole = false;
  }
  cycle_.whole = cycle_.whole && !roots_failed_.load();
  cycle_.is_marked = true;
  is_little_.store(cycle_.whole && is_little(), std::memory_order_relaxed);
  const bool marked_all = marker_.corruption().empty() && !roots_failed_.load();
  verifier_.set_marks_whole(marked_all);
  if (cycle_.whole && marked_all) {
    starts
        .begin_weak(); // what is due for finalization may still be followed by ambiguous words, and is not obtained
  } else {
    starts.end_mark(marked_all);
  }
  verifier_.set_weak_cleared(false);
  if (cycle_.whole && config.verify) {
    const auto moment = cycle_.beside ? Verifier::Moment::MarkEnd : Verifier::Moment::AfterMark;
    if (const std::string broken = verifier_.verify(mutators, moment, true); !broken.empty()) {
      set_failure(ECHO_HEAP_CORRUPT, broken);
      cycle_.whole = false;
    }
  }
  begin_weak_work();
  if (config.stress_frames && cycle_.whole) {
    set_watermarks(mutators);
  }
  cycle_.measure.mark_ns = os::monotonic_ns() - cycle_.measure.start_ns;
  cycle_.measure.live = marker_.bytes();
  objects_marked_.fetch_add(marker_.objects(), std::memory_order_relaxed);
  bytes_marked_.fetch_add(marker_.bytes(), std::memory_order_relaxed);
  mark_ns_.fetch_add(cycle_.measure.mark_ns, std::memory_order_relaxed);
}

void Collector::run_cycle(const std::vector<Mutator*>& mutators, echo_cause cause) {
  // The verifier compares what is marked with what the roots reach now. [verify.mark.1]
  roots.freeze(config.verify);
  prepare_cycle(cause);
  cycle_.seconds = marker_.most_markers() - 1; // nobody else runs
  begin_mark(mutators, false);
  if (cycle_.whole) {
    const MutexLock marking(marking_mutex_);
    const CpuMeter meter(cycle_.cpu_ns);
    while (!look_at_words(SIZE_MAX)) {
    }
    marker_.drain();
    note_exhaustion();
    end_of_mark(mutators);
  }
  finish_cycle();
  roots.freeze(false);
}

} // namespace echo
