// SPDX-License-Identifier: MIT
//
// Purpose     The marking loop of mark_worker.h.
#include "gc/mark_worker.h"

#include "heap/assert.h"
#include "heap/delay_line.h"
#include "heap/fault.h"

#include <algorithm>
#include <bit>
#include <cstdio>
#include <exception>

namespace echo {

namespace {

inline Address load_word(Address at) {
  return __atomic_load_n(reinterpret_cast<const Address*>(at), __ATOMIC_RELAXED);
}

constexpr const char* kNoObject = "points into memory that holds no object (freed, or never allocated)";

} // namespace

void MarkWorker::begin() {
  objects_ = bytes_ = edges_done_ = 0;
  corruption_.clear();
  traced_.clear();
  exhausted_ = starved_ = false;
  handed_count_ = 0;
  weak_.reset();
  ephemerons_.reset();
}

void MarkWorker::corrupt(Address object, const char* what) {
  if (corruption_.empty()) {
    char text[200];
    std::snprintf(text, sizeof text, "the reference %#lx %s", static_cast<unsigned long>(object), what);
    corruption_ = text;
  }
}

// Of an unmarked word that is not aligned or lies in no slab of kind OLD: whether it is white.
bool MarkWorker::accept_unusual(Address word, SlabKind kind) {
  SlabTable& slabs = memory_.pool.slabs();
  if (!is_aligned(word, kGranule)) {
    corrupt(word, "is not aligned to 8 bytes");
    return false;
  }
  if (slabs.is_old(kind)) {
    slabs.set_kind(slabs.index_of(word), SlabKind::Old); // by its usual name. [heap.fresh.1]
    return true;
  }
  if (slabs.is_mixed(kind)) {
    return memory_.bits.previous().is_cell_marked(word); // else born since the mark started [heap.mixed.1]
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

void MarkWorker::reject_header(Address object) {
  corrupt(object, load_header({object}).bits == kPoisonWord
                      ? "points at a freed object: a root was lost before"
                      : "points at no object header");
}

// Ambiguous words: what they hit is pinned and followed.
template <class Edges> Edges MarkWorker::push_hits(Address from, std::size_t words, Edges edges) {
  ECHO_CHECK(leads_, "[mark.parallel.4] a second looks into ambiguous words");
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
void MarkWorker::run_trace(Address object, const LayoutRecord& record) {
  const auto visit = [](void* self, echo_ref ref) {
    MarkWorker& marker = *static_cast<MarkWorker*>(self);
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
template <class Edges> Edges MarkWorker::push_traced(Edges edges, std::size_t* budget) {
  for (std::size_t i = 0; i < kSliceWords && !traced_.empty() && *budget != 0; ++i, --*budget) {
    edges.push(traced_.back());
    traced_.pop_back();
  }
  return edges;
}

template <class Edges> Edges MarkWorker::scan_slice(EdgePool::Slice slice, Edges edges) {
  const LayoutRecord& record = memory_.layouts.record({load_header({slice.array}).layout_number()});
  const std::uint64_t length = load_length({slice.array});
  const std::size_t left = (record.traced_elements ? length : record.ambiguous_words(length)) - slice.next;
  const std::size_t now = left < kSliceWords ? left : kSliceWords;
  const Address from = slice.array + record.fixed_bytes + slice.next * sizeof(Address);
  if (left > now && !has_fault(Fault::LongArrayCut)) {
    const EdgePool::Slice rest = {slice.array, slice.next + now};
    if constexpr (Edges::kIsShared) {
      if (record.ambiguous_elements) {
        pool_.push_lead_slice(rest);
      } else {
        pool_.push_slice(rest, left - now); // first: another marker may go on with it
      }
    } else {
      pool_.push_own_slice(rest);
    }
  }
  if (record.ambiguous_elements) {
    edges = push_hits(from, now, edges);
  } else {
    for (std::size_t i = 0; i < now; ++i) {
      edges.push(load_word(from + i * sizeof(Address)));
    }
  }
  return edges;
}

template <class Edges>
Edges MarkWorker::scan_long_slots(Address object, const LayoutRecord& record, Edges edges) const {
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
Edges MarkWorker::scan_ephemerons(Address object, const LayoutRecord& record, Edges edges) {
  for (std::uint32_t i = 0; i < record.slot_count; ++i) {
    const Address slot = object + record.slots[i].offset;
    if (record.slots[i].kind == ECHO_SLOT_EPHEMERON_KEY && ephemerons_.is_reached(slot, load_word(slot))) {
      edges.push(load_word(slot + Ephemerons::kValueBehindKey));
    }
  }
  return edges;
}

// Any layout: arrays, tagged words, slots beyond the bitmaps, large objects. False: the header is wrong.
bool MarkWorker::count_general(Address object, const LayoutRecord& record) {
  // The length may have been overwritten: nothing is read before it is known to fit.
  std::uint64_t bytes = UINT64_MAX;
  (void)LayoutTable::checked_object_bytes(record, record.is_array ? load_length({object}) : 0, &bytes);
  const SlabTable& slabs = memory_.pool.slabs();
  const bool large = bytes > kLargeBytes && slabs.kind(slabs.index_of(object)) == SlabKind::Large;
  if (large ? bytes > memory_.large.extent_bytes(object)
            : bytes > kLargeBytes || (object & (kSlabBytes - 1)) + bytes > kSlabBytes) {
    corrupt(object, large ? "points at a header whose object does not fit its pages"
                          : "points at a header whose object does not fit its slab");
    return false;
  }
  bytes_ += bytes;
  if (!large) {
    std::uint16_t& live = memory_.pool.slabs().live_granules(memory_.pool.slabs().index_of(object));
    live = static_cast<std::uint16_t>(live + bytes / kGranule);
  }
  memory_.bits.note_start(object);
  return true;
}

// [mark.parallel.4]
template <class Edges>
Edges MarkWorker::scan_general(Address object, const LayoutRecord& record, Edges edges) {
  if (!count_general(object, record)) {
    return edges;
  }
  if constexpr (Edges::kIsShared) {
    if (!leads_ &&
        (record.has_weak_slots || record.has_ephemerons || record.has_trace || record.ambiguous_elements)) {
      hand(object);
      return edges;
    }
  }
  return scan_counted(object, record, edges);
}

template <class Edges>
Edges MarkWorker::scan_counted(Address object, const LayoutRecord& record, Edges edges) {
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

void MarkWorker::hand(Address object) {
  handed_[handed_count_++] = object;
  if (handed_count_ == handed_.size()) {
    hand_all();
  }
}

void MarkWorker::hand_all() {
  if (handed_count_ != 0) {
    pool_.hand_objects(handed_.data(), handed_count_);
    handed_count_ = 0;
  }
}

// What others have marked and counted, for the lead.
template <class Edges> Edges MarkWorker::scan_handed(Edges edges, std::size_t* budget, bool* some) {
  for (std::size_t i = 0; i < kSliceBatch && *budget != 0; ++i, --*budget) {
    const Address object = pool_.take_handed();
    if (object == 0) {
      break;
    }
    *some = true;
    edges = scan_counted(object, memory_.layouts.record({load_header({object}).layout_number()}), edges);
  }
  return edges;
}

template <class Edges> Edges MarkWorker::scan_slices(Edges edges, std::size_t* budget, bool* some) {
  for (std::size_t i = 0; i < kSliceBatch && *budget != 0; ++i) {
    EdgePool::Slice slice{};
    if (!(Edges::kIsShared ? (leads_ && pool_.take_lead_slice(&slice)) || pool_.take_slice(&slice)
                           : pool_.take_own_slice(&slice))) {
      break;
    }
    *some = true;
    edges = scan_slice(slice, edges);
    *budget -= std::min(*budget, kSliceWords / 4);
  }
  return edges;
}

// [mark.parallel.5] Whether they have work, and none else may be at work meanwhile.
template <class Edges> bool MarkWorker::may_look_at_ephemerons() {
  if (!ephemerons_.has_marking_work()) {
    return false;
  }
  if constexpr (Edges::kIsShared) {
    pool_.hold(true);
  }
  return true;
}

bool MarkWorker::drain(std::size_t budget, bool shared) {
  starved_ = false;
  const bool done = is_alone_in_one_region(shared) ? drain_into(EdgeStacks::One(stacks_), budget)
                                                   : drain_into(SharedEdges(stacks_, pool_), budget);
  if (stacks_.wild() != 0) {
    corrupt(stacks_.wild(), kNoObject);
  }
  return done;
}

void MarkWorker::push(Address word, bool shared) {
  const auto push_into = [word](auto edges) {
    edges.push(word);
    edges.finish();
  };
  if (is_alone_in_one_region(shared)) {
    push_into(EdgeStacks::One(stacks_));
  } else {
    push_into(SharedEdges(stacks_, pool_));
  }
}

// By scan_general: the rest of a long array is a slice, with a price of its own.
std::size_t MarkWorker::words_scanned(Address object, const LayoutRecord& record) {
  const bool has_elements = record.traced_elements || record.ambiguous_elements;
  return record.slot_count + (has_elements ? std::min<std::size_t>(load_length({object}), kSliceWords) : 0);
}

// The queues are empty at the end, whatever is left on the stacks.
template <class Edges> bool MarkWorker::drain_into(Edges edges, std::size_t budget) {
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
  const bool resurrects = memory_.resurrected.is_on();
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
      bool some = false;
      if constexpr (Edges::kIsShared) {
        if (leads_) {
          edges = scan_handed(edges, &budget, &some);
        }
      }
      if (!some) {
        edges = scan_slices(edges, &budget, &some);
      }
      if (some) {
        continue;
      }
      if constexpr (Edges::kIsShared) {
        if (leads_ && !pool_.is_quiet()) { // [mark.parallel.2]
          starved_ = true;
          break;
        }
      }
      if (!may_look_at_ephemerons<Edges>()) {
        done = true;
        break;
      }
      for (std::size_t i = 0; i < kSliceBatch && budget != 0 && ephemerons_.has_marking_work(); ++i) {
        edges.push(ephemerons_.step());
        --budget;
      }
      if constexpr (Edges::kIsShared) {
        if (!ephemerons_.is_watching()) {
          pool_.hold(false);
        }
      }
      continue;
    }
    const Address candidate = waiting_for_mark.exchange(edge);
    Address grey = 0;
    if (candidate != 0) {
      if (bits.is_cell_marked(candidate)) {
        --waiting;
        if (kDeepChecks && !(bits.is_marked(candidate) && is_aligned(candidate, kGranule))) {
          corrupt(candidate, "points beside the start of a marked object"); // [mark.error.2]
        }
      } else {
        const SlabKind kind = slabs.kind(slabs.index_of(candidate));
        if (__builtin_expect(kind == SlabKind::Old && is_aligned(candidate, kGranule), 1) ||
            accept_unusual(candidate, kind)) {
          if constexpr (Edges::kIsShared) {
            ECHO_DEEP(edges.has(candidate),
                      "[mark.parallel.1] an object of another marker's region is marked");
          }
          if (__builtin_expect(resurrects, 0)) {
            memory_.resurrected.add(candidate); // before its bit [resurrect.order.1]
          }
          (void)bits.mark(candidate);
          if constexpr (kDeepChecks) {
            bits.note_start(
                candidate); // early: the cell may be asked for before the object is looked at [mark.error.2]
          }
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
      budget -= std::min(budget, words_scanned(object, record) / kWordsPerEdge); // [mark.budget.1]
      continue;
    }
    if (has_fault(Fault::MarkBitCleared) && (object / MarkBits::kCellBytes) % 97 == 0) {
      bits.clear_mark(object);
    }
    budget -= std::min(budget, (bytes - 1) / (kWordsPerEdge * sizeof(Address))); // [mark.budget.1]
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
