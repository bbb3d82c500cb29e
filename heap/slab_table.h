// SPDX-License-Identifier: MIT
//
// Purpose     What every slab of the reservation is used for: dense side tables indexed by (p - base) >> 16.
// Drawing     kind[]  one byte per slab: the marker's only question about an address
//             use[]   one byte per slab: what the allocator may do with it
//             live[]  16 bits per slab: granules found live by the last mark
//             holes[] 16 bits per slab: granules that the last sweep found free in it
//
// Invariants  [heap.kind.1] kind FREE <=> no object lies in the slab. [heap.kind.2] A word outside the
//             reservation, or in a slab of kind FREE or RAW, is never traced. [heap.use.1] Each slab in use
//             is in exactly one use.
//             [heap.fresh.1] A slab that is opened empty has the fresh kind of the current cycle until the next mark
//             starts; there the two fresh kinds swap their meaning, and what was fresh is old without a walk. No slab
//             has the kind that becomes fresh: the cycle before turned those into OLD.
//             [heap.mixed.1] A slab whose holes are handed out while a mark is on has the mixed kind of the current cycle until
//             the next mark starts. Which of its objects are old say the bits of the mark before; the others were born
//             since the mark started. The two mixed kinds swap their meaning with the fresh ones.
// Equations   use(s) = empty <=> kind(s) = FREE
#pragma once

#include "heap/words.h"

#include <atomic>

namespace echo {

// Slab kinds. YOUNG and the current one of the two fresh kinds are black by kind while marking; the other fresh kind is
// another name of OLD [heap.fresh.1], and so is the other mixed kind [heap.mixed.1].
enum class SlabKind : std::uint8_t {
  Free = 0,
  Young = 1,
  FreshEven = 2, // the two differ in their lowest bit
  FreshOdd = 3,
  Old = 4,
  Large = 5,
  Root = 6,
  Raw = 7,
  MixedEven = 8, // likewise
  MixedOdd = 9
};

inline constexpr SlabKind other_fresh(SlabKind fresh) {
  return static_cast<SlabKind>(static_cast<std::uint8_t>(fresh) ^ 1u);
}
// The mixed kind of the cycle that has this fresh kind.
inline constexpr SlabKind mixed_beside(SlabKind fresh) {
  return static_cast<SlabKind>(static_cast<std::uint8_t>(fresh) + 6u);
}
// Whether small objects lie in a slab of this kind.
inline constexpr bool is_small(SlabKind kind) {
  return kind == SlabKind::Old || kind == SlabKind::FreshEven || kind == SlabKind::FreshOdd ||
         kind >= SlabKind::MixedEven;
}
static_assert(other_fresh(SlabKind::FreshEven) == SlabKind::FreshOdd);
static_assert(mixed_beside(SlabKind::FreshEven) == SlabKind::MixedEven &&
              mixed_beside(SlabKind::FreshOdd) == SlabKind::MixedOdd);

enum class SlabUse : std::uint8_t {
  Empty = 0,    // no object; may be handed out
  Owned = 1,    // a mutator allocates in it
  Filled = 2,   // given up by its mutator, not touched until the next mark
  Unswept = 3,  // marked; its free runs may be listed and handed out
  Large = 4,    // part of a run of pages of the large-object space
  Returning = 5 // being given back to the operating system
};

class SlabTable {
public:
  static constexpr std::size_t kBytesPerSlab = 2 * sizeof(std::uint8_t) + 2 * sizeof(std::uint16_t);

  ~SlabTable();
  bool open(Address base, std::size_t bytes);

  Address base() const { return base_; }
  std::size_t bytes() const { return bytes_; }
  bool contains(Address a) const { return a - base_ < bytes_; }
  SlabIndex index_of(Address a) const { return {static_cast<std::uint32_t>((a - base_) / kSlabBytes)}; }
  Address address_of(SlabIndex s) const { return base_ + std::size_t{s.number} * kSlabBytes; }

  // Read by markers and barriers without a lock: relaxed, kinds and uses change only in stops, for slabs nobody
  // knows yet, and for slabs without objects that the service thread puts back, which every reader skips before
  // and after.
  SlabKind kind(SlabIndex s) const {
    return static_cast<SlabKind>(__atomic_load_n(&kinds_[s.number], __ATOMIC_RELAXED));
  }
  void set_kind(SlabIndex s, SlabKind k) {
    __atomic_store_n(&kinds_[s.number], static_cast<std::uint8_t>(k), __ATOMIC_RELAXED);
  }
  // The kind of an arbitrary word: FREE if it lies outside the reservation.
  SlabKind kind_of_word(Address a) const { return contains(a) ? kind(index_of(a)) : SlabKind::Free; }

  // The kind of slabs opened since the last mark started; changed in stops only. [heap.fresh.1]
  SlabKind fresh_kind() const { return static_cast<SlabKind>(__atomic_load_n(&fresh_, __ATOMIC_RELAXED)); }
  void swap_fresh_kinds() {
    __atomic_store_n(&fresh_, static_cast<std::uint8_t>(other_fresh(fresh_kind())), __ATOMIC_RELAXED);
  }
  SlabKind mixed_kind() const { return mixed_beside(fresh_kind()); }
  // Whether objects in slabs of this kind were born before the last mark started: all of them.
  bool is_old(SlabKind k) const {
    const SlabKind other = other_fresh(fresh_kind());
    return k == SlabKind::Old || k == other || k == mixed_beside(other);
  }
  // Whether some were and others not: the bits of the mark before tell. [heap.mixed.1]
  bool is_mixed(SlabKind k) const { return k == mixed_kind(); }

  SlabUse use(SlabIndex s) const {
    return static_cast<SlabUse>(__atomic_load_n(&uses_[s.number], __ATOMIC_RELAXED));
  }
  void set_use(SlabIndex s, SlabUse u) {
    __atomic_store_n(&uses_[s.number], static_cast<std::uint8_t>(u), __ATOMIC_RELAXED);
  }

  std::uint16_t& live_granules(SlabIndex s) { return live_[s.number]; }
  // Both beside threads that put back slabs, which nothing lives in.
  std::size_t known_live(SlabIndex s) const { return __atomic_load_n(&live_[s.number], __ATOMIC_RELAXED); }
  void clear_live(SlabIndex s) { __atomic_store_n(&live_[s.number], std::uint16_t{0}, __ATOMIC_RELAXED); }
  // Of the first `slabs` slabs: before a mark starts.
  void clear_all_live(std::uint32_t slabs) {
    for (SlabIndex s{0}; s.number < slabs; ++s.number) {
      clear_live(s);
    }
  }
  // The whole table, for loops.
  std::uint16_t* live_table() { return live_; }
  // Under the lock of the list of recyclable slabs.
  std::uint16_t& hole_granules(SlabIndex s) { return holes_[s.number]; }

private:
  Address base_ = 0;
  std::size_t bytes_ = 0;
  std::size_t table_bytes_ = 0;
  std::uint8_t* kinds_ = nullptr;
  std::uint8_t* uses_ = nullptr;
  std::uint8_t fresh_ = static_cast<std::uint8_t>(SlabKind::FreshEven);
  std::uint16_t* live_ = nullptr;
  std::uint16_t* holes_ = nullptr;
};

} // namespace echo
