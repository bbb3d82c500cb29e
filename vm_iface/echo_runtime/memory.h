// SPDX-License-Identifier: MIT
//
// Purpose     Objects of the heap as the layer makes and changes them: the recipes of echo/recipes.h in C++.
// Drawing     text    [header][data][len][cap][bytes ...)            up to 256 bytes in all: a layout for each size
//                     [header][length][data][len][cap][bytes ...)    data points at bytes: a leaf, whose words never change
//             bytes   [header][length][byte ...)                     a leaf
//             words   [header][length][word ...)                     every word may be a pointer
//             The program and the layer hold addresses of payloads: what lies behind the header, or behind the length.
// Invariants  [runtime.store.1] A word of an object that existed at the last safepoint is changed through store() only,
//             so that the heap hears of it. [runtime.fill.1] Nothing reaches a safepoint between take() and the moment in
//             which every word of the new object has its value.
#pragma once

#include "echo/heap.h"
#include "failure.h"

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace echo::runtime {

inline constexpr std::uint64_t kWord = 8;
inline constexpr std::uint64_t kPayload = 16; // header, length
// No request is larger, so that sums of a few of them fit 64 bits.
inline constexpr std::uint64_t kMostBytes = std::uint64_t{1} << 47;

// ECHO_HEADER_TABLE's LAYOUT.
inline constexpr std::uint64_t kLayoutMask = 0xFFFFFF;

constexpr std::uint64_t words_for(std::uint64_t bytes) {
  return (bytes + kWord - 1) / kWord;
}

// A layout with what an inline allocation needs of it.
struct Layout {
  echo_layout_id id = 0;
  std::uint64_t header = 0;
};

// A word that the collector may read at the same time.
inline void put_word(void* slot, std::uint64_t value) {
  __atomic_store_n(static_cast<std::uint64_t*>(slot), value, __ATOMIC_RELAXED);
}
inline std::uint64_t get_word(const void* slot) {
  return __atomic_load_n(static_cast<const std::uint64_t*>(slot), __ATOMIC_RELAXED);
}
inline std::uint64_t as_word(const void* pointer) {
  return reinterpret_cast<std::uintptr_t>(pointer);
}

// What the program says is a T; null if its address cannot be one's.
template <class T> T* as_if(void* pointer) {
  return as_word(pointer) % alignof(T) == 0 ? static_cast<T*>(pointer) : nullptr;
}

// `pointer` stays in this frame, where the collector sees it, up to here.
inline void keep(const void* pointer) {
  asm volatile("" : : "r"(pointer) : "memory");
}

// One heap as the layer uses it, for the thread that is in.
class Memory {
public:
  // Registers the layouts. [runtime.create.1]
  echo_status open(const echo_heap_api* api, echo_heap* heap, echo_error* why);

  void set_thread(echo_thread* thread) { thread_ = thread; }
  echo_thread* thread() const { return thread_; }
  const echo_heap_api& api() const { return *api_; }
  echo_heap* heap() const { return heap_; }

  // The payload of a new object whose words are 0 and may become pointers: a multiple of kWord. SAFEPOINT; fails for
  // `function`.
  void* words(const char* function, std::uint64_t bytes) { return array(function, words_, bytes, true); }
  // A zeroed array of bytes without pointers.
  void* bytes(const char* function, std::uint64_t count) { return array(function, bytes_, count, true); }
  // A string's header, and room for `length` bytes that the caller writes before the next safepoint.
  void* text(const char* function, std::uint64_t length) {
    const std::uint64_t rounded = words_for(kWord + kTextHeader + length) * kWord;
    if (rounded > kMostSmallText) [[unlikely]] {
      return array(function, text_, kTextHeader + length, false);
    }
    const Layout layout = small_text_[rounded / kWord];
    char* const object = rounded <= max_inline_ ? take(rounded) : nullptr;
    if (object == nullptr) [[unlikely]] {
      return allocate(function, layout.id, 0, kWord);
    }
    put_word(object, layout.header);
    put_word(object + rounded - kWord, 0); // the bytes behind the last one
    return object + kWord;
  }
  static std::uint64_t length_of(const void* array_payload) {
    return get_word(static_cast<const char*>(array_payload) - kWord);
  }

  // [runtime.store.1] NO-SAFEPOINT.
  void store(void* slot, std::uint64_t value) {
    announce(slot, value);
    put_word(slot, value);
  }
  void store(void* slot, const void* value) { store(slot, as_word(value)); }
  // The same for `count` bytes anywhere.
  void copy(void* to, const void* from, std::uint64_t count);

  // Bytes from `block` to the end of the object of words that it points at or into; 0 if that is an object without
  // pointers; all there are if it is not on the heap, where the program answers for it. SAFEPOINT.
  std::uint64_t room_at(const void* block) const {
    // Nearly always a block's beginning: what lies before it tells, and is there, unless a page begins here.
    if (as_word(block) % 4096 >= kPayload && (word_before(block, kPayload) & kLayoutMask) == words_.id)
        [[likely]] {
      return word_before(block, kWord);
    }
    return room_inside(block);
  }

  static constexpr std::uint64_t kTextHeader = 3 * kWord;
  static constexpr std::uint64_t kMostSmallText = 256;

private:
  template <class Word> Word* in_thread(std::uint32_t offset) const {
    return reinterpret_cast<Word*>(reinterpret_cast<char*>(thread_) + offset);
  }
  // The bump path: null if the object does not fit what the thread has. Contents are anything. NO-SAFEPOINT.
  char* take(std::uint64_t bytes) {
    auto* const cursor = in_thread<std::uint64_t>(cursor_offset_);
    const std::uint64_t at = __atomic_load_n(cursor, __ATOMIC_RELAXED);
    const std::uint64_t next = at + bytes;
    if (next > __atomic_load_n(in_thread<std::uint64_t>(limit_offset_), __ATOMIC_RELAXED)) [[unlikely]] {
      return nullptr;
    }
    __atomic_store_n(cursor, next, __ATOMIC_RELAXED);
    return reinterpret_cast<char*>(at);
  }
  void* array(const char* function, Layout layout, std::uint64_t length, bool zero) {
    const std::uint64_t exact = kPayload + length, rounded = words_for(exact) * kWord;
    char* const object = exact <= max_inline_ ? take(rounded) : nullptr;
    if (object == nullptr) [[unlikely]] {
      return allocate(function, layout.id, length, kPayload);
    }
    put_word(object, layout.header);
    put_word(object + kWord, length);
    if (zero) {
      std::memset(object + kPayload, 0, rounded - kPayload);
    } else {
      put_word(object + rounded - kWord, 0); // the bytes behind the last one
    }
    return object + kPayload;
  }
  // api->allocate, with its error as the function's: the address `payload` bytes behind the object's. SAFEPOINT.
  [[gnu::cold, gnu::noinline]] void* allocate(const char* function, echo_layout_id layout,
                                              std::uint64_t length, std::uint64_t payload);
  void announce(void* slot, std::uint64_t value) {
    if (phase_test_ && __atomic_load_n(in_thread<std::uint8_t>(phase_offset_), __ATOMIC_RELAXED) != 0)
        [[unlikely]] {
      store_cold_(thread_, static_cast<echo_ref*>(slot), reinterpret_cast<echo_ref>(value));
    }
  }
  std::uint64_t room_inside(const void* block) const;
  // Perhaps of another object than the block's.
  [[gnu::no_sanitize_address]] static std::uint64_t word_before(const void* block, std::uint64_t bytes) {
    return *reinterpret_cast<const std::uint64_t*>(static_cast<const char*>(block) - bytes);
  }
  echo_status add_layout(const echo_layout& layout, Layout* out, echo_error* why);

  echo_thread* thread_ = nullptr;
  std::uint32_t cursor_offset_ = 0, limit_offset_ = 0, max_inline_ = 0, phase_offset_ = 0;
  bool phase_test_ = false;
  Layout text_, bytes_, words_;
  Layout small_text_[kMostSmallText / kWord + 1]; // by words of the object, from a header and three words on
  echo_store_cold_fn store_cold_ = nullptr;
  const echo_heap_api* api_ = nullptr;
  echo_heap* heap_ = nullptr;
};

} // namespace echo::runtime
