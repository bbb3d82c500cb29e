// SPDX-License-Identifier: MIT
//
// Purpose     The lead and its seconds: marker.h.
#include "gc/marker.h"

#include "heap/assert.h"
#include "heap/os_memory.h"

#include <algorithm>
#include <bit>
#include <new>
#include <thread>

namespace echo {

namespace {

// A second looks this often whether it is to go. [mark.parallel.3]
constexpr std::size_t kEdgesOfSecond = 4096;
// Of a heap that is marked by several: each finds a region.
constexpr std::size_t kRegionsPerMarker = 4;
constexpr std::size_t kLeastRegionBytes = std::size_t{1} << 20;
constexpr std::uint64_t kLookUs = 1000;
constexpr std::size_t kMostByItself = 8; // without the option

std::size_t most_markers(const Config& config, std::size_t processors) {
  if (config.mode == MarkMode::Incremental || config.stepping) { // steps are the program's
    return 1;
  }
  return config.markers != 0 ? config.markers : std::min(processors, kMostByItself);
}

} // namespace

Marker::Second::Second(Marker& marker, std::size_t i)
    : worker(marker.memory_, marker.pool_, false), index(i),
      thread([this, &marker] { marker.work(*this); }, {}, BackgroundThread::Share::Smaller) {}

Marker::~Marker() {
  stop_seconds();
  if (mapped_ != nullptr) {
    os::release(mapped_, mapped_bytes_);
  }
}

// [mark.bound.1]
bool Marker::open(const Config& config) {
  region_bytes_ = config.mark_region;
  seconds_first_ = config.seconds_first;
  processors_ =
      config.processors != 0 ? config.processors : std::max(std::thread::hardware_concurrency(), 1u);
  most_seconds_ = std::min(echo::most_markers(config, processors_) - 1, EdgePool::kMostSeconds);
  const std::size_t edges = config.max_heap / sizeof(Address) + 2 * kMostRoots;
  const std::size_t edge_bytes = EdgePool::bytes_for(edges, most_seconds_ + 1);
  const std::size_t slices = config.max_heap / (MarkWorker::kSliceWords * sizeof(Address)) + 1;
  mapped_bytes_ = round_up(edge_bytes + slices * sizeof(EdgePool::Slice), kChunkBytes);
  mapped_ = os::map_zeroed(mapped_bytes_, kChunkBytes);
  if (mapped_ == nullptr || !weak().open(config)) {
    return false;
  }
  pool_.use(mapped_, edge_bytes, slices, [this](std::size_t i) { seconds_[i]->thread.wake(); });
  const SlabTable& slabs = memory_.pool.slabs();
  lead_.stacks().use(pool_.blocks(), slabs.base(), slabs.bytes());
  reset(false);
  return true;
}

void Marker::make_seconds(std::size_t count) {
  const SlabTable& slabs = memory_.pool.slabs();
  while (seconds_.size() < std::min(count, most_seconds_)) {
    try {
      auto second = std::make_unique<Second>(*this, seconds_.size());
      seconds_.reserve(most_seconds_); // before: a second that runs must not see it move
      second->worker.stacks().use(pool_.blocks(), slabs.base(), slabs.bytes());
      if (!second->thread.start()) {
        return;
      }
      seconds_.push_back(std::move(second));
    } catch (const std::bad_alloc&) {
      return;
    }
  }
}

void Marker::stop_seconds() {
  pool_.allow(0);
  for (const std::unique_ptr<Second>& second : seconds_) {
    second->thread.stop();
  }
}

bool Marker::restart_seconds() {
  return std::all_of(seconds_.begin(), seconds_.end(),
                     [](const std::unique_ptr<Second>& second) { return second->thread.restart(); });
}

// Of a shared mark. Never less than a slab, whose live count has one writer. [mark.parallel.1]
std::size_t Marker::region_bytes(std::size_t high_water) const {
  if (region_bytes_ != 0) {
    return std::max(region_bytes_, kSlabBytes);
  }
  const std::size_t share = std::bit_ceil(high_water / ((most_seconds_ + 1) * kRegionsPerMarker) + 1);
  return std::clamp(share, kLeastRegionBytes, EdgeStacks::kRegionBytes);
}

void Marker::reset(bool beside, bool shared) {
  shared_ = shared && !seconds_.empty();
  const std::size_t high_water = memory_.pool.slab_high_water() * kSlabBytes;
  // What the program may add until the mark ends, with room for the gaps between large objects.
  const std::size_t growth = beside ? 2 * memory_.pool.limit() + 4 * kChunkBytes : 0;
  lead_.stacks().begin(high_water, high_water + growth, shared_ ? region_bytes(high_water) : region_bytes_);
  pool_.begin(lead_.stacks());
  lead_.begin();
  roots_ = objects_before_ = 0;
  ++mark_;
}

void Marker::allow(std::size_t seconds) {
  if (shared_) {
    pool_.allow(std::min(seconds, seconds_.size()));
  }
}

void Marker::dismiss_seconds() {
  if (shared_) {
    pool_.dismiss();
    lead_.corrupt(pool_.take_corruption());
  }
}

bool Marker::trim_some(std::size_t most) {
  constexpr std::size_t kKeep = std::size_t{8} << 20;
  const std::size_t used = round_up(pool_.blocks().touched_bytes(), kPageBytes);
  trimmed_ = std::max(trimmed_, kKeep);
  if (used > trimmed_) {
    const std::size_t now = std::min(used - trimmed_, round_up(most, kPageBytes));
    (void)os::discard(static_cast<char*>(mapped_) + trimmed_, now);
    trimmed_ += now;
    return false;
  }
  lead_.stacks().begin(0, 0);
  pool_.begin(lead_.stacks());
  weak().trim();
  ephemerons().trim();
  trimmed_ = 0;
  return true;
}

// A root that waits beyond the bound takes the place of two edges. [mark.roots.1]
void Marker::push_root(ObjectRef ref) {
  lead_.push(ref.address, shared_);
  if (++roots_ > kMostRoots && room_for_roots() == 0) {
    (void)drain(2);
  }
}

// Each object that became marked was popped: as many fewer wait, at least.
std::size_t Marker::room_for_roots() const {
  const std::uint64_t waiting = roots_ - std::min<std::uint64_t>(roots_, objects() - objects_before_);
  return kMostRoots - std::min<std::uint64_t>(kMostRoots, waiting);
}

void Marker::drain() {
  while (!drain(SIZE_MAX)) {
    pool_.wait_for_work(kLookUs);
  }
}

bool Marker::drain(std::size_t budget) {
  if (shared_ && seconds_first_ && pool_.allowed() != 0) { // tests: the lead waits while seconds have work
    pool_.give_all(lead_.stacks());
  }
  const bool done = lead_.drain(budget, shared_);
  if (done) {
    roots_ = 0;
    objects_before_ = objects();
  }
  if (shared_) {
    if (pool_.is_wanting()) {
      pool_.share(lead_.stacks());
    }
    lead_.corrupt(pool_.take_corruption());
  }
  return done;
}

// On a second's thread, whenever it was called.
void Marker::work(Second& second) {
  while (pool_.enter(second.index)) {
    const std::uint64_t start = os::thread_cpu_ns();
    MarkWorker& worker = second.worker;
    if (second.mark != mark_) {
      second.mark = mark_;
      worker.stacks().begin_like(lead_.stacks());
      worker.begin();
      second.reported = {};
    }
    for (bool nothing = false; !nothing && !pool_.must_leave(second.index);) {
      nothing = worker.drain(kEdgesOfSecond, true);
      if (pool_.is_wanting()) {
        pool_.share(worker.stacks());
      }
      const EdgePool::Done all = {worker.edges(), worker.objects(), worker.bytes()};
      pool_.add({all.edges - second.reported.edges, all.objects - second.reported.objects,
                 all.bytes - second.reported.bytes});
      second.reported = all;
    }
    worker.hand_all();
    if (!worker.corruption().empty()) {
      pool_.report(worker.corruption());
    }
    cpu_ns_.fetch_add(os::thread_cpu_ns() - start, std::memory_order_relaxed);
    pool_.leave(worker.stacks(), second.index);
  }
}

} // namespace echo
