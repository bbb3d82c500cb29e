// SPDX-License-Identifier: MIT
//
// Purpose     The marking loop of marker.h.
#include "gc/marker.h"

#include "heap/assert.h"
#include "heap/os_memory.h"

#include <array>
#include <bit>
#include <cstdio>

namespace echo {

namespace {

inline Address load_word(Address at) {
  return __atomic_load_n(reinterpret_cast<const Address*>(at), __ATOMIC_RELAXED);
}

inline Address* push(Address* top, Address word) {
  *top = word;
  return top + (word != 0 ? 1 : 0);
}

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
  if (stack_ != nullptr) {
    os::release(stack_, stack_bytes_);
  }
}

bool Marker::open(std::size_t max_heap) {
  stack_bytes_ = round_up(max_heap + 2 * kRootBatch * sizeof(Address), kChunkBytes); // [mark.bound.1]
  stack_ = static_cast<Address*>(os::map_zeroed(stack_bytes_, kChunkBytes));
  if (stack_ == nullptr) {
    return false;
  }
  os::advise_huge(stack_, stack_bytes_);
  slices_end_ = reinterpret_cast<Slice*>(reinterpret_cast<char*>(stack_) + stack_bytes_);
  reset();
  high_ = stack_;
  return true;
}

void Marker::reset() {
  top_ = stack_;
  slices_ = slices_end_;
  objects_ = bytes_ = 0;
  corruption_.clear();
}

void Marker::trim() {
  constexpr std::size_t kKeep = std::size_t{8} << 20;
  const auto used = round_up(static_cast<std::size_t>(high_ - stack_) * sizeof(Address), kPageBytes);
  if (used > kKeep) {
    (void)os::discard(reinterpret_cast<char*>(stack_) + kKeep, used - kKeep);
  }
  high_ = stack_;
}

void Marker::push_root(ObjectRef ref) {
  top_ = push(top_, ref.address);
  if (static_cast<std::size_t>(top_ - stack_) >= kRootBatch) {
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

// Of a newly marked word that lies in no slab of small objects: whether it is a large object.
bool Marker::accept_outside_slabs(Address word) {
  const SlabTable& slabs = memory_.pool.slabs();
  const SlabKind kind = slabs.kind(slabs.index_of(word));
  if (kind == SlabKind::Large && memory_.large.extent_bytes(word) != 0) {
    return true;
  }
  memory_.bits.clear_mark(word);
  if (kind == SlabKind::Large) {
    corrupt(word, "is not the start of a large object");
  } else if (kind == SlabKind::Free) {
    corrupt(word, "points into memory that holds no object (freed, or never allocated)");
  }
  return false;
}

void Marker::reject_header(Address object) {
  corrupt(object, load_header({object}).bits == kPoisonWord
                      ? "points at a freed object: a root was lost before"
                      : "points at no object header");
}

Address* Marker::scan_slice(Slice slice, Address* top) {
  const LayoutRecord& record = memory_.layouts.record({load_header({slice.array}).layout_number()});
  const std::size_t left = static_cast<std::size_t>(load_length({slice.array})) - slice.next;
  const std::size_t now = left < kSliceWords ? left : kSliceWords;
  const Address from = slice.array + record.fixed_bytes + slice.next * sizeof(Address);
  for (std::size_t i = 0; i < now; ++i) {
    top = push(top, load_word(from + i * sizeof(Address)));
  }
  if (left > now) {
    *--slices_ = {slice.array, slice.next + now};
  }
  return top;
}

Address* Marker::scan_long_slots(Address object, const LayoutRecord& record, Address* top) const {
  for (std::uint32_t i = 0; i < record.slot_count; ++i) {
    const echo_slot& slot = record.slots[i];
    if (slot.offset < 64 * kGranule) {
      continue; // in the bitmaps
    }
    const Address word = load_word(object + slot.offset);
    top = push(top, slot.kind != ECHO_SLOT_TAGGED || TaggedWord{word}.is_reference() ? word : 0);
  }
  return top;
}

// Any layout: arrays, tagged words, slots beyond the bitmaps, large objects.
Address* Marker::scan_general(Address object, const LayoutRecord& record, Address* top) {
  // The length may have been overwritten: nothing is read before it is known to fit.
  std::uint64_t bytes = UINT64_MAX;
  (void)LayoutTable::checked_object_bytes(record, record.is_array ? load_length({object}) : 0, &bytes);
  const SlabTable& slabs = memory_.pool.slabs();
  const bool large = bytes > kLargeBytes && slabs.kind(slabs.index_of(object)) == SlabKind::Large;
  if (large ? bytes > memory_.large.extent_bytes(object)
            : bytes > kLargeBytes || (object & (kSlabBytes - 1)) + bytes > kSlabBytes) {
    corrupt(object, large ? "points at a header whose object does not fit its pages"
                          : "points at a header whose object does not fit its slab");
    return top;
  }
  bytes_ += bytes;
  if (!large) {
    std::uint16_t& live = memory_.pool.slabs().live_granules(memory_.pool.slabs().index_of(object));
    live = static_cast<std::uint16_t>(live + bytes / kGranule);
  }
  memory_.bits.note_start(object);
  for (std::uint64_t map = record.strong_map; map != 0; map &= map - 1) {
    top = push(top, load_word(object + static_cast<std::size_t>(std::countr_zero(map)) * kGranule));
  }
  for (std::uint64_t map = record.tagged_map; map != 0; map &= map - 1) {
    const Address word = load_word(object + static_cast<std::size_t>(std::countr_zero(map)) * kGranule);
    top = push(top, TaggedWord{word}.is_reference() ? word : 0);
  }
  if (record.has_long_slots) {
    top = scan_long_slots(object, record, top);
  }
  if (record.traced_elements && load_length({object}) != 0) {
    top = scan_slice({object, 0}, top);
  }
  return top;
}

void Marker::drain() {
  DelayLine<kQueue> waiting_for_mark;
  DelayLine<kQueue> waiting_for_object;
  std::size_t waiting = 0;
  SlabTable& slabs = memory_.pool.slabs();
  const Address base = slabs.base();
  const std::size_t heap_bytes = slabs.bytes();
  std::uint16_t* const live = slabs.live_table();
  const MarkBits bits = memory_.bits.view();
  const LayoutRecord* const records = memory_.layouts.records();
  const std::uint32_t layouts = memory_.layouts.count();
  std::uint64_t objects = 0;
  std::uint64_t simple_bytes = 0;
  Address* top = top_;
  Address* high = high_;
  for (;;) {
    Address edge = 0;
    if (top != stack_) {
      high = top > high ? top : high;
      edge = *--top;
      if (__builtin_expect(edge - base >= heap_bytes, 0)) {
        continue; // [heap.kind.2] module data, immortal objects
      }
      bits.prefetch(edge);
      ++waiting;
    } else if (slices_ != slices_end_) {
      const Slice slice = *slices_++;
      top = scan_slice(slice, top);
      continue;
    } else if (waiting == 0) {
      break;
    }
    const Address candidate = waiting_for_mark.exchange(edge);
    Address grey = 0;
    if (candidate != 0) {
      if (!bits.mark(candidate)) {
        --waiting;
      } else {
        const SlabKind kind = slabs.kind(slabs.index_of(candidate));
        if (__builtin_expect(!is_aligned(candidate, kGranule), 0)) {
          corrupt(candidate, "is not aligned to 8 bytes");
          --waiting;
        } else if (__builtin_expect(kind != SlabKind::Old, 0) && !accept_outside_slabs(candidate)) {
          --waiting;
        } else {
          grey = candidate;
          __builtin_prefetch(reinterpret_cast<const void*>(grey));
        }
      }
    }
    if (grey == 0 && top != stack_) {
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
      top = scan_general(object, record, top);
      continue;
    }
    simple_bytes += bytes;
    std::uint16_t& granules = live[(object - base) / kSlabBytes];
    granules = static_cast<std::uint16_t>(granules + bytes / kGranule);
    bits.note_start(object);
    for (std::uint64_t map = record.strong_map; map != 0; map &= map - 1) {
      top = push(top, load_word(object + static_cast<std::size_t>(std::countr_zero(map)) * kGranule));
    }
  }
  objects_ += objects;
  bytes_ += simple_bytes;
  top_ = top;
  high_ = high;
}

} // namespace echo
