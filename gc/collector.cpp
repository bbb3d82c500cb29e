// SPDX-License-Identifier: MIT
//
// Purpose     Birth and death of a heap and of its threads; statistics.
#include "gc/collector.h"

#include "gc/census.h"
#include "heap/assert.h"
#include "heap/fault.h"
#include "heap/native/topology.h"
#include "heap/os_memory.h"

#include <algorithm>
#include <iterator>
#include <memory>
#include <new>

namespace echo {

namespace {
constexpr std::size_t kMaxThreads = 1u << 16;
constexpr std::uint64_t kNsPerMs = 1'000'000;
} // namespace

Collector::Collector(const Config& c)
    : config(c), memory(c), safepoints(
                                pauses, c.stress_yield, c.seed, [this](Mutator& m) { resumed(m); },
                                [this](Mutator& m) { m.barrier.log.flush(barriers.sink); }, c.permits),
      starts(memory, safepoints), barriers{{}, Snapshot(memory.pool.slabs(), memory.bits)},
      finalizers(memory), marker_(memory), verifier_(memory, roots), audit_(memory, roots),
      pacing_({c.policy, c.growth_percent, c.balance, c.initial_trigger}, c.max_heap),
      idle_(c.idle_ms * kNsPerMs, c.idle_collect && !c.stepping),
      service_(
          memory, c.poison, std::chrono::milliseconds(c.idle_by_hand ? 0 : c.idle_ms),
          [this] {
            if (!config.idle_by_hand) {
              service_.leave_out(look_when_idle(os::monotonic_ns()));
            }
          },
          [this] { return safepoints.stop_asked(); }),
      collector_thread_([this] { drive_in_background(); }, {}, BackgroundThread::Share::Smaller),
      barrier_phase_(c.stress_barriers ? kBarrierAudit : kBarrierIdle) {
  if (assists()) {
    barriers.sink.set_relief(
        [](void* self, void* thread, bool full) {
          static_cast<Collector*>(self)->relieve_log(*static_cast<Mutator*>(thread), full);
        },
        this);
  }
  registering_.end();
}

Collector::~Collector() {
  collector_thread_.stop();
  service_.stop(); // it may have driven a cycle
  marker_.stop_seconds();
  if (const std::uint64_t left = roots.persistent.count(); left != 0) {
    events.raise_in_stop(ECHO_EVENT_handles_left, 0, 0, 0, left, roots.pinned.count());
  }
  events.end();
}

echo_status Collector::open(std::string* why) {
  memory.pool.use_topology(native::system_topology());
  if (!guard.open() || !memory.open() || !marker_.open(config)) {
    *why = "the operating system refused the address space of a heap of " + std::to_string(config.max_heap) +
           " bytes; lower max_heap or reserve, or raise the process's address-space limit";
    return ECHO_SYSTEM_MEMORY;
  }
  if (config.soft_limit != 0) { // [limit.soft.1] until the first collection has measured
    memory.pool.set_trigger(std::min(memory.pool.trigger(), config.soft_limit));
  }
  roots.ambiguous.open(memory.pool.slabs().base(), memory.pool.slabs().bytes());
  {
    const MutexLock marking(marking_mutex_);
    root_words_.resize(GlobalRoots::kMaxWords); // no stop allocates, nor faults its pages in [roots.copy.1]
    root_words_.clear();
  }
  os::touch_own_image(); // finds it: not beside a fork
  if (!service_.start() || (config.mode == MarkMode::Concurrent && !collector_thread_.start())) {
    *why = "the operating system refused the heap's background threads";
    return ECHO_SYSTEM_MEMORY;
  }
  return ECHO_OK;
}

echo_status Collector::attach(Mutator** out, std::string* why) {
  if (safepoints.is_attached(::pthread_self())) {
    *why = "this thread is attached to this heap already";
    return ECHO_WRONG_STATE;
  }
  if (safepoints.attached() >= kMaxThreads) {
    *why = std::to_string(kMaxThreads) + " threads are attached already";
    return ECHO_LIMIT_EXCEEDED;
  }
  std::unique_ptr<Mutator> mutator(new (std::nothrow)
                                       Mutator(*this, memory.supply, config.stress_collect == 0));
  if (mutator == nullptr) {
    *why = "no memory for a thread block";
    return ECHO_SYSTEM_MEMORY;
  }
  mutator->run_queue.open();
  safepoints.attach(mutator.get(), [&] {
    mutator->phase = has_fault(Fault::PhaseNotSetAtAttach) ? std::uint8_t{kBarrierIdle} : barrier_phase();
    mutator->to_trace.mark = mark_number_; // it had no roots when the mark started
  });
  *out = mutator.release();
  return ECHO_OK;
}

void Collector::detach(Mutator* mutator) {
  const std::unique_ptr<Mutator> owned(mutator);
  finish_frames(*mutator);
  safepoints.detach(mutator, [this, mutator] {
    leave_roots(*mutator);
    retire(*mutator);
    if (!has_fault(Fault::LogLostAtDetach)) {
      mutator->barrier.log.flush(barriers.sink);
    }
    note_past(*mutator);
  });
}

void Collector::note_past(const Mutator& mutator) {
  past_barrier_cold_.fetch_add(mutator.barrier.cold_calls, std::memory_order_relaxed);
  past_poll_cold_.fetch_add(mutator.cold_polls, std::memory_order_relaxed);
  past_allocate_cold_.fetch_add(mutator.cold_allocations, std::memory_order_relaxed);
}

void Collector::statistics(echo_statistics* out) {
  const Census census(memory.layouts);
  std::uint64_t objects = 0;
  std::uint64_t bytes = 0;
  out->barrier_cold = past_barrier_cold_.load(std::memory_order_relaxed);
  out->poll_cold = past_poll_cold_.load(std::memory_order_relaxed);
  out->allocate_cold = past_allocate_cold_.load(std::memory_order_relaxed);
  std::uint32_t attached = 0;
  std::size_t unbegun = 0; // empty, but not in the pool
  // What the caller has allocated is in its spans or in the log, never in both.
  safepoints.with_own_state([&] {
    safepoints.for_each([&](Mutator& m) {
      ++attached;
      unbegun += m.allocator.held_slabs() * kSlabBytes;
      if (!m.is_current_thread()) {
        return; // its counters and span are its own until it retires them
      }
      m.take_back_span();
      out->barrier_cold += m.barrier.cold_calls;
      out->poll_cold += m.cold_polls;
      out->allocate_cold += m.cold_allocations;
      out->scoped_handles += m.handles.size();
      for (const RetiredSpan& span : m.allocator.log()) {
        bytes += span.end - span.start;
      }
      objects += config.census ? census.count({m.allocator.log().begin(), m.allocator.log().end()}) : 0;
      for (const Span& span : {m.allocator.current(), m.allocator.overflow()}) {
        bytes += span.cursor - span.start;
        objects += config.census ? census.count({{span.start, span.cursor}}) : 0;
      }
    });
    objects += memory.supply.with_retired([&](const SpanLog& before, const SpanLog& since) {
      return objects_counted_.load(std::memory_order_relaxed) +
             (config.census ? census.count(before) + census.count(since) : 0);
    });
    bytes += memory.supply.retired_bytes();
  });
  out->threads_attached = attached;
  out->objects_allocated = objects + large_objects_allocated_.load(std::memory_order_relaxed);
  out->bytes_allocated = bytes + large_bytes_allocated_.load(std::memory_order_relaxed);
  for (std::size_t c = 0; c < std::size(out->collections_by_cause); ++c) {
    out->collections_by_cause[c] = by_cause_[c].load(std::memory_order_relaxed);
    out->collections_full += out->collections_by_cause[c];
  }
  pauses.report(out);
  out->gc_cpu_s = static_cast<double>(gc_cpu_ns_.load(std::memory_order_relaxed) + service_.cpu_ns()) / 1e9;

  MarkResult result;
  {
    const MutexLock lock(result_mutex_);
    result = result_;
  }
  out->live_bytes = result.live_bytes; // [stats.live.1]
  const std::size_t taken = memory.pool.used_bytes();
  out->used_bytes = taken - std::min(taken, unbegun);
  const std::uint64_t since_mark =
      out->bytes_allocated - std::min(out->bytes_allocated, allocated_at_mark_.load());
  out->object_bytes = result.live_bytes + since_mark;
  out->metadata_bytes = memory.metadata_bytes();
  const std::size_t committed = memory.pool.committed_bytes();
  out->reserve_bytes = committed - std::min<std::size_t>(committed, out->used_bytes);
  out->nursery_bytes = 0; // no nursery
  out->committed_bytes = committed + out->metadata_bytes;
  out->peak_committed_bytes = memory.pool.peak_committed_bytes() + out->metadata_bytes;
  // [stats.frag.1]: at the end of the last sweep, or of what there is if there was none.
  const double used = static_cast<double>(result.valid ? result.used_bytes : out->used_bytes);
  const double held = static_cast<double>(result.valid ? result.held_bytes : out->object_bytes);
  out->fragmentation = used > 0 ? (used - held) / used : 0.0;
  out->utilisation = used > 0 ? held / used : 1.0;
  out->objects_marked = objects_marked_.load(std::memory_order_relaxed);
  out->bytes_marked = bytes_marked_.load(std::memory_order_relaxed);
  out->mark_s = static_cast<double>(mark_ns_.load(std::memory_order_relaxed)) / 1e9;
  out->sweep_s = static_cast<double>(sweep_ns_.load(std::memory_order_relaxed)) / 1e9;
  out->log_entries = barriers.sink.total();
  out->global_root_words = roots.globals.words();
  out->large_objects = memory.large.object_count();
  out->large_bytes = memory.large.page_bytes();
  out->bytes_returned = memory.pool.returned_bytes();
  out->bytes_populated = memory.pool.populated_bytes();
  out->slabs_late = memory.pool.late_slabs();
  const SlabPool::NodeCounters nodes = memory.pool.node_counters();
  out->numa_nodes = memory.pool.node_count();
  out->slabs_local = nodes.local_slabs;
  out->slabs_remote = nodes.remote_slabs;
  out->slabs_migrated = nodes.migrated_slabs;
  out->bind_refusals = nodes.bind_refusals;
  out->units_at_mark_start = held_.largest(Hold::mark_start);
  out->units_at_mark_end = held_.largest(Hold::mark_end);
  out->units_of_frames = held_.largest(Hold::frames);
  out->units_of_assists = held_.largest(Hold::assist);
  out->holds_over_cap = held_.over_cap();
  out->edges_assisted = edges_assisted_.load(std::memory_order_relaxed);
  out->edges_of_seconds = edges_of_seconds_.load(std::memory_order_relaxed);
  out->markers_peak = marker_.markers_peak();
  out->log_buffers_peak = barriers.sink.most_waiting();
  out->persistent_handles = roots.persistent.count();
  out->objects_pinned = roots.pinned.count();
  out->external_bytes = static_cast<std::uint64_t>(external_.load(std::memory_order_relaxed));
  out->soft_limit_passed = soft_limit_passed_.load(std::memory_order_relaxed);
  memory.pins.report(out);
  out->weak_slots_cleared = weak_slots_cleared_.load(std::memory_order_relaxed);
  out->ephemerons_cleared = ephemerons_cleared_.load(std::memory_order_relaxed);
  out->finalizable_objects = finalizers.registered();
  out->finalizers_found = finalizers_found_.load(std::memory_order_relaxed);
  out->finalizers_due = roots.finalizers.size();
}

} // namespace echo
