// SPDX-License-Identifier: MIT
//
// Purpose     Proves, in a stop, that the heap is what its invariants say.
//             For ambiguous words it has its own list of starts, sorted.
// Checks      structure  the pool's equations [heap.pool.*]
//             objects    from all roots, by an own traversal with an own set of visited objects: every
//                        reference is null, outside the reservation, or the start of an object: marked by the
//                        last mark or allocated since [verify.start.1]; its header names a layout; the object fits its
//                        slab or pages
//             bitmaps    at the end of a mark: every visited object is marked, or was born since the mark started
//                        [mark.colour.1]; the slabs' counts agree with the marked objects [heap.meta.2]; if the program
//                        stood still since the start, nothing else is marked [verify.mark.1]
#pragma once

#include "gc/roots.h"
#include "heap/memory.h"

#include <atomic>
#include <string>
#include <unordered_set>
#include <vector>

namespace echo {

class Verifier {
public:
  Verifier(Memory& memory, RootSet& roots) : memory_(memory), roots_(roots) {}

  enum class Moment {
    Anytime,
    BeforeMark, // AfterMark follows in the same stop, and then resolves words as before the mark
    Marking,    // while marking: the last mark's bits and what was born since say what is an object
    MarkEnd,    // marking is complete
    AfterMark   // and the program stood still meanwhile
  };
  // "" if all is well, else the first violation. `mutators` have retired their memory, or their spans are
  // given.
  std::string verify(const std::vector<Mutator*>& mutators, Moment moment, bool objects);
  // A mark starts: its bits are not whole yet.
  void begin_mark() {
    previous_whole_ = marks_whole_;
    marks_whole_ = false;
  }
  // Whether the marks are those of a whole mark. After one that was given up nothing is known of the starts
  // of objects born before it.
  void set_marks_whole(bool whole) { marks_whole_ = whole; }
  // False from the end of a mark until weak slots are cleared. Atomic: it becomes true beside the program.
  void set_weak_cleared(bool cleared) { weak_cleared_.store(cleared); }

private:
  std::string check_reference(Address ref, const char* holder);
  std::string check_bitmaps(Moment moment) const;
  void list_starts();
  Address resolve(AmbiguousWord word) const;

  Memory& memory_;
  RootSet& roots_;
  std::unordered_set<Address> starts_; // allocated since the mark whose bits are known_
  const MarkBits* known_ = nullptr;    // null: nothing is known
  std::unordered_set<Address> large_;  // large objects
  std::unordered_set<Address> visited_;
  std::vector<Address>
      all_starts_; // sorted: of the mark before the last one and since, if words are ambiguous
  bool marks_whole_ = true;
  bool previous_whole_ = true; // of the mark before
  std::atomic<bool> weak_cleared_{true};
};

// Calls visit(slot address, word) for every reference slot of an object that keeps its object alive (tagged words that
// are references included).
template <class Visit> void for_each_reference(const LayoutTable& layouts, ObjectRef object, Visit visit) {
  const LayoutRecord& record = layouts.record({load_header(object).layout_number()});
  for (std::uint32_t i = 0; i < record.slot_count; ++i) {
    const Address slot = object.address + record.slots[i].offset;
    const Address word = load_slot(slot);
    if (record.slots[i].kind == ECHO_SLOT_STRONG ||
        (record.slots[i].kind == ECHO_SLOT_TAGGED && TaggedWord{word}.is_reference())) {
      visit(slot, word);
    }
  }
  if (record.traced_elements) {
    const std::uint64_t length = load_length(object);
    for (std::uint64_t i = 0; i < length; ++i) {
      const Address slot = object.address + record.fixed_bytes + i * sizeof(Address);
      visit(slot, load_slot(slot));
    }
  }
}

// Calls visit(word) for every reference that a trace callback visits.
template <class Visit> void for_each_traced(const LayoutTable& layouts, ObjectRef object, Visit visit) {
  const LayoutRecord& record = layouts.record({load_header(object).layout_number()});
  if (record.has_trace) {
    const auto take = [](void* to, echo_ref ref) {
      if (ref != nullptr) {
        (*static_cast<Visit*>(to))(reinterpret_cast<Address>(ref));
      }
    };
    record.trace().trace(record.trace().context, reinterpret_cast<echo_ref>(object.address), take, &visit);
  }
}

// Calls visit(slot address, word) for every weak slot.
template <class Visit> void for_each_weak_slot(const LayoutTable& layouts, ObjectRef object, Visit visit) {
  const LayoutRecord& record = layouts.record({load_header(object).layout_number()});
  for (std::uint32_t i = 0; record.has_weak_slots && i < record.slot_count; ++i) {
    if (record.slots[i].kind == ECHO_SLOT_WEAK) {
      const Address slot = object.address + record.slots[i].offset;
      visit(slot, load_slot(slot));
    }
  }
}

// Calls visit(address of its key's slot) for every ephemeron.
template <class Visit> void for_each_ephemeron(const LayoutTable& layouts, ObjectRef object, Visit visit) {
  const LayoutRecord& record = layouts.record({load_header(object).layout_number()});
  for (std::uint32_t i = 0; record.has_ephemerons && i < record.slot_count; ++i) {
    if (record.slots[i].kind == ECHO_SLOT_EPHEMERON_KEY) {
      visit(object.address + record.slots[i].offset);
    }
  }
}

// Calls visit(its address, AmbiguousWord) for every word of an object without a known layout.
template <class Visit>
void for_each_ambiguous_word(const LayoutTable& layouts, ObjectRef object, Visit visit) {
  const LayoutRecord& record = layouts.record({load_header(object).layout_number()});
  const std::uint64_t words = record.ambiguous_elements ? record.ambiguous_words(load_length(object)) : 0;
  for (std::uint64_t i = 0; i < words; ++i) {
    const Address slot = object.address + record.fixed_bytes + i * sizeof(Address);
    visit(slot, AmbiguousWord{load_slot(slot)});
  }
}

} // namespace echo
