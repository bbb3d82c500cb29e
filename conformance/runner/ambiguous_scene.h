// SPDX-License-Identifier: MIT
//
// ambiguous_scene.h - a heap with ambiguous words, for the tests of what they keep.
#ifndef ECHO_CONFORMANCE_AMBIGUOUS_SCENE_H
#define ECHO_CONFORMANCE_AMBIGUOUS_SCENE_H

#include "patterns.h"

#include <array>

namespace conformance {

inline constexpr std::uint64_t kHeader = 16; // bytes before the first element

inline std::string poisoned(const Plugin& p) {
  return p.options_with("max_heap=32m", {"poison=on", "verify=on"});
}

inline std::uintptr_t address_of(echo_ref object) {
  return reinterpret_cast<std::uintptr_t>(object);
}
inline echo_ref object_at(std::uintptr_t address) {
  return reinterpret_cast<echo_ref>(address);
}

// A heap with ambiguous words: a range of 16, and layouts.
struct Scene : Fixture {
  std::array<std::uintptr_t, 16> words{};
  echo_layout_id bytes, unknown = 0;

  explicit Scene(Context& context, std::string (*options)(const Plugin&) = poisoned)
      : Fixture(context, options), bytes(heap.raw_array("bytes", 1)) {
    plugin.skip_without(ECHO_FEATURE_AMBIGUOUS_ROOTS);
    unknown = heap.add({sizeof(echo_layout), ECHO_LAYOUT_AMBIGUOUS, "unknown", kHeader, 1, 0, 0, 0, nullptr});
  }
  echo_status add(const void* start, std::uint64_t size) const {
    echo_error why = untouched_error();
    const echo_status status = heap.api().ambiguous_range_add(heap.get(), start, size, &why);
    if (status == ECHO_OK)
      EXPECT(is_untouched(why), "a range was added, and an error written");
    else
      expect_error(why, status, "ambiguous_range_add");
    return status;
  }
  echo_status remove(const void* start) const {
    echo_error why = untouched_error();
    const echo_status status = heap.api().ambiguous_range_remove(heap.get(), start, &why);
    if (status != ECHO_OK)
      expect_error(why, status, "ambiguous_range_remove");
    return status;
  }
  void add_words() const { EXPECT_STATUS(add(words.data(), sizeof words), ECHO_OK, "ambiguous_range_add"); }
  void stack(bool on) const { stack(mutator, on); }
  static void stack(const Mutator& m, bool on) {
    echo_error why = untouched_error();
    const echo_status status = m.api().ambiguous_stack(m.get(), on ? 1 : 0, &why);
    EXPECT(status == ECHO_OK, "ambiguous_stack: " + status_text(status, why));
  }
  echo_ref resolve(std::uintptr_t word) const { return heap.api().resolve(mutator.get(), word); }
  // An array of bytes with a pattern; its address alone, at `offset`.
  echo_ref make(std::uint64_t length, std::uint64_t key) const { return make(mutator, length, key); }
  echo_ref make(const Mutator& m, std::uint64_t length, std::uint64_t key) const {
    const echo_ref object = m.allocate(bytes, length);
    fill(object, 2, 2 + length / 8, key);
    return object;
  }
  static void expect(echo_ref object, std::uint64_t length, std::uint64_t key, const std::string& what) {
    EXPECT_EQ(word(object, 1), length, what + ": length");
    EXPECT(has_pattern(object, 2, 2 + length / 8, key), what + ": the object was overwritten");
  }
  std::uint64_t survivors() const {
    mutator.collect();
    return heap.statistics().live_bytes;
  }
};

// Rows of the suite that are about stacks and registers.
std::vector<Test> ambiguous_stack_tests();

} // namespace conformance

#endif // ECHO_CONFORMANCE_AMBIGUOUS_SCENE_H
