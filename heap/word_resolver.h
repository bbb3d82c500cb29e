// SPDX-License-Identifier: MIT
//
// Purpose     From any word to the object that it points at or into.
// Algorithm   By the kind of the word's slab: a large object is looked up in its table; a small one starts at the highest
//             known start at or below the word, if it reaches that far. Known are the starts that the last mark found and
//             those noted since (objects allocated since, object_starts.h).
//
// Invariants  [resolve.hit.1] A word hits the object whose bytes, rounded to the granule, contain it: any byte, not only
//             aligned ones; the byte behind it is the next object's or nobody's. [resolve.base.1] Between marks the base
//             is the mark bits; from the start of a mark until its end it is the bits of the mark before. After a mark
//             that was not whole it is the copy of these in ObjectStarts. [resolve.dead.1] What the last whole mark found dead, and
//             memory without objects, is never hit. [resolve.corrupt.1] An object whose header or length was overwritten
//             is hit by every word up to the next start: whoever follows it finds the damage.
#pragma once

#include "heap/large_space.h"
#include "heap/layout_table.h"
#include "heap/object_starts.h"
#include "heap/side_metadata.h"
#include "heap/slab_pool.h"

namespace echo {

class WordResolver {
public:
  enum class Base : std::uint8_t {
    Marks,   // of the last mark, which was whole, or of none
    Starts,  // the copy
    Unknown, // the last mark was not whole, and there is no copy
  };

  WordResolver(const SlabPool& pool, const SideMetadata& bits, const LayoutTable& layouts, LargeSpace& large)
      : slabs_(pool.slabs()), bits_(bits), layouts_(layouts), large_(large) {}

  ObjectStarts& starts() { return starts_; }
  const ObjectStarts& starts() const { return starts_; }
  Base base() const { return base_; }
  void set_base(Base base) { base_ = base; }
  // In a stop: from the start of a mark to its end.
  void set_marking(bool on) { marking_ = on; }

  // Null: hits nothing.
  ObjectRef resolve(AmbiguousWord word) const;
  // While marking: of the objects that existed when the mark started. Beside resolve() on another thread, which may note
  // starts meanwhile: those lie in fresh slabs, which are not looked at, and in mixed ones, where what was there are the
  // objects of the mark before. [heap.mixed.2]
  ObjectRef resolve_in_snapshot(AmbiguousWord word) const;
  // Whether the object that starts at `start` contains the word, which is not below it. [resolve.hit.1]
  bool contains(Address start, Address word) const;

private:
  bool lives(Address large) const;
  Address marked_start(Address slab, Address word) const;

  const SlabTable& slabs_;
  const SideMetadata& bits_;
  const LayoutTable& layouts_;
  LargeSpace& large_;
  ObjectStarts starts_;
  Base base_ = Base::Marks;
  bool marking_ = false;
};

} // namespace echo
