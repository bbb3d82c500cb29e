// SPDX-License-Identifier: MIT
//
// descriptors.cpp - what the null heap reads: layouts and options.
#include "null_heap.h"

#include <algorithm>
#include <cstring>
#include <string_view>

namespace null_heap {

namespace {

constexpr std::uint64_t kMostFixedBytes = std::uint64_t{16} << 20;
constexpr std::uint32_t kMostElementBytes = 65536;
constexpr std::size_t kMostNameBytes = 255;
constexpr std::uint64_t kLeastHeap = 4096;
constexpr std::uint64_t kMostHeap = std::uint64_t{1} << 46;

echo_status read_slots(const echo_layout& d, std::uint64_t first_offset, Layout* out, std::string* why) {
  if (d.slot_count != 0 && d.slots == nullptr) {
    *why = "slots is null but slot_count is " + std::to_string(d.slot_count);
    return ECHO_BAD_LAYOUT;
  }
  if (d.slot_count > d.fixed_bytes / 8) {
    *why = std::to_string(d.slot_count) + " slots do not fit the fixed part";
    return ECHO_BAD_LAYOUT;
  }
  out->slots.assign(d.slots, d.slots + d.slot_count);
  std::sort(out->slots.begin(), out->slots.end(),
            [](const echo_slot& a, const echo_slot& b) { return a.offset < b.offset; });
  bool weak = false;
  for (std::size_t i = 0; i < out->slots.size(); ++i) {
    const echo_slot& slot = out->slots[i];
    const std::string at = "the slot at offset " + std::to_string(slot.offset);
    if (slot.offset % 8 != 0)
      *why = at + " is not 8-aligned";
    else if (slot.offset < first_offset || slot.offset + std::uint64_t{8} > d.fixed_bytes)
      *why = at + " is outside the fixed part";
    else if (i > 0 && out->slots[i - 1].offset == slot.offset)
      *why = at + " is given twice";
    else if (slot.kind > ECHO_SLOT_EPHEMERON_VALUE)
      *why = at + " has unknown kind " + std::to_string(slot.kind);
    else if (slot.kind == ECHO_SLOT_EPHEMERON_KEY &&
             (i + 1 == out->slots.size() || out->slots[i + 1].offset != slot.offset + 8 ||
              out->slots[i + 1].kind != ECHO_SLOT_EPHEMERON_VALUE))
      *why = at + " is a key without a value right behind it";
    else if (slot.kind == ECHO_SLOT_EPHEMERON_VALUE &&
             (i == 0 || out->slots[i - 1].offset + 8 != slot.offset ||
              out->slots[i - 1].kind != ECHO_SLOT_EPHEMERON_KEY))
      *why = at + " is a value without a key right before it";
    if (!why->empty())
      return ECHO_BAD_LAYOUT;
    weak = weak || slot.kind > ECHO_SLOT_TAGGED;
  }
  if (weak) {
    *why = "weak slots are not supported";
    return ECHO_NOT_SUPPORTED;
  }
  return ECHO_OK;
}

} // namespace

bool Layout::bytes(std::uint64_t length, std::uint64_t* out) const {
  std::uint64_t elements = 0;
  std::uint64_t total = fixed_bytes;
  if (is_array() && (__builtin_mul_overflow(length, element_bytes, &elements) ||
                     __builtin_add_overflow(total, elements, &total)))
    return false;
  if (__builtin_add_overflow(total, std::uint64_t{7}, &total))
    return false;
  *out = total & ~std::uint64_t{7};
  return true;
}

std::string Layout::key() const {
  std::string key = name;
  const auto add = [&key](std::uint64_t number) { key += ',' + std::to_string(number); };
  for (const std::uint64_t number : {std::uint64_t{kind}, std::uint64_t{flags}, fixed_bytes,
                                     std::uint64_t{element_bytes}, std::uint64_t{alignment}})
    add(number);
  for (const echo_slot& slot : slots) {
    add(slot.offset);
    add(slot.kind);
  }
  return key;
}

echo_status read_layout(const echo_layout& d, Layout* out, std::string* why) {
  const bool array = d.kind != ECHO_LAYOUT_FIXED;
  const bool ambiguous = d.kind == ECHO_LAYOUT_AMBIGUOUS;
  const bool plain = d.kind == ECHO_LAYOUT_RAW_ARRAY || d.kind == ECHO_LAYOUT_REF_ARRAY || ambiguous;
  const bool references = d.kind == ECHO_LAYOUT_REF_ARRAY || d.kind == ECHO_LAYOUT_MIXED_REF;
  const std::uint64_t first_offset = array ? 16 : 8;
  const bool elements_fit = references ? d.element_bytes == 8
                            : array    ? d.element_bytes >= 1 && d.element_bytes <= kMostElementBytes
                                       : d.element_bytes == 0;
  if (d.size < sizeof(echo_layout))
    *why = "size is " + std::to_string(d.size) + ", less than the struct has";
  else if (d.kind < ECHO_LAYOUT_FIXED || d.kind > ECHO_LAYOUT_AMBIGUOUS)
    *why = "kind " + std::to_string(d.kind) + " is unknown";
  else if (d.name == nullptr || *d.name == '\0' || strnlen(d.name, kMostNameBytes + 1) > kMostNameBytes)
    *why = "the name must have 1 to 255 bytes";
  else if (d.fixed_bytes < first_offset || d.fixed_bytes > kMostFixedBytes)
    *why = "fixed_bytes " + std::to_string(d.fixed_bytes) + " is out of range";
  else if (plain && d.fixed_bytes != 16)
    *why = "fixed_bytes of an array without fixed part must be 16";
  else if (array && d.fixed_bytes % 8 != 0)
    *why = "the part before the elements must be a multiple of 8";
  else if (!elements_fit)
    *why = "element_bytes " + std::to_string(d.element_bytes) + " does not go with this kind";
  else if (d.alignment != 0 && d.alignment != 8 && d.alignment != 16 && d.alignment != 32 &&
           d.alignment != 64)
    *why = "alignment " + std::to_string(d.alignment) + " is none of 8, 16, 32, 64";
  else if ((d.flags & ~(ECHO_LAYOUT_FINALIZABLE | ECHO_LAYOUT_PINNED | ECHO_LAYOUT_LEAF)) != 0)
    *why = "flags has unknown bits";
  else if ((d.flags & ECHO_LAYOUT_LEAF) != 0 && (d.slot_count != 0 || references || ambiguous))
    *why = "the layout is called a leaf but has references";
  if (!why->empty())
    return ECHO_BAD_LAYOUT;
  if (const echo_status status = read_slots(d, first_offset, out, why); status != ECHO_OK)
    return status;
  if (ambiguous) {
    *why = "layouts without known references are not supported";
    return ECHO_NOT_SUPPORTED;
  }
  if ((d.flags & ECHO_LAYOUT_FINALIZABLE) != 0) {
    *why = "finalizers are not supported";
    return ECHO_NOT_SUPPORTED;
  }
  out->name = d.name;
  out->kind = d.kind;
  out->flags = d.flags;
  out->fixed_bytes = std::max<std::uint64_t>(d.fixed_bytes, 16); // [abi.layout.4]
  out->element_bytes = d.element_bytes;
  out->alignment = d.alignment == 0 ? 8 : d.alignment;
  return ECHO_OK;
}

// "64k", "2m", "1g" or plain bytes.
static bool read_bytes(std::string_view text, std::uint64_t* out) {
  unsigned shift = 0;
  if (!text.empty())
    switch (text.back()) {
    case 'k':
      shift = 10;
      break;
    case 'm':
      shift = 20;
      break;
    case 'g':
      shift = 30;
      break;
    default:
      break;
    }
  if (shift != 0)
    text.remove_suffix(1);
  if (text.empty())
    return false;
  std::uint64_t value = 0;
  for (const char c : text)
    if (c < '0' || c > '9' || __builtin_mul_overflow(value, std::uint64_t{10}, &value) ||
        __builtin_add_overflow(value, static_cast<std::uint64_t>(c - '0'), &value))
      return false;
  return !__builtin_mul_overflow(value, std::uint64_t{1} << shift, out);
}

echo_status read_options(const char* text, Options* out, std::string* why) {
  constexpr std::size_t kMostBytes = 65536;
  std::string_view rest(text, strnlen(text, kMostBytes + 1));
  if (rest.size() > kMostBytes) {
    *why = "the options have more than 65536 bytes";
    return ECHO_BAD_OPTION_VALUE;
  }
  while (!rest.empty()) {
    const std::string_view item = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), item.size() + 1));
    const std::string_view key = item.substr(0, item.find('='));
    const std::string_view value =
        item.size() > key.size() ? item.substr(key.size() + 1) : std::string_view();
    if (key != "max_heap") {
      *why = "no option is named '" + std::string(key.substr(0, 100)) + "'; there is only max_heap";
      return ECHO_UNKNOWN_OPTION;
    }
    std::uint64_t bytes = 0;
    if (!read_bytes(value, &bytes) || bytes < kLeastHeap || bytes > kMostHeap) {
      *why = "max_heap: '" + std::string(value.substr(0, 100)) + "' is no number of bytes from 4k to 65536g";
      return ECHO_BAD_OPTION_VALUE;
    }
    out->max_heap = bytes;
  }
  return ECHO_OK;
}

echo_status describe_option(std::uint32_t index, echo_option_info* out) {
  if (out == nullptr || index != 0 || out->size < sizeof(echo_option_info))
    return ECHO_INVALID_ARGUMENT;
  out->type = ECHO_OPTION_BYTES;
  out->name = "max_heap";
  out->default_value = "64g";
  out->range = "4k .. 65536g";
  out->sentence = "bytes of objects after which allocation fails with HEAP_LIMIT";
  return ECHO_OK;
}

} // namespace null_heap
