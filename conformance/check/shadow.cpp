// SPDX-License-Identifier: MIT
//
// shadow.cpp - see shadow.h.
#include "shadow.h"

#include <algorithm>

namespace check {

std::size_t Object::slot_count() const {
  return layout->slots.size() + (layout->traced_elements ? (bytes - layout->fixed_bytes) / 8 : 0);
}

std::uint64_t Object::offset_of(std::size_t slot) const {
  const std::size_t fixed = layout->slots.size();
  return slot < fixed ? layout->slots[slot].offset : layout->fixed_bytes + (slot - fixed) * 8;
}

std::uint32_t Object::kind_of(std::size_t slot) const {
  return slot < layout->slots.size() ? layout->slots[slot].kind : std::uint32_t{ECHO_SLOT_STRONG};
}

bool Object::find_slot(std::uint64_t offset, std::size_t* out) const {
  const auto found =
      std::lower_bound(layout->slots.begin(), layout->slots.end(), offset,
                       [](const echo_slot& slot, std::uint64_t wanted) { return slot.offset < wanted; });
  if (found != layout->slots.end() && found->offset == offset) {
    *out = static_cast<std::size_t>(found - layout->slots.begin());
    return true;
  }
  if (!layout->traced_elements || offset < layout->fixed_bytes || offset % 8 != 0 || offset + 8 > bytes)
    return false;
  *out = layout->slots.size() + (offset - layout->fixed_bytes) / 8;
  return true;
}

Object& Shadow::born(std::uintptr_t start, const Layout& layout, std::uint64_t bytes, std::uint64_t check) {
  auto first = objects_.lower_bound(start);
  if (first != objects_.begin()) {
    const auto before = std::prev(first);
    if (before->first + before->second.bytes > start)
      first = before;
  }
  while (first != objects_.end() && first->first < start + bytes)
    first = objects_.erase(first); // [check.shadow.1]
  Object& object = objects_[start];
  object.layout = &layout;
  object.bytes = bytes;
  object.reached = check;
  return object;
}

Object* Shadow::at(std::uintptr_t start) {
  const auto found = objects_.find(start);
  return found == objects_.end() ? nullptr : &found->second;
}

Object* Shadow::around(std::uintptr_t address, std::uintptr_t* start) {
  auto next = objects_.upper_bound(address);
  if (next == objects_.begin())
    return nullptr;
  --next;
  if (address - next->first >= next->second.bytes)
    return nullptr;
  *start = next->first;
  return &next->second;
}

void Shadow::adopt(std::uintptr_t start, Object& object) {
  object.values.resize(object.slot_count());
  for (std::size_t i = 0; i < object.values.size(); ++i)
    object.values[i] = load_word(start + object.offset_of(i));
  object.is_new = false;
}

bool Shadow::may_hold(const Object& object, std::size_t slot, std::uintptr_t now) {
  if (object.values[slot] == now)
    return true;
  const auto found = object.announced.find(slot);
  if (found == object.announced.end())
    return false;
  // The barrier of a tagged store says that there is one, not always which word.
  return object.kind_of(slot) == ECHO_SLOT_TAGGED ||
         std::find(found->second.begin(), found->second.end(), now) != found->second.end();
}

} // namespace check
