// SPDX-License-Identifier: MIT
//
// shadow.h - what the checker knows of each object: its layout, what its reference slots should hold, and when a root last led
// to it.
//
// Invariants  [check.shadow.1] Objects do not overlap: a birth forgets what lay there. [check.shadow.2] A slot may hold the value
//             it had at the last check, or one that was announced for it since; a check collapses these to what it holds.
//             [check.shadow.4] What a trace callback visited at a check it visits at the next, or it was announced when it was
//             overwritten.
//             [check.shadow.3] An object is new until its thread's next safepoint: what its slots hold then is taken as it is.
#ifndef ECHO_CHECK_SHADOW_H
#define ECHO_CHECK_SHADOW_H

#include "echo/layout.h"

#include <cstdint>
#include <map>
#include <string>
#include <unordered_map>
#include <vector>

namespace check {

class TraceCallback;

struct Layout {
  std::string name;
  std::uint64_t fixed_bytes = 0;
  bool traced_elements = false;   // behind the fixed part: strong references
  bool is_exact = true;           // the checker knows which words are references, and follows all of them
  TraceCallback* trace = nullptr; // finds the references that slots do not describe
  std::uint64_t first_word = 8;   // behind header and length
  std::vector<echo_slot> slots;   // of the fixed part, in order of offset
};

struct Object {
  const Layout* layout = nullptr;
  std::uint64_t bytes = 0;
  std::uint64_t reached = 0; // number of the last check that found it, or that was the last at its birth
  bool is_new = true;
  std::vector<std::uintptr_t> values; // per slot, elements last; empty while new
  std::unordered_map<std::size_t, std::vector<std::uintptr_t>> announced; // since the last check
  std::vector<std::uintptr_t> traced; // in order: what its trace callback visited at the check `looked_at`
  std::uint64_t looked_at = 0;

  std::size_t slot_count() const;
  std::uint64_t offset_of(std::size_t slot) const;
  std::uint32_t kind_of(std::size_t slot) const;
  // The number of the slot at `offset`; false: there is none.
  bool find_slot(std::uint64_t offset, std::size_t* out) const;
  // Whether echo_store takes the word for a slot because the layout has a trace callback.
  bool is_traced_word(std::uint64_t offset) const {
    return layout->trace != nullptr && offset >= layout->first_word && offset % 8 == 0 && offset <= bytes - 8;
  }
  bool holds_references(std::size_t slot) const {
    return kind_of(slot) == ECHO_SLOT_STRONG || kind_of(slot) == ECHO_SLOT_TAGGED;
  }
};

inline std::uintptr_t load_word(std::uintptr_t at) {
  return __atomic_load_n(reinterpret_cast<const std::uintptr_t*>(at), __ATOMIC_RELAXED);
}

class Shadow {
public:
  Object& born(std::uintptr_t start, const Layout& layout, std::uint64_t bytes, std::uint64_t check);
  // The object that begins there, or null.
  Object* at(std::uintptr_t start);
  // The object around an address, or null.
  Object* around(std::uintptr_t address, std::uintptr_t* start);
  // [check.shadow.3]
  static void adopt(std::uintptr_t start, Object& object);
  // Whether `now` may stand in the slot. [check.shadow.2]
  static bool may_hold(const Object& object, std::size_t slot, std::uintptr_t now);
  std::size_t objects() const { return objects_.size(); }

private:
  std::map<std::uintptr_t, Object> objects_;
};

} // namespace check

#endif // ECHO_CHECK_SHADOW_H
