// SPDX-License-Identifier: MIT
//
// Purpose     Fills the recipes.
#include "barriers/recipe_data.h"

#include "heap/identity_hash.h"
#include "heap/object_header.h"
#include "heap/thread_block.h"
#include "heap/words.h"

namespace echo {

echo_recipes make_recipes(const ColdPaths& cold, std::size_t max_inline_bytes) {
  echo_recipes r{};
  r.size = sizeof r;
  r.version = 1;
  r.cursor_offset = offsetof(ThreadBlock, cursor);
  r.limit_offset = offsetof(ThreadBlock, limit);
  r.granule = kGranule;
  r.max_inline_bytes = static_cast<std::uint32_t>(max_inline_bytes);
  r.header_offset = 0;
  r.length_offset = 8;
  r.zero_from = kGranule;
  r.allocate_cold = cold.allocate;
  r.store_kind = ECHO_STORE_PHASE_TEST;
  r.phase_offset = offsetof(ThreadBlock, phase);
  r.store_cold = cold.store;
  r.poll_offset = offsetof(ThreadBlock, poll_word);
  r.poll_cold = cold.poll;
  r.anchor_sp_offset = offsetof(ThreadBlock, anchor_sp);
  r.anchor_fp_offset = offsetof(ThreadBlock, anchor_fp);
  r.anchor_pc_offset = offsetof(ThreadBlock, anchor_pc);
  r.filler_word = HeaderWord::filler(0).bits;
  r.filler_shift = 37;
  static_assert(HeaderWord::filler(3).bits == (HeaderWord::filler(0).bits | 3 * kGranule << 37));
  r.hash_mask = kHeaderHashed | kHeaderHashMoved;
  r.hash_value = kHeaderHashed;
  r.hash_multiplier = kHashMultiplier;
  r.hash_shift = kHashShift;
  r.hash_cold = cold.hash;
  r.state_offset = offsetof(ThreadBlock, state);
  r.state_managed = static_cast<std::uint32_t>(ThreadState::Managed);
  r.state_native = static_cast<std::uint32_t>(ThreadState::Native);
  r.enter_native_cold = cold.enter_native;
  r.leave_native_cold = cold.leave_native;
  r.weak_load_cold = cold.weak_load;
  return r;
}

} // namespace echo
