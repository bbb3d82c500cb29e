// SPDX-License-Identifier: MIT
//
// Purpose     Giving memory that pools do not need to the system: what the reclaimer, the bundled pool and
//             the collector interface share.
#pragma once

#include "heap/native/pool.h"

#include <cstddef>
#include <cstdint>
#include <limits>

namespace echo::memory_pool {

inline constexpr std::uint64_t kNoDeadline = std::numeric_limits<std::uint64_t>::max();

// now + microseconds, without overflow.
std::uint64_t deadline_in(std::uint64_t microseconds);
// Live and committed bytes of all pools of the process.
void measure_pools(std::size_t* live, std::size_t* committed);
// Empties the caches within reach, of all pools, until the deadline.
void trim_all_pools(std::uint64_t deadline_ns);

} // namespace echo::memory_pool
