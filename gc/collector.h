// SPDX-License-Identifier: MIT
//
// Purpose     One heap at run time: its memory, threads, roots, collector and counters.
// Drawing     phases:  Idle -> Marking -> Clearing -> Sweeping -> Idle
//
//             who drives    prepare | stop: begin |  mark ... mark  | stop: end? | weak, sweep      |
//             mutators      ........|             |.................|            |..................|
//             phase            Idle               |     Marking     |            Clearing, Sweeping | Idle
//
//             A cycle is driven by one thread at a time: the heap's collector thread, or a mutator at rest that waits
//             for a collection anyway. In mode stw all of it is one stop.
//
// Invariants  [cycle.phase.1] The phase changes only in a stop, but for Clearing to Sweeping to Idle, which mutators
//             notice late [weak.over.1] or not at all.
//             [cycle.free.1] Memory is freed only after a mark that enumerated every root without error and met no
//             corrupt reference. [cycle.oom.1] Null is returned only after a full collection that began after the
//             request failed. [mark.start.1] A mark starts in a stop, with the sweep before it complete and M clear.
//             [mark.start.3] In that stop every thread retires its memory, everything allocated becomes old, the roots are
//             pushed, and the barriers go on. [mark.end.1] A mark ends in a stop in which all logs were taken and nothing
//             is left to mark. [sweep.hold.1] From the start of a mark to the end of its cycle nothing that was marked
//             or born since is freed.
// Locks       driver_mutex_ over a whole cycle; marking_mutex_ for a slice of marking and in the stops that start and
//             end it: nobody waits for a mutator while holding the second, and a managed thread waits for it only as
//             [mark.log.2] says.
#pragma once

#include "gc/barrier_audit.h"
#include "gc/cpu_meter.h"
#include "gc/events.h"
#include "gc/finalizers.h"
#include "gc/idle_watch.h"
#include "gc/mark_debt.h"
#include "gc/mark_room.h"
#include "gc/marker.h"
#include "gc/mutator.h"
#include "gc/pacing.h"
#include "gc/pauses.h"
#include "gc/roots.h"
#include "gc/run_queue.h"
#include "gc/safepoint.h"
#include "gc/service_thread.h"
#include "gc/start_index.h"
#include "gc/step_cost.h"
#include "gc/verifier.h"
#include "gc/work_units.h"
#include "heap/config.h"
#include "heap/fork_guard.h"
#include "heap/memory.h"

#include <atomic>
#include <functional>
#include <string>

namespace echo {

enum class Phase : std::uint8_t { Idle, Marking, Clearing, Sweeping };

// What is to be done next of the weak half of a cycle.
enum class WeakStep : std::uint8_t {
  None,
  Clear,      // weak slots with dead targets, and ephemerons with dead keys, become null
  Scan,       // finalizable objects: which are due
  Push,       // what is due is grey
  Resurrect,  // and is marked, with all that it reaches
  ClearAgain, // the weak slots and ephemerons of these
};

// What the last completed mark found.
struct MarkResult {
  std::uint64_t live_bytes = 0; // objects marked
  std::uint64_t held_bytes = 0; // and those born since the mark started, at the end of the sweep
  std::uint64_t used_bytes = 0; // slabs and pages that hold them
  std::uint64_t hole_bytes = 0; // of recyclable slabs
  bool valid = false;
};

// Of a walk over all objects: true ends it.
using ObjectVisitor = std::function<bool(ObjectRef, LayoutId, std::size_t bytes)>;

class Collector {
public:
  explicit Collector(const Config& config);
  ~Collector();
  Collector(const Collector&) = delete;
  Collector& operator=(const Collector&) = delete;

  // ECHO_OK, or SYSTEM_MEMORY with a sentence.
  echo_status open(std::string* why);

  echo_status attach(Mutator** out, std::string* why);
  // Detaches and destroys.
  void detach(Mutator* mutator);

