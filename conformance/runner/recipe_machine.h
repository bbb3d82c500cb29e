// SPDX-License-Identifier: MIT
//
// recipe_machine.h - does what a compiler would emit, from the recipes alone (echo/inline.h).
//
// Invariants  [kit.recipe.1] It reads nothing of a thread block but what the recipes name. [kit.recipe.2] It
//             zeroes from zero_from on, as an emitted allocation that cannot prove more must.
#ifndef ECHO_CONFORMANCE_RECIPE_MACHINE_H
#define ECHO_CONFORMANCE_RECIPE_MACHINE_H

#include "plugin.h"

#include "echo/inline.h"

#include <cstring>

namespace conformance {

class RecipeMachine {
public:
  static constexpr std::uint64_t kElements = 16; // of arrays that are references and nothing else
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
    const echo_ref object = echo_inline_allocate(recipes_, mutator_->get(), &info);
    if (object == nullptr) {
      echo_error why = untouched_error();
      const echo_status status = mutator_->api().last_error(mutator_->get(), &why);
      throw Failed{"allocate_cold: " + status_text(status, why)};
    }
    return object;
  }
  // NO-SAFEPOINT.
  void store(std::uint64_t* slot_word, echo_ref value) const {
    echo_inline_store(recipes_, mutator_->get(), reinterpret_cast<echo_ref*>(slot_word), value);
  }
  // NO-SAFEPOINT.
  echo_ref weak_load(std::uint64_t* slot_word) const {
    return echo_inline_weak_load(recipes_, mutator_->get(), reinterpret_cast<echo_ref*>(slot_word));
  }
  // SAFEPOINT. The frame is this function's: younger than any watermark, so only a wanted stop takes the cold
  // path.
  void poll() const { echo_inline_poll(recipes_, mutator_->get()); }
  // Elements of arrays of references, rooted in the words that are named. SAFEPOINT.
  void array_copy(const echo_ref& to, std::uint64_t to_index, const echo_ref& from, std::uint64_t from_index,
                  std::uint64_t count) const {
    echo_inline_array_copy(recipes_, mutator_->get(), &to, kElements, to_index, &from, kElements, from_index,
                           count);
  }
  void array_fill(const echo_ref& array, std::uint64_t index, std::uint64_t count,
                  const echo_ref& value) const {
    echo_inline_array_fill(recipes_, mutator_->get(), &array, kElements, index, count, &value);
  }
  // NO-SAFEPOINT.
  echo_ref exchange(std::uint64_t* slot_word, echo_ref value) const {
    return echo_inline_exchange(recipes_, mutator_->get(), reinterpret_cast<echo_ref*>(slot_word), value);
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
