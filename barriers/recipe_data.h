// SPDX-License-Identifier: MIT
//
// Purpose     The recipes as data: one function that fills an echo_recipes from the thread block's real
//             offsets, so that what a compiler is told and what the heap does can not drift apart.
// Invariants  [abi.recipe.1] Constant for the heap's life. [abi.recipe.4] Every offset lies in the first two
//             cache lines.
#pragma once

#include "echo/recipes.h"

#include <cstddef>

namespace echo {

struct ColdPaths {
  echo_allocate_cold_fn allocate = nullptr;
  echo_store_cold_fn store = nullptr;
  echo_poll_cold_fn poll = nullptr;
  echo_hash_cold_fn hash = nullptr;
  echo_transition_cold_fn enter_native = nullptr, leave_native = nullptr;
  echo_weak_load_cold_fn weak_load = nullptr;
};

echo_recipes make_recipes(const ColdPaths& cold, std::size_t max_inline_bytes);

} // namespace echo