  // Registers a layout, and sets aside what its kinds of slots and its flags need.
  echo_status register_layout(const echo_layout& layout, LayoutId* out, std::string* why,
                              LayoutRecord::Trace trace = {}) ECHO_EXCLUDES(marking_mutex_);
  // SAFEPOINT. Null: mutator.last_error says why.
  ObjectRef allocate(Mutator& mutator, LayoutId layout, std::uint64_t length);
  enum class Where : std::uint8_t {
    AsConfigured,
    InStop, // all of it in one stop
    Beside  // marking beside the other threads, by the caller, who waits
  };
  // SAFEPOINT.
  echo_status collect(Mutator& mutator, echo_cause cause, std::string* why,
                      Where where = Where::AsConfigured);
  // SAFEPOINT. Begins a collection and does not wait for it; false: the heap knows whole ones only (mode stw).
  bool begin_collection(Mutator& mutator);
  // SAFEPOINT. Collector work for at most so long; true: there is none left. [inc.budget.1]
  bool idle_step(Mutator& mutator, std::uint64_t budget_us);
  // SAFEPOINT. The cold poll: waits for a stop, then passes the watermark if the polling frame lies above it.
  void poll(Mutator& mutator);
  // SAFEPOINT.
  std::string verify(Mutator& mutator, bool objects);
  void statistics(echo_statistics* out);

  // SAFEPOINT. Visits the objects of at most `most_slabs` slabs (0: of all) from the slab *position on: gc/object_walk.cpp.
  echo_status walk(Mutator& mutator, std::uint32_t most_slabs, std::uint64_t* position,
                   const ObjectVisitor& visit, std::string* why) ECHO_EXCLUDES(driver_mutex_);
  // Any thread, any state: gc/pressure.cpp.
  echo_status add_external(std::int64_t delta, std::string* why);
  // On the service thread; tests call it with a clock of theirs: gc/idle.cpp. Processor time of the calling thread in a
  // collection, which has counted it: nanoseconds. [stats.cpu.1]
  std::uint64_t look_when_idle(std::uint64_t now_ns) ECHO_EXCLUDES(driver_mutex_);
  void set_out_of_memory_handler(echo_out_of_memory_fn handler, void* context) ECHO_EXCLUDES(handler_mutex_);

  // Over a fork, on the thread that forks, managed: gc/fork.cpp.
  echo_status fork_prepare(Mutator& mutator, std::string* why) ECHO_NO_THREAD_ANALYSIS;
  echo_status fork_parent(Mutator& mutator, std::string* why) ECHO_NO_THREAD_ANALYSIS;
  echo_status fork_child(Mutator& mutator, std::string* why) ECHO_NO_THREAD_ANALYSIS;

  // echo_ambiguous_*: gc/ambiguous_roots.cpp. The first on the thread itself, managed; the others in any state.
  echo_status ambiguous_stack(Mutator& mutator, bool on, std::string* why);
  echo_status add_ambiguous_range(const void* start, std::uint64_t bytes, std::string* why);
  echo_status remove_ambiguous_range(const void* start, std::string* why);

  // echo_test_cycle_*: gc/stepping.cpp. On a managed thread. SAFEPOINT. [step.open.1]
  enum class MarkState : std::uint8_t {
    More,
    Shared,  // what is left is with other markers: wait_for_seconds
    Waiting, // for threads to visit their frames
    Done     // unless more is logged
  };
  echo_status start_stepped(Mutator& mutator, std::string* why) ECHO_EXCLUDES(driver_mutex_);
  echo_status step(Mutator& mutator, std::uint64_t units, MarkState* state, std::string* why)
      ECHO_EXCLUDES(driver_mutex_);
  echo_status finish_stepped(Mutator& mutator, std::string* why) ECHO_EXCLUDES(driver_mutex_);
  echo_status hold(Mutator& mutator, bool on, std::string* why) ECHO_EXCLUDES(driver_mutex_);

  // In a stop: the whole cycle of mode stw.
  void run_cycle(const std::vector<Mutator*>& mutators, echo_cause cause);
  // The steps of a cycle beside the program, for its driver: prepare_cycle, begin_mark in a stop, mark_slice until nothing
  // is left, end_mark in a stop, again from mark_slice while that says false, finish_cycle.
  void prepare_cycle(echo_cause cause);
  // In a stop: [mark.start.1], `beside`: the program goes on after it.
  void begin_mark(const std::vector<Mutator*>& mutators, bool beside) ECHO_EXCLUDES(marking_mutex_);
  // In a stop: false if there is more to mark. [mark.end.1]
  bool end_mark(const std::vector<Mutator*>& mutators) ECHO_EXCLUDES(marking_mutex_);
  MarkState mark_slice(std::size_t edges) ECHO_EXCLUDES(marking_mutex_);
  // A slice of the weak half, beside the program: gc/weak_cycle.cpp. False: it is over. finish_cycle does what is left.
  bool weak_slice(std::size_t most) ECHO_EXCLUDES(marking_mutex_);
  void finish_cycle() ECHO_EXCLUDES(marking_mutex_);
  // In a stop: begin_mark, and what comes behind it as far as the stop's units go: gc/at_once.cpp.
  void begin_and_end(const std::vector<Mutator*>& mutators) ECHO_EXCLUDES(marking_mutex_);
  std::string verify_in_stop(const std::vector<Mutator*>& mutators, Verifier::Moment moment, bool objects);

