// SPDX-License-Identifier: MIT
//
// null_heap.h - the data of a heap that never collects.
//
// Purpose     The whole ABI over malloc, in the plainest way: what a plugin has to answer when it does
//             nothing clever. The conformance kit judges it to show that its tests tell a collector from a
//             heap that has none.
// Drawing     [padding][next object 8][block 8][object ...]: one malloc block per object, all of them in one
//             list per
//             thread, freed with the heap
// Invariants  [null.honest.1] Every feature bit that is set works, and nothing that is missing pretends:
//             collect and verify answer NOT_SUPPORTED. [null.cold.1] Cursor and limit are 0 for ever, so that
//             every inline allocation takes its cold path; the poll word is the highest address, so that no
//             poll does.
#ifndef ECHO_NULL_HEAP_H
#define ECHO_NULL_HEAP_H

#include "echo/heap.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

namespace null_heap {

struct Layout {
  std::string name;
  std::uint32_t kind = 0, flags = 0;
  std::uint64_t fixed_bytes = 0;
  std::uint32_t element_bytes = 0, alignment = 8;
  std::vector<echo_slot> slots; // by offset

  bool is_array() const { return kind != ECHO_LAYOUT_FIXED; }
  bool has_reference_elements() const {
    return kind == ECHO_LAYOUT_REF_ARRAY || kind == ECHO_LAYOUT_MIXED_REF;
  }
  // Bytes of an object with `length` elements, rounded to 8; false on overflow. [abi.layout.2]
  bool bytes(std::uint64_t length, std::uint64_t* out) const;
  // Two layouts are the same one iff their keys are equal.
  std::string key() const;
};

// OK, or BAD_LAYOUT / NOT_SUPPORTED with the reason. [abi.layout.1] [abi.layout.3]
echo_status read_layout(const echo_layout& descriptor, Layout* out, std::string* why);

struct Options {
  std::uint64_t max_heap = std::uint64_t{64} << 30;
};
echo_status read_options(const char* text, Options* out, std::string* why);
echo_status describe_option(std::uint32_t index, echo_option_info* out);

inline constexpr std::uint64_t kMaxRootWords = 8192;
inline constexpr std::uint64_t kMaxScopes = 1u << 20;
inline constexpr std::size_t kMaxLayouts = 1u << 24;

enum class State : std::uint32_t { managed, native, blocked };

inline std::uint64_t header_word(echo_layout_id id) {
  return std::uint64_t{id} << 8 | 1;
}
inline std::uint64_t& word(echo_ref object, std::size_t index) {
  return reinterpret_cast<std::uint64_t*>(object)[index];
}
inline echo_layout_id layout_of(echo_ref object) {
  return static_cast<echo_layout_id>(word(object, 0) >> 8);
}

} // namespace null_heap

struct echo_handle_cell {
  echo_ref object = nullptr;
  bool open = false;
};

// The thread block: what recipes address comes first. [abi.thread.1]
struct echo_thread {
  std::uint64_t cursor = 0, limit = 0; // [null.cold.1]
  std::uint64_t poll_word = UINTPTR_MAX;
  std::uint64_t anchor_sp = 0, anchor_fp = 0, anchor_pc = 0;
  std::uint8_t phase = 0;
  // below: not for recipes
  std::atomic<null_heap::State> state{null_heap::State::managed};
  echo_heap* heap = nullptr;
  std::thread::id owner;
  void* vm_word = nullptr;
  echo_error last_error{};
  echo_ref newest = nullptr; // list of this thread's objects
  std::deque<echo_handle_cell> cells;
  std::size_t cells_open = 0;
  std::vector<std::size_t> scopes; // cells_open at the opening of each open scope
  std::atomic<std::uint64_t> objects{0}, bytes{0}, cold{0}, handles{0};
};
static_assert(offsetof(echo_thread, phase) < 128, "recipes address the first two cache lines");

struct echo_heap {
  null_heap::Options options;
  std::atomic<std::uint64_t> used_bytes{0};
  mutable std::mutex mutex; // of everything below
  std::deque<null_heap::Layout> layouts;
  std::unordered_map<std::string, echo_layout_id> layout_numbers; // by Layout::key()
  std::atomic<std::uint32_t> layout_count{0};
  std::vector<std::unique_ptr<echo_thread>> threads;
  std::map<std::uintptr_t, std::uint64_t> roots; // first word -> words
  std::uint64_t root_words = 0;
  bool has_frame_source = false;
  echo_frame_source frame_source{};
  std::vector<echo_ref> orphans; // lists of threads that are gone
  std::uint64_t gone_objects = 0, gone_bytes = 0, gone_cold = 0;

  // Null for 0 and unknown numbers. A layout never moves once it is counted.
  const null_heap::Layout* layout(echo_layout_id id) const;
};

#endif // ECHO_NULL_HEAP_H
