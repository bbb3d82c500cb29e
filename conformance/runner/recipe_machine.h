// SPDX-License-Identifier: MIT
//
// recipe_machine.h - does what a compiler would emit, from the recipes alone.
//
// Invariants  [kit.recipe.1] It reads nothing of a thread block but what the recipes name. [kit.recipe.2] It
//             zeroes from zero_from on, as an emitted allocation that cannot prove more must.
#ifndef ECHO_CONFORMANCE_RECIPE_MACHINE_H
#define ECHO_CONFORMANCE_RECIPE_MACHINE_H

#include "plugin.h"

#include <cstring>

namespace conformance {

class RecipeMachine {
public:
  RecipeMachine(const Mutator& mutator, std::uint32_t set)
      : mutator_(&mutator), recipes_(&read(mutator, set)) {}

  static const echo_recipes& read(const Mutator& mutator, std::uint32_t set) {
    const echo_recipes* recipes = nullptr;
    EXPECT_STATUS(mutator.api().recipes(mutator.heap().get(), set, &recipes), ECHO_OK, "recipes");
    EXPECT(recipes != nullptr, "recipes succeeded but gave none");
    return *recipes;
  }
  const echo_recipes& recipes() const { return *recipes_; }

  // A fixed layout. SAFEPOINT.
  echo_ref allocate(echo_layout_id layout) const {
    const echo_layout_info info = mutator_->heap().info(layout);
    const std::uint64_t size =
        (info.fixed_bytes + recipes_->granule - 1) / recipes_->granule * recipes_->granule;
    if (size <= recipes_->max_inline_bytes && info.alignment <= recipes_->granule) {
      const std::uint64_t cursor = block_word(recipes_->cursor_offset);
      if (cursor + size <= block_word(recipes_->limit_offset)) {
        block_word(recipes_->cursor_offset) = cursor + size;
        const auto object = reinterpret_cast<echo_ref>(cursor);
        word(object, recipes_->header_offset / 8) = info.header_word;
        std::memset(bytes_of(object) + recipes_->zero_from, 0, size - std::min(size, recipes_->zero_from));
        return object;
      }
    }
    const echo_ref object = recipes_->allocate_cold(mutator_->get(), layout, 0);
    if (object == nullptr) {
      echo_error why = untouched_error();
      const echo_status status = mutator_->api().last_error(mutator_->get(), &why);
      throw Failed{"allocate_cold: " + status_text(status, why)};
    }
    return object;
  }
  // NO-SAFEPOINT.
  void store(std::uint64_t* slot_word, echo_ref value) const {
    auto* slot = reinterpret_cast<echo_ref*>(slot_word);
    if (recipes_->store_kind == ECHO_STORE_PHASE_TEST && bytes_of_block()[recipes_->phase_offset] != 0)
      recipes_->store_cold(mutator_->get(), slot, value);
    *slot = value;
  }
  // NO-SAFEPOINT.
  echo_ref weak_load(std::uint64_t* slot_word) const {
    auto* slot = reinterpret_cast<echo_ref*>(slot_word);
    if (bytes_of_block()[recipes_->phase_offset] != 0)
      return recipes_->weak_load_cold(mutator_->get(), slot);
    return *slot;
  }
  // SAFEPOINT. The frame is this function's: younger than any watermark, so only a wanted stop takes the cold
  // path.
  void poll() const {
    const auto frame = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
    if (frame > __atomic_load_n(&block_word(recipes_->poll_offset), __ATOMIC_RELAXED))
      recipes_->poll_cold(mutator_->get());
  }
  // Publishes the anchor of a managed frame; all 0 takes it back.
  void publish_anchor(std::uint64_t sp, std::uint64_t fp, std::uint64_t pc) const {
    block_word(recipes_->anchor_sp_offset) = sp;
    block_word(recipes_->anchor_fp_offset) = fp;
    block_word(recipes_->anchor_pc_offset) = pc;
  }

private:
  std::uint8_t* bytes_of_block() const { return reinterpret_cast<std::uint8_t*>(mutator_->get()); }
  std::uint64_t& block_word(std::uint32_t offset) const {
    return *reinterpret_cast<std::uint64_t*>(bytes_of_block() + offset);
  }

  const Mutator* mutator_;
  const echo_recipes* recipes_;
};

} // namespace conformance

#endif // ECHO_CONFORMANCE_RECIPE_MACHINE_H
