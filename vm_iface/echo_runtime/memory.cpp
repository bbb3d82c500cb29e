// SPDX-License-Identifier: MIT
#include "memory.h"

#include "state.h"

#include <cstdio>

namespace echo::runtime {

echo_status Memory::add_layout(const echo_layout& layout, Layout* out, echo_error* why) {
  if (const echo_status status = api_->layout_register(heap_, &layout, &out->id, why); status != ECHO_OK) {
    return status;
  }
  echo_layout_info info{};
  info.size = sizeof info;
  if (const echo_status status = api_->layout_get(heap_, out->id, &info); status != ECHO_OK) {
    return report(why, status, "layout '%s' was registered but cannot be read back", layout.name);
  }
  out->header = info.header_word;
  return ECHO_OK;
}

echo_status Memory::open(const echo_heap_api* api, echo_heap* heap, echo_error* why) {
  api_ = api;
  heap_ = heap;
  const echo_recipes* recipes = nullptr;
  if (const echo_status status = api->recipes(heap, ECHO_RECIPES_FASTEST, &recipes); status != ECHO_OK) {
    return report(why, status, "the heap gives no recipes");
  }
  if (recipes->store_kind > ECHO_STORE_PHASE_TEST) {
    return report(why, ECHO_NOT_SUPPORTED, "the heap's stores are of kind %u, which this layer does not know",
                  recipes->store_kind);
  }
  cursor_offset_ = recipes->cursor_offset;
  limit_offset_ = recipes->limit_offset;
  max_inline_ = recipes->granule == kWord ? recipes->max_inline_bytes : 0;
  phase_test_ = recipes->store_kind == ECHO_STORE_PHASE_TEST;
  phase_offset_ = recipes->phase_offset;
  store_cold_ = recipes->store_cold;

  const struct {
    Layout* out;
    std::uint32_t kind;
    const char* name;
    std::uint32_t flags;
  } layouts[] = {
      // The text of a string points at itself. [runtime.text.1]
      {&text_, ECHO_LAYOUT_RAW_ARRAY, "echo string", ECHO_LAYOUT_PINNED | ECHO_LAYOUT_LEAF},
      // The program has their addresses, even where the heap sees none of them.
      {&bytes_, ECHO_LAYOUT_RAW_ARRAY, "echo bytes", ECHO_LAYOUT_PINNED | ECHO_LAYOUT_LEAF},
      {&words_, ECHO_LAYOUT_AMBIGUOUS, "echo words", ECHO_LAYOUT_PINNED},
  };
  for (const auto& row : layouts) {
    const echo_layout layout = {sizeof layout, row.kind, row.name, kPayload, 1, 0, row.flags, 0, nullptr};
    if (const echo_status status = add_layout(layout, row.out, why); status != ECHO_OK) {
      return status;
    }
  }
  for (std::uint64_t words = 1 + kTextHeader / kWord; words <= kMostSmallText / kWord; ++words) {
    char name[40];
    std::snprintf(name, sizeof name, "echo string of %u bytes", static_cast<unsigned>(words * kWord));
    const echo_layout layout = {
        sizeof layout, ECHO_LAYOUT_FIXED, name, words * kWord, 0, 0, ECHO_LAYOUT_PINNED | ECHO_LAYOUT_LEAF, 0,
        nullptr};
    if (const echo_status status = add_layout(layout, &small_text_[words], why); status != ECHO_OK) {
      return status;
    }
  }
  return ECHO_OK;
}

void* Memory::allocate(const char* function, echo_layout_id layout, std::uint64_t length,
                       std::uint64_t payload) {
  echo_ref const object = api_->allocate(thread_, layout, length);
  if (object == nullptr) {
    echo_error error{};
    const echo_status status = api_->last_error(thread_, &error);
    fail(current, function, status == ECHO_OK ? ECHO_HEAP_LIMIT : status, "%s", error.message);
  }
  return reinterpret_cast<char*>(object) + payload;
}

std::uint64_t Memory::room_inside(const void* block) const {
  echo_ref const object = api_->resolve(thread_, as_word(block));
  if (object == nullptr) {
    return ~std::uint64_t{0};
  }
  echo_layout_info layout{};
  layout.size = sizeof layout;
  if (api_->layout_get(heap_, api_->object_layout(heap_, object), &layout) != ECHO_OK ||
      layout.kind != ECHO_LAYOUT_AMBIGUOUS) {
    return 0;
  }
  const std::uint64_t end = as_word(object) + kPayload + api_->array_length(heap_, object);
  return end > as_word(block) ? end - as_word(block) : 0;
}

void Memory::copy(void* to, const void* from, std::uint64_t count) {
  if (phase_test_ && __atomic_load_n(in_thread<std::uint8_t>(phase_offset_), __ATOMIC_RELAXED) != 0) {
    // The words that change, whole or in part.
    const std::uint64_t first = as_word(to) / kWord * kWord;
    for (std::uint64_t at = first; at < as_word(to) + count; at += kWord) {
      announce(reinterpret_cast<void*>(at), 0);
    }
  }
  if ((as_word(to) | as_word(from) | count) % kWord != 0) {
    std::memmove(to, from, count);
    return;
  }
  // Word by word, so that a collector that reads beside finds no half of one.
  auto* const target = static_cast<char*>(to);
  const auto* const source = static_cast<const char*>(from);
  if (as_word(to) <= as_word(from)) {
    for (std::uint64_t i = 0; i < count; i += kWord) {
      put_word(target + i, get_word(source + i));
    }
  } else {
    for (std::uint64_t i = count; i != 0; i -= kWord) {
      put_word(target + i - kWord, get_word(source + i - kWord));
    }
  }
}

} // namespace echo::runtime
