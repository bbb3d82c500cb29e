// SPDX-License-Identifier: MIT
//
// Purpose     Registration of layouts: every rule of [abi.layout.*] is checked here and nowhere else.
#include "heap/layout_table.h"

#include "heap/os_memory.h"

#include <algorithm>
#include <cstring>
#include <string_view>

namespace echo {

namespace {

constexpr std::size_t kTableBytes =
    round_up((std::size_t{kMaxLayouts} + 1) * sizeof(LayoutRecord), kPageBytes);
constexpr std::uint32_t kKnownFlags = ECHO_LAYOUT_FINALIZABLE | ECHO_LAYOUT_PINNED | ECHO_LAYOUT_LEAF;

bool is_array_kind(std::uint32_t kind) {
  return kind != ECHO_LAYOUT_FIXED;
}

// The identity of a descriptor: layouts with equal keys are the same layout.
std::string descriptor_key(const echo_layout& l, const std::vector<echo_slot>& slots) {
  std::string key(l.name);
  key += '\0';
  for (const std::uint64_t n : {std::uint64_t{l.kind}, l.fixed_bytes, std::uint64_t{l.element_bytes},
                                std::uint64_t{l.alignment == 0 ? 8u : l.alignment}, std::uint64_t{l.flags}}) {
    key.append(reinterpret_cast<const char*>(&n), sizeof n);
  }
  key.append(reinterpret_cast<const char*>(slots.data()), slots.size() * sizeof(echo_slot));
  return key;
}

} // namespace

LayoutTable::~LayoutTable() {
  if (records_ != nullptr) {
    os::release(records_, kTableBytes);
  }
}

bool LayoutTable::open() {
  records_ = static_cast<LayoutRecord*>(os::map_zeroed(kTableBytes, kPageBytes));
  return records_ != nullptr;
}

echo_status LayoutTable::validate(const echo_layout& l, std::vector<echo_slot>* slots,
                                  std::string* why) const {
  if (l.size < sizeof(echo_layout)) { // nothing behind `size` may be read
    *why = "layout: size is " + std::to_string(l.size) + ", expected at least " +
           std::to_string(sizeof(echo_layout));
    return ECHO_BAD_LAYOUT;
  }
  const auto bad = [&](std::string reason) {
    *why = "layout" +
           (l.name != nullptr ? " '" + std::string(l.name, ::strnlen(l.name, kMaxNameBytes)) + "'" : "") +
           ": " + std::move(reason);
    return ECHO_BAD_LAYOUT;
  };
  if (l.name == nullptr || l.name[0] == '\0' || ::strnlen(l.name, kMaxNameBytes + 1) > kMaxNameBytes) {
    return bad("the name must have 1 to 255 bytes");
  }
  if (l.kind < ECHO_LAYOUT_FIXED || l.kind > ECHO_LAYOUT_AMBIGUOUS) {
    return bad("kind " + std::to_string(l.kind) + " is none of echo_layout_kind");
  }
  if ((l.flags & ~kKnownFlags) != 0) {
    return bad("unknown flags " + std::to_string(l.flags & ~kKnownFlags));
  }
  const bool array = is_array_kind(l.kind);
  const bool ambiguous = l.kind == ECHO_LAYOUT_AMBIGUOUS;
  const bool plain_array = l.kind == ECHO_LAYOUT_RAW_ARRAY || l.kind == ECHO_LAYOUT_REF_ARRAY || ambiguous;
  const bool ref_elements = l.kind == ECHO_LAYOUT_REF_ARRAY || l.kind == ECHO_LAYOUT_MIXED_REF;
  const std::uint64_t prefix = array ? 16 : 8;
  if (l.fixed_bytes < prefix || l.fixed_bytes > kMaxFixedBytes) {
    return bad("fixed_bytes is " + std::to_string(l.fixed_bytes) + ", allowed are " + std::to_string(prefix) +
               " to " + std::to_string(kMaxFixedBytes));
  }
  if (plain_array && l.fixed_bytes != 16) {
    return bad("fixed_bytes of a plain array is " + std::to_string(l.fixed_bytes) + ", it must be 16");
  }
  if (array && (l.fixed_bytes % kGranule) != 0) {
    return bad("the part before the elements must be a multiple of 8 bytes, it is " +
               std::to_string(l.fixed_bytes));
  }
  if (ref_elements && l.element_bytes != 8) {
    return bad("element_bytes of references is " + std::to_string(l.element_bytes) + ", it must be 8");
  }
  if (array && (l.element_bytes == 0 || l.element_bytes > kMaxElementBytes)) {
    return bad("element_bytes is " + std::to_string(l.element_bytes) + ", allowed are 1 to 65536");
  }
  if (!array && l.element_bytes != 0) {
    return bad("a fixed layout has element_bytes " + std::to_string(l.element_bytes));
  }
  if (l.alignment != 0 && l.alignment != 8 && l.alignment != 16 && l.alignment != 32 && l.alignment != 64) {
    return bad("alignment is " + std::to_string(l.alignment) + ", allowed are 8, 16, 32 and 64");
  }
  if (plain_array && l.slot_count != 0) {
    return bad("a plain array has no slots in its fixed part, " + std::to_string(l.slot_count) +
               " are given");
  }
  if (l.slot_count > l.fixed_bytes / kGranule) {
    return bad(std::to_string(l.slot_count) + " slots do not fit " + std::to_string(l.fixed_bytes) +
               " bytes");
  }
  if (l.slot_count != 0 && l.slots == nullptr) {
    return bad("slot_count is " + std::to_string(l.slot_count) + " but slots is null");
  }
  if ((l.flags & ECHO_LAYOUT_LEAF) != 0 && (l.slot_count != 0 || ref_elements || ambiguous)) {
    return bad("it is declared a leaf and has references");
  }
  slots->assign(l.slots, l.slots + l.slot_count);
  std::sort(slots->begin(), slots->end(),
            [](const echo_slot& a, const echo_slot& b) { return a.offset < b.offset; });
  for (std::size_t i = 0; i < slots->size(); ++i) {
    const echo_slot& s = (*slots)[i];
    const std::string where = "slot at offset " + std::to_string(s.offset);
    if (s.offset % kGranule != 0) {
      return bad(where + " is not a multiple of 8");
    }
    if (s.offset < prefix || std::uint64_t{s.offset} + 8 > l.fixed_bytes) {
      return bad(where + " lies outside bytes " + std::to_string(prefix) + " to " +
                 std::to_string(l.fixed_bytes));
    }
    if (i > 0 && (*slots)[i - 1].offset == s.offset) {
      return bad(where + " is listed twice");
    }
    if (s.kind > ECHO_SLOT_EPHEMERON_VALUE) {
      return bad(where + " has the unknown kind " + std::to_string(s.kind));
    }
    // [heap.layout.4]
    const bool behind_key = i > 0 && (*slots)[i - 1].kind == ECHO_SLOT_EPHEMERON_KEY &&
                            (*slots)[i - 1].offset + kGranule == s.offset;
    const bool before_value = i + 1 < slots->size() && (*slots)[i + 1].kind == ECHO_SLOT_EPHEMERON_VALUE &&
                              s.offset + kGranule == (*slots)[i + 1].offset;
    if (s.kind == ECHO_SLOT_EPHEMERON_VALUE && !behind_key) {
      return bad(where + " is an ephemeron's value, and no key's slot lies right before it");
    }
    if (s.kind == ECHO_SLOT_EPHEMERON_KEY && !before_value) {
      return bad(where + " is an ephemeron's key, and no value's slot lies right behind it");
    }
  }
  return ECHO_OK;
}

echo_status LayoutTable::add(const echo_layout& l, LayoutId* out, std::string* why) {
  std::vector<echo_slot> sorted;
  if (const echo_status status = validate(l, &sorted, why); status != ECHO_OK) {
    return status;
  }
  const std::string key = descriptor_key(l, sorted);
  const MutexLock lock(mutex_);
  if (const auto found = by_descriptor_.find(key); found != by_descriptor_.end()) {
    out->number = found->second;
    return ECHO_OK;
  }
  const std::uint32_t number = count_.load(std::memory_order_relaxed) + 1;
  if (number > kMaxLayouts) {
    *why = "layout '" + std::string(l.name) + "': " + std::to_string(kMaxLayouts) +
           " layouts are registered already";
    return ECHO_LIMIT_EXCEEDED;
  }
  LayoutRecord& r = records_[number];
  r.kind = static_cast<std::uint8_t>(l.kind);
  r.flags = static_cast<std::uint8_t>(l.flags);
  r.alignment = static_cast<std::uint8_t>(l.alignment == 0 ? 8 : l.alignment);
  r.is_array = is_array_kind(l.kind);
  r.traced_elements = l.kind == ECHO_LAYOUT_REF_ARRAY || l.kind == ECHO_LAYOUT_MIXED_REF;
  r.ambiguous_elements = l.kind == ECHO_LAYOUT_AMBIGUOUS;
  r.exact_fixed_bytes = std::max<std::uint64_t>(l.fixed_bytes, kMinObjectBytes);
  r.fixed_bytes = static_cast<std::uint32_t>(round_up(r.exact_fixed_bytes, kGranule));
  r.element_bytes = l.element_bytes;
  r.slot_count = l.slot_count;
  const std::size_t name_bytes = std::strlen(l.name) + 1;
  names_.push_back(std::make_unique<char[]>(name_bytes));
  std::memcpy(names_.back().get(), l.name, name_bytes);
  r.name = names_.back().get();
  if (!sorted.empty()) {
    slots_.push_back(std::make_unique<echo_slot[]>(sorted.size()));
    std::copy(sorted.begin(), sorted.end(), slots_.back().get());
    r.slots = slots_.back().get();
  }
  for (const echo_slot& s : sorted) {
    const std::uint32_t word = s.offset / kGranule;
    if (s.kind == ECHO_SLOT_WEAK) {
      r.has_weak_slots = true;
    } else if (s.kind == ECHO_SLOT_EPHEMERON_KEY || s.kind == ECHO_SLOT_EPHEMERON_VALUE) {
      r.has_ephemerons = true;
    } else if (word >= 64) {
      r.has_long_slots = true;
    } else if (s.kind == ECHO_SLOT_STRONG) {
      r.strong_map |= std::uint64_t{1} << word;
    } else {
      r.tagged_map |= std::uint64_t{1} << word;
    }
  }
  r.is_simple = !r.is_array && !r.has_long_slots && !r.has_weak_slots && !r.has_ephemerons &&
                r.tagged_map == 0 && r.fixed_bytes <= kLargeBytes;
  by_descriptor_.emplace(key, number);
  count_.store(number, std::memory_order_release);
  out->number = number;
  return ECHO_OK;
}

bool LayoutTable::checked_object_bytes(const LayoutRecord& r, std::uint64_t length, std::uint64_t* bytes) {
  std::uint64_t elements = 0;
  std::uint64_t sum = r.fixed_bytes;
  if (r.is_array && (!checked_multiply(length, r.element_bytes, &elements) ||
                     !checked_add(elements, std::uint64_t{r.fixed_bytes} + kGranule - 1, &sum))) {
    return false;
  }
  *bytes = sum & ~std::uint64_t{kGranule - 1};
  return *bytes < (std::uint64_t{1} << 47);
}

} // namespace echo
