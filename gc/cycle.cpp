// SPDX-License-Identifier: MIT
//
// Purpose     One collection, inside a stop: retire, audit, count, mark, free, pace.
// Invariants  [cycle.phase.1] [cycle.free.1] of collector.h.
// Equations   headroom = max(live * (growth - 100 %), least),  least = the option trigger, or
//             min(32 MiB, max(1 MiB, kBytesPerGcNs * t)) with t the CPU time of this collection
//             next trigger = used + max(0, headroom - holes), at most the limit.
//             An adapting trigger keeps a program with little alive in the caches: while a collection costs
//             10 us, one per MiB is cheaper than streaming through memory (measured, 24-byte objects: 2.4 ns
//             each at 512 KiB, 4.6 at 32 MiB). kBytesPerGcNs bounds what that costs: at 5 bytes allocated per
//             ns, 100 is 5 % of the time.
#include "gc/census.h"
#include "gc/collector.h"
#include "heap/os_memory.h"

#include <algorithm>

namespace echo {

namespace {

constexpr std::uint64_t kMinHeadroom = std::uint64_t{1} << 20;
constexpr std::uint64_t kMaxLeastHeadroom = std::uint64_t{32} << 20;
constexpr std::uint64_t kBytesPerGcNs = 100;

class CollectWork final : public StopWork {
public:
  CollectWork(Collector& collector, echo_cause why, std::uint64_t seen)
      : collector_(collector), seen_cycles_(seen) {
    cause = why;
  }
  void run(const std::vector<Mutator*>& mutators) override { collector_.run_cycle(mutators, cause); }
  // A collection that another thread finished meanwhile serves an allocation as well.
  bool still_wanted() override {
    return cause != ECHO_CAUSE_heap_full || collector_.cycles() == seen_cycles_;
  }

private:
  Collector& collector_;
  const std::uint64_t seen_cycles_;
};

class VerifyWork final : public StopWork {
public:
  VerifyWork(Collector& collector, bool objects) : collector_(collector), objects_(objects) {
    cause = ECHO_CAUSE_requested;
  }
  void run(const std::vector<Mutator*>& mutators) override {
    result = collector_.verify_in_stop(mutators, Verifier::Moment::Anytime, objects_);
  }
  std::string result;

private:
  Collector& collector_;
  const bool objects_;
};

struct UnseenRoots final : RootVisitor {
  void root(ObjectRef) override {}
  void ambiguous(AmbiguousWord, echo_pin) override {}
};

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
    if ((kind == SlabKind::Old || kind == SlabKind::Large) && !collector_.memory.bits.is_marked(ref)) {
      broken_ =
          "a frame above the watermark refers to an object that the last mark did not reach: the frame ran "
          "before it was visited, or its map is wrong";
    }
  }
  Collector& collector_;
  Mutator& mutator_;
  std::string broken_;
};

echo_frame_cursor anchor_of(const Mutator& m) {
  return {m.anchor_sp, m.anchor_fp, m.anchor_pc};
}

struct MarkRoots final : RootVisitor {
  MarkRoots(Marker& m, Memory& of) : marker(m), memory(of) {}
  Marker& marker;
  Memory& memory;
  void root(ObjectRef ref) override { marker.push_root(ref); }
  void ambiguous(AmbiguousWord word, echo_pin where) override {
    if (const ObjectRef hit = memory.words.resolve(word)) {
      memory.pins.pin(hit, where);
      marker.push_root(hit);
    }
  }
  void looked_at(std::uint64_t words) override { memory.pins.saw(words); }
};

} // namespace

echo_status Collector::collect(Mutator& mutator, echo_cause cause, std::string* why) {
  CollectWork work(*this, cause, cycles());
  const std::uint64_t start = os::monotonic_ns();
  if (!safepoints.stop(&mutator, work)) {
    pauses.record_stall(os::monotonic_ns() - start);
  } else {
    service_.wake_if_needed();
  }
  return failure(why);
}

void Collector::set_watermarks(const std::vector<Mutator*>& mutators) {
  for (Mutator* m : mutators) {
    MarkedFrames frames(*this, *m);
    std::string why;
    if (const echo_status status = m->watermark.set(anchor_of(*m), frames, &why); status != ECHO_OK) {
      set_failure(status, why);
    }
  }
}

