// SPDX-License-Identifier: MIT
//
// Purpose     The marking loop of marker.h.
#include "gc/marker.h"

#include "heap/assert.h"
#include "heap/fault.h"
#include "heap/os_memory.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdio>
#include <exception>

namespace echo {

namespace {

inline Address load_word(Address at) {
  return __atomic_load_n(reinterpret_cast<const Address*>(at), __ATOMIC_RELAXED);
}

constexpr const char* kNoObject = "points into memory that holds no object (freed, or never allocated)";

// A queue of fixed length: what goes in comes out kLength steps later, 0 standing for nothing.
template <std::size_t kLength> class DelayLine {
  static_assert((kLength & (kLength - 1)) == 0);

public:
  Address exchange(Address in) {
    const Address out = line_[next_];
    line_[next_] = in;
    next_ = (next_ + 1) & (kLength - 1);
    return out;
  }

private:
  std::array<Address, kLength> line_{};
  std::size_t next_ = 0;
};

} // namespace

Marker::~Marker() {
  if (mapped_ != nullptr) {
    os::release(mapped_, mapped_bytes_);
  }
}

// [mark.bound.1]
bool Marker::open(const Config& config) {
  region_bytes_ = config.mark_region;
  const std::size_t edge_bytes = EdgeStacks::bytes_for(config.max_heap / sizeof(Address) + 2 * kMostRoots);
  const std::size_t slices = config.max_heap / (kSliceWords * sizeof(Address)) + 1;
  mapped_bytes_ = round_up(edge_bytes + slices * sizeof(Slice), kChunkBytes);
  mapped_ = os::map_zeroed(mapped_bytes_, kChunkBytes);
  if (mapped_ == nullptr || !weak_.open(config)) {
    return false;
  }
  (void)os::advise_huge(mapped_, mapped_bytes_);
  const SlabTable& slabs = memory_.pool.slabs();
  edges_.use(mapped_, edge_bytes, slabs.base(), slabs.bytes());
  slices_ = reinterpret_cast<Slice*>(static_cast<char*>(mapped_) + edge_bytes);
  slices_end_ = slices_ + slices;
  reset(false);
  return true;
}

void Marker::reset(bool beside) {
  const std::size_t high_water = memory_.pool.slab_high_water() * kSlabBytes;
  // What the program may add until the mark ends, with room for the gaps between large objects.
  const std::size_t growth = beside ? 2 * memory_.pool.limit() + 4 * kChunkBytes : 0;
  edges_.begin(high_water, high_water + growth, region_bytes_);
  slices_top_ = slices_;
  weak_.reset();
  ephemerons_.reset();
  roots_ = 0;
  objects_ = bytes_ = edges_done_ = 0;
  corruption_.clear();
  traced_.clear();
  exhausted_ = false;
}

bool Marker::trim_some(std::size_t most) {
  constexpr std::size_t kKeep = std::size_t{8} << 20;
  const std::size_t used = round_up(edges_.touched_bytes(), kPageBytes);
  trimmed_ = std::max(trimmed_, kKeep);
  if (used > trimmed_) {
    const std::size_t now = std::min(used - trimmed_, round_up(most, kPageBytes));
    (void)os::discard(static_cast<char*>(mapped_) + trimmed_, now);
    trimmed_ += now;
    return false;
  }
  edges_.begin(0, 0);
  weak_.trim();
  ephemerons_.trim();
  trimmed_ = 0;
  return true;
}

void Marker::push_root(ObjectRef ref) {
  EdgeStacks::Many edges(edges_);
  edges.push(ref.address);
  edges.finish();
  if (++roots_ >= kMostRoots) {
    drain();
  }
}

void Marker::corrupt(Address object, const char* what) {
  if (corruption_.empty()) {
    char text[200];
    std::snprintf(text, sizeof text, "the reference %#lx %s", static_cast<unsigned long>(object), what);
    corruption_ = text;
  }
}

// Of an unmarked word that is not aligned or lies in no slab of kind OLD: whether it is white.
bool Marker::accept_unusual(Address word, SlabKind kind) {
  SlabTable& slabs = memory_.pool.slabs();
  if (!is_aligned(word, kGranule)) {
    corrupt(word, "is not aligned to 8 bytes");
    return false;
  }
  if (slabs.is_old(kind)) {
    slabs.set_kind(slabs.index_of(word), SlabKind::Old); // by its usual name. [heap.fresh.1]
    return true;
  }
  if (kind == SlabKind::Large) {
    if (memory_.large.extent_bytes(word) != 0) {
      return true;
    }
    corrupt(word, "is not the start of a large object");
  } else if (kind == SlabKind::Free) {
    corrupt(word, kNoObject);
  }
  return false; // fresh: black
}

void Marker::reject_header(Address object) {
  corrupt(object, load_header({object}).bits == kPoisonWord
                      ? "points at a freed object: a root was lost before"
                      : "points at no object header");
}

// Ambiguous words: what they hit is pinned and followed.
template <class Edges> Edges Marker::push_hits(Address from, std::size_t words, Edges edges) {
  memory_.pins.saw(words);
  for (std::size_t i = 0; i < words; ++i) {
    const Address word = load_word(from + i * sizeof(Address));
    if (!memory_.pool.slabs().contains(word)) {
      continue;
    }
    if (const ObjectRef hit = memory_.words.resolve_in_snapshot({word})) {
      memory_.pins.pin(hit, ECHO_PIN_object);
      edges.push(hit.address);
    }
  }
  return edges;
}

// [layout.trace.1]
void Marker::run_trace(Address object, const LayoutRecord& record) {
  const auto visit = [](void* self, echo_ref ref) {
    Marker& marker = *static_cast<Marker*>(self);
    const auto word = reinterpret_cast<Address>(ref);
    if (marker.memory_.pool.slabs().contains(word)) {
      try {
        marker.traced_.push_back(word);
      } catch (const std::exception&) {
        marker.exhausted_ = true;
      }
    }
  };
  record.trace().trace(record.trace().context, reinterpret_cast<echo_ref>(object), visit, this);
}

// Some of what trace callbacks visited, once nothing else waits.
template <class Edges> Edges Marker::push_traced(Edges edges, std::size_t* budget) {
  for (std::size_t i = 0; i < kSliceWords && !traced_.empty() && *budget != 0; ++i, --*budget) {
    edges.push(traced_.back());
    traced_.pop_back();
  }
  return edges;
}

template <class Edges> Edges Marker::scan_slice(Slice slice, Edges edges) {
  const LayoutRecord& record = memory_.layouts.record({load_header({slice.array}).layout_number()});
  const std::uint64_t length = load_length({slice.array});
  const std::size_t left = (record.traced_elements ? length : record.ambiguous_words(length)) - slice.next;
  const std::size_t now = left < kSliceWords ? left : kSliceWords;
  const Address from = slice.array + record.fixed_bytes + slice.next * sizeof(Address);
  if (record.ambiguous_elements) {
    edges = push_hits(from, now, edges);
  } else {
    for (std::size_t i = 0; i < now; ++i) {
      edges.push(load_word(from + i * sizeof(Address)));
    }
  }
  if (left > now && !has_fault(Fault::LongArrayCut)) {
    ECHO_CHECK(slices_top_ != slices_end_, "[mark.bound.1] more slices than long arrays");
    *slices_top_++ = {slice.array, slice.next + now};
  }
  return edges;
}

template <class Edges>
Edges Marker::scan_long_slots(Address object, const LayoutRecord& record, Edges edges) const {
  for (std::uint32_t i = 0; i < record.slot_count; ++i) {
    const echo_slot& slot = record.slots[i];
    if (slot.offset < 64 * kGranule || slot.kind > ECHO_SLOT_TAGGED || has_fault(Fault::FarSlotMissed)) {
      continue; // in the bitmaps, or not followed
    }
    const Address word = load_word(object + slot.offset);
    edges.push(slot.kind != ECHO_SLOT_TAGGED || TaggedWord{word}.is_reference() ? word : 0);
  }
  return edges;
}

// [eph.value.1]
template <class Edges>
Edges Marker::scan_ephemerons(Address object, const LayoutRecord& record, Edges edges) {
  for (std::uint32_t i = 0; i < record.slot_count; ++i) {
    const Address slot = object + record.slots[i].offset;
    if (record.slots[i].kind == ECHO_SLOT_EPHEMERON_KEY && ephemerons_.is_reached(slot, load_word(slot))) {
      edges.push(load_word(slot + Ephemerons::kValueBehindKey));
    }
  }
  return edges;
}

// Any layout: arrays, tagged words, slots beyond the bitmaps, large objects.
template <class Edges> Edges Marker::scan_general(Address object, const LayoutRecord& record, Edges edges) {
  // The length may have been overwritten: nothing is read before it is known to fit.
  std::uint64_t bytes = UINT64_MAX;
  (void)LayoutTable::checked_object_bytes(record, record.is_array ? load_length({object}) : 0, &bytes);
  const SlabTable& slabs = memory_.pool.slabs();
  const bool large = bytes > kLargeBytes && slabs.kind(slabs.index_of(object)) == SlabKind::Large;
  if (large ? bytes > memory_.large.extent_bytes(object)
            : bytes > kLargeBytes || (object & (kSlabBytes - 1)) + bytes > kSlabBytes) {
    corrupt(object, large ? "points at a header whose object does not fit its pages"
                          : "points at a header whose object does not fit its slab");
    return edges;
  }
  bytes_ += bytes;
  if (!large) {
    std::uint16_t& live = memory_.pool.slabs().live_granules(memory_.pool.slabs().index_of(object));
    live = static_cast<std::uint16_t>(live + bytes / kGranule);
  }
  memory_.bits.note_start(object);
  for (std::uint64_t map = record.strong_map; map != 0; map &= map - 1) {
    edges.push(load_word(object + static_cast<std::size_t>(std::countr_zero(map)) * kGranule));
  }
  for (std::uint64_t map = record.tagged_map; map != 0; map &= map - 1) {
    const Address word = load_word(object + static_cast<std::size_t>(std::countr_zero(map)) * kGranule);
    edges.push(TaggedWord{word}.is_reference() ? word : 0);
  }
  if (record.has_weak_slots) {
    weak_.note(object);
  }
  if (record.has_ephemerons) {
    edges = scan_ephemerons(object, record, edges);
  }
  if (record.has_trace) {
    run_trace(object, record);
  }
  if (record.has_long_slots) {
    edges = scan_long_slots(object, record, edges);
  }
  if (record.ambiguous_elements || (record.traced_elements && load_length({object}) != 0)) {
    edges = scan_slice({object, 0}, edges);
  }
  return edges;
}

bool Marker::drain(std::size_t budget) {
  const bool done = edges_.has_one_region() ? drain_into(EdgeStacks::One(edges_), budget)
                                            : drain_into(EdgeStacks::Many(edges_), budget);
  if (done) {
    roots_ = 0;
  }
  if (edges_.wild() != 0) {
    corrupt(edges_.wild(), kNoObject);
  }
  return done;
}

// The queues are empty at the end, whatever is left on the stacks.
template <class Edges> bool Marker::drain_into(Edges edges, std::size_t budget) {
  DelayLine<Edges::kMarkQueue> waiting_for_mark;
  DelayLine<kQueue> waiting_for_object;
  std::size_t waiting = 0;
  SlabTable& slabs = memory_.pool.slabs();
  const Address base = slabs.base();
  std::uint16_t* const live = slabs.live_table();
  const MarkBits bits = memory_.bits.view();
  const LayoutRecord* const records = memory_.layouts.records();
  const std::uint32_t layouts = memory_.layouts.count();
  std::uint64_t objects = 0;
  std::uint64_t simple_bytes = 0;
  const std::size_t budget_at_start = budget;
  bool done = false;
  for (;;) {
    Address edge = 0;
    if (budget != 0 && !edges.is_empty()) {
      edge = edges.pop();
      --budget;
      bits.prefetch(edge);
      ++waiting;
    } else if (waiting == 0) {
      if (budget == 0) {
        break;
      }
      if (edges.next_region()) {
        continue;
      }
      if (!traced_.empty()) {
        edges = push_traced(edges, &budget);
        continue;
      }
      if (slices_top_ == slices_) {
        if (!ephemerons_.has_marking_work()) {
          done = true;
          break;
        }
        for (std::size_t i = 0; i < kSliceBatch && budget != 0 && ephemerons_.has_marking_work(); ++i) {
          edges.push(ephemerons_.step());
          --budget;
        }
        continue;
      }
      for (std::size_t i = 0; i < kSliceBatch && slices_top_ != slices_ && budget != 0; ++i) {
        edges = scan_slice(*--slices_top_, edges);
        budget -= std::min(budget, kSliceWords / 4);
      }
      continue;
    }
    const Address candidate = waiting_for_mark.exchange(edge);
    Address grey = 0;
    if (candidate != 0) {
      if (bits.is_cell_marked(candidate)) {
        --waiting;
      } else {
        const SlabKind kind = slabs.kind(slabs.index_of(candidate));
        if (__builtin_expect(kind == SlabKind::Old && is_aligned(candidate, kGranule), 1) ||
            accept_unusual(candidate, kind)) {
          (void)bits.mark(candidate);
          if (__builtin_expect(ephemerons_.is_watching(), 0)) {
            ephemerons_.marked(candidate);
          }
          grey = candidate;
          __builtin_prefetch(reinterpret_cast<const void*>(grey));
        } else {
          --waiting;
        }
      }
    }
    if (grey == 0 && budget != 0 && !edges.is_empty()) {
      continue;
    }
    const Address object = waiting_for_object.exchange(grey);
    if (object == 0) {
      continue;
    }
    --waiting;
    const std::uint32_t number = load_header({object}).layout_number();
    if (__builtin_expect(number - 1 >= layouts, 0)) {
      reject_header(object);
      continue;
    }
    ++objects;
    const LayoutRecord& record = records[number];
    const std::size_t bytes = record.fixed_bytes;
    if (__builtin_expect(!record.is_simple || (object & (kSlabBytes - 1)) + bytes > kSlabBytes, 0)) {
      edges = scan_general(object, record, edges);
      continue;
    }
    if (has_fault(Fault::MarkBitCleared) && (object / MarkBits::kCellBytes) % 97 == 0) {
      bits.clear_mark(object);
    }
    simple_bytes += bytes;
    std::uint16_t& granules = live[(object - base) / kSlabBytes];
    granules = static_cast<std::uint16_t>(granules + bytes / kGranule);
    bits.note_start(object);
    for (std::uint64_t map = record.strong_map; map != 0; map &= map - 1) {
      edges.push(load_word(object + static_cast<std::size_t>(std::countr_zero(map)) * kGranule));
    }
  }
  objects_ += objects;
  bytes_ += simple_bytes;
  edges_done_ += budget_at_start - budget;
  edges.finish();
  return done;
}

} // namespace echo
