/* SPDX-License-Identifier: MIT
 *
 * fake_heap.h - a copying heap for one thread behind echo_heap_api: what tests of the JIT run on.
 *
 * Purpose     Every collection moves every object and poisons the old space, so a reference that the JIT's
 * frames did not report is found at its next use. Collections can be forced at every allocation and every
 * poll; calls of cold paths are counted. Offsets of the thread block are unusual on purpose.
 */
#ifndef ECHO_TESTS_JIT_FAKE_HEAP_H
#define ECHO_TESTS_JIT_FAKE_HEAP_H

#include "echo/heap.h"

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace echo::testing {

/* The thread block: fields that the recipes name, in an order nobody would guess. */
struct FakeThread {
  uint64_t reserved;
  uint64_t anchor_pc;
  uint64_t limit;
  uint64_t poll_word;
  uint64_t anchor_sp;
  uint8_t phase;
  uint32_t state;
  uint64_t cursor;
  uint64_t anchor_fp;
  class FakeHeap* heap;
  echo_error error;
};

inline constexpr uint32_t kFakeManaged = 5, kFakeNative = 9;

class FakeHeap {
public:
  explicit FakeHeap(uint64_t space_bytes = uint64_t{8} << 20);
  ~FakeHeap();
  FakeHeap(const FakeHeap&) = delete;
  FakeHeap& operator=(const FakeHeap&) = delete;

  const echo_heap_api* api() const { return &api_; }
  echo_heap* handle() { return reinterpret_cast<echo_heap*>(this); }
  echo_thread* thread() { return reinterpret_cast<echo_thread*>(&thread_); }
  FakeThread& block() { return thread_; }

  /* Collect at every allocation. */
  void set_stress(bool on);
  /* Collect at every poll. */
  void set_poll_always(bool on);
  void set_phase(uint8_t phase) { thread_.phase = phase; }
  echo_recipes& recipes() { return recipes_; } /* before the JIT is made */

  echo_ref allocate(echo_layout_id layout, uint64_t length);
  /* Moves everything reachable; records walk failures in walk_error. */
  void collect();
  /* Aborts unless objects and fillers lie end to end and aligned. */
  void walk_space();
  bool contains(echo_ref object) const;
  echo_layout_id layout_by_name(const std::string& name) const;

  /* counters */
  uint64_t collections = 0, allocate_cold = 0, store_cold = 0, poll_cold = 0, frames = 0, roots_seen = 0;
  uint64_t derived_seen = 0, fillers_seen = 0, hash_cold = 0, weak_cold = 0, enter_cold = 0, leave_cold = 0;
  std::vector<std::pair<uint64_t, uint64_t>> stores; /* slot, value of each barrier */
  echo_error walk_error{};
  uint32_t walk_slice = 64;
  /* Frames that a collection visits; the rest is visited in portions of walk_slice, before control comes back to them,
   * by the watermark in the poll word [roots.frames.1]. Until then they hold addresses of poisoned memory. */
  uint32_t frames_per_collection = ~0u;
  uint64_t portions = 0, largest_portion = 0; /* visits by polls */
  bool watermark_is_set() const { return unvisited_.pc != 0; }
  bool fix_derived = true;            /* false: a fault on purpose, derived pointers stay behind */
  uint64_t fail_after = ~uint64_t{0}; /* cold allocations that succeed */
  std::function<void()> on_allocate_cold, on_poll_cold, on_store_cold, on_enter_cold, on_leave_cold;
  std::vector<echo_ref> handles; /* roots of native code */
  std::vector<std::pair<echo_ref*, uint64_t>> root_ranges;
  bool has_source = false;

private:
  friend struct FakeApi;
  struct Layout {
    std::string name;
    echo_layout descriptor;
    std::vector<echo_slot> slots;
  };
  uint64_t object_bytes(const Layout& layout, uint64_t length) const;
  echo_ref copy(echo_ref object);
  void begin_collection();
  void visit_frames(uint32_t most);
  void visit_above_watermark();
  uint64_t visit_portion(uint32_t most);
  void scan_copies();
  void scan(uint64_t object);
  void finish_weak_slots();
  void set_limit();
  static void align(uint64_t& cursor, uint64_t alignment);

  echo_heap_api api_{};
  echo_recipes recipes_{};
  FakeThread thread_{};
  echo_frame_source source_{};
  std::vector<Layout> layouts_;
  uint64_t space_bytes_;
  std::vector<uint64_t> spaces_[2];
  int current_ = 0;
  uint64_t to_ = 0, scanned_ = 0;
  std::map<uint64_t, uint64_t> moved_hashes_; /* by address */
  std::vector<uint64_t> weak_slots_;          /* of what was copied: rewritten or cleared at the end */
  std::vector<uint64_t> limbo_;               /* what the space left behind held, before it was poisoned */
  echo_frame_cursor unvisited_{};
  uint64_t watermark_ = ~uint64_t{0};
  bool stress_ = false, poll_always_ = false;
};

} // namespace echo::testing

#endif // ECHO_TESTS_JIT_FAKE_HEAP_H
