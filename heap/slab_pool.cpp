// SPDX-License-Identifier: MIT
//
// Purpose     Lowest-address-first supply of slabs and chunks under one lock, off every fast path.
#include "heap/slab_pool.h"

#include "heap/assert.h"
#include "heap/os_memory.h"

#include <algorithm>
#include <bit>

namespace echo {

namespace {
constexpr std::size_t kFirstTrigger = std::size_t{1} << 20;
constexpr std::uint8_t kNoNode = 255;
constexpr unsigned kMaxNodes = 255;
constexpr std::size_t kMaxAhead = 8; // times the option
} // namespace

SlabPool::~SlabPool() {
  if (reservation_ != nullptr) {
    os::release(reservation_, reservation_bytes_);
  }
}

bool SlabPool::open(const Config& config) {
  limit_ = config.max_heap;
  keep_free_ = config.keep_free;
  populate_ = config.populate;
  huge_pages_ = config.huge_pages;
  // Twice the limit leaves room for chunks that fragmentation keeps from large objects; slabs and large objects each
  // begin a chunk, and one chunk may be on its way back to the system.
  const std::size_t least = round_up(2 * config.max_heap, kChunkBytes) + 3 * kChunkBytes;
  std::size_t want = std::max(std::size_t{64} << 30, least);
  if (config.reserve_bytes != 0) {
    want = std::max(round_up(config.reserve_bytes, kChunkBytes), least);
  }
  for (; want >= least; want = want == least ? 0 : std::max(least, round_up(want / 4, kChunkBytes))) {
    reservation_ = os::reserve(want, kChunkBytes);
    if (reservation_ != nullptr) {
      break; // an address-space limit may allow less than the default
    }
  }
  if (reservation_ == nullptr) {
    return false;
  }
  reservation_bytes_ = want;
  nodes_ = std::min(nodes_, kMaxNodes);
  if (nodes_ > 1) {
    chunk_nodes_ = std::make_unique<std::atomic<std::uint8_t>[]>(want / kChunkBytes);
  }
  const MutexLock lock(mutex_);
  target_ = populate_;
  can_populate_ = populate_ != 0;
  // Without a fixed trigger the first collection comes early and measures what is alive and what collecting
  // costs.
  trigger_ = std::min(config.initial_trigger != 0 ? config.initial_trigger : kFirstTrigger, limit_);
  note_ahead(wanted_ahead(), 0);
  return slabs_.open(reinterpret_cast<Address>(reservation_), want);
}

std::size_t SlabPool::bound_of(Urgency urgency) const {
  return urgency == Urgency::Normal ? trigger_ : urgency == Urgency::Beside ? beside_bound() : limit_;
}

Grant SlabPool::admit(std::size_t bytes, Urgency urgency) const {
  if (bytes > limit_ || used_ > limit_ - bytes) {
    return Grant::OverLimit;
  }
  const std::size_t bound = bound_of(urgency);
  const std::size_t pressure = urgency == Urgency::Normal ? pressure_.load(std::memory_order_relaxed) : 0;
  return used_ + bytes > bound - std::min(bound, pressure) ? Grant::OverTrigger : Grant::Ok;
}

// [heap.node.1]
void SlabPool::place(std::size_t chunk, unsigned node) {
  if (nodes_ == 1) {
    return;
  }
  chunk_nodes_[chunk].store(static_cast<std::uint8_t>(node), std::memory_order_relaxed);
  void* const at = reinterpret_cast<void*>(slabs_.base() + chunk * kChunkBytes);
  node_counters_.bind_refusals += topology_->bind(at, kChunkBytes, node) ? 0 : 1;
}

void SlabPool::note_owner(SlabIndex slab, unsigned node) {
  if (nodes_ == 1) {
    return;
  }
  (node_of(slab) == node ? node_counters_.local_slabs : node_counters_.remote_slabs) += 1;
  std::uint8_t& owner = owner_nodes_[slab.number];
  node_counters_.migrated_slabs += owner != kNoNode && owner != node ? 1 : 0;
  owner = static_cast<std::uint8_t>(node);
}

// The chunk to take a slab from, `first` being the lowest with a free one; the end: a new one. [heap.node.1]
std::size_t SlabPool::choose_chunk(std::size_t first, unsigned node) const {
  if (nodes_ == 1) {
    return first;
  }
  std::size_t unbound = free_mask_.size();
  for (std::size_t c = first; c < free_mask_.size(); ++c) {
    if (free_mask_[c] == 0) {
      continue;
    }
    if (chunk_state_[c] != ChunkState::Committed) {
      unbound = std::min(unbound, c); // gets its node when it is made usable
    } else if (chunk_nodes_[c].load(std::memory_order_relaxed) == node) {
      return c;
    }
  }
  const bool can_grow = free_mask_.size() < slabs_.bytes() / kChunkBytes;
  return unbound < free_mask_.size() || can_grow ? unbound : first;
}

SlabPool::NodeCounters SlabPool::node_counters() {
  const MutexLock lock(mutex_);
  return node_counters_;
}

// Commits the chunk, or takes it out of the returned state.
Grant SlabPool::make_usable(std::size_t chunk, unsigned node) {
  ChunkState& state = chunk_state_[chunk];
  ECHO_CHECK(state != ChunkState::Returning, "[heap.pool.2] a returning chunk is handed out");
  if (state == ChunkState::Committed) {
    return Grant::Ok;
  }
  if (state == ChunkState::Untouched) {
    void* at = reinterpret_cast<void*>(slabs_.base() + chunk * kChunkBytes);
    if (!os::commit(at, kChunkBytes)) {
      return Grant::Refused;
    }
    // A mutator that is ahead of the background thread then faults pages one by one, not 2 MiB at a time. The
    // first chunk is somebody's first fault anyway.
    if (huge_pages_ && (!can_populate_ || chunk == 0)) {
      (void)topology_->advise_huge(at, kChunkBytes); // a refusal costs speed only
    }
  } else {
    returned_ -= kChunkBytes;
  }
  place(chunk, node); // before the first touch
  state = ChunkState::Committed;
  clean_[chunk] = true;
  populated_[chunk] = 0;
  committed_ += kChunkBytes;
  peak_committed_ = std::max(peak_committed_, committed_);
  ++empty_chunks_;
  return Grant::Ok;
}

// Adds `count` untouched chunks at the end of what was ever used.
Grant SlabPool::extend(std::size_t count, std::size_t* first) {
  *first = free_mask_.size();
  if (count > slabs_.bytes() / kChunkBytes - *first) {
    return Grant::Fragmented;
  }
  free_mask_.insert(free_mask_.end(), count, kAllFree);
  chunk_state_.insert(chunk_state_.end(), count, ChunkState::Untouched);
  populated_.insert(populated_.end(), count, 0);
  discarded_.insert(discarded_.end(), count, 0);
  clean_.insert(clean_.end(), count, false);
  if (nodes_ > 1) {
    owner_nodes_.insert(owner_nodes_.end(), count * kSlabsPerChunk, kNoNode);
  }
  return Grant::Ok;
}

Grant SlabPool::take_slabs(Urgency urgency, std::size_t want, SlabIndex* out, std::size_t* count,
                           std::span<const SlabIndex> preferred) {
  const unsigned node = std::min(current_node(), nodes_ - 1);
  const MutexLock lock(mutex_);
  last_node_ = node;
  // A batch takes at most an eighth of what is left, so that threads do not hold back from each other what the bound
  // still allows. Up to the limit itself slabs are taken one by one.
  const std::size_t bound = urgency == Urgency::Forced ? 0 : bound_of(urgency);
  const std::size_t left = (bound - std::min(bound, used_)) / kSlabBytes;
  want = std::min(want, std::max<std::size_t>(left / 8, 1));
  *count = 0;
  for (const SlabIndex slab : preferred) {
    if (*count < want && is_at_hand(slab, node) && admit(kSlabBytes, urgency) == Grant::Ok) {
      hand_out(slab, node);
      out[(*count)++] = slab;
    }
  }
  // A batch that found some of them takes no others, which may be another thread's.
  Grant grant = Grant::Ok;
  for (const std::size_t found = *count; found == 0 && *count < want && grant == Grant::Ok;) {
    grant = take_one(urgency, node, &out[*count]);
    *count += grant == Grant::Ok ? 1 : 0;
  }
  if (is_behind()) {
    // By the count kept. What is wanted has become less since, and more may be there: a wake-up of the thread that
    // populates costs 10 to 30 us.
    const std::size_t wanted = wanted_ahead();
    std::size_t gap = 0;
    note_ahead(wanted, measure_ahead(wanted, &gap));
  }
  return *count == 0 ? grant : Grant::Ok;
}

// [heap.near.1]
bool SlabPool::is_at_hand(SlabIndex slab, unsigned node) const {
  const std::size_t chunk = slab.number / kSlabsPerChunk;
  return (free_mask_[chunk] >> (slab.number % kSlabsPerChunk) & 1) != 0 &&
         chunk_state_[chunk] == ChunkState::Committed && (nodes_ == 1 || node_of(slab) == node);
}

Grant SlabPool::take_one(Urgency urgency, unsigned node, SlabIndex* out) {
  if (const Grant grant = admit(kSlabBytes, urgency); grant != Grant::Ok) {
    return grant;
  }
  std::size_t chunk = first_free_hint_;
  while (chunk < free_mask_.size() && free_mask_[chunk] == 0) {
    ++chunk;
  }
  first_free_hint_ = chunk;
  chunk = choose_chunk(chunk, node);
  if (chunk == free_mask_.size()) {
    if (const Grant grant = extend(1, &chunk); grant != Grant::Ok) {
      return grant;
    }
  }
  if (const Grant grant = make_usable(chunk, node); grant != Grant::Ok) {
    return grant;
  }
  const auto bit = static_cast<std::size_t>(std::countr_zero(free_mask_[chunk]));
  out->number = static_cast<std::uint32_t>(chunk * kSlabsPerChunk + bit);
  hand_out(*out, node);
  return Grant::Ok;
}

// The slab is free and its chunk committed.
void SlabPool::hand_out(SlabIndex slab, unsigned node) {
  const std::size_t chunk = slab.number / kSlabsPerChunk;
  const std::uint32_t mask = std::uint32_t{1} << (slab.number % kSlabsPerChunk);
  if (free_mask_[chunk] == kAllFree) {
    --empty_chunks_;
  }
  free_mask_[chunk] &= ~mask;
  take_back(chunk, mask);
  used_ += kSlabBytes;
  note_handed_out(kSlabBytes);
  clean_[chunk] = false;
  if ((populated_[chunk] & mask) != 0) {
    const std::size_t ahead = ahead_.load(std::memory_order_relaxed);
    ahead_.store(ahead - std::min(ahead, kSlabBytes), std::memory_order_relaxed);
  } else {
    populated_[chunk] |= mask; // by its owner, now
    late_slabs_.store(late_slabs_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    if (can_populate_ && !was_late_ && chunk != 0) {
      was_late_ = true;
      target_ = std::min(2 * target_, kMaxAhead * populate_);
    }
  }
  slabs_.set_use(slab, SlabUse::Owned);
  note_owner(slab, node);
}

void SlabPool::note_free(std::size_t chunk) {
  first_free_hint_ = std::min(first_free_hint_, chunk);
  if (free_mask_[chunk] == kAllFree) {
    ++empty_chunks_;
  }
}

void SlabPool::put_slab(SlabIndex slab) {
  const MutexLock lock(mutex_);
  const std::size_t chunk = slab.number / kSlabsPerChunk;
  const std::uint32_t bit = std::uint32_t{1} << (slab.number % kSlabsPerChunk);
  ECHO_CHECK((free_mask_[chunk] & bit) == 0, "[heap.pool.2] a free slab is freed");
  slabs_.set_kind(slab, SlabKind::Free);
  slabs_.set_use(slab, SlabUse::Empty);
  slabs_.clear_live(slab);
  free_mask_[chunk] |= bit;
  used_ -= kSlabBytes;
  note_free(chunk);
}

Grant SlabPool::take_chunks(std::size_t count, Address* out, bool* zeroed) {
  const unsigned node = std::min(current_node(), nodes_ - 1);
  const MutexLock lock(mutex_);
  std::size_t first = 0;
  std::size_t run = 0;
  for (std::size_t c = 0; c < free_mask_.size() && run < count; ++c) {
    run = free_mask_[c] == kAllFree ? run + 1 : 0;
    first = c + 1 - run;
  }
  if (run < count) {
    if (const Grant grant = extend(count, &first); grant != Grant::Ok) {
      return grant;
    }
  }
  *zeroed = true;
  for (std::size_t c = first; c < first + count; ++c) {
    *zeroed = *zeroed && (chunk_state_[c] != ChunkState::Committed || clean_[c]);
    if (const Grant grant = make_usable(c, node); grant != Grant::Ok) {
      return grant; // the chunks before stay committed and free
    }
  }
  for (std::size_t c = first; c < first + count; ++c) {
    free_mask_[c] = 0;
    take_back(c, kAllFree);
    clean_[c] = false;
    --empty_chunks_;
    for (std::size_t s = 0; s < kSlabsPerChunk; ++s) {
      const SlabIndex slab{static_cast<std::uint32_t>(c * kSlabsPerChunk + s)};
      slabs_.set_use(slab, SlabUse::Large);
    }
  }
  *out = slabs_.base() + first * kChunkBytes;
  return Grant::Ok;
}

void SlabPool::put_chunks(Address first_address, std::size_t count) {
  const MutexLock lock(mutex_);
  const std::size_t first = (first_address - slabs_.base()) / kChunkBytes;
  for (std::size_t c = first; c < first + count; ++c) {
    ECHO_CHECK(free_mask_[c] == 0, "[heap.pool.2] a chunk with free slabs is freed");
    for (std::size_t s = 0; s < kSlabsPerChunk; ++s) {
      const SlabIndex slab{static_cast<std::uint32_t>(c * kSlabsPerChunk + s)};
      slabs_.set_kind(slab, SlabKind::Free);
      slabs_.set_use(slab, SlabUse::Empty);
    }
    free_mask_[c] = kAllFree;
    populated_[c] = 0; // perhaps not wholly: asking again costs little
    note_free(c);
  }
  const Address end = first_address + count * kChunkBytes;
  std::erase_if(requests_, [&](const Request& r) { return r.at >= first_address && r.at < end; });
}

Grant SlabPool::charge(std::size_t bytes, Urgency urgency) {
  const MutexLock lock(mutex_);
  const Grant grant = admit(bytes, urgency);
  if (grant == Grant::Ok) {
    used_ += bytes;
    note_handed_out(bytes);
  }
  return grant;
}

void SlabPool::uncharge(std::size_t bytes) {
  const MutexLock lock(mutex_);
  used_ -= bytes;
}

void SlabPool::set_trigger(std::size_t bytes) {
  const MutexLock lock(mutex_);
  trigger_ = std::min(bytes, limit_);
  if (!was_late_) {
    target_ = std::max(target_ - target_ / 8, populate_);
  }
  was_late_ = false;
  std::size_t gap = 0;
  const std::size_t wanted = wanted_ahead();
  note_ahead(wanted, measure_ahead(wanted, &gap));
}

std::size_t SlabPool::wanted_ahead() const {
  const std::size_t keep = keep_free_ != 0 ? keep_free_ : std::max(kLeastKept, trigger_);
  return can_populate_ ? std::min({target_, trigger_ - std::min(trigger_, used_), keep}) : 0;
}

void SlabPool::note_ahead(std::size_t wanted, std::size_t ahead) {
  wanted_.store(wanted, std::memory_order_relaxed);
  ahead_.store(ahead, std::memory_order_relaxed);
}

// Populated bytes among the next `wanted` free ones, in the order in which they are handed out, and the first chunk
// with a gap; the end of the chunks if they do not suffice.
std::size_t SlabPool::measure_ahead(std::size_t wanted, std::size_t* gap) const {
  std::size_t seen = 0;
  std::size_t populated = 0;
  bool found = false;
  for (std::size_t c = first_free_hint_; c < free_mask_.size() && seen < wanted; ++c) {
    const std::uint32_t there = chunk_state_[c] == ChunkState::Committed ? free_mask_[c] & populated_[c] : 0;
    seen += static_cast<std::size_t>(std::popcount(free_mask_[c])) * kSlabBytes;
    populated += static_cast<std::size_t>(std::popcount(there)) * kSlabBytes;
    if (!found && there != free_mask_[c]) {
      found = true;
      *gap = c;
    }
  }
  if (!found) {
    *gap = free_mask_.size();
  }
  return std::min(populated, wanted);
}

// What to populate next; false: nothing.
bool SlabPool::next_step(Address* at, std::size_t* bytes) {
  if (!requests_.empty()) {
    Request& request = requests_.front();
    *at = request.at;
    *bytes = std::min(request.bytes, kChunkBytes - request.at % kChunkBytes);
    request.at += *bytes;
    request.bytes -= *bytes;
    if (request.bytes == 0) {
      requests_.erase(requests_.begin());
    }
    return true;
  }
  const std::size_t wanted = wanted_ahead();
  std::size_t chunk = 0;
  const std::size_t ahead = measure_ahead(wanted, &chunk);
  note_ahead(wanted, ahead);
  if (ahead >= wanted || (chunk == free_mask_.size() && extend(1, &chunk) != Grant::Ok) ||
      make_usable(chunk, last_node_) != Grant::Ok) {
    note_ahead(std::min(wanted, ahead),
               ahead); // more cannot be had: nobody asks again before the next collection
    return false;
  }
  const Address start = slabs_.base() + chunk * kChunkBytes;
  if (free_mask_[chunk] == kAllFree && populated_[chunk] == 0) {
    if (huge_pages_) {
      (void)topology_->advise_huge(reinterpret_cast<void*>(start), kChunkBytes);
    }
    populated_[chunk] = kAllFree;
    take_back(chunk, kAllFree);
    *at = start;
    *bytes = kChunkBytes;
    return true;
  }
  const std::uint32_t missing = free_mask_[chunk] & ~populated_[chunk];
  const auto first = static_cast<unsigned>(std::countr_zero(missing));
  const auto run = std::min(4u, static_cast<unsigned>(std::countr_one(missing >> first)));
  populated_[chunk] |= ((std::uint32_t{1} << run) - 1) << first;
  take_back(chunk, ((std::uint32_t{1} << run) - 1) << first);
  *at = start + first * kSlabBytes;
  *bytes = run * kSlabBytes;
  return true;
}

bool SlabPool::populate_step() {
  Address at = 0;
  std::size_t bytes = 0;
  {
    const MutexLock lock(mutex_);
    if (!can_populate_ || !next_step(&at, &bytes)) {
      return false;
    }
  }
  if (topology_->populate(reinterpret_cast<void*>(at), bytes)) { // [heap.ahead.1]
    populated_bytes_.fetch_add(bytes, std::memory_order_relaxed);
    return true;
  }
  const MutexLock lock(mutex_);
  can_populate_ = false; // an old kernel, or no memory: first touch decides
  note_ahead(0, 0);
  return false;
}

void SlabPool::request_populate(Address at, std::size_t bytes) {
  const MutexLock lock(mutex_);
  if (can_populate_) {
    requests_.push_back({at, round_up(bytes, kPageBytes)});
  }
}

std::size_t SlabPool::trigger() {
  const MutexLock lock(mutex_);
  return trigger_;
}

std::size_t SlabPool::used_bytes() {
  const MutexLock lock(mutex_);
  return used_;
}

std::size_t SlabPool::committed_bytes() {
  const MutexLock lock(mutex_);
  return committed_;
}

std::size_t SlabPool::peak_committed_bytes() {
  const MutexLock lock(mutex_);
  return peak_committed_;
}

std::size_t SlabPool::returned_bytes() {
  const MutexLock lock(mutex_);
  return returned_;
}

std::uint32_t SlabPool::slab_high_water() {
  const MutexLock lock(mutex_);
  return static_cast<std::uint32_t>(free_mask_.size() * kSlabsPerChunk);
}

const char* SlabPool::check() {
  const MutexLock lock(mutex_);
  std::size_t empty = 0;
  std::size_t committed = 0;
  std::size_t slab_bytes = 0;
  for (std::size_t c = 0; c < free_mask_.size(); ++c) {
    const bool usable = chunk_state_[c] == ChunkState::Committed;
    empty += (usable && free_mask_[c] == kAllFree) ? 1 : 0;
    if (usable || chunk_state_[c] == ChunkState::Returning) {
      committed += kChunkBytes - static_cast<std::size_t>(std::popcount(discarded_[c])) * kSlabBytes;
    }
    for (std::size_t s = 0; s < kSlabsPerChunk; ++s) {
      const SlabIndex slab{static_cast<std::uint32_t>(c * kSlabsPerChunk + s)};
      const SlabUse use = slabs_.use(slab);
      const bool free_bit = (free_mask_[c] >> s & 1) != 0;
      if ((discarded_[c] >> s & 1) != 0 && use != SlabUse::Empty && use != SlabUse::Returning) {
        return "[heap.pool.3] a slab in use was given back";
      }
      if (free_bit != (use == SlabUse::Empty)) {
        return "[heap.pool.2] free mask and use disagree";
      }
      if (use == SlabUse::Empty && slabs_.kind(slab) != SlabKind::Free) {
        return "[heap.kind.1] an empty slab has a kind";
      }
      if (use == SlabUse::Owned || use == SlabUse::Filled || use == SlabUse::Unswept) {
        slab_bytes += kSlabBytes;
      }
    }
  }
  if (empty != empty_chunks_) {
    return "[heap.pool.2] empty chunks are miscounted";
  }
  if (committed != committed_) {
    return "[heap.pool.3] committed bytes are miscounted";
  }
  return slab_bytes <= used_ && used_ <= limit_ ? "" : "[heap.pool.1] used bytes are miscounted";
}

} // namespace echo
