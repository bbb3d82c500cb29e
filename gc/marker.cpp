// SPDX-License-Identifier: MIT
//
// Purpose     The marking loop of marker.h.
#include "gc/marker.h"

#include "heap/assert.h"
#include "heap/os_memory.h"

#include <bit>
#include <cstdio>

namespace echo {

namespace {

Address load_word(Address at) {
  return __atomic_load_n(reinterpret_cast<const Address*>(at), __ATOMIC_RELAXED);
}

// A queue of fixed length: what goes in comes out kLength steps later, 0 standing for nothing.
template <std::size_t kLength> class DelayLine {
public:
  Address exchange(Address in) {
    const Address out = line_[next_];
    line_[next_] = in;
    next_ = (next_ + 1) % kLength;
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
  // [mark.bound.1]; a slice takes two words for its 256, the root batch comes on top.
  stack_bytes_ = round_up(max_heap + 2 * kRootBatch * sizeof(Address), kChunkBytes);
  stack_ = static_cast<Address*>(os::map_zeroed(stack_bytes_, kPageBytes));
  top_ = high_ = stack_;
  return stack_ != nullptr;
}

void Marker::reset() {
  top_ = stack_;
  objects_ = bytes_ = 0;
  corruption_.clear();
}

void Marker::trim() {
  constexpr std::size_t kKeep = std::size_t{1} << 20;
  const auto used = round_up(static_cast<std::size_t>(high_ - stack_) * sizeof(Address), kPageBytes);
  if (used > kKeep) {
    (void)os::discard(reinterpret_cast<char*>(stack_) + kKeep, used - kKeep);
  }
  high_ = stack_;
}

void Marker::push_root(ObjectRef ref) {
  push_edge(ref.address);
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

// True if the word is an object of the heap that was white. Marks it.
bool Marker::test_and_mark(Address word) {
  const SlabTable& slabs = memory_.pool.slabs();
  if (!slabs.contains(word)) {
    return false; // [heap.kind.2] module data, immortal objects
  }
  const SlabKind kind = slabs.kind(slabs.index_of(word));
  if (kind != SlabKind::Old && kind != SlabKind::Large) {
    if (kind == SlabKind::Free) {
      corrupt(word, "points into memory that holds no object (freed, or never allocated)");
    }
    return false;
  }
  return memory_.bits.mark(word);
}

void Marker::scan_words(Address from, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    push_edge(load_word(from + i * sizeof(Address)));
  }
}

void Marker::scan_slice(Address array, std::size_t index) {
  const LayoutRecord& record = memory_.layouts.record({load_header({array}).layout_number()});
  const std::size_t left = static_cast<std::size_t>(load_length({array})) - index;
  const std::size_t now = left < kSliceWords ? left : kSliceWords;
  if (left > now) {
    push(index + now);
    push(array | kSliceTag);
  }
  scan_words(array + record.fixed_bytes + index * sizeof(Address), now);
}

void Marker::scan_long_slots(Address object, const LayoutRecord& record) {
  for (std::uint32_t i = 0; i < record.slot_count; ++i) {
    const echo_slot& slot = record.slots[i];
    if (slot.offset < 64 * kGranule) {
      continue; // in the bitmaps
    }
    const Address word = load_word(object + slot.offset);
    if (slot.kind != ECHO_SLOT_TAGGED || TaggedWord{word}.is_reference()) {
      push_edge(word);
    }
  }
}

void Marker::scan(Address object) {
  const HeaderWord header = load_header({object});
  const std::uint32_t number = header.layout_number();
  if (number == 0 || number > memory_.layouts.count()) {
    corrupt(object, header.bits == kPoisonWord ? "points at a freed object: a root was lost before"
                                               : "points at no object header");
    return;
  }
  const LayoutRecord& record = memory_.layouts.record({number});
  std::size_t bytes = record.fixed_bytes;
  if (record.is_array) {
    bytes = round_up(bytes + load_length({object}) * record.element_bytes, kGranule);
  }
  ++objects_;
  bytes_ += bytes;
  if (bytes <= kLargeBytes) {
    const SlabTable& slabs = memory_.pool.slabs();
    const SlabIndex slab = slabs.index_of(object);
    if (object + bytes > slabs.address_of(slab) + kSlabBytes || slabs.kind(slab) != SlabKind::Old) {
      corrupt(object, "points at a header whose object does not fit its slab");
      return;
    }
    memory_.bits.set_live(object, bytes);
    memory_.pool.slabs().live_granules(slab) =
        static_cast<std::uint16_t>(memory_.pool.slabs().live_granules(slab) + bytes / kGranule);
  }
  for (std::uint64_t map = record.strong_map; map != 0; map &= map - 1) {
    push_edge(load_word(object + static_cast<std::size_t>(std::countr_zero(map)) * kGranule));
  }
  for (std::uint64_t map = record.tagged_map; map != 0; map &= map - 1) {
    const Address word = load_word(object + static_cast<std::size_t>(std::countr_zero(map)) * kGranule);
    if (TaggedWord{word}.is_reference()) {
      push_edge(word);
    }
  }
  if (record.has_long_slots) {
    scan_long_slots(object, record);
  }
  if (record.traced_elements && load_length({object}) != 0) {
    scan_slice(object, 0);
  }
}

void Marker::drain() {
  DelayLine<kQueue> waiting_for_mark;
  DelayLine<kQueue> waiting_for_object;
  std::size_t waiting = 0;
  while (top_ != stack_ || waiting != 0) {
    high_ = top_ > high_ ? top_ : high_;
    Address edge = 0;
    if (top_ != stack_) {
      edge = *--top_;
      if ((edge & kSliceTag) != 0) {
        const Address index = *--top_;
        scan_slice(edge & ~kSliceTag, index);
        continue;
      }
      // Words outside the reservation have no mark word to fetch.
      if (memory_.pool.slabs().contains(edge)) {
        memory_.bits.prefetch(edge);
        ++waiting;
      } else {
        continue;
      }
    }
    const Address candidate = waiting_for_mark.exchange(edge);
    Address grey = 0;
    if (candidate != 0) {
      if (test_and_mark(candidate)) {
        grey = candidate;
        __builtin_prefetch(reinterpret_cast<const void*>(grey));
      } else {
        --waiting;
        if (top_ != stack_) {
          continue;
        }
      }
    }
    if (grey == 0 && top_ != stack_) {
      continue;
    }
    const Address object = waiting_for_object.exchange(grey);
    if (object != 0) {
      --waiting;
      scan(object);
    }
  }
  ECHO_DEEP(top_ == stack_, "[mark.colour.1] grey objects are left");
}

} // namespace echo