void Collector::poll(Mutator& mutator) {
  safepoints.poll(mutator);
  while (mutator.watermark.is_set() &&
         (mutator.anchor_pc == 0 || mutator.anchor_fp > mutator.watermark.word())) {
    MarkedFrames frames(*this, mutator);
    std::string why;
    if (const echo_status status = mutator.watermark.pass(anchor_of(mutator), frames, &why);
        status != ECHO_OK) {
      set_failure(status, why);
    }
    // A stop may be asked for meanwhile: its 0 stays.
    std::uint64_t word = mutator.poll_word.load(std::memory_order_relaxed);
    while (word != 0 && !mutator.poll_word.compare_exchange_weak(word, mutator.watermark.word())) {
    }
  }
}

std::string Collector::verify(Mutator& mutator, bool objects) {
  VerifyWork work(*this, objects);
  safepoints.stop(&mutator, work);
  // A heap that was found corrupt once stays so; other failures of the last cycle say nothing about the heap.
  std::string why;
  return work.result.empty() && failure(&why) == ECHO_HEAP_CORRUPT ? why : work.result;
}

std::string Collector::verify_in_stop(const std::vector<Mutator*>& mutators, Verifier::Moment moment,
                                      bool objects) {
  return verifier_.verify(mutators, moment, objects);
}

echo_status Collector::failure(std::string* why) {
  const MutexLock lock(failure_mutex_);
  if (failure_ != ECHO_OK) {
    *why = failure_why_;
  }
  return failure_;
}

void Collector::set_failure(echo_status status, std::string why) {
  const MutexLock lock(failure_mutex_);
  // A corrupt heap stays corrupt; other failures last until a cycle succeeds.
  if (failure_ != ECHO_HEAP_CORRUPT) {
    failure_ = status;
    failure_why_ = std::move(why);
  }
}

bool Collector::audit_and_verify_before(const std::vector<Mutator*>& mutators) {
  std::string broken;
  if (config.stress_barriers) {
    broken = audit_.compare(deletions.take());
  }
  // Roots that cannot be read are no corruption: the mark that follows fails and says why.
  UnseenRoots unseen;
  std::string why;
  if (broken.empty() && config.verify && enumerate_roots(roots, mutators, unseen, &why) == ECHO_OK) {
    broken = verify_in_stop(mutators, Verifier::Moment::BeforeMark, true);
  }
  if (!broken.empty()) {
    set_failure(ECHO_HEAP_CORRUPT, broken);
  }
  return broken.empty();
}

// True if every object reachable is marked and nothing else. [cycle.free.1]
bool Collector::mark(const std::vector<Mutator*>& mutators) {
  const std::uint64_t start = os::monotonic_ns();
  const SlabTable& slabs = memory.pool.slabs();
  const std::uint32_t end = memory.pool.slab_high_water();
  for (SlabIndex s{0}; s.number < end; ++s.number) { // [heap.meta.1]
    if (slabs.kind(s) == SlabKind::Old) {
      memory.bits.clear_slab(slabs.address_of(s));
      memory.pool.slabs().live_granules(s) = 0;
    }
  }
  memory.large.clear_marks(memory.bits);
  marker_.reset();
  MarkRoots visitor(marker_, memory);
  std::string why;
  echo_status status = enumerate_roots(roots, mutators, visitor, &why);
  if (status == ECHO_OK) {
    marker_.drain();
    if (!marker_.corruption().empty()) {
      status = ECHO_HEAP_CORRUPT;
      why = marker_.corruption();
    }
  }
  if (status == ECHO_OK && !starts.is_complete()) { // [starts.walk.1]
    status = ECHO_HEAP_CORRUPT;
    why = "the header of an object allocated since the last collection was overwritten: what lies behind it "
          "cannot be "
          "found";
  }
  set_failure(status, why);
  verifier_.set_marks_whole(status == ECHO_OK);
  starts.end_mark(status == ECHO_OK);
  objects_marked_.fetch_add(marker_.objects(), std::memory_order_relaxed);
  bytes_marked_.fetch_add(marker_.bytes(), std::memory_order_relaxed);
  mark_ns_.fetch_add(os::monotonic_ns() - start, std::memory_order_relaxed);
  return status == ECHO_OK;
}

