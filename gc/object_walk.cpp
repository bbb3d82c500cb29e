// SPDX-License-Identifier: MIT
//
// Purpose     The walk over all objects, slab by slab, in a stop between two collections.
// Algorithm   Between collections the objects of a slab are those that the last mark marked, and those in spans allocated into
//             since: the same that the verifier counts as starts. Large objects are asked of their space.
// Invariants  [walk.all.1] Every object that is reachable is visited once, and none that the last mark found dead.
#include "gc/census.h"
#include "gc/collector.h"

#include <algorithm>

namespace echo {

namespace {

class WalkWork final : public StopWork {
public:
  WalkWork(Collector& collector, Address from, Address to, const ObjectVisitor& visit)
      : collector_(collector), from_(from), to_(to), visit_(visit) {}
  void run(const std::vector<Mutator*>& mutators) override {
    Memory& memory = collector_.memory;
    const SlabTable& slabs = memory.pool.slabs();
    high_water = slabs.base() + std::size_t{memory.pool.slab_high_water()} * kSlabBytes;
    const Address end = std::min(to_, high_water);
    if (from_ >= end) {
      return;
    }
    std::vector<RetiredSpan> spans;
    const auto take = [&](Address start, Address limit) {
      if (start < limit && start < end && limit > from_) {
        spans.push_back({start, limit});
      }
    };
    memory.supply.with_retired([&](const SpanLog&, const SpanLog& since) {
      since.for_each([&](const RetiredSpan& s) { take(s.start, s.end); });
      return 0;
    });
    for (Mutator* m : mutators) {
      m->take_back_span();
      for (const RetiredSpan& s : m->allocator.log()) {
        take(s.start, s.end);
      }
      take(m->allocator.current().start, m->allocator.current().cursor);
      take(m->allocator.overflow().start, m->allocator.overflow().cursor);
    }
    const Census census(memory.layouts);
    for (const RetiredSpan& span : spans) {
      const bool whole = census.for_each(span, [this](ObjectRef object) { meet(object); });
      if (!whole && !ended_) {
        broken = "the header of an object allocated since the last collection was overwritten";
        return;
      }
    }
    for (SlabIndex s = slabs.index_of(from_); !ended_ && slabs.address_of(s) < end; ++s.number) {
      if (is_small(slabs.kind(s))) {
        for_each_marked(slabs.address_of(s), memory.bits, [this](Address object) { meet({object}); });
      }
    }
    for (const Address large : memory.large.snapshot()) {
      if (large >= from_ && large < end && memory.bits.is_cell_marked(large)) {
        meet({large});
      }
    }
  }

  std::string broken;
  Address high_water = 0;
  bool ended_ = false;

private:
  void meet(ObjectRef object) {
    if (ended_ || !broken.empty()) {
      return;
    }
    const LayoutId layout{load_header(object).layout_number()};
    if (!collector_.memory.layouts.knows(layout)) {
      broken = "the header of an object was overwritten";
      return;
    }
    ended_ = visit_(object, layout, collector_.memory.layouts.object_bytes(object));
  }

  Collector& collector_;
  const Address from_, to_;
  const ObjectVisitor& visit_;
};

} // namespace

echo_status Collector::walk(Mutator& mutator, std::uint32_t most_slabs, std::uint64_t* position,
                            const ObjectVisitor& visit, std::string* why) {
  const Address base = memory.pool.slabs().base();
  const std::size_t all = memory.pool.slabs().bytes();
  if (*position >= all / kSlabBytes) {
    *position = UINT64_MAX;
    return ECHO_OK;
  }
  const Address from = base + static_cast<Address>(*position) * kSlabBytes;
  const std::size_t left = base + all - from;
  const Address to = from + (most_slabs == 0 ? left : std::min(left, std::size_t{most_slabs} * kSlabBytes));
  echo_status status = ECHO_OK;
  safepoints.at_rest(mutator, [&] {
    const MutexLock driver(driver_mutex_); // no mark runs beside
    finish_open_cycle();
    if (memory.words.base() != WordResolver::Base::Marks) {
      *why = "the last collection could not read every root, so it is not known where objects are";
      status = ECHO_WRONG_STATE;
      return;
    }
    WalkWork work(*this, from, to, visit);
    safepoints.stop(nullptr, work);
    if (!work.broken.empty()) {
      *why = work.broken;
      status = ECHO_HEAP_CORRUPT;
      return;
    }
    *position = work.ended_ || to >= work.high_water ? UINT64_MAX : (to - base) / kSlabBytes;
  });
  return status;
}

} // namespace echo
