// SPDX-License-Identifier: MIT
//
// Purpose     The verifier. Deliberately plain and slow: it shares the layouts with the marker and nothing
//             else.
#include "gc/verifier.h"

#include "gc/census.h"

#include <algorithm>
#include <cstdio>
#include <iterator>

namespace echo {

namespace {

std::string at_address(const char* what, Address a) {
  char text[160];
  std::snprintf(text, sizeof text, "%s %#lx", what, static_cast<unsigned long>(a));
  return text;
}

struct Collecting final : RootVisitor {
  std::vector<Address> found;
  std::vector<AmbiguousWord> words;
  void root(ObjectRef ref) override { found.push_back(ref.address); }
  void ambiguous(AmbiguousWord word, echo_pin) override { words.push_back(word); }
};

} // namespace

// [verify.start.1]
std::string Verifier::check_reference(Address ref, const char* holder) {
  const SlabTable& slabs = memory_.pool.slabs();
  const auto bad = [&](const char* what) { return at_address(holder, ref) + " " + what; };
  if (!is_aligned(ref, kGranule)) {
    return bad("is not aligned to 8 bytes");
  }
  const SlabKind kind = slabs.kind_of_word(ref);
  if (kind == SlabKind::Free) {
    return bad("points into memory that holds no object");
  }
  const HeaderWord header = load_header({ref});
  if (!memory_.layouts.knows({header.layout_number()})) {
    return bad(header.bits == kPoisonWord ? "points at a freed object" : "points at no object header");
  }
  // The length may have been overwritten.
  const LayoutRecord& record = memory_.layouts.record({header.layout_number()});
  std::uint64_t bytes = UINT64_MAX;
  (void)LayoutTable::checked_object_bytes(record, record.is_array ? load_length({ref}) : 0, &bytes);
  if (kind == SlabKind::Large) {
    if (!large_.contains(ref)) {
      return bad("is not the start of a large object");
    }
    return bytes <= memory_.large.extent_bytes(ref) ? "" : bad("names an object that leaves its pages");
  }
  if (known_ != nullptr && !known_->is_marked(ref) && !starts_.contains(ref)) {
    return bad("is not the start of an object that survived the last mark or was allocated since");
  }
  const Address slab_end = slabs.address_of(slabs.index_of(ref)) + kSlabBytes;
  return bytes <= slab_end - ref ? "" : bad("names an object that leaves its slab");
}

// [verify.mark.1]
std::string Verifier::check_bitmaps(Moment moment) const {
  SlabTable& slabs = memory_.pool.slabs();
  std::size_t small = 0;
  for (const Address object : visited_) {
    const SlabKind kind = slabs.kind_of_word(object);
    const bool is_mixed = slabs.is_mixed(kind);
    const bool was_born_since = is_mixed && starts_.contains(object);
    const bool is_old = slabs.is_old(kind) || (is_mixed && !was_born_since);
    if (!memory_.bits.is_marked(object) && (is_old || kind == SlabKind::Large)) {
      return at_address("reachable but not marked:", object);
    }
    if (was_born_since && memory_.bits.is_marked(object)) { // [heap.mixed.1]
      return at_address("born while the marker worked, and marked:", object);
    }
    small += is_old ? 1 : 0;
  }
  std::size_t marked = 0;
  const std::uint32_t end = memory_.pool.slab_high_water();
  for (SlabIndex s{0}; s.number < end; ++s.number) {
    const bool is_fresh = slabs.kind(s) == slabs.fresh_kind();
    if (!slabs.is_old(slabs.kind(s)) && !slabs.is_mixed(slabs.kind(s)) && !is_fresh) {
      continue;
    }
    std::size_t granules = 0;
    for_each_marked(slabs.address_of(s), memory_.bits, [&](Address object) {
      ++marked;
      granules += memory_.layouts.object_bytes({object}) / kGranule;
    });
    if (is_fresh && granules != 0) {
      return at_address("an object is marked in the fresh slab at", slabs.address_of(s));
    }
    if (slabs.live_granules(s) != granules) {
      return at_address("the live count disagrees with the marked objects of the slab at",
                        slabs.address_of(s));
    }
  }
  return moment != Moment::AfterMark || marked == small ? "" : "objects are marked that no root reaches";
}

void Verifier::list_starts() {
  all_starts_.assign(starts_.begin(), starts_.end());
  // Of large objects a word hits those that the last mark or their birth marked: the others may wait for the sweep.
  std::copy_if(large_.begin(), large_.end(), std::back_inserter(all_starts_), [this](Address large) {
    return known_ == nullptr || known_->is_cell_marked(large) || memory_.bits.is_cell_marked(large);
  });
  const SlabTable& slabs = memory_.pool.slabs();
  const std::uint32_t end = memory_.pool.slab_high_water();
  for (SlabIndex s{0}; s.number < end; ++s.number) {
    if (is_small(slabs.kind(s)) && known_ != nullptr) {
      for_each_marked(slabs.address_of(s), *known_,
                      [this](Address object) { all_starts_.push_back(object); });
    }
  }
  std::sort(all_starts_.begin(), all_starts_.end());
}

// After a mark that was given up, the marks do not tell the starts: the index does.
Address Verifier::resolve(AmbiguousWord ambiguous) const {
  const auto word = static_cast<Address>(ambiguous.bits);
  if (known_ == nullptr) {
    if (const ObjectRef hit = memory_.words.resolve(ambiguous)) {
      return hit.address;
    }
  }
  const auto above = std::upper_bound(all_starts_.begin(), all_starts_.end(), word);
  if (above == all_starts_.begin()) {
    return 0;
  }
  const Address start = *std::prev(above);
  const HeaderWord header = load_header({start});
  const bool sound = memory_.layouts.knows({header.layout_number()});
  return !sound || word - start < memory_.layouts.object_bytes({start}) ? start : 0;
}

std::string Verifier::verify(const std::vector<Mutator*>& mutators, Moment moment, bool objects) {
  if (const char* broken = memory_.pool.check(); broken[0] != '\0') {
    return broken;
  }
  if (!objects) {
    return "";
  }
  starts_.clear();
  visited_.clear();
  const Census census(memory_.layouts);
  const bool marking = moment == Moment::Marking;
  known_ = !(marking ? previous_whole_ : marks_whole_) ? nullptr
           : marking                                   ? &memory_.bits.previous()
                                                       : &memory_.bits;
  std::vector<RetiredSpan> spans =
      memory_.supply.with_retired([marking](const SpanLog& before, const SpanLog& since) {
        std::vector<RetiredSpan> all = since.to_vector();
        if (marking) {
          before.for_each([&](const RetiredSpan& span) { all.push_back(span); });
        }
        return all;
      });
  for (Mutator* m : mutators) {
    m->take_back_span();
    spans.insert(spans.end(), m->allocator.log().begin(), m->allocator.log().end());
    spans.push_back({m->allocator.current().start, m->allocator.current().cursor});
    spans.push_back({m->allocator.overflow().start, m->allocator.overflow().cursor});
  }
  for (const RetiredSpan& span : spans) {
    (void)census.for_each(span, [this](ObjectRef object) { starts_.insert(object.address); });
  }
  const std::vector<Address> large = memory_.large.snapshot();
  large_ = {large.begin(), large.end()};
  if (memory_.pins.is_open() && (moment != Moment::AfterMark || all_starts_.empty())) {
    list_starts();
  }

  Collecting roots;
  std::string why;
  if (enumerate_roots(roots_, mutators, roots, &why) != ECHO_OK) {
    return why;
  }
  const bool cleared = weak_cleared_.load();
  std::vector<Address> grey;
  const auto reach = [&](Address ref, const char* holder) {
    if (ref == 0 || !memory_.pool.slabs().contains(ref) || !visited_.insert(ref).second) {
      return;
    }
    if (why.empty()) {
      why = check_reference(ref, holder);
      if (why.empty()) {
        grey.push_back(ref);
      }
    }
  };
  for (const Address root : roots.found) {
    reach(root, "the root");
  }
  for (const AmbiguousWord word : roots.words) {
    reach(resolve(word), "the object that an ambiguous word hits:");
  }
  // Keys' slots of ephemerons. [eph.value.1]
  std::vector<Address> waiting;
  const auto check_weak = [&](Address slot) {
    const Address word = load_slot(slot);
    if (why.empty() && cleared && word != 0 && memory_.pool.slabs().contains(word)) {
      why = check_reference(word, "the object of an ephemeron");
      why += why.empty() ? "" : at_address(" (slot", slot) + ")";
    }
  };
  const auto release = [&](Address key_slot) {
    const Address key = load_slot(key_slot);
    const Address value = load_slot(key_slot + sizeof(Address));
    const bool reached = key != 0 && (!memory_.pool.slabs().contains(key) || visited_.contains(key));
    // A value that was stored long before its key is kept by nothing until then [eph.null.1], and null soon.
    const bool lost = !cleared && moment != Moment::AfterMark && memory_.pool.slabs().contains(value) &&
                      !check_reference(value, "").empty();
    if (reached && !lost) {
      reach(value, "an ephemeron's value");
    }
    return reached;
  };
  do {
    while (!grey.empty() && why.empty()) {
      const Address object = grey.back();
      grey.pop_back();
      for_each_reference(memory_.layouts, {object}, [&](Address slot, Address word) {
        if (why.empty()) {
          reach(word, "the reference");
          if (!why.empty()) {
            const LayoutRecord& record = memory_.layouts.record({load_header({object}).layout_number()});
            why += at_address(" (slot", slot) + " of an object of layout '" + record.name + "')";
          }
        }
      });
      for_each_traced(memory_.layouts, {object},
                      [&](Address word) { reach(word, "what a trace callback visited:"); });
      // Null or alive, also between collections: the last one cleared the rest. [weak.clear.1]
      for_each_weak_slot(memory_.layouts, {object}, [&](Address slot, Address word) {
        if (why.empty() && cleared && word != 0 && memory_.pool.slabs().contains(word)) {
          why = check_reference(word, "the weak slot's object");
          if (!why.empty()) {
            why += at_address(" (slot", slot) + ")";
          }
        }
      });
      for_each_ephemeron(memory_.layouts, {object}, [&](Address key_slot) { waiting.push_back(key_slot); });
      for_each_ambiguous_word(memory_.layouts, {object}, [&](Address, AmbiguousWord word) {
        reach(memory_.pool.slabs().contains(word.bits) ? resolve(word) : 0,
              "the object that a word of an object without a known layout hits:");
      });
    }
    std::erase_if(waiting, release);
  } while (!grey.empty() && why.empty());
  for (const Address key_slot : waiting) {
    check_weak(key_slot);
    check_weak(key_slot + sizeof(Address));
  }
  if (why.empty() && (moment == Moment::MarkEnd || moment == Moment::AfterMark)) {
    why = check_bitmaps(moment);
  }
  if (moment != Moment::BeforeMark) {
    all_starts_.clear();
  }
  return why;
}

} // namespace echo
