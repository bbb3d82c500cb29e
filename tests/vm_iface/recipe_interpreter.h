// SPDX-License-Identifier: MIT
//
// Purpose     The recipes of echo/recipes.h executed in C++, with nothing but the data of echo_recipes: what
// a compiler
//             that trusts them would emit.
#pragma once

#include "echo/heap.h"

#include <cstdint>
#include <cstring>

namespace echo::test {

class RecipeInterpreter {
public:
  RecipeInterpreter(const echo_recipes& recipes, echo_thread* thread) : r_(recipes), thread_(thread) {}

  // `bytes` of the object, unrounded; `alignment` of its layout; header word as echo_layout_get tells it.
  echo_ref allocate(const echo_layout_info& layout, std::uint64_t bytes, std::uint64_t length,
                    bool is_array) {
    const std::uint64_t size = (bytes + r_.granule - 1) / r_.granule * r_.granule;
    if (size > r_.max_inline_bytes || layout.alignment > r_.granule) {
      return r_.allocate_cold(thread_, layout.id, length);
    }
    const std::uint64_t cursor = load(r_.cursor_offset);
    const std::uint64_t next = cursor + size;
    if (next > load(r_.limit_offset)) {
      return r_.allocate_cold(thread_, layout.id, length);
    }
    store_word(r_.cursor_offset, next);
    auto* object = reinterpret_cast<char*>(cursor);
    __atomic_store_n(reinterpret_cast<std::uint64_t*>(object + r_.header_offset), layout.header_word,
                     __ATOMIC_RELAXED);
    std::memset(object + r_.zero_from, 0, size - r_.zero_from);
    if (is_array) {
      std::memcpy(object + r_.length_offset, &length, sizeof length);
    }
    return reinterpret_cast<echo_ref>(object);
  }
  void store(echo_ref object, std::uint64_t offset, echo_ref value) {
    auto* slot = reinterpret_cast<echo_ref*>(reinterpret_cast<char*>(object) + offset);
    if (r_.store_kind == ECHO_STORE_PHASE_TEST && address(r_.phase_offset)[0] != 0) {
      r_.store_cold(thread_, slot, value);
    }
    __atomic_store_n(slot, value, __ATOMIC_RELAXED);
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
