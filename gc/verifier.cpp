// SPDX-License-Identifier: MIT
//
// Purpose     The verifier. Deliberately plain and slow: it shares the layouts with the marker and nothing
//             else.
#include "gc/verifier.h"

#include "gc/census.h"

#include <algorithm>
#include <cstdio>
#include <map>

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
  if (marks_whole_ && !memory_.bits.is_marked(ref) && !starts_.contains(ref)) {
    return bad("is not the start of an object that survived the last mark or was allocated since");
  }
  const Address slab_end = slabs.address_of(slabs.index_of(ref)) + kSlabBytes;
  return bytes <= slab_end - ref ? "" : bad("names an object that leaves its slab");
}

// [verify.mark.1]
std::string Verifier::check_bitmaps() const {
  const SlabTable& slabs = memory_.pool.slabs();
  std::map<std::uint32_t, std::size_t> granules;
  std::size_t small = 0;
  for (const Address object : visited_) {
    if (!memory_.bits.is_marked(object)) {
      return at_address("reachable but not marked:", object);
    }
    if (slabs.kind_of_word(object) == SlabKind::Large) {
      continue;
    }
    ++small;
    granules[slabs.index_of(object).number] += memory_.layouts.object_bytes({object}) / kGranule;
  }
  std::size_t marked = 0;
  const std::uint32_t end = memory_.pool.slab_high_water();
  for (SlabIndex s{0}; s.number < end; ++s.number) {
    if (slabs.kind(s) != SlabKind::Old) {
      continue;
    }
    for_each_marked(slabs.address_of(s), memory_.bits, [&marked](Address) { ++marked; });
    const auto found = granules.find(s.number);
    if (memory_.pool.slabs().live_granules(s) != (found == granules.end() ? 0 : found->second)) {
      return at_address("the live count disagrees with the marked objects of the slab at",
                        slabs.address_of(s));
    }
  }
  return marked == small ? "" : "objects are marked that no root reaches";
}

void Verifier::list_starts() {
  all_starts_.assign(starts_.begin(), starts_.end());
  all_starts_.insert(all_starts_.end(), large_.begin(), large_.end());
  const SlabTable& slabs = memory_.pool.slabs();
  const std::uint32_t end = memory_.pool.slab_high_water();
  for (SlabIndex s{0}; s.number < end; ++s.number) {
    if (slabs.kind(s) == SlabKind::Old && marks_whole_) {
      for_each_marked(slabs.address_of(s), memory_.bits,
                      [this](Address object) { all_starts_.push_back(object); });
    }
  }
  std::sort(all_starts_.begin(), all_starts_.end());
}

// After a mark that was given up, the marks do not tell the starts: the index does.
Address Verifier::resolve(AmbiguousWord ambiguous) const {
  const auto word = static_cast<Address>(ambiguous.bits);
  if (!marks_whole_) {
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
  std::vector<RetiredSpan> spans =
      memory_.supply.with_retired([](const std::vector<RetiredSpan>& retired) { return retired; });
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
    // Null or alive, also between collections: the last one cleared the rest. [weak.clear.1]
    for_each_weak_slot(memory_.layouts, {object}, [&](Address slot, Address word) {
      if (why.empty() && word != 0 && memory_.pool.slabs().contains(word)) {
        why = check_reference(word, "the weak slot's object");
        if (!why.empty()) {
          why += at_address(" (slot", slot) + ")";
        }
      }
    });
    for_each_ambiguous_word(memory_.layouts, {object}, [&](Address, AmbiguousWord word) {
      reach(memory_.pool.slabs().contains(word.bits) ? resolve(word) : 0,
            "the object that a word of an object without a known layout hits:");
    });
  }
  if (why.empty() && moment == Moment::AfterMark) {
    why = check_bitmaps();
  }
  if (moment != Moment::BeforeMark) {
    all_starts_.clear();
  }
  return why;
}

} // namespace echo
