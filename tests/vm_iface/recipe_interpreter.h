// SPDX-License-Identifier: MIT
//
// Purpose     The recipes of echo/recipes.h executed by echo/inline.h, with nothing but the data of echo_recipes: what a
//             compiler that trusts them would emit.
#pragma once

#include "echo/heap.h"
#include "echo/inline.h"

#include <cstdint>
#include <cstring>

namespace echo::test {

class RecipeInterpreter {
public:
  RecipeInterpreter(const echo_recipes& recipes, echo_thread* thread) : r_(recipes), thread_(thread) {}

  // `bytes` of the object, unrounded; header word as echo_layout_get tells it.
  echo_ref allocate(const echo_layout_info& layout, std::uint64_t bytes, std::uint64_t length,
                    bool is_array) {
    return is_array ? echo_inline_allocate_array(&r_, thread_, &layout, length)
                    : echo_inline_allocate_bytes(&r_, thread_, &layout, bytes, 0);
  }
  void store(echo_ref object, std::uint64_t offset, echo_ref value) {
    echo_inline_store(&r_, thread_, echo_inline_slot(object, offset), value);
  }
  void poll() {
    // A frame pointer of a frame younger than any watermark.
    if (~std::uint64_t{0} >> 1 >
        __atomic_load_n(reinterpret_cast<std::uint64_t*>(address(r_.poll_offset)), __ATOMIC_RELAXED)) {
      r_.poll_cold(thread_);
    }
  }
  void publish_anchor(std::uintptr_t sp, std::uintptr_t fp, std::uintptr_t pc) {
    store_word(r_.anchor_sp_offset, sp);
    store_word(r_.anchor_fp_offset, fp);
    store_word(r_.anchor_pc_offset, pc);
  }
  bool would_allocate_inline(std::uint64_t size) const {
    return load(r_.cursor_offset) + size <= load(r_.limit_offset);
  }

private:
  unsigned char* address(std::uint32_t offset) const {
    return reinterpret_cast<unsigned char*>(thread_) + offset;
  }
  std::uint64_t load(std::uint32_t offset) const {
    std::uint64_t word = 0;
    std::memcpy(&word, address(offset), sizeof word);
    return word;
  }
  void store_word(std::uint32_t offset, std::uint64_t word) {
    std::memcpy(address(offset), &word, sizeof word);
  }

  const echo_recipes& r_;
  echo_thread* thread_;
};

} // namespace echo::test