void Collector::sweep_and_pace(std::uint64_t cycle_cpu_start) {
  const std::uint64_t start = os::monotonic_ns();
  const std::size_t before = memory.pool.used_bytes();
  const LargeSpace::Swept large = memory.large.sweep(memory.bits, memory.layouts, config.poison);
  const SlabSupply::AfterMark small = memory.supply.rebuild();
  MarkResult result;
  result.live_bytes = small.live_bytes + large.live_bytes;
  result.used_bytes = memory.pool.used_bytes();
  result.hole_bytes = small.hole_bytes;
  result.valid = true;
  {
    const MutexLock lock(result_mutex_);
    result_ = result;
  }
  const std::size_t limit = memory.pool.limit();
  const std::uint64_t growth = result.live_bytes / 100 * (config.growth_percent - 100);
  const std::uint64_t cheap = (os::thread_cpu_ns() - cycle_cpu_start) * kBytesPerGcNs;
  const std::uint64_t least = config.initial_trigger != 0
                                  ? config.initial_trigger
                                  : std::clamp(cheap, kMinHeadroom, kMaxLeastHeadroom);
  const std::uint64_t headroom = std::max(growth, least);
  const std::uint64_t beyond_holes = headroom > result.hole_bytes ? headroom - result.hole_bytes : 0;
  memory.pool.set_trigger(result.used_bytes + std::min<std::uint64_t>(beyond_holes, limit));
  // With little room left, holes of dense slabs beat another collection soon.
  if (limit - result.used_bytes + result.hole_bytes < result.live_bytes / 8) {
    (void)memory.supply.admit_dense();
  }
  const std::uint64_t room = limit - result.live_bytes;
  const bool poor = before - result.used_bytes + result.hole_bytes < limit / 64 && room < limit / 16;
  poor_cycles_.store(poor ? poor_cycles_.load() + 1 : 0);
  sweep_ns_.fetch_add(os::monotonic_ns() - start, std::memory_order_relaxed);
}

void Collector::run_cycle(const std::vector<Mutator*>& mutators, echo_cause cause) {
  const std::uint64_t cpu_start = os::thread_cpu_ns();
  phase_.store(Phase::Marking);
  for (Mutator* m : mutators) {
    m->retire_memory();
    m->barrier.log.flush(deletions);
  }
  const bool sound = audit_and_verify_before(mutators);
  starts.begin_mark();
  // Nobody retires a span in a stop: the log is counted without its lock, and leaves it in one step with the
  // count.
  const std::uint64_t born =
      config.census
          ? Census(memory.layouts).count(memory.supply.with_retired([](const auto& spans) { return spans; }))
          : 0;
  memory.supply.clear_retired([&] { objects_counted_.fetch_add(born, std::memory_order_relaxed); });
  allocated_at_mark_.store(memory.supply.retired_bytes() +
                           large_bytes_allocated_.load(std::memory_order_relaxed));
  // Counting costs by the byte allocated, whatever the headroom: pacing looks at the rest.
  const std::uint64_t mark_start = os::thread_cpu_ns();
  bool marked = mark(mutators) && sound;
  phase_.store(Phase::Clearing);
  if (marked) {
    marker_.weak().clear(); // [weak.clear.1]
  }
  if (marked && config.verify) {
    if (const std::string broken = verify_in_stop(mutators, Verifier::Moment::AfterMark, true);
        !broken.empty()) {
      set_failure(ECHO_HEAP_CORRUPT, broken);
      marked = false;
    }
  }
  if (marked) {
    sweep_and_pace(mark_start);
  } else {
    memory.supply.keep_everything();
  }
  if (config.stress_barriers) {
    audit_.remember(mutators);
  }
  if (config.stress_frames && marked) {
    set_watermarks(mutators);
  }
  phase_.store(Phase::Sweeping);
  marker_.trim();
  by_cause_[cause].fetch_add(1, std::memory_order_relaxed);
  cycles_.fetch_add(1, std::memory_order_release);
  gc_cpu_ns_.fetch_add(os::thread_cpu_ns() - cpu_start, std::memory_order_relaxed);
}

} // namespace echo
