// SPDX-License-Identifier: MIT
//
// Purpose     One heap at run time: its memory, threads, roots, collector and counters.
// Drawing     phases:  Idle -> Marking -> Clearing -> Sweeping -> Idle
//             this collector runs Marking and Clearing inside one stop; Sweeping is lazy (by refill) and ends
//             when the next mark begins. The phase is what the barrier, the allocator and the verifier ask.
//
// Invariants  [cycle.phase.1] The phase changes only in a stop. [cycle.free.1] Memory is freed only after a
//             mark that enumerated every root without error and met no corrupt reference. [cycle.oom.1] Null
//             is returned only after a full collection that began after the request failed.
#pragma once

#include "gc/barrier_audit.h"
#include "gc/marker.h"
#include "gc/mutator.h"
#include "gc/pauses.h"
#include "gc/roots.h"
#include "gc/safepoint.h"
#include "gc/service_thread.h"
#include "gc/start_index.h"
#include "gc/verifier.h"
#include "heap/config.h"
#include "heap/memory.h"

#include <atomic>
#include <string>

namespace echo {

enum class Phase : std::uint8_t { Idle, Marking, Clearing, Sweeping };

// What the last completed mark found.
struct MarkResult {
  std::uint64_t live_bytes = 0; // objects
  std::uint64_t used_bytes = 0; // slabs and pages that hold them
  std::uint64_t hole_bytes = 0; // of recyclable slabs
  bool valid = false;
};

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

  // SAFEPOINT. Null: mutator.last_error says why.
  ObjectRef allocate(Mutator& mutator, LayoutId layout, std::uint64_t length);
  // SAFEPOINT.
  echo_status collect(Mutator& mutator, echo_cause cause, std::string* why);
  // SAFEPOINT. The cold poll: waits for a stop, then passes the watermark if the polling frame lies above it.
  void poll(Mutator& mutator);
  // SAFEPOINT.
  std::string verify(Mutator& mutator, bool objects);
  void statistics(echo_statistics* out);

  // echo_ambiguous_*: gc/ambiguous_roots.cpp. The first on the thread itself, managed; the others in any state.
  echo_status ambiguous_stack(Mutator& mutator, bool on, std::string* why);
  echo_status add_ambiguous_range(const void* start, std::uint64_t bytes, std::string* why);
  echo_status remove_ambiguous_range(const void* start, std::string* why);

  // Runs in a stop.
  void run_cycle(const std::vector<Mutator*>& mutators, echo_cause cause);
  std::string verify_in_stop(const std::vector<Mutator*>& mutators, Verifier::Moment moment, bool objects);

  std::uint64_t cycles() const { return cycles_.load(std::memory_order_acquire); }
  // ECHO_OK, or why the last cycle freed nothing.
  echo_status failure(std::string* why) ECHO_EXCLUDES(failure_mutex_);

  const Config config;
  Memory memory;
  Pauses pauses;
  Safepoints safepoints;
  RootSet roots;
  StartIndex starts;
  DeletionSink deletions;

private:
  ObjectRef allocate_small(Mutator& mutator, const LayoutRecord& record, LayoutId layout,
                           std::uint64_t length, std::size_t bytes);
  ObjectRef allocate_large(Mutator& mutator, LayoutId layout, std::uint64_t length, std::size_t bytes);
  // Makes room after `attempt` failed; false: out of memory, the error is set.
  template <class Attempt> bool with_collections(Mutator& mutator, std::size_t bytes, Attempt attempt);
  bool room_was_left(std::size_t bytes) ECHO_EXCLUDES(result_mutex_);
  void fail(Mutator& mutator, echo_status status, const std::string& message);
  void set_failure(echo_status status, std::string why) ECHO_EXCLUDES(failure_mutex_);
  void set_watermarks(const std::vector<Mutator*>& mutators);
  bool audit_and_verify_before(const std::vector<Mutator*>& mutators);
  bool mark(const std::vector<Mutator*>& mutators);
  void sweep_and_pace(std::uint64_t cycle_cpu_start);

  Marker marker_;
  Verifier verifier_;
  BarrierAudit audit_;
  ServiceThread service_;
  std::atomic<Phase> phase_{Phase::Idle};
  std::atomic<std::uint64_t> cycles_{0};
  // Written in stops, read by statistics under no lock: atomics.
  std::atomic<std::uint64_t> objects_counted_{0}; // of retired spans up to the last stop
  std::atomic<std::uint64_t> allocated_at_mark_{0};
  std::atomic<std::uint64_t> poor_cycles_{0}; // in a row: freed almost nothing
  std::atomic<std::uint64_t> by_cause_[ECHO_CAUSE_COUNT] = {};
  std::atomic<std::uint64_t> gc_cpu_ns_{0}, mark_ns_{0}, sweep_ns_{0};
  std::atomic<std::uint64_t> objects_marked_{0}, bytes_marked_{0};
  // Of threads that are gone, and of large objects of all threads.
  std::atomic<std::uint64_t> past_barrier_cold_{0}, past_poll_cold_{0}, past_allocate_cold_{0};
  std::atomic<std::uint64_t> large_objects_allocated_{0}, large_bytes_allocated_{0};
  Mutex result_mutex_;
  MarkResult result_ ECHO_GUARDED_BY(result_mutex_);
  Mutex failure_mutex_;
  echo_status failure_ ECHO_GUARDED_BY(failure_mutex_) = ECHO_OK;
  std::string failure_why_ ECHO_GUARDED_BY(failure_mutex_);
};

} // namespace echo