  const HeldUnits& held() const { return held_; }
  std::uint64_t cycles() const { return cycles_.load(std::memory_order_acquire); }
  // Marks that were left to the threads of the program. [service.way.1]
  std::uint64_t marks_by_program() const { return marks_by_program_.load(std::memory_order_relaxed); }
  // ECHO_OK, or why the last cycle freed nothing.
  echo_status failure(std::string* why) ECHO_EXCLUDES(failure_mutex_);

  const Config config;

private:
  MutexList mutexes_;
  MutexList::Registering registering_{mutexes_}; // ends in the constructor's body

public:
  Memory memory;
  ForkGuard guard;
  Events events;
  Pauses pauses{events};
  Safepoints safepoints;
  RootSet roots;
  StartIndex starts;
  BarrierHeap barriers;
  Finalizers finalizers;

private:
  ObjectRef allocate_small(Mutator& mutator, const LayoutRecord& record, LayoutId layout,
                           std::uint64_t length, std::size_t bytes);
  ObjectRef allocate_large(Mutator& mutator, LayoutId layout, std::uint64_t length, std::size_t bytes);
  // Makes room after `attempt` failed; false: out of memory, the error is set.
  template <class Attempt> bool with_collections(Mutator& mutator, std::size_t bytes, Attempt attempt);
  template <class Attempt> bool collect_and_try(Mutator& mutator, std::size_t bytes, Attempt attempt);
  // The VM's handler made room, it says.
  bool is_rescued(Mutator& mutator, std::size_t bytes) ECHO_EXCLUDES(handler_mutex_);
  void note_pressure();
  std::size_t below_soft_limit(std::size_t trigger, std::size_t used, std::size_t live);
  void hold_steps() ECHO_NO_THREAD_ANALYSIS;
  bool is_held_over_fork(const Mutex& mutex);
  void drop_cycle() ECHO_NO_THREAD_ANALYSIS;
  void note_past(const Mutator& mutator);
  bool room_was_left(std::size_t bytes) ECHO_EXCLUDES(result_mutex_);
  void fail(Mutator& mutator, echo_status status, const std::string& message);
  void set_failure(echo_status status, std::string why) ECHO_EXCLUDES(failure_mutex_);
  void set_watermarks(const std::vector<Mutator*>& mutators);
  bool audit_and_verify_before(const std::vector<Mutator*>& mutators);
  // A cycle beside the program, driven by the calling thread, which is at rest or not attached.
  void drive(echo_cause cause, Where where) ECHO_REQUIRES(driver_mutex_);
  void bring_near();
  void stop_to_begin();
  bool stop_to_end(); // true: the mark is over
  // A cycle in steps, by whoever holds driver_mutex_, at rest: gc/incremental.cpp.
  void begin_steps(echo_cause cause) ECHO_REQUIRES(driver_mutex_);
  std::size_t advance(std::size_t units) ECHO_REQUIRES(driver_mutex_);
  void end_steps() ECHO_REQUIRES(driver_mutex_);
  bool step_within(std::uint64_t left_ns) ECHO_REQUIRES(driver_mutex_);
  StepKind next_kind() const ECHO_REQUIRES(driver_mutex_);
  bool must_wait_for_frames() const;
  bool is_step_due() const;
  bool is_due_when_idle();
  void want_steps(Mutator& mutator);
  bool step_once(Mutator& mutator, std::size_t units);
  MarkDebt* creditor();
  void pay(Mutator& mutator, unsigned most_slices);
  // Behind the mark: gc/finish.cpp.
  void begin_finish();
  bool finish_some(std::size_t units);
  bool finish_part(std::size_t units);
  bool count_some(std::size_t units);
  void set_pace();
  void sleep_if_slow() const;
  void drive_in_background() ECHO_EXCLUDES(driver_mutex_);
  void collect_when_idle() ECHO_EXCLUDES(driver_mutex_);
  std::uint64_t handed_out() const;
  // Its parts. Begins: false if the mark was given up. Marks to the end: false if the heap goes.
  bool begin_beside(echo_cause cause) ECHO_REQUIRES(driver_mutex_);
  bool mark_beside() ECHO_REQUIRES(driver_mutex_);
  void finish_beside() ECHO_REQUIRES(driver_mutex_);
  void finish_open_cycle() ECHO_REQUIRES(driver_mutex_);
  echo_status steps_of(std::string* why) const;
  template <class Body>
  echo_status as_driver(Mutator& mutator, std::string* why, Body body) ECHO_NO_THREAD_ANALYSIS;
  // What a slice may do besides following edges: logs taken, root words and frames traced.
  struct SliceBounds {
    std::size_t logs;
    std::uint32_t cells, frames;
    bool in_stop = false; // nobody runs, active or not [roots.stop.1]
  };
  static SliceBounds bounds_for(std::size_t edges);
  MarkState mark_some(std::size_t edges, const SliceBounds& bounds, WorkUnits* done)
      ECHO_REQUIRES(marking_mutex_);
  bool has_roots_to_trace();
  std::uint64_t* frames_in(WorkUnits& units) const;
  void note_exhaustion();
  std::size_t seconds_wanted();
  bool is_worth_sharing(std::size_t seconds) const;
  void adapt_seconds() ECHO_REQUIRES(driver_mutex_);
  MarkState mark_step() ECHO_EXCLUDES(driver_gate_, marking_mutex_);
  bool has_orphans() ECHO_EXCLUDES(orphans_mutex_);
  // The ambiguous words that the stop found, about `most` of them; true when all were looked at.
  std::size_t push_root_words(std::size_t most) ECHO_REQUIRES(marking_mutex_);
  bool look_at_words(std::size_t most) ECHO_REQUIRES(marking_mutex_);
  // The number of records.
  std::uint64_t take_logs(std::size_t most_buffers) ECHO_REQUIRES(marking_mutex_);
  // Marking by the threads of the program: gc/assist.cpp.
  void pay_for_allocation(Mutator& mutator, std::size_t bytes) ECHO_EXCLUDES(marking_mutex_);
  bool assist_once(Mutator& mutator) ECHO_EXCLUDES(marking_mutex_);
  bool mark_or_wait(Mutator& mutator, std::uint64_t start, bool given) ECHO_EXCLUDES(marking_mutex_);
  std::uint64_t assist_some(std::size_t edges, bool* idle) ECHO_REQUIRES(marking_mutex_);
  void relieve_log(Mutator& mutator, bool full) ECHO_EXCLUDES(marking_mutex_);
  void let_others_mark() const;
  bool has_processor();
  void give_way() ECHO_REQUIRES(driver_mutex_) ECHO_EXCLUDES(marking_mutex_);
  bool assists() const { return config.assists && !config.stepping; } // [step.open.1]
  std::size_t edges_per_assist() const;
  // Beside a collection: what may still be allocated, and bytes in use that may not, for what is in no hole.
  std::uint64_t room_left() { return memory.pool.room_beside() + memory.supply.hole_bytes(); }
  std::uint64_t used_beside_holes();
  void plan_room();
  std::uint64_t room_for_debt();
  void wait_for_end(Mutator& mutator, std::uint64_t bytes);
  void set_barriers(std::uint8_t phase);
  echo_status begin_roots(const std::vector<Mutator*>& mutators, RootVisitor& visitor, std::string* why);
  // Roots that are traced beside the program: gc/thread_roots.cpp.
  void resumed(Mutator& mutator);
  echo_status notice_mark(Mutator& mutator, RootVisitor& visitor, std::uint64_t* visited, std::string* why);
  echo_status visit_frames(Mutator& mutator, std::uint32_t most, bool from_anchor, RootVisitor& visitor,
                           std::uint64_t* visited, std::string* why);
  void visit_own_frames(Mutator& mutator, std::uint32_t most);
  void finish_frames(Mutator& mutator);
  void leave_roots(Mutator& mutator);
  bool trace_roots(const SliceBounds& bounds, WorkUnits* done) ECHO_REQUIRES(marking_mutex_);
  // marking_mutex_ and the registry lock held
  bool trace_thread(Mutator& mutator, const SliceBounds& bounds, WorkUnits* done);
  void one_part_done(Mutator& mutator);
  void roots_failed(echo_status status, const std::string& why);
  void end_of_mark(const std::vector<Mutator*>& mutators) ECHO_REQUIRES(marking_mutex_);
  void begin_weak_work();
  bool clear_some(std::size_t most);
  void begin_resurrection(const FinalizableBlock* first);
  void push_due(std::size_t most) ECHO_REQUIRES(marking_mutex_);
  void resurrect_some(std::size_t edges) ECHO_REQUIRES(marking_mutex_);
  void end_weak_work();
  // What a thread has allocated goes to the heap.
  void retire(Mutator& mutator);
  // Of a thread that attaches or becomes managed.
  std::uint8_t barrier_phase() const;
  // gc/at_once.cpp
  enum class AtOnce : std::uint8_t {
    No,    // it is for the heap's own thread
    Begun, // by a thread that is at it still: the program goes on, and asks nobody else
    Served // a cycle has ended, or has begun, since the caller found no room; or there is room again
  };
  AtOnce collect_at_once(Mutator& mutator) ECHO_EXCLUDES(driver_mutex_);
  void drive_at_once() ECHO_REQUIRES(driver_mutex_);
  bool mark_at_once(const std::vector<Mutator*>& mutators) ECHO_EXCLUDES(marking_mutex_);
  bool rest_fits();
  bool is_little();
  // Allocation has reached the trigger.
  void request_cycle(Mutator& mutator);
  void wake_collector(); // mode concurrent, any thread

