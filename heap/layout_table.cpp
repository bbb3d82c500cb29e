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

constexpr std::size_t kArenaBytes = std::size_t{64} << 10;
constexpr std::size_t kFirstIndex = 256;

std::uint64_t mix(std::uint64_t hash, const void* bytes, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) { // FNV-1a
    hash = (hash ^ static_cast<const unsigned char*>(bytes)[i]) * 0x100000001B3u;
  }
  return hash;
}

// Of what makes a descriptor: equal ones have equal hashes.
std::uint64_t hash_of(const LayoutRecord& r, const char* name, const std::vector<echo_slot>& slots,
                      const LayoutRecord::Trace& trace) {
  std::uint64_t hash = mix(0xCBF29CE484222325u, name, std::strlen(name));
  const std::uint64_t numbers[] = {r.kind, r.flags, r.alignment, r.exact_fixed_bytes, r.element_bytes};
  hash = mix(hash, numbers, sizeof numbers);
  hash = mix(hash, slots.data(), slots.size() * sizeof(echo_slot));
  return mix(hash, &trace, sizeof trace);
}

bool is_same(const LayoutRecord& a, const LayoutRecord& b, const char* name,
             const std::vector<echo_slot>& slots, const LayoutRecord::Trace& trace) {
  const bool same =
      a.kind == b.kind && a.flags == b.flags && a.alignment == b.alignment &&
      a.exact_fixed_bytes == b.exact_fixed_bytes && a.element_bytes == b.element_bytes &&
      a.slot_count == b.slot_count && a.has_trace == b.has_trace && std::strcmp(a.name, name) == 0 &&
      (slots.empty() || std::memcmp(a.slots, slots.data(), slots.size() * sizeof(echo_slot)) == 0);
  return same && (!a.has_trace || (a.trace().trace == trace.trace && a.trace().context == trace.context));
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

// Bytes that stay as long as the table, aligned to 8. May throw; nothing is lost then.
char* LayoutTable::keep(std::size_t bytes) {
  const std::size_t whole = round_up(bytes, sizeof(std::uint64_t));
  if (whole > arena_left_) {
    const std::size_t block = std::max(whole, kArenaBytes);
    blocks_.push_back(std::make_unique<std::uint64_t[]>(block / sizeof(std::uint64_t)));
    side_bytes_.fetch_add(block, std::memory_order_relaxed);
    arena_ = reinterpret_cast<char*>(blocks_.back().get());
    arena_left_ = block;
  }
  char* const at = arena_;
  arena_ += whole;
  arena_left_ -= whole;
  return at;
}

// Open addressing, at most half full: 8 bytes per layout.
void LayoutTable::grow_index() {
  std::vector<std::uint32_t> larger(std::max(kFirstIndex, index_.size() * 2));
  for (const std::uint32_t number : index_) {
    if (number != 0) {
      const LayoutRecord& r = records_[number];
      const std::vector<echo_slot> slots(r.slots, r.slots + r.slot_count);
      const LayoutRecord::Trace trace = r.has_trace ? r.trace() : LayoutRecord::Trace{};
      std::size_t at = hash_of(r, r.name, slots, trace) & (larger.size() - 1);
      while (larger[at] != 0) {
        at = (at + 1) & (larger.size() - 1);
      }
      larger[at] = number;
    }
  }
  side_bytes_.fetch_add((larger.size() - index_.size()) * sizeof(std::uint32_t), std::memory_order_relaxed);
  index_.swap(larger);
}

echo_status LayoutTable::add(const echo_layout& l, const LayoutRecord::Trace& trace, LayoutId* out,
                             std::string* why) {
  std::vector<echo_slot> sorted;
  if (const echo_status status = validate(l, &sorted, why); status != ECHO_OK) {
    return status;
  }
  if (trace.trace != nullptr && ((l.flags & ECHO_LAYOUT_LEAF) != 0 || l.kind == ECHO_LAYOUT_AMBIGUOUS)) {
    *why = "layout '" + std::string(l.name) + "': it has a trace callback and is " +
           (l.kind == ECHO_LAYOUT_AMBIGUOUS ? "of a kind whose words are all ambiguous" : "declared a leaf");
    return ECHO_BAD_LAYOUT;
  }
  LayoutRecord r;
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
  r.has_trace = trace.trace != nullptr;
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
  r.is_simple = !r.is_array && !r.has_long_slots && !r.has_weak_slots && !r.has_ephemerons && !r.has_trace &&
                r.tagged_map == 0 && r.fixed_bytes <= kLargeBytes;

  const std::uint64_t hash = hash_of(r, l.name, sorted, trace);
  const MutexLock lock(mutex_);
  const std::uint32_t number = count_.load(std::memory_order_relaxed) + 1;
  if (2 * std::size_t{number} > index_.size()) {
    grow_index();
  }
  std::size_t at = hash & (index_.size() - 1);
  for (; index_[at] != 0; at = (at + 1) & (index_.size() - 1)) {
    if (is_same(records_[index_[at]], r, l.name, sorted, trace)) {
      out->number = index_[at];
      return ECHO_OK;
    }
  }
  if (number > kMaxLayouts) {
    *why = "layout '" + std::string(l.name) + "': " + std::to_string(kMaxLayouts) +
           " layouts are registered already";
    return ECHO_LIMIT_EXCEEDED;
  }
  const std::size_t slot_bytes = sorted.size() * sizeof(echo_slot);
  if (slot_bytes != 0 || r.has_trace) {
    char* const kept = keep(slot_bytes + (r.has_trace ? sizeof trace : 0));
    if (slot_bytes != 0) {
      std::memcpy(kept, sorted.data(), slot_bytes);
    }
    if (r.has_trace) {
      std::memcpy(kept + slot_bytes, &trace, sizeof trace);
    }
    r.slots = reinterpret_cast<const echo_slot*>(kept);
  }
  const std::size_t name_bytes = std::strlen(l.name) + 1;
  r.name = static_cast<const char*>(std::memcpy(keep(name_bytes), l.name, name_bytes));
  records_[number] = r;
  index_[at] = number;
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
