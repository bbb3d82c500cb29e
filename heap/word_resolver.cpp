// SPDX-License-Identifier: MIT
//
// Purpose     The look-up.
#include "heap/word_resolver.h"

#include "heap/fault.h"

namespace echo {

bool WordResolver::contains(Address start, Address word) const {
  const HeaderWord header = load_header({start});
  if (!layouts_.knows({header.layout_number()})) {
    return true; // [resolve.corrupt.1]
  }
  const LayoutRecord& record = layouts_.record({header.layout_number()});
  std::uint64_t bytes = 0;
  return !LayoutTable::checked_object_bytes(record, record.is_array ? load_length({start}) : 0, &bytes) ||
         word - start < bytes;
}

// A large object stays in its table from the end of the mark that found it dead to the sweep. [resolve.dead.1]
bool WordResolver::lives(Address large) const {
  return base_ != Base::Marks || bits_.is_cell_marked(large) ||
         (marking_ && bits_.previous().is_cell_marked(large));
}

Address WordResolver::marked_start(Address slab, Address word) const {
  return base_ == Base::Marks ? last_start(marking_ ? bits_.previous() : bits_, slab, word) : 0;
}

ObjectRef WordResolver::resolve_in_snapshot(AmbiguousWord ambiguous) const {
  const auto word = static_cast<Address>(ambiguous.bits);
  const SlabKind kind = slabs_.kind_of_word(word);
  if (kind == slabs_.fresh_kind()) {
    return {};
  }
  if (!slabs_.is_mixed(kind)) {
    return resolve(ambiguous);
  }
  const Address start = marked_start(slabs_.address_of(slabs_.index_of(word)), word);
  return start != 0 && contains(start, word) ? ObjectRef{start} : ObjectRef{};
}

ObjectRef WordResolver::resolve(AmbiguousWord ambiguous) const {
  const auto word = static_cast<Address>(ambiguous.bits);
  const SlabKind kind = slabs_.kind_of_word(word);
  if (kind == SlabKind::Large) {
    const Address start = large_.find(word);
    return start != 0 && lives(start) && contains(start, word) ? ObjectRef{start} : ObjectRef{};
  }
  if (!is_small(kind)) {
    return {};
  }
  const Address slab = slabs_.address_of(slabs_.index_of(word));
  const Address marked = marked_start(slab, word);
  const Address noted = starts_.is_open() ? starts_.find(slab, word) : 0;
  const Address start = marked > noted ? marked : noted; // the nearer one: objects do not overlap
  if (has_fault(Fault::InteriorMissed) && start != word) {
    return {};
  }
  return start != 0 && contains(start, word) ? ObjectRef{start} : ObjectRef{};
}

} // namespace echo