  Marker marker_;
  Verifier verifier_;
  BarrierAudit audit_;
  std::vector<DeletionRecord> audit_log_;      // taken since the last comparison
  WeakStep weak_step_ = WeakStep::None;        // of the driver
  const FinalizableBlock* next_due_ = nullptr; // likewise: to be pushed
  std::atomic<std::uint64_t> weak_slots_cleared_{0}, ephemerons_cleared_{0}, finalizers_found_{0};
  Pacing pacing_;
  MarkDebt debt_;
  MarkRoom room_;                                   // of the mark that is on
  IdleWatch idle_;                                  // of the service thread
  std::atomic<bool> is_idle_{false};                // the next collection is because of idleness
  std::atomic<std::uint64_t> handed_out_before_{0}; // at the end of the last collection
  ServiceThread service_;
  BackgroundThread collector_thread_;
  Mutex driver_mutex_;
  bool is_open_ ECHO_GUARDED_BY(driver_mutex_) =
      false; // a cycle has begun, and nobody drives it [step.open.1]
  bool is_left_ ECHO_GUARDED_BY(driver_mutex_) = false; // to the heap's own thread: it is open [cycle.once.2]
  bool is_held_ ECHO_GUARDED_BY(driver_mutex_) = false; // [step.hold.1]
  std::atomic<bool> is_little_{
      false}; // the last mark would have fitted the stop in which it began [cycle.once.2]
  std::atomic<bool> is_at_once_{false}; // whoever has driver_mutex_ is about to end a cycle within a stop
  Mutex driver_gate_;                   // held during each step of a cycle beside the program
  Mutex marking_mutex_;
  std::atomic<unsigned> wait_to_mark_{0}; // threads that do not go on before they have marked a slice
  // Of the current cycle: written by its driver and in its stops.
  struct Cycle {
    echo_cause cause = ECHO_CAUSE_requested;
    bool beside = false;
    bool whole = false;     // roots enumerated, nothing corrupt
    bool ambiguous = false; // there may be ambiguous words
    bool at_once = false;   // in the stop of gc/at_once.cpp
    bool is_marked = false;
    std::uint64_t cpu_ns = 0;
    std::size_t seconds = 0; // markers besides the one that leads, allowed when it began
    bool by_program = false; // for some time at least [service.way.1]
    std::uint64_t seen_assisted = 0;
    std::uint64_t adapted_ns = 0;
    std::size_t used_before = 0;
    CycleMeasure measure;
  } cycle_;
  enum class CycleStep : std::uint8_t { None, Retire, Begin, Mark, End, Finish };
  std::atomic<CycleStep> step_{CycleStep::None}; // the next; written by whoever holds driver_mutex_
  std::atomic<std::uint64_t> last_end_ns_{0};
  StepCost step_cost_;
  enum class FinishPart : std::uint8_t { None, Weak, Count, Large, Small, Pace, Keep, Clear, Trim };
  struct Finishing {
    FinishPart part = FinishPart::None;
    std::size_t next_span = 0; // to be counted
    std::uint64_t born = 0;
    std::uint64_t counting_ns = 0;
    Address next_large = 0;
    LargeSpace::Swept large;
    SlabSupply::Rebuild small;
    Memory::Clearing cleared;
    std::uint64_t units = 0;
  } finishing_;
  MarkDebt finish_debt_;
  std::uint8_t barrier_phase_ = kBarrierIdle; // what barrier_phase() was in the last stop; written in stops
  std::uint64_t mark_number_ = 0; // of marks beside the program that were started; written in stops
  std::atomic<std::size_t> untraced_threads_{0}; // whose roots of this mark are not all traced
  std::atomic<bool> roots_failed_{false};        // a frame could not be mapped: the mark is worthless
  // Handles of threads that are gone, to be traced.
  struct Orphan {
    HandleStack::Trace trace;
    std::vector<std::unique_ptr<HandleStack::Block>> blocks;
  };
  // Ambiguous words of the stop in which the mark started. [roots.ambiguous.1]
  struct FoundWord {
    AmbiguousWord word;
    echo_pin where;
  };
  std::vector<FoundWord> found_words_ ECHO_GUARDED_BY(marking_mutex_);
  std::vector<ObjectRef>
      root_words_ ECHO_GUARDED_BY(marking_mutex_); // of the stop that started the mark [roots.copy.1]
  std::size_t next_root_word_ ECHO_GUARDED_BY(marking_mutex_) = 0; // those before are grey
  Mutex orphans_mutex_;
  std::vector<Orphan> orphans_ ECHO_GUARDED_BY(orphans_mutex_);
  WorkUnits units_; // of the stop that is on, or of the last step
  HeldUnits held_;
  RunQueue driver_queue_;           // of the heap's own thread
  std::size_t next_thread_ = 0;     // whose roots are looked at next; under marking_mutex_
  std::atomic<bool> wanted_{false}; // a cycle was asked for and has not begun
  std::atomic<bool> failed_{
      false}; // the last cycle freed nothing: the next allocation that needs one asks why
  std::atomic<echo_cause> wanted_cause_{ECHO_CAUSE_heap_full};
  std::atomic<std::uint64_t> wanted_after_{0}; // cycles finished when it was asked for
  std::atomic<Phase> phase_{Phase::Idle};
  std::atomic<std::uint64_t> cycles_{0};
  // Written in stops, read by statistics under no lock: atomics.
  std::atomic<std::uint64_t> objects_counted_{0}; // of retired spans up to the last stop
  std::atomic<std::uint64_t> allocated_at_mark_{0};
  std::atomic<std::uint64_t> poor_cycles_{0}; // in a row: freed almost nothing
  std::atomic<std::uint64_t> by_cause_[ECHO_CAUSE_COUNT] = {};
  std::atomic<std::uint64_t> gc_cpu_ns_{0}, mark_ns_{0}, sweep_ns_{0};
  std::atomic<std::uint64_t> objects_marked_{0}, bytes_marked_{0}, edges_assisted_{0}, edges_of_seconds_{0};
  std::atomic<std::uint64_t> marks_by_program_{0};
  std::atomic<bool> by_program_{false}; // just now its threads mark, and the heap's own gives way
  // Of threads that are gone, and of large objects of all threads.
  std::atomic<std::uint64_t> past_barrier_cold_{0}, past_poll_cold_{0}, past_allocate_cold_{0};
  std::atomic<std::uint64_t> large_objects_allocated_{0}, large_bytes_allocated_{0};
  std::atomic<std::int64_t> external_{0};      // bytes outside the heap
  std::atomic<std::int64_t> external_base_{0}; // at the end of the last collection
  std::atomic<std::uint64_t> soft_limit_passed_{0};
  struct OutOfMemoryHandler {
    echo_out_of_memory_fn ask = nullptr;
    void* context = nullptr;
  };
  Mutex handler_mutex_;
  OutOfMemoryHandler handler_ ECHO_GUARDED_BY(handler_mutex_);
  Mutex result_mutex_;
  MarkResult result_ ECHO_GUARDED_BY(result_mutex_);
  Mutex failure_mutex_;
  echo_status failure_ ECHO_GUARDED_BY(failure_mutex_) = ECHO_OK;
  std::string failure_why_ ECHO_GUARDED_BY(failure_mutex_);
};

} // namespace echo
