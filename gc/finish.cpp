// SPDX-License-Identifier: MIT
//
// Purpose     What comes behind a mark: the weak half (gc/weak_cycle.cpp), count what was born before it, sweep, pace, clear the bits of the cycle before. At
//             once, or in steps of bounded work.
// Invariants  [sweep.hold.1] [cycle.free.1] of collector.h. [inc.step.1] A step does about as much as the marking of as many
//             edges as it is given units.
// Equations   units: 6 objects counted 1, 4 large objects 4, a slab 2, 128 bytes of a bitmap 1
#include "gc/census.h"
#include "gc/collector.h"
#include "gc/cpu_meter.h"
#include "heap/os_memory.h"

#include <algorithm>
#include <optional>

namespace echo {

namespace {
constexpr std::size_t kObjectsPerUnit = 6;
constexpr std::size_t kUnitsPerLargeObject = 4;
constexpr std::size_t kUnitsPerSlab = 2;
constexpr std::size_t kUnitsPerPoisonedSlab = 64;
constexpr std::size_t kBitmapBytesPerUnit = 128;
constexpr std::size_t kDiscardBytesPerUnit = 512;
// Weak things per slice.
constexpr std::size_t kWeakPerSlice = 4096;
constexpr std::size_t kWeakUnderStress = 2;
constexpr std::size_t kMostUnits = std::size_t{1} << 40;
constexpr std::uint64_t kBytesPerObject = 32; // a guess
} // namespace

void Collector::begin_finish() {
  finishing_ = {};
  finishing_.part = FinishPart::Weak;
  if (config.mode == MarkMode::Incremental && assists()) {
    const std::uint64_t bytes = memory.supply.to_count().bytes();
    const std::uint64_t slabs = memory.pool.slab_high_water();
    const std::uint64_t expected = (config.census ? bytes / kBytesPerObject / kObjectsPerUnit : 0) +
                                   kUnitsPerLargeObject * memory.large.object_count() +
                                   kUnitsPerSlab * slabs +
                                   SideMetadata::bytes_for(slabs * kSlabBytes) / kBitmapBytesPerUnit;
    plan_room();
    finish_debt_.begin_with(expected, room_for_debt());
  }
}

// Objects born before the mark started, by their headers: none of them was freed yet.
bool Collector::count_some(std::size_t units) {
  const SpanLog& spans = memory.supply.to_count();
  const Census census(memory.layouts);
  std::uint64_t counted = 0;
  if (const std::optional<std::uint64_t> known = starts.counted(); known && config.census) {
    counted = *known;
    finishing_.next_span = spans.size();
  }
  while (config.census && finishing_.next_span < spans.size() && counted / kObjectsPerUnit < units) {
    counted += census.count_one(spans[finishing_.next_span++]);
  }
  finishing_.born += counted;
  finishing_.units += std::min<std::uint64_t>(counted / kObjectsPerUnit, 4 * units);
  if (config.census && finishing_.next_span < spans.size()) {
    return false;
  }
  memory.supply.end_count([&] { objects_counted_.fetch_add(finishing_.born, std::memory_order_relaxed); });
  return true;
}

void Collector::set_pace() {
  const LargeSpace::Swept& large = finishing_.large;
  const SlabSupply::AfterMark& small = finishing_.small.result();
  CycleMeasure& measure = cycle_.measure;
  measure.allocated_end =
      memory.supply.retired_bytes() + large_bytes_allocated_.load(std::memory_order_relaxed);
  measure.taken_end = handed_out();
  MarkResult result;
  result.live_bytes = small.live_bytes + large.live_bytes;
  result.used_bytes = memory.pool.used_bytes();
  result.held_bytes = result.live_bytes + (measure.allocated_end - measure.allocated_start);
  result.hole_bytes = small.hole_bytes;
  result.valid = true;
  {
    const MutexLock lock(result_mutex_);
    result_ = result;
  }
  const std::size_t limit = memory.pool.limit();
  measure.live = result.live_bytes;
  measure.used = result.used_bytes;
  measure.holes = result.hole_bytes;
  measure.cpu_ns = cycle_.cpu_ns;
  measure.at_once = cycle_.at_once;
  measure.total_ns = os::monotonic_ns() - measure.start_ns;
  if (pacing_.is_tight(measure, cycle_.beside) && memory.supply.admit_dense()) {
    measure.holes += small.dense_hole_bytes;
  }
  const Pacing::Start start = pacing_.next_start(measure, cycle_.beside);
  memory.pool.set_trigger(below_soft_limit(start.used, measure.used, measure.live));
  memory.supply.set_start(pacing_.target(), start.ahead);
  handed_out_before_.store(measure.taken_end, std::memory_order_relaxed);
  external_base_.store(external_.load(std::memory_order_relaxed), std::memory_order_relaxed);
  note_pressure();
  const std::uint64_t room = limit - std::min<std::uint64_t>(limit, result.held_bytes);
  const std::size_t freed = cycle_.used_before - std::min(cycle_.used_before, result.used_bytes);
  const bool poor = freed + result.hole_bytes < limit / 64 && room < limit / 16;
  poor_cycles_.store(poor ? poor_cycles_.load() + 1 : 0);
}

// One part, or as much of it as the units allow; true: it is over.
bool Collector::finish_part(std::size_t units) {
  switch (finishing_.part) {
  case FinishPart::None:
  case FinishPart::Weak: {
    const bool more =
        weak_slice(config.stress_yield ? kWeakUnderStress : std::min(units / 2 + 1, kWeakPerSlice));
    safepoints.maybe_yield();
    return !more;
  }
  case FinishPart::Count: {
    const CpuMeter meter(
        finishing_.counting_ns,
        !cycle_.at_once); // costs by the byte allocated, whatever the headroom: pacing looks at the rest
    return count_some(units);
  }
  case FinishPart::Large: {
    const CpuMeter meter(cycle_.cpu_ns, !cycle_.at_once);
    const std::size_t most = std::max<std::size_t>(units / kUnitsPerLargeObject, 1);
    finishing_.units += std::min(units, most * kUnitsPerLargeObject);
    return memory.large.sweep_some(memory.bits, memory.layouts, config.poison, most, &finishing_.next_large,
                                   &finishing_.large);
  }
  case FinishPart::Small: {
    const CpuMeter meter(cycle_.cpu_ns, !cycle_.at_once);
    finishing_.units += units;
    return memory.supply.rebuild_some(
        &finishing_.small,
        std::max<std::size_t>(units / (config.poison ? kUnitsPerPoisonedSlab : kUnitsPerSlab), 1));
  }
  case FinishPart::Pace:
    set_pace();
    return true;
  case FinishPart::Keep:
    memory.supply.keep_everything();
    if (cycle_.beside) {
      memory.pool.set_trigger(0); // whoever needs memory next tries again, and is told [cycle.free.1]
    }
    return true;
  case FinishPart::Clear:
    finishing_.units += units;
    return memory.clear_previous_some(&finishing_.cleared, units * kBitmapBytesPerUnit);
  case FinishPart::Trim: {
    const MutexLock marking(marking_mutex_); // a layout may be registered meanwhile
    return marker_.trim_some(units * kDiscardBytesPerUnit);
  }
  }
  return true;
}

// After end_of_mark, or after a mark that was given up. Beside the program, or in the stop of mode stw. True: the cycle is
// over.
bool Collector::finish_some(std::size_t units) {
  units = std::min(units, kMostUnits);
  if (finishing_.part == FinishPart::None) {
    begin_finish();
  }
  const std::uint64_t before = finishing_.units;
  const std::uint64_t start = os::monotonic_ns();
  const FinishPart part = finishing_.part;
  const bool over = finish_part(units);
  if (part == FinishPart::Large || part == FinishPart::Small) {
    sweep_ns_.fetch_add(os::monotonic_ns() - start, std::memory_order_relaxed);
  }
  if (finish_debt_.is_on()) { // else the two locks that tell the room are for nothing
    finish_debt_.progress(finishing_.units, finishing_.units - before, room_for_debt());
  }
  if (!over) {
    return false;
  }
  switch (part) {
  case FinishPart::None:
  case FinishPart::Weak:
    phase_.store(Phase::Sweeping);
    events.raise_in_stop(ECHO_EVENT_phase, cycle_.cause, static_cast<std::uint32_t>(Phase::Sweeping), 0);
    roots.persistent.end_snapshot();
    finishing_.part = FinishPart::Count;
    return false;
  case FinishPart::Count:
    finishing_.part = cycle_.whole ? FinishPart::Large : FinishPart::Keep;
    return false;
  case FinishPart::Large:
    finishing_.part = FinishPart::Small;
    memory.supply.begin_rebuild(&finishing_.small);
    return false;
  case FinishPart::Small:
    memory.note_marked(std::size_t{finishing_.small.result().live_end} * kSlabBytes);
    finishing_.part = FinishPart::Pace;
    return false;
  case FinishPart::Pace:
  case FinishPart::Keep:
    finishing_.part = FinishPart::Clear;
    failed_.store(!cycle_.whole, std::memory_order_relaxed);
    memory.begin_clear_previous(&finishing_.cleared);
    return false;
  case FinishPart::Clear:
    finishing_.part = FinishPart::Trim;
    return false;
  case FinishPart::Trim:
    break;
  }
  finish_debt_.give_up();
  by_cause_[cycle_.cause].fetch_add(1, std::memory_order_relaxed);
  gc_cpu_ns_.fetch_add(cycle_.cpu_ns + finishing_.counting_ns, std::memory_order_relaxed);
  finishing_ = {};
  phase_.store(Phase::Idle);
  events.raise_in_stop(ECHO_EVENT_phase, cycle_.cause, static_cast<std::uint32_t>(Phase::Idle), 0);
  events.raise_in_stop(ECHO_EVENT_cycle_end, cycle_.cause, 0, os::monotonic_ns() - cycle_.measure.start_ns,
                       cycle_.measure.live, memory.pool.used_bytes());
  cycles_.fetch_add(1, std::memory_order_release);
  return true;
}

void Collector::finish_cycle() {
  while (!finish_some(kMostUnits)) {
  }
}

} // namespace echo
